//! Heads that are not finished, not valid, or of a version that httparse does not know.
//!
//! They are judged byte by byte: the first byte that cannot stand where it stands decides, so that a head gets the same
//! answer however it was cut on its way.

use super::parse::{FIELDS, build};
use super::{Head, HeadLimits};
use crate::status::Refusal;
use std::mem::MaybeUninit;

/// Where the parts of a head end that is well-formed.
struct Scanned {
    /// Bytes of the request line.
    line: usize,
    /// Behind the empty line.
    end: usize,
}

/// Says what is wrong, or missing, with what is not a regular head.
#[cold]
pub(super) fn read_irregular(
    head: &mut Head,
    bytes: &[u8],
    limits: &HeadLimits,
) -> Result<Option<usize>, Refusal> {
    let Some(Scanned { line, end }) = scan(bytes, limits)? else {
        return Ok(None);
    };
    let raw = &bytes[..end];
    match raw[line - 1] {
        minor @ b'2'..=b'9' => other_version(head, raw, line, minor, limits)?,
        _ => split(head, raw, limits)?,
    }
    Ok(Some(end))
}

fn split(head: &mut Head, raw: &[u8], limits: &HeadLimits) -> Result<(), Refusal> {
    let mut headers = [const { MaybeUninit::uninit() }; FIELDS];
    let mut request = httparse::Request::new(&mut []);
    match request.parse_with_uninit_headers(raw, &mut headers) {
        Ok(httparse::Status::Complete(_)) => build(head, raw, &request, limits),
        _ => Err(Refusal::BadRequest("malformed head")),
    }
}

/// A later 1.x is served as 1.1 (RFC 9110 section 2.5).
fn other_version(
    head: &mut Head,
    raw: &[u8],
    line: usize,
    minor: u8,
    limits: &HeadLimits,
) -> Result<(), Refusal> {
    let mut as_known = raw.to_vec();
    as_known[line - 1] = b'1';
    split(head, &as_known, limits)?;
    // Logs show what was sent.
    head.bytes[line - 1] = minor;
    Ok(())
}

/// Holds a head to the grammar and to its limits; `None` while it is unfinished.
fn scan(bytes: &[u8], limits: &HeadLimits) -> Result<Option<Scanned>, Refusal> {
    let Some(line) = bounded(bytes, limits.line, Refusal::UriTooLong, request_line)? else {
        return Ok(None);
    };
    let mut at = line + 2;
    for _ in 0..=limits.fields.min(FIELDS) {
        match &bytes[at..] {
            _ if at + 2 > usize::from(u16::MAX) => break,
            [] | [b'\r'] => return Ok(None),
            [b'\r', b'\n', ..] => return Ok(Some(Scanned { line, end: at + 2 })),
            rest => match bounded(rest, limits.field, Refusal::FieldsTooLarge, field_line)? {
                None => return Ok(None),
                Some(len) => at += len + 2,
            },
        }
    }
    Err(Refusal::FieldsTooLarge)
}

/// The length of a line of at most `most` bytes that `grammar` finds at the beginning of `bytes`, if its CRLF is there.
fn bounded(
    bytes: &[u8],
    most: usize,
    too_long: Refusal,
    grammar: fn(&[u8]) -> Result<Option<usize>, Refusal>,
) -> Result<Option<usize>, Refusal> {
    let found = grammar(&bytes[..bytes.len().min(most.saturating_add(1))])?;
    let Some(len) = found.filter(|len| *len <= most) else {
        return if bytes.len() > most {
            Err(too_long)
        } else {
            Ok(None)
        };
    };
    match bytes[len..] {
        [] | [b'\r'] => Ok(None),
        [b'\r', b'\n', ..] => Ok(Some(len)),
        [b'\n', ..] => Err(Refusal::BadRequest("a line ends in a bare LF")),
        [b'\r', ..] => Err(Refusal::BadRequest("a bare CR")),
        _ => Err(Refusal::BadRequest("a byte that cannot stand in its line")),
    }
}

/// `method SP target SP HTTP/x.y`, and only so much.
fn request_line(bytes: &[u8]) -> Result<Option<usize>, Refusal> {
    let Some(method) = bytes.iter().position(|b| !token(*b)) else {
        return Ok(None);
    };
    if method == 0 || bytes[method] != b' ' {
        return Err(Refusal::BadRequest("malformed method"));
    }
    let target = method + 1;
    let Some(len) = bytes[target..].iter().position(|b| !b.is_ascii_graphic()) else {
        return Ok(None);
    };
    if len == 0 || bytes[target + len] != b' ' {
        return Err(Refusal::BadRequest("malformed target"));
    }
    let version = target + len + 1;
    for (i, b) in bytes[version..].iter().take(8).enumerate() {
        let fits = match i {
            0..=4 => *b == b"HTTP/"[i],
            6 => *b == b'.',
            _ => b.is_ascii_digit(),
        };
        if !fits {
            return Err(Refusal::BadRequest("malformed version"));
        }
    }
    match bytes.get(version + 5..version + 8) {
        None => Ok(None),
        Some([b'1', ..]) => Ok(Some(version + 8)),
        Some(_) => Err(Refusal::VersionNotSupported),
    }
}

/// `name:value`; as long as the bytes end inside the value there may be more of it.
fn field_line(bytes: &[u8]) -> Result<Option<usize>, Refusal> {
    let Some(colon) = bytes.iter().position(|b| !token(*b)) else {
        return Ok(None);
    };
    match (colon, bytes[colon]) {
        (0, b' ' | b'\t') => return Err(Refusal::BadRequest("a line begins with white space")),
        (1.., b':') => {}
        (1.., b' ' | b'\t') => return Err(Refusal::BadRequest("white space before a colon")),
        _ => return Err(Refusal::BadRequest("malformed field name")),
    }
    let value = &bytes[colon + 1..];
    let end = value
        .iter()
        .position(|b| !matches!(b, b'\t' | b' '..=b'~' | 0x80..));
    Ok(end.map(|i| colon + 1 + i))
}

/// Whether `b` may stand in a token (RFC 9110 section 5.6.2).
fn token(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)
}
