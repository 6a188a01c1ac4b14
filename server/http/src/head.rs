//! The request head: split by httparse, then held to the rules it does not know.
//!
//! Bytes are copied once into a recycled [`Head`]; fields are offsets into them. Nothing is allocated when warm.

mod irregular;
mod names;

use crate::status::Refusal;
use crate::target;
use std::mem::MaybeUninit;
use std::rc::Rc;

use irregular::read_irregular;
pub(crate) use names::Names;

/// What a head may weigh.
#[derive(Clone, Copy, Debug)]
pub struct HeadLimits {
    /// Bytes of the request line; more is 414.
    pub line: usize,
    /// Bytes of one field line; more is 431.
    pub field: usize,
    /// Number of fields, at most 256; more is 431.
    pub fields: usize,
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self {
            line: 8190,
            field: 8190,
            fields: 100,
        }
    }
}

/// Most fields that can be asked for.
const FIELDS: usize = 256;
/// Empty lines before a request that are forgiven (RFC 9112 section 2.2).
const EMPTY_LINES: usize = 4;

/// The methods that have a meaning here.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[allow(missing_docs, reason = "the names are RFC 9110's and RFC 5789's")]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Delete,
    Connect,
    Options,
    Trace,
    Patch,
    /// Any other token.
    #[default]
    Other,
}

impl Method {
    fn of(name: &str) -> Self {
        match name {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "POST" => Self::Post,
            "PUT" => Self::Put,
            "DELETE" => Self::Delete,
            "CONNECT" => Self::Connect,
            "OPTIONS" => Self::Options,
            "TRACE" => Self::Trace,
            "PATCH" => Self::Patch,
            _ => Self::Other,
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Span {
    start: u16,
    len: u16,
}

/// A parsed request head.
#[derive(Debug, Default)]
pub struct Head {
    bytes: Vec<u8>,
    method: Method,
    method_name: Span,
    target: Span,
    /// The path and query, without scheme and authority.
    path: Span,
    /// The same without the query.
    bare_path: Span,
    /// Always a valid authority.
    host: Option<Span>,
    minor: u8,
    fields: Vec<(Span, Span)>,
    names: Names,
}

impl Head {
    fn get(&self, span: Span) -> &[u8] {
        let start = span.start as usize;
        self.bytes
            .get(start..start + span.len as usize)
            .unwrap_or_default()
    }

    fn text(&self, span: Span) -> &str {
        std::str::from_utf8(self.get(span)).unwrap_or_default()
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> Method {
        self.method
    }

    /// The method as it was sent.
    #[must_use]
    pub fn method_name(&self) -> &str {
        self.text(self.method_name)
    }

    /// The request target as it was sent.
    #[must_use]
    pub fn target(&self) -> &[u8] {
        self.get(self.target)
    }

    /// Path and query as they were sent, still percent-encoded. An absolute target may lack its path: see
    /// [`Head::path`].
    #[must_use]
    pub fn path_and_query(&self) -> &[u8] {
        self.get(self.path)
    }

    /// The path, still percent-encoded; `*` for the asterisk form, the authority for CONNECT.
    #[must_use]
    pub fn path(&self) -> &[u8] {
        match self.get(self.bare_path) {
            // RFC 9112 section 3.2.4: the server as a whole.
            [] if self.method == Method::Options && self.path.len == 0 => b"*",
            [] => b"/",
            path => path,
        }
    }

    /// What follows the `?`.
    #[must_use]
    pub fn query(&self) -> Option<&[u8]> {
        let all = self.path_and_query();
        memchr::memchr(b'?', all).map(|i| &all[i + 1..])
    }

    /// Bytes of the head as it came.
    #[must_use]
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Whether `input` begins with this head, byte for byte. It ends in an empty line, so nothing behind it can change
    /// what it means.
    pub(crate) fn begins(&self, input: &[u8]) -> bool {
        !self.bytes.is_empty() && input.starts_with(&self.bytes)
    }

    /// 0 or 1.
    #[must_use]
    pub fn minor_version(&self) -> u8 {
        self.minor
    }

    /// The authority the request is for: of the target, else of Host.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        self.host.map(|h| self.text(h))
    }

    /// The request line without its line end, for logs.
    #[must_use]
    pub fn request_line(&self) -> &[u8] {
        let end = memchr::memchr(b'\r', &self.bytes).unwrap_or(self.bytes.len());
        &self.bytes[..end]
    }

    /// Names and values as bytes, for those that need no text; none if the head has no field of these names.
    #[inline]
    pub(crate) fn fields_among(&self, names: Names) -> impl Iterator<Item = (&[u8], &[u8])> {
        let fields = match self.names.may_have(names) {
            true => &self.fields[..],
            false => &[],
        };
        fields.iter().map(|(n, v)| (self.get(*n), self.get(*v)))
    }

    /// The fields in the order they came.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.fields
            .iter()
            .map(|(n, v)| (self.text(*n), self.get(*v)))
    }

    /// The values of a field, each line by itself.
    #[inline]
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.fields_among(Names::of(&[name]))
            .filter(move |(n, _)| n.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, v)| v)
    }

    /// The first value of a field.
    #[must_use]
    #[inline]
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        self.fields_among(Names::of(&[name]))
            .find(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, v)| v)
    }

    /// Half a head must not pass for one when its bytes come again.
    fn forget(&mut self) {
        self.bytes.clear();
        self.host = None;
    }
}

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

/// The same into a head that is used again if nobody holds it any more; `None` for what is not a head (or not yet).
pub(crate) fn parse_into(head: &mut Rc<Head>, input: &[u8], limits: &HeadLimits) -> Option<usize> {
    read(head, input, limits).ok().flatten()
}

fn read(head: &mut Rc<Head>, input: &[u8], limits: &HeadLimits) -> Result<Option<usize>, Refusal> {
    if Rc::get_mut(head).is_none() {
        *head = Rc::default();
    }
    let Some(head) = Rc::get_mut(head) else {
        return Ok(None);
    };
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
fn build(
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

#[cfg(test)]
mod tests;
