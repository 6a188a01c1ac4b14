//! Heads of responses, written into the output buffer of a burst.

use crate::framing::ResponseLength;
use crate::response::Response;
use crate::status::reason;
use httpdate::HttpDate;
use std::io::Write as _;
use std::time::{Duration, SystemTime};

/// Writes heads. It keeps what changes seldom as text: status line, `Date` and `Server` of a 200 for a second, and the
/// type and length of the last body, because a handler's answers tend to be alike.
pub(crate) struct Encoder {
    second: u64,
    preamble: Vec<u8>,
    server: String,
    kind: (&'static str, u64),
    /// `Content-Type`, `Content-Length` and the empty line for `kind`.
    ending: Vec<u8>,
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\n";

impl Encoder {
    pub(crate) fn new(server: &str) -> Self {
        Self {
            second: u64::MAX,
            preamble: Vec::new(),
            server: server.to_owned(),
            kind: ("", 0),
            ending: Vec::new(),
        }
    }

    #[cold]
    fn renew_preamble(&mut self, second: u64) {
        let date = HttpDate::from(SystemTime::UNIX_EPOCH + Duration::from_secs(second));
        self.preamble.clear();
        self.preamble.extend_from_slice(OK);
        // Formatted in place, so that not even once a second anything is allocated. A Vec takes all that is written.
        let _ = write!(self.preamble, "Date: {date}\r\n");
        if !self.server.is_empty() {
            field(&mut self.preamble, "Server", self.server.as_bytes());
        }
        self.second = second;
    }

    #[cold]
    fn renew_ending(&mut self, kind: &'static str, length: u64) {
        self.ending.clear();
        field(&mut self.ending, "Content-Type", kind.as_bytes());
        content_length(&mut self.ending, length);
        self.ending.extend_from_slice(b"\r\n");
        self.kind = (kind, length);
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
        let more = prepared.map_or(0, |p| p.ending.len() + p.body().len());
        out.reserve(self.preamble.len() + response.fields.len() + more + 256);
        if response.status == 200 {
            out.extend_from_slice(&self.preamble);
        } else {
            status_line(out, response.status);
            out.extend_from_slice(self.preamble.get(OK.len()..).unwrap_or_default());
        }
        if !response.fields.is_empty() {
            out.extend_from_slice(&response.fields);
        }
        let plain = !last.close && last.keep_alive.is_none();
        match (prepared, response.content_type, last.length) {
            (Some(prepared), _, _) if plain => return out.extend_from_slice(&prepared.ending),
            (None, Some(kind), ResponseLength::Known(n)) if plain => {
                if !std::ptr::eq(self.kind.0, kind) || self.kind.1 != n {
                    self.renew_ending(kind, n);
                }
                return out.extend_from_slice(&self.ending);
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
