//! What keeps a child from ending, in words.

use super::Place;
use crate::scoreboard::{Board, Doing, Sum};

/// Requests named at most.
const NAMED: usize = 5;

/// What the child at this place still does; `None` if that is nothing.
pub(crate) fn by(place: &Place) -> Option<String> {
    of(&place.board, place.record)
}

/// The same for any record.
pub(crate) fn of(board: &Board, record: usize) -> Option<String> {
    let sum = Sum::of(board, record);
    let parts = [
        (sum.busy, "in progress"),
        (sum.waiting, "waiting for a slot"),
        (sum.writing, "being written"),
        (sum.lingering, "being closed"),
        (sum.parked, "between requests"),
    ];
    let mut words: Vec<String> = parts
        .iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, what)| format!("{n} {what}"))
        .collect();
    if words.is_empty() {
        return None;
    }
    let details = board.details(record);
    let slots = board.slots(record).iter().map(Doing::of).zip(details);
    let named = slots
        .filter(|(doing, _)| matches!(doing, Doing::Reading | Doing::Writing))
        .filter_map(|(_, detail)| detail.read())
        .take(NAMED)
        .map(|seen| {
            let mut line = Vec::new();
            crate::log::escape(&seen.line, &mut line);
            format!("\"{}\" of {}", String::from_utf8_lossy(&line), seen.peer)
        });
    words.extend(named);
    Some(words.join(", "))
}
