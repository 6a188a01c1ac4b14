//! Answers that are sent together.
//!
//! Where several connections are ready at once, their requests are answered first and the answers sent then, in groups:
//! the kernel's way out is long, and what it throws out of the processor's caches is not needed again between two sends.

use super::answer;
use super::local::Local;
use crate::server::Handler;
use parkade::{Conn, Keepalive, Next};
use std::io;

/// A larger answer is sent at once.
pub(crate) const MOST: usize = 4096;

/// What is still to be sent, in the order it was answered.
#[derive(Default)]
pub(crate) struct Later {
    bytes: Vec<u8>,
    answers: Vec<Answer>,
    /// What became of them, where they are sent in one call.
    sent: Vec<io::Result<usize>>,
}

struct Answer {
    conn: Conn,
    /// Where its bytes end; they begin where those of the one before end.
    end: usize,
    host: u32,
    keep_alive: Keepalive,
}

impl Later {
    /// Keeps an answer behind which the connection parks.
    pub(crate) fn push(&mut self, conn: Conn, answer: &[u8], host: u32, keep_alive: Keepalive) {
        self.bytes.extend_from_slice(answer);
        self.answers.push(Answer {
            conn,
            end: self.bytes.len(),
            host,
            keep_alive,
        });
    }
}

/// Sends what is kept.
pub(crate) fn catch_up<H: Handler>(local: &Local<H>, back: &mut dyn FnMut(Next)) {
    // Taken out meanwhile: a connection that goes back may begin a burst at once.
    let Later {
        mut bytes,
        mut answers,
        mut sent,
    } = std::mem::take(&mut local.scratch.borrow_mut().later);
    let part = |at: usize| {
        let start = at.checked_sub(1).map_or(0, |before| answers[before].end);
        (&answers[at].conn, &bytes[start..answers[at].end])
    };
    let together = Conn::try_send_together(answers.len(), part, &mut sent);
    let mut start = 0;
    for (at, answer) in answers.drain(..).enumerate() {
        let Answer {
            mut conn,
            end,
            host,
            keep_alive,
        } = answer;
        let answer = &bytes[start..end];
        start = end;
        let result = match together {
            true => std::mem::replace(&mut sent[at], Ok(0)),
            false => conn.try_send(answer),
        };
        back(match result {
            Ok(n) if n == answer.len() => Next::Park(conn, keep_alive),
            first => {
                let governed = local.shared.governed(host);
                answer::send_rest(governed, conn, answer, first, keep_alive)
            }
        });
    }
    bytes.clear();
    local.scratch.borrow_mut().later = Later {
        bytes,
        answers,
        sent,
    };
}
