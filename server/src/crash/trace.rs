//! Where a thread was: addresses of this program on its stack.
//!
//! Unwinding needs locks and trusts a stack that may be in ruins, and frame pointers are not kept. So the stack is read
//! word by word, through the kernel, which refuses what is not there instead of faulting; the words that lie in the
//! program's code are the return addresses, with now and then a left-over among them.

use crate::sys::peek::peek;
use std::fs;

/// Stack looked at, in bytes, and in one go; a piece never spans two pages.
const DEPTH: usize = 64 << 10;
const PIECE: usize = 512;
/// Memory for one piece.
pub(super) type Piece = [usize; PIECE / size_of::<usize>()];

/// Where the program lies in memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Program {
    /// The first byte of its file.
    pub(super) base: usize,
    code: (usize, usize),
}

impl Program {
    /// Asks /proc; to be called in good time.
    pub(super) fn find() -> Option<Self> {
        let maps = fs::read_to_string("/proc/self/maps").ok()?;
        Self::in_maps(&maps, Self::find as *const () as usize)
    }

    /// The mapping that `inside` lies in, and the first one of the same file.
    fn in_maps(maps: &str, inside: usize) -> Option<Self> {
        let all = || {
            maps.lines().filter_map(|line| {
                let mut words = line.split_whitespace();
                let (start, end) = words.next()?.split_once('-')?;
                let start = usize::from_str_radix(start, 16).ok()?;
                let end = usize::from_str_radix(end, 16).ok()?;
                // permissions, offset, device, inode; a path may hold spaces.
                Some((start, end, words.skip(2).collect::<Vec<_>>()))
            })
        };
        let (start, end, file) = all().find(|(start, end, _)| (*start..*end).contains(&inside))?;
        let (base, ..) = all().find(|(_, _, other)| *other == file)?;
        Some(Self {
            base,
            code: (start, end),
        })
    }

    /// How far into the program an address of its code lies.
    pub(super) fn offset(&self, address: usize) -> Option<usize> {
        (self.code.0..self.code.1)
            .contains(&address)
            .then(|| address - self.base)
    }
}

/// Hands over the words above the stack pointer, until `each` has had enough or the stack ends. A stack pointer beyond
/// the stack's end is followed up to where it begins.
pub(super) fn words(sp: usize, piece: &mut Piece, mut each: impl FnMut(usize) -> bool) {
    let mut begun = false;
    let first = sp & !(PIECE - 1);
    for from in (0..DEPTH / PIECE).filter_map(|n| first.checked_add(n * PIECE)) {
        if !peek(from, piece) {
            if begun {
                return;
            }
            continue;
        }
        begun = true;
        for (n, word) in piece.iter().enumerate() {
            let at = from + n * size_of::<usize>();
            if at >= sp && !each(*word) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_found_among_the_mappings() {
        let maps = "55d0-55e0 r--p 00000000 fe:00 7    /usr/bin/a b\n55e0-55f0 r-xp 00001000 fe:00 7    /usr/bin/a b\n\
                    7f00-7f10 r-xp 00000000 fe:00 9    /lib/libc.so\n7ff0-7fff rw-p 00000000 00:00 0    [stack]\n";
        let found = Program::in_maps(maps, 0x55e8).unwrap();
        assert_eq!((found.base, found.code), (0x55d0, (0x55e0, 0x55f0)));
        assert_eq!(found.offset(0x55e1), Some(0x11));
        assert_eq!((found.offset(0x55d8), found.offset(0x7f01)), (None, None));
        assert_eq!(Program::in_maps(maps, 0x10), None);
        assert_ne!(Program::find(), None);
    }

    #[test]
    fn the_stack_is_read_and_what_is_not_there_is_not() {
        let marks = [0x1357_9bdf_usize; 4];
        let mut seen = 0;
        let piece = &mut [0; _];
        words(marks.as_ptr() as usize, piece, |word| {
            seen += usize::from(word == marks[0]);
            seen < 4
        });
        assert_eq!(seen, 4);
        words(0, piece, |_| unreachable!());
        words(usize::MAX - 100, piece, |_| unreachable!());
    }
}
