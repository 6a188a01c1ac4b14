//! Responses and refusals on their way to the socket.

use super::local::Local;
use super::{Seen, Terms};
use crate::framing::{self, Framing, ResponseLength};
use crate::head::{Head, Method};
use crate::hosts::Governed;
use crate::limits::Limits;
use crate::outgoing::{self, Outgoing, Pieces};
use crate::response::Response;
use crate::server::Handler;
use crate::status::Refusal;
use bytes::Bytes;
use parkade::{Buffer, Carry, Conn, FileRange, Keepalive, Next, Output, Then, Written};
use std::io::{self, ErrorKind};
use std::time::Duration;

/// Answers of a pipelining client are sent when they are so many bytes, or the input is used up.
pub(crate) const FLUSH: usize = 32 * 1024;

/// How long a connection is lingered with when the server ends.
const FAREWELL: Duration = Duration::from_secs(2);

/// How a burst ends that does not park: [`Next`] without its connection.
pub(crate) enum End {
    Close,
    Linger(Duration),
    Write(Output, Then),
}

impl End {
    pub(crate) fn of(self, conn: Conn) -> Next {
        match self {
            Self::Close => Next::Close(conn),
            Self::Linger(most) => Next::Linger(conn, most),
            Self::Write(output, then) => Next::Write(conn, output, then),
        }
    }
}

/// What a response leaves.
pub(crate) enum After {
    /// The connection, for the next request of this burst.
    Kept,
    /// The burst is over.
    Over(End),
    /// A body that comes in pieces is still to be sent.
    Stream(Streaming),
}

/// A response whose head is in the output buffer and whose body is a stream.
pub(crate) struct Streaming {
    pub(crate) pieces: Pieces,
    pub(crate) length: ResponseLength,
    goodbye: Option<Then>,
    written: Option<Written>,
    pub(crate) host: u32,
}

/// Whether the connection may live on behind the answer to the request just counted.
pub(crate) fn may_keep(conn: &Conn, limits: &Limits, framing: &Framing) -> bool {
    let last = limits.requests > 0 && conn.requests() >= limits.requests;
    framing.keep_alive && !last && !conn.draining()
}

/// Sends what is in `out`. What does not fit goes on as plain data: then the burst is over, and `then` (or a new burst
/// for the input that is left) follows.
pub(crate) fn flush(
    governed: Governed<'_>,
    conn: &mut Conn,
    out: &mut Vec<u8>,
    input: &Buffer,
    then: Option<Then>,
) -> Result<(), End> {
    if out.is_empty() {
        return Ok(());
    }
    match conn.try_send(out) {
        Ok(n) if n == out.len() => {
            out.clear();
            Ok(())
        }
        first => flush_rest(governed, conn, out, first, input, then),
    }
}

/// The first call did not take all of `answer`, which no input follows.
#[cold]
pub(crate) fn send_rest(
    governed: Governed<'_>,
    mut conn: Conn,
    answer: &[u8],
    first: io::Result<usize>,
    keep_alive: Keepalive,
) -> Next {
    let mut out = answer.to_vec();
    let nothing = conn.buffer();
    let flushed = flush_rest(
        governed,
        &mut conn,
        &mut out,
        first,
        &nothing,
        Some(Then::Park(keep_alive)),
    );
    match flushed {
        Ok(()) => Next::Park(conn, keep_alive),
        Err(end) => end.of(conn),
    }
}

/// The first call did not take all of it.
#[cold]
fn flush_rest(
    governed: Governed<'_>,
    conn: &mut Conn,
    out: &mut Vec<u8>,
    first: io::Result<usize>,
    input: &Buffer,
    then: Option<Then>,
) -> Result<(), End> {
    let (mut sent, mut last) = (0, first);
    loop {
        match last {
            Ok(n) => sent += n,
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                let rest = Bytes::copy_from_slice(&out[sent..]);
                out.clear();
                return Err(write_later(governed, conn, rest, None, input, then));
            }
            Err(_) => return Err(End::Close),
        }
        if sent == out.len() {
            out.clear();
            return Ok(());
        }
        last = conn.try_send(&out[sent..]);
    }
}

/// Tells what became of an answer that was flushed, or leaves that to the runtime.
fn told(flushed: Result<(), End>, conn: &mut Conn, written: Option<Written>) -> Result<(), End> {
    if let Some(written) = written {
        match &flushed {
            Ok(()) => written.tell(),
            Err(End::Write(..)) => conn.set_written(written),
            // Dropped, which tells that it was not.
            Err(_) => {}
        }
    }
    flushed
}

/// Hands an output to the runtime.
#[cold]
fn write_later(
    governed: Governed<'_>,
    conn: &mut Conn,
    bytes: Bytes,
    file: Option<FileRange>,
    input: &Buffer,
    then: Option<Then>,
) -> End {
    let then = match then {
        Some(then) => then,
        None if input.is_empty() => Then::Park(governed.keep_alive),
        None => {
            conn.set_carry(Carry {
                bytes: input.filled().to_vec(),
                deadline: None,
                tag: 0,
            });
            Then::Resume
        }
    };
    let timeout = governed.limits.write;
    let output = Output {
        bytes,
        file,
        timeout,
    };
    End::Write(output, then)
}

/// Answers what is not a request (or not one for a handler) and closes; `to_head`: without a body.
pub(crate) fn refuse<H: Handler>(
    local: &Local<H>,
    governed: Governed<'_>,
    conn: &mut Conn,
    out: &mut Vec<u8>,
    head: Option<&Head>,
    to_head: bool,
    refusal: Refusal,
) -> End {
    let response = Response::refusing(refusal);
    let before = out.len();
    local.encode(out, &response, 1, conn.unix_seconds(), true, None);
    let head_bytes = out.len() - before;
    if !to_head {
        outgoing::append_small(out, &response);
    }
    let seen = Seen {
        host: governed.host,
        refusal: Some(refusal),
        head_bytes,
        began: local.begin(),
        ..Seen::default()
    };
    let written = local.observe(conn, head, &response, seen);
    let linger = governed.limits.linger;
    let nothing = conn.buffer();
    let flushed = flush(governed, conn, out, &nothing, Some(Then::Linger(linger)));
    match told(flushed, conn, written) {
        Ok(()) => End::Linger(linger),
        Err(end) => end,
    }
}

/// Whether the connection goes on without a word about it, and nobody wants to hear of the exchange.
pub(crate) fn is_silent<H: Handler>(local: &Local<H>, terms: &Terms) -> bool {
    terms.keep && !terms.framing.asked_keep_alive && !local.observed()
}

/// Writes the answer that most requests get: one from memory, on a connection that goes on without a word about it.
/// False: this is not one; nothing is written.
pub(crate) fn respond_plainly<H: Handler>(
    local: &Local<H>,
    conn: &Conn,
    out: &mut Vec<u8>,
    head: &Head,
    terms: &Terms,
    response: &Response,
) -> bool {
    if !is_silent(local, terms) || response.close || head.method() == Method::Head {
        return false;
    }
    outgoing::small(response)
        .and_then(|body| local.whole(out, response, body, conn.unix_seconds()))
        .is_some()
}

/// Writes a response: small ones wait in `out` for the flush at the end of the burst.
pub(crate) fn respond<H: Handler>(
    local: &Local<H>,
    governed: Governed<'_>,
    conn: &mut Conn,
    input: &Buffer,
    out: &mut Vec<u8>,
    (head, terms): (&Head, &Terms),
    mut response: Response,
) -> After {
    let limits = governed.limits;
    let before = out.len();
    let stream = response.body_len().is_none();
    let keep = terms.keep && !response.close && !(stream && head.minor_version() == 0);
    let promised = (keep && terms.framing.asked_keep_alive).then(|| {
        let left = match limits.requests {
            0 => 0,
            most => most - conn.requests(),
        };
        (limits.keep_alive.as_secs(), left)
    });
    let (minor, seconds) = (head.minor_version(), conn.unix_seconds());
    let length = local.encode(out, &response, minor, seconds, !keep, promised);
    let mut written = None;
    if local.observed() {
        let seen = Seen {
            host: governed.host,
            keep,
            refusal: None,
            head_bytes: out.len() - before,
            received: terms.received,
            began: terms.began,
        };
        written = local.observe(conn, Some(head), &response, seen);
    }
    let goodbye = if keep {
        None
    } else {
        // Behind a goodbye that the client asked for nothing can come; otherwise it may still be sending.
        let quiet = terms.done && input.is_empty() && conn.drained() && !terms.framing.keep_alive;
        Some(match quiet {
            true => Then::Close,
            // A server that ends is not held up by clients that do not.
            false if conn.draining() => Then::Linger(limits.linger.min(FAREWELL)),
            false => Then::Linger(limits.linger),
        })
    };
    if !framing::has_body(head.method(), response.status) {
        return reach(governed, conn, input, out, goodbye, written);
    }
    if let Some(body) = outgoing::small(&response) {
        out.extend_from_slice(body);
        return reach(governed, conn, input, out, goodbye, written);
    }
    match outgoing::take(&mut response) {
        Outgoing::Nothing => {}
        Outgoing::Large(bytes) => {
            return large(governed, conn, input, out, bytes, goodbye, written);
        }
        Outgoing::File(range) => {
            if let Some(written) = written {
                conn.set_written(written);
            }
            let head = Bytes::copy_from_slice(out);
            out.clear();
            return After::Over(write_later(
                governed,
                conn,
                head,
                Some(range),
                input,
                goodbye,
            ));
        }
        Outgoing::Stream(pieces) => {
            return After::Stream(Streaming {
                pieces,
                length,
                goodbye,
                written,
                host: governed.host,
            });
        }
    }
    reach(governed, conn, input, out, goodbye, written)
}

/// The response is in `out` or sent. Somebody who waits to hear of it has it sent now.
fn reach(
    governed: Governed<'_>,
    conn: &mut Conn,
    input: &Buffer,
    out: &mut Vec<u8>,
    goodbye: Option<Then>,
    written: Option<Written>,
) -> After {
    if goodbye.is_none() && written.is_none() {
        return After::Kept;
    }
    let flushed = flush(governed, conn, out, input, goodbye);
    match (told(flushed, conn, written), goodbye) {
        (Err(end), _) => After::Over(end),
        (Ok(()), None) => After::Kept,
        (Ok(()), Some(Then::Linger(most))) => After::Over(End::Linger(most)),
        (Ok(()), Some(_)) => After::Over(End::Close),
    }
}

impl Streaming {
    /// The connection cannot go on behind it, whatever its head has said.
    pub(super) fn leave(&mut self, linger: Duration) {
        self.goodbye.get_or_insert(Then::Linger(linger));
    }

    /// The last piece is in `out` or sent.
    pub(crate) fn finish(
        self,
        governed: Governed<'_>,
        conn: &mut Conn,
        input: &Buffer,
        out: &mut Vec<u8>,
    ) -> After {
        reach(governed, conn, input, out, self.goodbye, self.written)
    }
}

/// Sends a body that is not worth copying behind its head.
fn large(
    governed: Governed<'_>,
    conn: &mut Conn,
    input: &Buffer,
    out: &mut Vec<u8>,
    bytes: Bytes,
    goodbye: Option<Then>,
    written: Option<Written>,
) -> After {
    let sent = match flush(governed, conn, out, input, goodbye) {
        Ok(()) => match conn.try_send(&bytes) {
            Ok(n) if n == bytes.len() => {
                return reach(governed, conn, input, out, goodbye, written);
            }
            Ok(n) => Ok(n),
            Err(e) if e.kind() == ErrorKind::WouldBlock => Ok(0),
            Err(_) => Err(End::Close),
        },
        Err(end) => Err(end),
    };
    let end = match sent {
        Ok(sent) => write_later(governed, conn, bytes.slice(sent..), None, input, goodbye),
        // The head did not even fit: both go on as plain data.
        Err(End::Write(output, then)) => {
            let all = [&output.bytes[..], &bytes[..]].concat();
            let output = Output {
                bytes: all.into(),
                ..output
            };
            End::Write(output, then)
        }
        Err(end) => end,
    };
    match told(Err(end), conn, written) {
        Err(end) => After::Over(end),
        Ok(()) => After::Kept,
    }
}
