//! The server under load: where it is, what to ask it, and how long its answer is.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketFlags, SocketType};

const PATIENCE: Duration = Duration::from_secs(10);

/// One server and the one request that is sent to it.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) request: Vec<u8>,
    /// Bytes of each answer, head and body.
    pub(crate) answer: usize,
    /// Every answer begins with these bytes.
    pub(crate) prefix: Vec<u8>,
}

impl Target {
    /// Asks once to learn the answer's length. `url` is `http://host:port/path`, or
    /// `echo://host:port` for a server that sends the request back.
    pub(crate) fn probe(url: &str, close: bool) -> io::Result<Target> {
        let (rest, echo) = match (url.strip_prefix("http://"), url.strip_prefix("echo://")) {
            (Some(rest), _) => (rest, false),
            (_, Some(rest)) => (rest, true),
            _ => {
                return Err(io::Error::other(format!(
                    "{url}: expected http://host:port/path or echo://host:port"
                )));
            }
        };
        let (host, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
        let name = if host.contains(':') {
            host.to_owned()
        } else {
            format!("{host}:80")
        };
        let address = name
            .to_socket_addrs()
            .map_err(|e| io::Error::new(e.kind(), format!("{host}: {e}")))?
            .next()
            .ok_or_else(|| io::Error::other(format!("{host}: no address")))?;
        let last = if close { "Connection: close\r\n" } else { "" };
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{last}\r\n").into_bytes();
        let mut target = Target {
            address,
            request,
            answer: 0,
            prefix: Vec::new(),
        };
        if echo {
            target.answer = target.request.len();
            target.prefix = b"GET ".to_vec();
        } else {
            target.answer = target.ask()?;
            target.prefix = b"HTTP/1.1 2".to_vec();
        }
        Ok(target)
    }

    fn ask(&self) -> io::Result<usize> {
        let mut stream = TcpStream::connect_timeout(&self.address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(&self.request)?;
        let mut got = Vec::new();
        let mut chunk = [0; 16384];
        loop {
            let n = stream.read(&mut chunk)?;
            got.extend_from_slice(&chunk[..n]);
            if let Some(length) = answer_length(&got)? {
                return Ok(length);
            }
            if n == 0 {
                return Err(io::Error::other(format!(
                    "{}: closed before a whole answer",
                    self.address
                )));
            }
        }
    }

    /// Waits until something listens there, or `ended` says how the server ended instead.
    pub(crate) fn wait_for(
        address: SocketAddr,
        ended: &mut dyn FnMut() -> io::Result<Option<String>>,
    ) -> io::Result<()> {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(how) = ended()? {
                return Err(io::Error::other(format!("the server ended at once: {how}")));
            }
            match TcpStream::connect_timeout(&address, Duration::from_secs(1)) {
                Ok(_) => return Ok(()),
                Err(e) if Instant::now() > end => {
                    return Err(io::Error::new(
                        e.kind(),
                        format!("{address}: nobody answers: {e}"),
                    ));
                }
                Err(_) => std::thread::sleep(Duration::from_millis(10)),
            }
        }
    }

    /// A connected, non-blocking stream. `source` spreads many connections over 127.0.0.x, because
    /// one address pair has only about 28,000 ports.
    pub(crate) fn connect(&self, source: u8) -> io::Result<TcpStream> {
        let stream = match self.address {
            SocketAddr::V4(v4) if source > 1 && v4.ip().is_loopback() => {
                let socket = rustix::net::socket_with(
                    AddressFamily::INET,
                    SocketType::STREAM,
                    SocketFlags::CLOEXEC,
                    None,
                )?;
                port_with_connect(&socket)?;
                let from = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, source)), 0);
                rustix::net::bind(&socket, &from)?;
                rustix::net::connect(&socket, &self.address)?;
                TcpStream::from(socket)
            }
            _ => TcpStream::connect(self.address)?,
        };
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(stream)
    }
}

/// `IP_BIND_ADDRESS_NO_PORT` (ip(7)): `bind` fixes the address only and `connect` picks the port,
/// which is then found twenty times faster and need be unique for this destination only.
fn port_with_connect(socket: &OwnedFd) -> io::Result<()> {
    let on: libc::c_int = 1;
    let size = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the descriptor is open, and the kernel reads `size` bytes of `on`.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_BIND_ADDRESS_NO_PORT,
            (&raw const on).cast(),
            size,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Length of the whole answer at the start of `bytes`, once the head is complete.
fn answer_length(bytes: &[u8]) -> io::Result<Option<usize>> {
    let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = String::from_utf8_lossy(&bytes[..end]);
    if !head.starts_with("HTTP/1.1 2") {
        let first = head.lines().next().unwrap_or_default();
        return Err(io::Error::other(format!(
            "the server answered `{first}`, expected a 2xx answer of HTTP/1.1"
        )));
    }
    let length = head
        .lines()
        .filter_map(|l| l.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse::<usize>().ok())
        .ok_or_else(|| {
            io::Error::other("the answer has no Content-Length; this driver needs one")
        })?;
    Ok(Some(end + 4 + length))
}

#[cfg(test)]
mod tests {
    use super::answer_length;

    #[test]
    fn answer_length_counts_head_and_body() {
        let bytes = b"HTTP/1.1 200 OK\r\ncontent-LENGTH: 5\r\n\r\nhello";
        assert_eq!(answer_length(bytes).unwrap(), Some(bytes.len()));
        assert_eq!(answer_length(&bytes[..20]).unwrap(), None);
        assert!(answer_length(b"HTTP/1.1 404 Not Found\r\n\r\n").is_err());
        assert!(answer_length(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}
