//! Text into a descriptor, without allocating.

use rustix::fd::BorrowedFd;
use std::fmt;

/// Gathers text in memory that is lent to it, and writes it in pieces.
pub(super) struct Out<'a> {
    to: BorrowedFd<'a>,
    bytes: &'a mut [u8],
    len: usize,
}

impl<'a> Out<'a> {
    /// `bytes` must not be empty.
    pub(super) fn new(to: BorrowedFd<'a>, bytes: &'a mut [u8]) -> Self {
        Self { to, bytes, len: 0 }
    }

    /// Writes what has been gathered. There is nobody to tell of an error.
    pub(super) fn flush(&mut self) {
        let mut left = &self.bytes[..self.len];
        while !left.is_empty() {
            match rustix::io::write(self.to, left) {
                Ok(n) if n > 0 => left = &left[n..],
                Err(rustix::io::Errno::INTR) => {}
                _ => break,
            }
        }
        self.len = 0;
    }

    /// Bytes from outside: what is not visible becomes a dot.
    pub(super) fn visible(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let shown = byte.is_ascii_graphic() || *byte == b' ';
            self.push(if shown { *byte } else { b'.' });
        }
    }

    fn push(&mut self, byte: u8) {
        if self.len == self.bytes.len() {
            self.flush();
        }
        self.bytes[self.len] = byte;
        self.len += 1;
    }
}

impl fmt::Write for Out<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(|byte| self.push(byte));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write as _;
    use std::io::{Read as _, Seek as _};
    use std::os::fd::AsFd as _;

    #[test]
    fn more_than_the_buffer_holds_comes_whole_and_control_bytes_do_not() {
        let mut file = tempfile::tempfile().unwrap();
        let mut bytes = [0; 64];
        let mut out = Out::new(file.as_fd(), &mut bytes);
        for n in 0..100 {
            writeln!(out, "line {n:#x}").unwrap();
        }
        out.visible(b"a\x1b[1m\xff b");
        out.flush();
        let mut text = String::new();
        file.rewind().unwrap();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text.lines().count(), 101);
        assert!(text.starts_with("line 0x0\nline 0x1\n"));
        assert!(text.ends_with("line 0x63\na.[1m. b"), "{text}");
    }
}
