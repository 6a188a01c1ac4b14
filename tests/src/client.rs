//! A small HTTP client that shows what really came over the wire.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);

/// One response, taken apart as little as possible.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Names as sent, values trimmed, in order.
    pub headers: Vec<(String, String)>,
    /// The body; a chunked one without its framing.
    pub body: Vec<u8>,
}

impl Response {
    /// The first header of this name, in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.as_str())
    }
}

/// A connection with bounded patience.
///
/// # Errors
/// Nobody listens.
pub fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Sends `request` on a connection of its own and reads one final response.
///
/// # Errors
/// The connection failed or was too slow, or what came is no response.
pub fn exchange(address: SocketAddr, request: &[u8]) -> io::Result<Response> {
    let mut stream = connect(address)?;
    stream.write_all(request)?;
    read(&mut stream, request.starts_with(b"HEAD "))
}

/// Reads one final response and not a byte more, so the next can follow. Interim ones are passed over.
///
/// # Errors
/// As [`exchange`].
pub fn read(stream: &mut impl Read, to_head: bool) -> io::Result<Response> {
    loop {
        let (status, headers) = head(stream)?;
        let mut response = Response {
            status,
            headers,
            body: Vec::new(),
        };
        if (100..200).contains(&status) {
            continue;
        }
        if to_head || status == 204 || status == 304 {
            return Ok(response);
        }
        if response
            .header("transfer-encoding")
            .is_some_and(|v| v.eq_ignore_ascii_case("chunked"))
        {
            chunks(stream, &mut response.body)?;
        } else if let Some(length) = response.header("content-length") {
            let length: u64 = length.parse().map_err(io::Error::other)?;
            let got = stream.take(length).read_to_end(&mut response.body)? as u64;
            if got < length {
                return Err(io::Error::other(format!(
                    "{got} bytes of a body of {length}"
                )));
            }
        } else {
            stream.read_to_end(&mut response.body)?;
        }
        return Ok(response);
    }
}

fn head(stream: &mut impl Read) -> io::Result<(u16, Vec<(String, String)>)> {
    let first = line(stream)?;
    let status = first
        .strip_prefix("HTTP/1.")
        .and_then(|rest| rest.get(2..5))
        .and_then(|code| code.parse().ok());
    let status = status.ok_or_else(|| io::Error::other(format!("no status line: `{first}`")))?;
    let mut headers = Vec::new();
    loop {
        let text = line(stream)?;
        if text.is_empty() {
            return Ok((status, headers));
        }
        let (name, value) = text
            .split_once(':')
            .ok_or_else(|| io::Error::other(format!("no header: `{text}`")))?;
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
}

fn chunks(stream: &mut impl Read, body: &mut Vec<u8>) -> io::Result<()> {
    loop {
        let size = line(stream)?;
        let digits = size.split(';').next().unwrap_or_default().trim();
        let length = u64::from_str_radix(digits, 16)
            .map_err(|_| io::Error::other(format!("chunk size `{size}`")))?;
        if length == 0 {
            while !line(stream)?.is_empty() {}
            return Ok(());
        }
        let got = stream.take(length).read_to_end(body)? as u64;
        if got < length || !line(stream)?.is_empty() {
            return Err(io::Error::other("a chunk that does not end where it says"));
        }
    }
}

/// One line without its CRLF, byte by byte: a buffer would swallow what follows.
fn line(stream: &mut impl Read) -> io::Result<String> {
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(b"\r\n") {
        if stream.read(&mut byte)? == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "closed inside a response",
            ));
        }
        text.push(byte[0]);
        if text.len() > 64 * 1024 {
            return Err(io::Error::other("a line without end"));
        }
    }
    text.truncate(text.len() - 2);
    Ok(String::from_utf8_lossy(&text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn responses_are_read_one_after_the_other() {
        let mut bytes: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nA: b\r\ncontent-length: 2\r\n\r\nhi\
HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\nHTTP/1.0 404 No\r\n\r\nrest";
        let first = read(&mut bytes, false).unwrap();
        assert_eq!(
            (first.status, first.header("a"), first.body.as_slice()),
            (200, Some("b"), &b"hi"[..])
        );
        assert_eq!(read(&mut bytes, false).unwrap().body, b"abcde");
        let last = read(&mut bytes, false).unwrap();
        assert_eq!((last.status, last.body.as_slice()), (404, &b"rest"[..]));
        assert!(read(&mut bytes, false).is_err());
    }

    #[test]
    fn a_body_cut_short_is_an_error() {
        let mut bytes: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi";
        assert!(read(&mut bytes, false).is_err());
    }
}
