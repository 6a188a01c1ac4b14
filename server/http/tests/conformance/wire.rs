//! A server on a socket, and a client that takes its answers apart by the letter.

use futures_core::Stream;
use parkade::{Runtime, Workers};
use parkade_http::{Body, Handler, Limits, Request, Response, Server};
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// Any wait of the client ends after this, and its test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// Sent behind every row: whether it is answered says whether the connection was kept.
const PROBE: &[u8] = b"GET /probe HTTP/1.1\r\nHost: probe\r\n\r\n";

/// Pieces of a streamed body; `None` is a failure.
pub(crate) struct Pieces(pub(crate) VecDeque<Option<&'static str>>);

impl Stream for Pieces {
    type Item = io::Result<bytes::Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.pop_front().map(|piece| match piece {
            Some(piece) => Ok(bytes::Bytes::from_static(piece.as_bytes())),
            None => Err(io::Error::other("asked to fail")),
        }))
    }
}

fn stream(pieces: &[Option<&'static str>]) -> Response {
    let pieces = Pieces(pieces.iter().copied().collect());
    Response::new(200).with_body(Body::Stream(Box::pin(pieces)))
}

/// Never ends.
struct Endless;

impl Stream for Endless {
    type Item = io::Result<bytes::Bytes>;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(Some(Ok(bytes::Bytes::from_static(&[b'~'; 16_384]))))
    }
}

/// Panics behind its first piece.
struct Torn(bool);

impl Stream for Torn {
    type Item = io::Result<bytes::Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        assert!(!std::mem::replace(&mut self.0, true), "asked to");
        Poll::Ready(Some(Ok(bytes::Bytes::from_static(b"one "))))
    }
}

/// `/echo` sends the body back, `/late` does so after 1.2 s, `/wait` thinks first, `/status/N` has status N and a body, `/stream` comes in pieces, `/broken` fails after
/// one, `/torn` panics then, `/endless` never ends, `/big` has 8 MiB, `/panic` does; anything else says method, host, path and query.
async fn handler(mut request: Request) -> Response {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let path = text(request.path());
    if path == "/late" {
        parkade::time::sleep(Duration::from_millis(1200)).await;
    }
    match &*path {
        "/echo" | "/late" => match request.collect(1 << 20).await {
            Ok(body) => Response::new(200).with_body(Body::Bytes(body)),
            Err(_) => Response::error(500),
        },
        "/stream" => stream(&[Some("one "), Some(""), Some("two "), Some("three")]),
        "/broken" => stream(&[Some("one "), None]),
        "/big" => Response::new(200).with_body(Body::Bytes(vec![b'~'; 8 << 20].into())),
        "/torn" => Response::new(200).with_body(Body::Stream(Box::pin(Torn(false)))),
        "/endless" => Response::new(200).with_body(Body::Stream(Box::pin(Endless))),
        "/wait" => {
            parkade::time::sleep(Duration::from_millis(1)).await;
            Response::text("waited")
        }
        "/panic" => panic!("asked to"),
        "/405" => Response::error(405).with_field("Allow", "GET"),
        _ => match path.strip_prefix("/status/").and_then(|n| n.parse().ok()) {
            Some(status) => Response::new(status).with_body(Body::Static(b"a body")),
            None => {
                let query = request.query().map_or("-".into(), text);
                let host = request.host().unwrap_or("-").to_owned();
                let said = format!("{} {host} {path} {query}", request.method_name());
                Response::new(200).with_body(Body::Bytes(said.into()))
            }
        },
    }
}

/// What must come back for a row.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Verdict {
    /// These answers, and the next request on the connection is served.
    Kept(&'static [u16]),
    /// These answers, the last with `Connection: close`, and nothing behind them.
    Closed(&'static [u16]),
    /// One 200 with this body; the connection is kept.
    Says(&'static str),
    /// Not an answer yet: the server waits for more.
    Waits,
}

pub(crate) use Verdict::{Closed, Kept, Says, Waits};
/// A plain 200.
pub(crate) const OK: Verdict = Kept(&[200]);
/// A refusal: 400 and a close.
pub(crate) const BAD: Verdict = Closed(&[400]);

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut found = self.fields.iter().filter(|(n, _)| n == name);
        let value = found.next().map(|(_, v)| &**v);
        assert!(found.next().is_none(), "two fields {name}: {self:?}");
        value
    }
}

/// Takes apart everything that came back for `request`; whatever is not an answer by the letter fails the test.
pub(crate) fn answers(request: &[u8], mut bytes: &[u8]) -> Vec<Answer> {
    // Every line that ends like a request line is one: the methods of the answers, in order.
    let request = String::from_utf8_lossy(request);
    let mut methods = request
        .split("\r\n")
        .filter_map(|l| l.rsplit_once(" HTTP/").map(|(l, _)| l.starts_with("HEAD ")));
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(600)]).into_owned();
        let end = bytes.windows(4).position(|w| w == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no end of a head: {shown}"));
        let head = std::str::from_utf8(&bytes[..end]).expect("a head is text");
        bytes = &bytes[end + 4..];
        let (line, fields) = head.split_once("\r\n").unwrap_or((head, ""));
        let status = line.strip_prefix("HTTP/1.1 ").expect("an HTTP/1.1 answer");
        assert!(status[3..].starts_with(' '), "{line}");
        let fields = fields.split("\r\n").filter(|l| !l.is_empty()).map(|l| {
            let (name, value) = l.split_once(": ").expect("a field line");
            (name.to_ascii_lowercase(), value.to_owned())
        });
        let mut answer = Answer {
            status: status[..3].parse().expect("a status"),
            fields: fields.collect(),
            body: String::new(),
        };
        let interim = answer.status < 200;
        let to_head = !interim && methods.next().unwrap_or(false);
        let length = answer
            .field("content-length")
            .map(|n| n.parse().expect("a length"));
        let chunked = answer.field("transfer-encoding") == Some("chunked");
        assert!(!(length.is_some() && chunked), "{answer:?}");
        let body = if to_head || interim || matches!(answer.status, 204 | 304) {
            assert!(to_head || (length.is_none() && !chunked), "{answer:?}");
            Vec::new()
        } else if chunked {
            dechunk(&mut bytes)
        } else {
            let length = length.unwrap_or_else(|| {
                assert_eq!(answer.field("connection"), Some("close"), "{answer:?}");
                bytes.len()
            });
            assert!(bytes.len() >= length, "a body is cut: {answer:?}");
            let (body, rest) = bytes.split_at(length);
            bytes = rest;
            body.to_vec()
        };
        answer.body = String::from_utf8_lossy(&body).into_owned();
        if !interim {
            // RFC 9110 section 6.6.1: every answer has a date, in the form of section 5.6.7.
            let date = answer.field("date").expect("a Date");
            let form: String = date
                .chars()
                .map(|c| if c.is_ascii_digit() { '0' } else { c })
                .collect();
            assert!(
                date.len() == 29 && form.ends_with(" 0000 00:00:00 GMT"),
                "{date}"
            );
        }
        if answer.status == 405 {
            assert!(answer.field("allow").is_some(), "{answer:?}");
        }
        all.push(answer);
    }
    all
}

fn dechunk(bytes: &mut &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = bytes
            .windows(2)
            .position(|w| w == b"\r\n")
            .expect("a chunk");
        let size = std::str::from_utf8(&bytes[..end]).expect("a size");
        let size = usize::from_str_radix(size, 16).expect("a size");
        let chunk = &bytes[end + 2..];
        assert_eq!(&chunk[size..size + 2], b"\r\n");
        body.extend_from_slice(&chunk[..size]);
        *bytes = &chunk[size + 2..];
        if size == 0 {
            return body;
        }
    }
}

/// A running server.
pub(crate) struct Wire {
    _runtime: Runtime,
    pub(crate) address: SocketAddr,
}

impl Wire {
    pub(crate) fn new(limits: Limits) -> Self {
        Self::serving(limits, handler)
    }

    /// One with another handler.
    pub(crate) fn serving(limits: Limits, handler: impl Handler) -> Self {
        let workers = Workers::Count(1);
        let runtime = Runtime::builder()
            .workers(workers)
            .first_byte_timeout(limits.keep_alive)
            .build()
            .expect("a runtime");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let server = Server::new(handler).limits(limits).name("test");
        runtime
            .listen(listener, server.service())
            .expect("a listener");
        Self {
            _runtime: runtime,
            address,
        }
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_nodelay(true).expect("no delay");
        stream
    }

    /// Sends `pieces` one by one, half-closes, and reads to the end. A server that refuses may do so before all is sent.
    pub(crate) fn talk<'a>(&self, pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
        let mut stream = self.connect();
        for piece in pieces {
            if stream.write_all(piece).is_err() {
                break;
            }
        }
        let _ = stream.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        if let Err(e) = stream.read_to_end(&mut answer) {
            assert_eq!(e.kind(), io::ErrorKind::ConnectionReset, "an end in time");
        }
        answer
    }

    /// Holds the answers to `request` to `verdict`.
    pub(crate) fn judge(&self, request: &[u8], verdict: Verdict) {
        if let Waits = verdict {
            return self.waits(request);
        }
        let shown = String::from_utf8_lossy(&request[..request.len().min(300)]);
        let all = [request, PROBE].concat();
        let mut ways: Vec<Vec<&[u8]>> = vec![vec![&all]];
        if all.len() < 600 {
            ways.push(all.chunks(1).collect());
        }
        for pieces in ways {
            let way = if pieces.len() > 1 {
                "byte by byte"
            } else {
                "at once"
            };
            let came = self.talk(pieces);
            let mut got = answers(&all, &came);
            let kept = got.last().is_some_and(|a| a.body == "GET probe /probe -");
            if kept {
                got.pop();
            }
            let statuses: Vec<u16> = got.iter().map(|a| a.status).collect();
            let (expected, keeps) = match verdict {
                Kept(statuses) => (statuses, true),
                Closed(statuses) => (statuses, false),
                Says(_) | Waits => (&[200][..], true),
            };
            assert_eq!(
                (&statuses[..], kept),
                (expected, keeps),
                "{way}: {shown:?}: {got:?}"
            );
            if let Some(last) = got.last() {
                let closes = last.field("connection") == Some("close");
                assert_eq!(closes, !keeps, "{way}: {shown:?}: {got:?}");
                if let Says(body) = verdict {
                    assert_eq!(last.body, body, "{way}: {shown:?}");
                }
            }
        }
    }

    /// Nothing comes back while the rest of a request is missing; with it there is an answer.
    fn waits(&self, request: &[u8]) {
        let mut stream = self.connect();
        stream.write_all(request).expect("sent");
        let moment = Some(Duration::from_millis(20));
        stream.set_read_timeout(moment).expect("a timeout");
        let error = stream.read(&mut [0]).expect_err("nothing comes");
        let shown = String::from_utf8_lossy(request);
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "{shown:?}");
    }
}

/// Bytes of a row: each char is one byte.
pub(crate) fn bytes(text: &str) -> Vec<u8> {
    text.chars()
        .map(|c| u8::try_from(c).expect("a byte"))
        .collect()
}

/// Judges rows of which each fills the `{}` of `template`.
pub(crate) fn table(template: &str, rows: &[(&str, Verdict)]) {
    table_with(&Wire::new(Limits::default()), template, rows);
}

/// The same with a server of other limits.
pub(crate) fn table_with(wire: &Wire, template: &str, rows: &[(&str, Verdict)]) {
    for (piece, verdict) in rows {
        wire.judge(&bytes(&template.replacen("{}", piece, 1)), *verdict);
    }
}
