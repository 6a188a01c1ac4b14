//! Heads of responses, written into the output buffer of a burst.

use crate::framing::ResponseLength;
use crate::response::Response;
use crate::status::reason;

/// What the connection, not the handler, says in a head.
pub(crate) struct Closing<'a> {
    pub(crate) date: [u8; 29],
    pub(crate) server: &'a str,
    pub(crate) length: ResponseLength,
    pub(crate) close: bool,
    /// Told to clients that asked for keep-alive: the timeout in seconds and the requests left, 0 for no limit.
    pub(crate) keep_alive: Option<(u64, u32)>,
}

/// Writes status line and fields of `response`.
pub(crate) fn head(out: &mut Vec<u8>, response: &Response, last: &Closing<'_>) {
    if response.status == 200 {
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\nDate: ");
    } else {
        out.extend_from_slice(b"HTTP/1.1 ");
        out.extend_from_slice(itoa::Buffer::new().format(response.status).as_bytes());
        out.push(b' ');
        out.extend_from_slice(reason(response.status).as_bytes());
        out.extend_from_slice(b"\r\nDate: ");
    }
    out.extend_from_slice(&last.date);
    out.extend_from_slice(b"\r\n");
    if !last.server.is_empty() {
        out.extend_from_slice(b"Server: ");
        out.extend_from_slice(last.server.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    if let Some(prepared) = &response.prepared {
        out.extend_from_slice(&prepared.fields);
    }
    out.extend_from_slice(&response.fields);
    if let Some(content_type) = response.content_type {
        out.extend_from_slice(b"Content-Type: ");
        out.extend_from_slice(content_type.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    match last.length {
        ResponseLength::Known(n) => {
            out.extend_from_slice(b"Content-Length: ");
            out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        ResponseLength::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        ResponseLength::Absent | ResponseLength::UntilClose => {}
    }
    if last.close {
        out.extend_from_slice(b"Connection: close\r\n");
    } else if let Some((timeout, left)) = last.keep_alive {
        out.extend_from_slice(b"Keep-Alive: timeout=");
        out.extend_from_slice(itoa::Buffer::new().format(timeout).as_bytes());
        if left > 0 {
            out.extend_from_slice(b", max=");
            out.extend_from_slice(itoa::Buffer::new().format(left).as_bytes());
        }
        out.extend_from_slice(b"\r\nConnection: Keep-Alive\r\n");
    }
    out.extend_from_slice(b"\r\n");
}
