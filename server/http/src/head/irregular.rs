//! Heads that are not finished, not valid, or of a version that httparse does not know.

use super::{FIELDS, Head, HeadLimits, build};
use crate::status::Refusal;
use std::mem::MaybeUninit;

/// Where the head ends: behind the first empty line, however that line ends.
fn end_of_head(bytes: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(i) = memchr::memchr(b'\n', &bytes[from..]) {
        let next = from + i + 1;
        match bytes.get(next) {
            Some(b'\n') => return Some(next + 1),
            Some(b'\r') if bytes.get(next + 1) == Some(&b'\n') => return Some(next + 2),
            _ => from = next,
        }
    }
    None
}

/// Says what is wrong, or missing, with what is not a regular head.
#[cold]
pub(super) fn read_irregular(
    head: &mut Head,
    bytes: &[u8],
    limits: &HeadLimits,
) -> Result<Option<usize>, Refusal> {
    let Some(end) = end_of_head(bytes) else {
        return unfinished(bytes, limits).map(|()| None);
    };
    let raw = &bytes[..end];
    if memchr::memchr_iter(b'\n', raw).any(|i| i == 0 || raw[i - 1] != b'\r') {
        return Err(Refusal::BadRequest("a line ends in a bare LF"));
    }
    let line = memchr::memchr(b'\r', raw).unwrap_or(end);
    if line > limits.line {
        return Err(Refusal::UriTooLong);
    }
    if end > usize::from(u16::MAX) {
        return Err(Refusal::FieldsTooLarge);
    }
    let mut headers = [const { MaybeUninit::uninit() }; FIELDS];
    let mut request = httparse::Request::new(&mut []);
    match request.parse_with_uninit_headers(raw, &mut headers) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return Err(Refusal::BadRequest("the head ends early")),
        Err(httparse::Error::TooManyHeaders) => return Err(Refusal::FieldsTooLarge),
        Err(httparse::Error::Version) => return other_version(head, bytes, line, limits),
        Err(_) => return Err(Refusal::BadRequest("malformed head")),
    }
    build(head, raw, &request, limits).map(|()| Some(end))
}

/// The parts of a head that is not finished may already be too much, or wrong.
fn unfinished(bytes: &[u8], limits: &HeadLimits) -> Result<(), Refusal> {
    let mut lines = memchr::memchr_iter(b'\n', bytes);
    match lines.next() {
        None if bytes.len() > limits.line + 2 => return Err(Refusal::UriTooLong),
        Some(end) if end > limits.line + 2 => return Err(Refusal::UriTooLong),
        Some(end) => {
            let last = lines.next_back().unwrap_or(end);
            if bytes.len() - last > limits.field + 2 {
                return Err(Refusal::FieldsTooLarge);
            }
        }
        None => {}
    }
    let mut headers = [const { MaybeUninit::uninit() }; FIELDS];
    let mut request = httparse::Request::new(&mut []);
    match request.parse_with_uninit_headers(bytes, &mut headers) {
        Ok(_) | Err(httparse::Error::Version) => Ok(()),
        Err(httparse::Error::TooManyHeaders) => Err(Refusal::FieldsTooLarge),
        Err(_) => Err(Refusal::BadRequest("malformed head")),
    }
}

/// A version that httparse does not know: a later 1.x is served as 1.1 (RFC 9110 section 2.5), others are refused.
fn other_version(
    head: &mut Head,
    bytes: &[u8],
    line: usize,
    limits: &HeadLimits,
) -> Result<Option<usize>, Refusal> {
    let version = bytes[..line]
        .rsplit(|b| *b == b' ')
        .next()
        .unwrap_or_default();
    match version {
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'2'..=b'9'] => {
            let mut as_known = bytes.to_vec();
            as_known[line - 1] = b'1';
            read_irregular(head, &as_known, limits)
        }
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && *major != b'1' && minor.is_ascii_digit() =>
        {
            Err(Refusal::VersionNotSupported)
        }
        _ => Err(Refusal::BadRequest("malformed version")),
    }
}
