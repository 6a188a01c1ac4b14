//! One connection over a non-blocking socket, for reactors without a runtime.

use std::io::{ErrorKind, Read, Write};

use crate::answer::{ANSWER, owed};
use crate::heads::Heads;

/// What a connection waits for next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Turn {
    Input,
    /// Its peer does not take the answers.
    Room,
    Over,
}

/// What is remembered of a connection between two events.
#[derive(Default)]
pub struct Dialogue {
    heads: Heads,
    /// Bytes of answers that are still to be sent.
    owed: usize,
    close: bool,
}

impl Dialogue {
    /// Sends what is owed, reads what is there and answers it. A short read has emptied the socket and is the last,
    /// unless the peer's end was announced with it (`ended`), which an edge does only once.
    pub fn turn(
        &mut self,
        stream: &mut (impl Read + Write),
        input: &mut [u8],
        ended: bool,
    ) -> Turn {
        let mut more = true;
        loop {
            while self.owed > 0 {
                match stream.write(owed(self.owed)) {
                    Ok(n) => self.owed -= n,
                    Err(e) if e.kind() == ErrorKind::WouldBlock => return Turn::Room,
                    Err(e) if e.kind() == ErrorKind::Interrupted => {}
                    Err(_) => return Turn::Over,
                }
            }
            if self.close {
                return Turn::Over;
            }
            if !more {
                return Turn::Input;
            }
            let n = match stream.read(input) {
                Ok(0) => return Turn::Over,
                Ok(n) => n,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Turn::Input,
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(_) => return Turn::Over,
            };
            more = ended || n == input.len();
            let Some(asked) = self.heads.take(&input[..n]) else {
                return Turn::Over;
            };
            self.owed = asked.heads * ANSWER.len();
            self.close = asked.close;
        }
    }
}
