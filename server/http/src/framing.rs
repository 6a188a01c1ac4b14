//! The one place that decides message framing: how long a request's body is, whether its connection lives on, and how
//! a response's length is told (RFC 9112 sections 6 and 9).

use crate::head::{Head, Method, Names};
use crate::status::Refusal;

/// How a body is delimited.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Length {
    /// No body.
    None,
    /// So many bytes.
    Known(u64),
    /// Chunks until the last one.
    Chunked,
}

/// What the head of a request decides.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Framing {
    /// The request's body.
    pub body: Length,
    /// The client would keep the connection.
    pub keep_alive: bool,
    /// The client said `Connection: keep-alive` itself, so it is told the limits.
    pub asked_keep_alive: bool,
    /// The client waits for `100 Continue`.
    pub expects_continue: bool,
}

/// What may say anything about the framing of a request.
const DECISIVE: Names = Names::of(&[
    "content-length",
    "transfer-encoding",
    "connection",
    "expect",
    "content-type",
]);

/// Decides the framing of a request.
///
/// # Errors
/// Whatever is ambiguous is refused, so that no two readers of the connection can disagree on where it ends.
pub fn request(head: &Head) -> Result<Framing, Refusal> {
    let http10 = head.minor_version() == 0;
    let mut length: Option<u64> = None;
    let mut codings = 0usize;
    let mut chunked = false;
    let (mut close, mut keep, mut expects) = (false, false, false);
    let mut content_types = 0;
    for (name, value) in head.fields_among(DECISIVE) {
        // One look at the length of the name spares four comparisons for nearly every field.
        match name.len() {
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                // A list of equal values might be tolerated (RFC 9110 section 8.6); nobody needs it but smugglers.
                let n = digits(value).ok_or(Refusal::BadRequest("malformed Content-Length"))?;
                if length.replace(n).is_some() {
                    return Err(Refusal::BadRequest("two Content-Length fields"));
                }
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                for item in value.split(|b| *b == b',') {
                    if chunked {
                        return Err(Refusal::BadRequest("chunked is not the last coding"));
                    }
                    codings += 1;
                    chunked = trim(item).eq_ignore_ascii_case(b"chunked");
                }
            }
            10 if name.eq_ignore_ascii_case(b"connection") => {
                for item in value.split(|b| *b == b',') {
                    let item = trim(item);
                    close |= item.eq_ignore_ascii_case(b"close");
                    keep |= item.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            6 if name.eq_ignore_ascii_case(b"expect") => {
                if !value.eq_ignore_ascii_case(b"100-continue") {
                    return Err(Refusal::Expectation);
                }
                expects = !http10;
            }
            12 if name.eq_ignore_ascii_case(b"content-type") => {
                content_types += 1;
                if content_types > 1 {
                    return Err(Refusal::BadRequest("two Content-Type fields"));
                }
            }
            _ => {}
        }
    }
    let body = match (codings, length) {
        (0, None | Some(0)) => Length::None,
        (0, Some(n)) => Length::Known(n),
        (_, Some(_)) => {
            return Err(Refusal::BadRequest(
                "Content-Length beside Transfer-Encoding",
            ));
        }
        (_, None) if http10 => return Err(Refusal::BadRequest("Transfer-Encoding in HTTP/1.0")),
        (_, None) if !chunked => {
            return Err(Refusal::NotImplemented(
                "a transfer coding other than chunked",
            ));
        }
        (1, None) => Length::Chunked,
        (_, None) => return Err(Refusal::NotImplemented("a transfer coding beside chunked")),
    };
    // Behind a refused CONNECT comes what was meant for the tunnel.
    close |= head.method() == Method::Connect;
    let keep_alive = !close && (!http10 || keep);
    Ok(Framing {
        body,
        keep_alive,
        asked_keep_alive: keep && !close,
        expects_continue: expects,
    })
}

/// How the length of a response is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ResponseLength {
    /// No body and no field about it (1xx, 204, 304).
    Absent,
    /// `Content-Length`.
    Known(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// The connection's end.
    UntilClose,
}

/// Decides the framing of a response; `known` is `None` for a stream.
#[must_use]
pub fn response(status: u16, minor_version: u8, known: Option<u64>) -> ResponseLength {
    match (status, known) {
        (100..=199 | 204 | 304, _) => ResponseLength::Absent,
        (205, _) => ResponseLength::Known(0),
        (_, Some(n)) => ResponseLength::Known(n),
        (_, None) if minor_version > 0 => ResponseLength::Chunked,
        (_, None) => ResponseLength::UntilClose,
    }
}

/// Whether a field of a response is written by the server alone, whatever a handler says: beside another word on where
/// the message ends, two readers could disagree. `Date` is among them because every answer has one already.
pub(crate) fn is_servers_own(name: &str) -> bool {
    const OWN: [&str; 5] = [
        "connection",
        "content-length",
        "date",
        "keep-alive",
        "transfer-encoding",
    ];
    OWN.iter().any(|own| name.eq_ignore_ascii_case(own))
}

/// Whether the body of a response to `method` is sent at all.
#[must_use]
pub fn has_body(method: Method, status: u16) -> bool {
    method != Method::Head && !matches!(status, 100..=199 | 204 | 205 | 304)
}

/// A decimal number, nothing else.
fn digits(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 19 {
        return None;
    }
    text.iter().try_fold(0u64, |n, b| {
        b.is_ascii_digit().then(|| n * 10 + u64::from(b - b'0'))
    })
}

fn trim(value: &[u8]) -> &[u8] {
    value.trim_ascii()
}

/// The value of the first line of this name.
pub(crate) fn named<'a>(fields: &'a [u8], name: &str) -> Option<&'a [u8]> {
    fields.split(|b| *b == b'\n').find_map(|line| {
        let colon = memchr::memchr(b':', line)?;
        line[..colon]
            .eq_ignore_ascii_case(name.as_bytes())
            .then(|| line[colon + 1..].trim_ascii())
    })
}
