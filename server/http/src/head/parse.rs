//! Input becomes a head: split by httparse, then held to the rules it does not know.
//!
//! Bytes are copied once into a recycled [`Head`]; fields are offsets into them. Nothing is allocated when warm.

use super::irregular::read_irregular;
use super::{Head, HeadLimits, Method, Names, Span};
use crate::status::Refusal;
use crate::target;
use std::mem::MaybeUninit;
use std::rc::Rc;

/// Most fields that can be asked for.
pub(super) const FIELDS: usize = 256;
/// Empty lines before a request that are forgiven (RFC 9112 section 2.2).
const EMPTY_LINES: usize = 4;

/// What the bytes are.
#[derive(Debug)]
pub enum Parsed {
    /// A head and how many bytes it took.
    Complete(Rc<Head>, usize),
    /// The beginning of one.
    Partial,
    /// Not one.
    Refused(Refusal),
}

/// Whether there is nothing yet but the empty lines that some clients send behind a body.
pub(crate) fn is_blank(input: &[u8]) -> bool {
    input.iter().all(|b| matches!(b, b'\r' | b'\n'))
}

/// Whether `input`, not a head (yet), has the method whose answers have no body.
#[cold]
pub(crate) fn asks_head(input: &[u8]) -> bool {
    input.trim_ascii_start().starts_with(b"HEAD ")
}

/// Looks for a request head at the beginning of `input`.
#[must_use]
pub fn parse(input: &[u8], limits: &HeadLimits) -> Parsed {
    let mut head = Rc::default();
    match read(&mut head, input, limits) {
        Ok(Some(used)) => Parsed::Complete(head, used),
        Ok(None) => Parsed::Partial,
        Err(refusal) => Parsed::Refused(refusal),
    }
}

/// The same into a head that is used again if nobody holds it any more; `None` for what is not a head (or not yet). For
/// the server itself, and for measurements of it.
#[doc(hidden)]
pub fn parse_into(head: &mut Rc<Head>, input: &[u8], limits: &HeadLimits) -> Option<usize> {
    read(head, input, limits).ok().flatten()
}

fn read(head: &mut Rc<Head>, input: &[u8], limits: &HeadLimits) -> Result<Option<usize>, Refusal> {
    if Rc::get_mut(head).is_none() {
        *head = Rc::default();
    }
    let Some(head) = Rc::get_mut(head) else {
        return Ok(None);
    };
    head.memo.set(None);
    let mut skipped = 0;
    while skipped < 2 * EMPTY_LINES && input[skipped..].starts_with(b"\r\n") {
        skipped += 2;
    }
    let bytes = &input[skipped..];
    if bytes == b"\r" && skipped < 2 * EMPTY_LINES {
        head.forget();
        return Ok(None);
    }
    let mut headers = [const { MaybeUninit::uninit() }; FIELDS];
    let mut request = httparse::Request::new(&mut []);
    let used = match request.parse_with_uninit_headers(bytes, &mut headers) {
        Ok(httparse::Status::Complete(end))
            if regular(bytes, end, &request, limits)
                && build(head, &bytes[..end], &request, limits).is_ok() =>
        {
            Ok(Some(end))
        }
        _ => read_irregular(head, bytes, limits),
    };
    match used {
        Ok(Some(used)) => Ok(Some(skipped + used)),
        other => {
            head.forget();
            other
        }
    }
}

/// Whether a head that httparse accepts begins and ends as it must and is so small that no line of it can be too long.
/// The ends of the lines between are left to [`build`]: no byte inside a line can be LF.
fn regular(
    bytes: &[u8],
    end: usize,
    request: &httparse::Request<'_, '_>,
    limits: &HeadLimits,
) -> bool {
    let at = |part: &str| (part.as_ptr() as usize).wrapping_sub(bytes.as_ptr() as usize);
    let line = request
        .headers
        .first()
        .map_or(end.wrapping_sub(4), |h| at(h.name).wrapping_sub(2));
    bytes[..end].ends_with(b"\r\n\r\n")
        && request.method.is_some_and(|m| at(m) == 0)
        && line <= limits.line
        && end <= limits.field.min(usize::from(u16::MAX))
}

/// Copies a head that httparse has split, and holds it to the rest of the rules.
pub(super) fn build(
    head: &mut Head,
    raw: &[u8],
    request: &httparse::Request<'_, '_>,
    limits: &HeadLimits,
) -> Result<(), Refusal> {
    if request.headers.len() > limits.fields.min(FIELDS) {
        return Err(Refusal::FieldsTooLarge);
    }
    let origin = raw.as_ptr() as usize;
    let span = |s: &[u8]| Span {
        start: (s.as_ptr() as usize - origin) as u16,
        len: s.len() as u16,
    };
    let (method, target) = (
        request.method.unwrap_or_default(),
        request.path.unwrap_or_default(),
    );
    head.fields.clear();
    head.method = Method::of(method);
    head.method_name = span(method.as_bytes());
    head.target = span(target.as_bytes());
    head.minor = request.version.unwrap_or(1);
    let (mut names, mut host) = (Names::default(), None);
    let (mut hosts, mut ends) = (0, true);
    head.fields.extend(request.headers.iter().map(|field| {
        let (name, value) = (field.name.as_bytes(), trim(field.value));
        let name_span = span(name);
        ends &= raw[..usize::from(name_span.start)].ends_with(b"\r\n");
        names.add(name);
        if name.len() == 4 && name.eq_ignore_ascii_case(b"host") {
            host = Some(value);
            hosts += 1;
        }
        // An empty value may lie elsewhere.
        let value = match value {
            [] => Span::default(),
            value => span(value),
        };
        (name_span, value)
    }));
    if !ends {
        return Err(Refusal::BadRequest("a line ends in a bare LF"));
    }
    if hosts > 1 {
        return Err(Refusal::BadRequest("two Host fields"));
    }
    // The host of the request before has been looked at, and most ask for the same.
    let last = head.host.take();
    if let Some(value) = host {
        if last.is_none_or(|last| head.get(last) != value) {
            target::check_authority(value, true)?;
        }
    } else if head.minor > 0 {
        return Err(Refusal::BadRequest("no Host field"));
    }
    let form = target::split(head.method, target.as_bytes())?;
    head.path = span(form.path);
    head.bare_path = span(form.bare);
    head.host = form.authority.or(host).map(span);
    head.names = names;
    head.bytes.clear();
    head.bytes.extend_from_slice(raw);
    Ok(())
}

fn trim(value: &[u8]) -> &[u8] {
    // Nearly every value comes without.
    if let [first, .., last] = value
        && *first > b' '
        && *last > b' '
    {
        return value;
    }
    let is_space = |b: &u8| matches!(b, b' ' | b'\t');
    let start = value
        .iter()
        .position(|b| !is_space(b))
        .unwrap_or(value.len());
    let end = value
        .iter()
        .rposition(|b| !is_space(b))
        .map_or(start, |i| i + 1);
    &value[start..end]
}
