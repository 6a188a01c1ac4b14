//! The request head: a copy of its bytes, and where in them its parts are.
//!
//! `parse` makes one of what came, `irregular` says what is wrong with what does not become one, `names` is what a head
//! knows of its fields' names; `shared` gives its parts away without a copy of each.

mod irregular;
mod names;
mod parse;
#[cfg(feature = "tower")]
mod shared;

pub(crate) use names::Names;
#[doc(hidden)]
pub use parse::parse_into;
pub use parse::{Parsed, parse};
pub(crate) use parse::{asks_head, is_blank};
use std::cell::Cell;
use std::num::NonZeroU64;

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
    /// What the handler remembers of it, and for which host.
    memo: Cell<Option<(u32, NonZeroU64)>>,
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

    /// The number under which its answer can be found again, if it was one for this host.
    pub(crate) fn memo(&self, host: u32) -> Option<NonZeroU64> {
        let (known, number) = self.memo.get()?;
        (known == host && self.method != Method::Head).then_some(number)
    }

    pub(crate) fn set_memo(&self, host: u32, number: NonZeroU64) {
        self.memo.set(Some((host, number)));
    }

    /// Half a head must not pass for one when its bytes come again.
    fn forget(&mut self) {
        self.bytes.clear();
        self.host = None;
    }
}

#[cfg(test)]
mod tests;
