//! Where request heads end: nothing more is parsed, as in the yardstick, but a head may come in pieces.

use std::sync::LazyLock;

use memchr::memmem::Finder;

static END: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\r\n\r\n"));
static CLOSE: LazyLock<Finder<'static>> =
    LazyLock::new(|| Finder::new(b"\r\nConnection: close\r\n"));

/// An unfinished head that is longer ends its connection.
const LONGEST: usize = 64 * 1024;

/// What some input asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Asked {
    /// Whole heads, each of which wants an answer.
    pub heads: usize,
    /// The last of them is the last of its connection.
    pub close: bool,
}

/// The heads of one connection.
#[derive(Default)]
pub struct Heads {
    /// A head that has begun; empty, and without memory, between two requests.
    begun: Vec<u8>,
}

impl Heads {
    /// Counts what `input` completes. `None` when a head does not end.
    pub fn take(&mut self, input: &[u8]) -> Option<Asked> {
        if self.begun.is_empty() {
            let (asked, used) = count(input);
            if used < input.len() {
                self.begun = input[used..].to_vec();
            }
            return (self.begun.len() <= LONGEST).then_some(asked);
        }
        let mut whole = std::mem::take(&mut self.begun);
        whole.extend_from_slice(input);
        self.take(&whole)
    }
}

/// What is asked for, and how many bytes it took.
fn count(input: &[u8]) -> (Asked, usize) {
    let close = CLOSE.find(input);
    let (mut heads, mut used) = (0, 0);
    for end in END.find_iter(input) {
        heads += 1;
        used = end + 4;
        if close.is_some_and(|at| at < end) {
            let last = Asked { heads, close: true };
            // Nothing behind it will be answered.
            return (last, input.len());
        }
    }
    let close = false;
    (Asked { heads, close }, used)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    const LAST: &[u8] = b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n";

    fn asked(heads: usize, close: bool) -> Option<Asked> {
        Some(Asked { heads, close })
    }

    #[test]
    fn pipelined_heads_are_counted() {
        assert_eq!(Heads::default().take(&GET.repeat(16)), asked(16, false));
    }

    #[test]
    fn a_head_may_be_cut_anywhere() {
        let two = GET.repeat(2);
        for cut in 0..two.len() {
            let mut heads = Heads::default();
            let first = heads.take(&two[..cut]).expect("short enough").heads;
            let second = heads.take(&two[cut..]).expect("short enough").heads;
            assert_eq!(first + second, 2, "cut at {cut}");
            assert_eq!(heads.begun.capacity(), 0);
        }
    }

    #[test]
    fn the_last_one_says_so() {
        let mut heads = Heads::default();
        assert_eq!(heads.take(&[GET, LAST, GET].concat()), asked(2, true));
        for cut in 1..LAST.len() {
            let mut heads = Heads::default();
            assert_eq!(heads.take(&LAST[..cut]), asked(0, false));
            assert_eq!(heads.take(&LAST[cut..]), asked(1, true), "cut at {cut}");
        }
    }

    #[test]
    fn a_head_without_end_is_given_up() {
        let mut heads = Heads::default();
        let piece = [b'x'; 4096];
        let taken = (0..20).take_while(|_| heads.take(&piece).is_some());
        assert_eq!(taken.count(), 16);
    }
}
