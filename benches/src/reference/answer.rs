//! What the yardstick says, and all that are measured against it.

/// One answer. 13 bytes of body, the size the published comparisons use.
pub(crate) const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\nServer: reference\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\
Content-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, World!";
