//! One request slot as others see it: a byte that says what it does, and (with ExtendedStatus) what it did last.

use std::cell::Cell;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering, fence};

use Ordering::{Acquire, Relaxed, Release};

/// Bytes of a request line that are kept.
const LINE: usize = 192;
/// How often a reader tries to find a record at rest.
const ATTEMPTS: usize = 16;

/// What a slot does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Doing {
    /// It was never taken.
    Untouched = 0,
    /// It is free.
    Free = 1,
    /// Its request's body is being read.
    Reading = 2,
    /// Its request is being answered.
    Writing = 3,
}

impl Doing {
    pub(crate) fn of(byte: &AtomicU8) -> Self {
        match byte.load(Relaxed) {
            0 => Self::Untouched,
            2 => Self::Reading,
            3 => Self::Writing,
            _ => Self::Free,
        }
    }

    pub(crate) fn show(self, byte: &AtomicU8) {
        byte.store(self as u8, Relaxed);
    }
}

/// The request that a slot works on, or worked on last: 256 bytes.
///
/// One writer: whoever holds the slot. `turn` is odd while the writer is at it; a reader takes what it read only if
/// `turn` was even and the same before and after. The writer's release fence behind the odd value pairs with the acquire
/// fence behind the reader's loads: who saw a field of the new request also sees that `turn` has moved. The writer's
/// release store of the even value pairs with the reader's first, acquiring load: who saw it also sees all fields.
#[derive(Debug)]
#[repr(C, align(128))]
pub(crate) struct Detail {
    turn: AtomicU32,
    len: AtomicU32,
    /// Requests that have had the slot.
    count: AtomicU64,
    /// When the request began, and how long the last finished one took; nanoseconds, monotonic.
    began: AtomicU64,
    took: AtomicU64,
    peer: [AtomicU64; 2],
    host: AtomicU32,
    minor: AtomicU32,
    /// The thread that serves the request, by the system's number.
    thread: AtomicU32,
    _spare: AtomicU32,
    line: [AtomicU64; LINE / 8],
}

/// A request that begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Beginning<'a> {
    pub(crate) peer: IpAddr,
    pub(crate) host: u32,
    pub(crate) minor: u8,
    pub(crate) line: &'a [u8],
    /// Nanoseconds, monotonic.
    pub(crate) now: u64,
}

/// What a reader found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Seen {
    pub(crate) count: u64,
    pub(crate) began: u64,
    pub(crate) took: u64,
    pub(crate) peer: IpAddr,
    pub(crate) host: u32,
    pub(crate) minor: u32,
    pub(crate) line: Vec<u8>,
}

/// A request line, or its beginning.
pub(crate) struct Line {
    bytes: [u8; LINE],
    len: usize,
}

impl Line {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// The calling thread, by the system's number; asked for once.
fn this_thread() -> u32 {
    thread_local!(static TID: Cell<u32> = const { Cell::new(0) });
    match TID.get() {
        0 => {
            TID.set(crate::sys::thread::id());
            TID.get()
        }
        tid => tid,
    }
}

impl Detail {
    /// The holder of the slot says what it begins.
    pub(crate) fn begin(&self, request: &Beginning<'_>) {
        let turn = self.turn.load(Relaxed);
        self.turn.store(turn.wrapping_add(1), Relaxed);
        fence(Release);
        self.count.store(self.count.load(Relaxed) + 1, Relaxed);
        self.began.store(request.now, Relaxed);
        let peer = match request.peer {
            IpAddr::V4(v4) => v4.to_ipv6_mapped(),
            IpAddr::V6(v6) => v6,
        };
        let bits = peer.to_bits();
        self.peer[0].store((bits >> 64) as u64, Relaxed);
        self.peer[1].store(bits as u64, Relaxed);
        self.host.store(request.host, Relaxed);
        self.minor.store(request.minor.into(), Relaxed);
        self.thread.store(this_thread(), Relaxed);
        let line = &request.line[..request.line.len().min(LINE)];
        self.len.store(line.len() as u32, Relaxed);
        for (word, bytes) in self.line.iter().zip(line.chunks(8)) {
            let mut whole = [0; 8];
            whole[..bytes.len()].copy_from_slice(bytes);
            word.store(u64::from_le_bytes(whole), Relaxed);
        }
        self.turn.store(turn.wrapping_add(2), Release);
    }

    /// The holder is done; gives how long it took.
    pub(crate) fn end(&self, now: u64) -> u64 {
        let took = now.saturating_sub(self.began.load(Relaxed));
        // One word: it needs no turn.
        self.took.store(took, Relaxed);
        took
    }

    /// What it says; `None` if nothing was ever said, or if its writer died at it.
    pub(crate) fn read(&self) -> Option<Seen> {
        for _ in 0..ATTEMPTS {
            let before = self.turn.load(Acquire);
            if before == 0 {
                return None;
            }
            let len = (self.len.load(Relaxed) as usize).min(LINE);
            let words = self.line.iter().take(len.div_ceil(8));
            let mut line: Vec<u8> = words
                .flat_map(|word| word.load(Relaxed).to_le_bytes())
                .collect();
            line.truncate(len);
            let half = |at: usize| u128::from(self.peer[at].load(Relaxed));
            let seen = Seen {
                count: self.count.load(Relaxed),
                began: self.began.load(Relaxed),
                took: self.took.load(Relaxed),
                peer: IpAddr::V6(Ipv6Addr::from_bits(half(0) << 64 | half(1))).to_canonical(),
                host: self.host.load(Relaxed),
                minor: self.minor.load(Relaxed),
                line,
            };
            fence(Acquire);
            if before.is_multiple_of(2) && self.turn.load(Relaxed) == before {
                return Some(seen);
            }
            std::hint::spin_loop();
        }
        None
    }

    /// The line and the thread, perhaps of two requests, for a process that is dying: without allocating or waiting.
    pub(crate) fn glance(&self) -> (Line, u32) {
        let mut line = Line {
            bytes: [0; LINE],
            len: (self.len.load(Relaxed) as usize).min(LINE),
        };
        for (bytes, word) in line.bytes.chunks_exact_mut(8).zip(&self.line) {
            bytes.copy_from_slice(&word.load(Relaxed).to_le_bytes());
        }
        (line, self.thread.load(Relaxed))
    }

    /// As if nothing had been said.
    pub(super) fn clear(&self) {
        self.count.store(0, Relaxed);
        self.took.store(0, Relaxed);
        self.turn.store(0, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;

    fn fresh() -> Detail {
        Detail {
            turn: AtomicU32::new(0),
            len: AtomicU32::new(0),
            count: AtomicU64::new(0),
            began: AtomicU64::new(0),
            took: AtomicU64::new(0),
            peer: [const { AtomicU64::new(0) }; 2],
            host: AtomicU32::new(0),
            minor: AtomicU32::new(0),
            thread: AtomicU32::new(0),
            _spare: AtomicU32::new(0),
            line: [const { AtomicU64::new(0) }; LINE / 8],
        }
    }

    #[test]
    fn what_is_begun_is_read_and_a_long_line_is_cut() {
        let detail = fresh();
        assert_eq!(size_of_val(&detail), 256);
        assert_eq!(detail.read(), None);
        for (line, kept) in [(&b"GET / HTTP/1.1"[..], 14), (&[b'x'; 500], LINE), (b"", 0)] {
            detail.begin(&Beginning {
                peer: "10.1.2.3".parse().unwrap(),
                host: 3,
                minor: 1,
                line,
                now: 1_000,
            });
            let seen = detail.read().unwrap();
            assert_eq!(seen.line, line[..kept]);
            let (glance, thread) = detail.glance();
            assert_eq!((glance.bytes(), thread), (&line[..kept], this_thread()));
            assert_eq!((seen.host, seen.minor, seen.began), (3, 1, 1_000));
            assert_eq!(seen.peer.to_string(), "10.1.2.3");
        }
        assert_eq!(detail.end(3_500), 2_500);
        let seen = detail.read().unwrap();
        assert_eq!((seen.count, seen.took), (3, 2_500));
        detail.clear();
        assert_eq!(detail.read(), None);
    }

    #[test]
    fn a_reader_never_sees_halves_of_two_requests() {
        let (detail, stop) = (fresh(), AtomicBool::new(false));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for n in (0..u64::MAX).take_while(|_| !stop.load(Relaxed)) {
                    detail.begin(&Beginning {
                        peer: Ipv6Addr::from_bits(u128::from(n % 7) << 64 | u128::from(n % 7))
                            .into(),
                        host: (n % 7) as u32,
                        minor: (n % 7) as u8,
                        line: &[b'0' + (n % 7) as u8; 100],
                        now: n % 7,
                    });
                    // Room for a reader.
                    (0..n % 500).for_each(|_| std::hint::spin_loop());
                }
            });
            // A failure ends the writer, too.
            struct Stop<'a>(&'a AtomicBool);
            impl Drop for Stop<'_> {
                fn drop(&mut self) {
                    self.0.store(true, Relaxed);
                }
            }
            let _stop = Stop(&stop);
            let mut seen = 0;
            while seen < 5_000 {
                let Some(one) = detail.read() else { continue };
                let n = u64::from(one.host);
                assert_eq!((one.began, u64::from(one.minor)), (n, n));
                assert!(one.line.iter().all(|b| u64::from(b - b'0') == n), "{one:?}");
                seen += 1;
            }
        });
    }
}
