//! What this child says to its siblings, and what it reads of them, on the scoreboard.

use crate::scoreboard::{Board, Child};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// The siblings of the child with this record.
pub(super) struct Siblings {
    pub(super) board: Arc<Board>,
    pub(super) record: usize,
}

impl parkade::Siblings for Siblings {
    fn yield_to(&self) -> bool {
        // The first question is answered from a line of our own, and nearly always in the negative.
        let full = self.board.child(self.record).is_some_and(|c| !c.has_room());
        full && self.board.sibling(self.record, Child::has_room)
    }

    fn accept(&self) -> bool {
        self.board.sibling(self.record, |_| true)
    }

    fn short(&self, short: bool) {
        if let Some(child) = self.board.child(self.record) {
            child.short.store(short.into(), Relaxed);
        }
    }
}
