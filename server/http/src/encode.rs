//! Heads of responses, written into the output buffer of a burst.

use crate::framing::ResponseLength;
use crate::response::{Prepared, Response};
use crate::status::reason;
use httpdate::HttpDate;
use std::io::Write as _;
use std::time::{Duration, SystemTime};

/// Writes heads. It keeps what changes seldom as text: status line, `Date` and `Server` of a 200 for a second, and behind
/// them the type and length of the last body, because a handler's answers tend to be alike.
pub(crate) struct Encoder {
    second: u64,
    server: String,
    /// The preamble, then `Content-Type`, `Content-Length` and the empty line for `kind`.
    kept: Vec<u8>,
    /// Where the `Date` in the preamble ends.
    dated: usize,
    /// Where the preamble ends.
    preamble: usize,
    kind: (&'static str, u64),
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\n";

impl Encoder {
    pub(crate) fn new(server: &str) -> Self {
        Self {
            second: u64::MAX,
            server: server.to_owned(),
            kept: Vec::new(),
            dated: 0,
            preamble: 0,
            kind: ("", 0),
        }
    }

    #[cold]
    fn renew_preamble(&mut self, second: u64) {
        let date = HttpDate::from(SystemTime::UNIX_EPOCH + Duration::from_secs(second));
        self.kept.clear();
        self.kept.extend_from_slice(OK);
        // Formatted in place, so that not even once a second anything is allocated. A Vec takes all that is written.
        let _ = write!(self.kept, "Date: {date}\r\n");
        self.dated = self.kept.len();
        if !self.server.is_empty() {
            field(&mut self.kept, "Server", self.server.as_bytes());
        }
        self.preamble = self.kept.len();
        self.kind = ("", 0);
        self.second = second;
    }

    #[cold]
    fn renew_ending(&mut self, kind: &'static str, length: u64) {
        self.kept.truncate(self.preamble);
        field(&mut self.kept, "Content-Type", kind.as_bytes());
        content_length(&mut self.kept, length);
        self.kept.extend_from_slice(b"\r\n");
        self.kind = (kind, length);
    }

    /// The status line and fields of a 200 with a body of this type and length, on a connection that goes on.
    fn plain(&mut self, kind: &'static str, length: u64) -> &[u8] {
        if !std::ptr::eq(self.kind.0, kind) || self.kind.1 != length {
            self.renew_ending(kind, length);
        }
        &self.kept
    }

    /// Writes the whole of the answer that most requests get: a 200 without fields of its own and with `body`, on a
    /// connection that goes on without a word about it. `None`: this is not one.
    pub(crate) fn whole(
        &mut self,
        out: &mut Vec<u8>,
        response: &Response,
        body: &[u8],
        seconds: u64,
    ) -> Option<()> {
        if response.status != 200 || !response.fields.is_empty() {
            return None;
        }
        if let Some(prepared) = &response.prepared {
            return self.prepared(out, prepared, seconds);
        }
        if self.second != seconds {
            self.renew_preamble(seconds);
        }
        let head = self.plain(response.content_type?, body.len() as u64);
        append(out, head, body);
        Some(())
    }

    /// The same for an answer that is kept. `None`: it has a `Server` of its own.
    pub(crate) fn prepared(
        &mut self,
        out: &mut Vec<u8>,
        prepared: &Prepared,
        seconds: u64,
    ) -> Option<()> {
        if prepared.names_server() {
            return None;
        }
        if self.second != seconds {
            self.renew_preamble(seconds);
        }
        append(out, &self.kept[..self.preamble], prepared.all());
        Some(())
    }

    /// Writes status line and fields of `response`, `seconds` after the epoch.
    pub(crate) fn head(
        &mut self,
        out: &mut Vec<u8>,
        response: &Response,
        seconds: u64,
        last: &Closing,
    ) {
        if self.second != seconds {
            self.renew_preamble(seconds);
        }
        // Room for the whole of a small response at once, so that nothing below has to grow the buffer.
        let prepared = response.prepared.as_deref();
        let more = prepared.map_or(0, |p| p.all().len());
        out.reserve(self.preamble + response.fields.len() + more + 256);
        let own = response.names_server || prepared.is_some_and(Prepared::names_server);
        let preamble = &self.kept[..if own { self.dated } else { self.preamble }];
        if response.status == 200 {
            out.extend_from_slice(preamble);
        } else {
            status_line(out, response.status);
            out.extend_from_slice(preamble.get(OK.len()..).unwrap_or_default());
        }
        if !response.fields.is_empty() {
            out.extend_from_slice(&response.fields);
        }
        let plain = !last.close && last.keep_alive.is_none();
        match (prepared, response.content_type, last.length) {
            (Some(prepared), _, _) if plain => return out.extend_from_slice(prepared.ending()),
            (None, Some(kind), ResponseLength::Known(n)) if plain => {
                let start = self.preamble;
                return out.extend_from_slice(&self.plain(kind, n)[start..]);
            }
            (Some(prepared), _, _) => out.extend_from_slice(prepared.fields()),
            (None, Some(kind), _) => field(out, "Content-Type", kind.as_bytes()),
            (None, None, _) => {}
        }
        if prepared.is_none() {
            match last.length {
                ResponseLength::Known(n) => content_length(out, n),
                ResponseLength::Chunked => field(out, "Transfer-Encoding", b"chunked"),
                ResponseLength::Absent | ResponseLength::UntilClose => {}
            }
        }
        connection(out, last);
        out.extend_from_slice(b"\r\n");
    }
}

fn append(out: &mut Vec<u8>, head: &[u8], rest: &[u8]) {
    out.reserve(head.len() + rest.len());
    out.extend_from_slice(head);
    out.extend_from_slice(rest);
}

/// What the connection, not the handler, says in a head.
pub(crate) struct Closing {
    pub(crate) length: ResponseLength,
    pub(crate) close: bool,
    /// Told to clients that asked for keep-alive: the timeout in seconds and the requests left, 0 for no limit.
    pub(crate) keep_alive: Option<(u64, u32)>,
}

fn connection(out: &mut Vec<u8>, last: &Closing) {
    if last.close {
        field(out, "Connection", b"close");
    } else if let Some((timeout, left)) = last.keep_alive {
        out.extend_from_slice(b"Keep-Alive: timeout=");
        number(out, timeout);
        if left > 0 {
            out.extend_from_slice(b", max=");
            number(out, u64::from(left));
        }
        out.extend_from_slice(b"\r\nConnection: Keep-Alive\r\n");
    }
}

fn status_line(out: &mut Vec<u8>, status: u16) {
    out.extend_from_slice(b"HTTP/1.1 ");
    number(out, u64::from(status));
    out.push(b' ');
    out.extend_from_slice(reason(status).as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Writes one field line; name and value must be valid.
pub(crate) fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

pub(crate) fn content_length(out: &mut Vec<u8>, n: u64) {
    out.extend_from_slice(b"Content-Length: ");
    number(out, n);
    out.extend_from_slice(b"\r\n");
}

fn number(out: &mut Vec<u8>, n: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
}
