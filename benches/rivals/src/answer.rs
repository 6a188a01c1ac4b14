//! The yardstick's answer, from the yardstick's own source.

use std::sync::LazyLock;

#[path = "../../src/reference/answer.rs"]
mod reference;

/// One answer, head and body.
pub const ANSWER: &[u8] = reference::ANSWER;
/// Answers sent with one call at most, as the yardstick does; a deeper pipeline takes several calls.
pub const BATCH: usize = 64;

static ANSWERS: LazyLock<Vec<u8>> = LazyLock::new(|| ANSWER.repeat(BATCH));

/// The first `bytes` bytes of answers to several requests, at most [`BATCH`].
pub fn answers(bytes: usize) -> &'static [u8] {
    &ANSWERS[..bytes.min(ANSWERS.len())]
}

/// What is left to send when `bytes` bytes of answers are owed: it may begin inside one.
pub fn owed(bytes: usize) -> &'static [u8] {
    let sent = (ANSWER.len() - bytes % ANSWER.len()) % ANSWER.len();
    let end = (sent + bytes).min(ANSWERS.len());
    &ANSWERS[sent..end]
}

/// The answer's fields but for its length, and its body, for servers that write heads themselves.
pub fn parts() -> (Vec<(&'static str, &'static str)>, &'static str) {
    let text = std::str::from_utf8(ANSWER).expect("the answer is text");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head ends");
    let fields = head.lines().skip(1).filter_map(|l| l.split_once(": "));
    let fields = fields.filter(|(name, _)| *name != "Content-Length");
    (fields.collect(), body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_owed_goes_on_where_it_was_cut() {
        let whole = ANSWER.repeat(3);
        for sent in [0, 1, ANSWER.len(), ANSWER.len() + 7] {
            assert_eq!(owed(whole.len() - sent), &whole[sent..]);
        }
    }

    #[test]
    fn no_more_than_a_batch_goes_at_once() {
        let many = ANSWER.len() * (BATCH + 5);
        assert_eq!(owed(many).len(), ANSWER.len() * BATCH);
        assert_eq!(answers(many).len(), ANSWER.len() * BATCH);
    }

    #[test]
    fn parts_are_those_of_the_answer() {
        let (fields, body) = parts();
        let names: Vec<_> = fields.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["Server", "Date", "Content-Type"]);
        assert_eq!(body.len(), 13);
    }
}
