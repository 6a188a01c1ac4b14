//! Responses: a status, fields, and a body that may be bytes, a part of a file, or a stream.

use crate::encode::{content_length, field};
use crate::framing::{self, named};
use crate::notes::Notes;
use crate::status::{Refusal, reason};
use bytes::Bytes;
use futures_core::Stream;
use parkade::FileRange;
use std::borrow::Cow;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

/// What follows the head of a response.
pub enum Body {
    /// Nothing.
    Empty,
    /// Bytes of the program.
    Static(&'static [u8]),
    /// Shared bytes.
    Bytes(Bytes),
    /// A part of a file; sent without passing through this process.
    File(FileRange),
    /// Pieces whose total length is not known.
    Stream(Pin<Box<dyn Stream<Item = io::Result<Bytes>>>>),
    /// Pieces that are so many bytes in all. The connection ends early when they turn out to be fewer or more.
    Sized(u64, Pin<Box<dyn Stream<Item = io::Result<Bytes>>>>),
}

impl Body {
    /// Its length in bytes, if known.
    #[must_use]
    pub fn len(&self) -> Option<u64> {
        match self {
            Self::Empty => Some(0),
            Self::Static(b) => Some(b.len() as u64),
            Self::Bytes(b) => Some(b.len() as u64),
            Self::File(range) => Some(range.len()),
            Self::Stream(_) => None,
            Self::Sized(n, _) => Some(*n),
        }
    }

    /// Whether its bytes come piece by piece.
    pub(crate) fn is_stream(&self) -> bool {
        matches!(self, Self::Stream(_) | Self::Sized(..))
    }

    /// Whether it is known to have no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.len() {
            Some(n) => write!(f, "Body({n} bytes)"),
            None => f.write_str("Body(stream)"),
        }
    }
}

/// Fields and body of a 200 that is given again and again; cloning the `Arc` is all it costs.
#[derive(Debug)]
pub struct Prepared {
    /// Fields, `Content-Length`, the empty line, and the body behind it: one copy sends them.
    all: Bytes,
    body: Bytes,
    /// Where the handler's own fields end.
    own: usize,
    names_server: bool,
}

impl Prepared {
    /// Keeps the fields and the body of `response`; a body that is not in memory is left out.
    #[must_use]
    pub fn new(mut response: Response) -> Self {
        response.unprepare();
        let names_server = response.names_server;
        let mut ending = response.fields;
        if let Some(kind) = response.content_type {
            field(&mut ending, "Content-Type", kind.as_bytes());
        }
        let body = match response.body {
            Body::Static(b) => Bytes::from_static(b),
            Body::Bytes(b) => b,
            _ => Bytes::new(),
        };
        let own = ending.len();
        content_length(&mut ending, body.len() as u64);
        ending.extend_from_slice(b"\r\n");
        let start = ending.len();
        ending.extend_from_slice(&body);
        let all = Bytes::from(ending);
        let body = all.slice(start..);
        Self {
            all,
            body,
            own,
            names_server,
        }
    }

    /// Whether a `Server` field is among its own.
    pub(crate) fn names_server(&self) -> bool {
        self.names_server
    }

    /// What follows the status line, `Date` and `Server`, with the body.
    pub(crate) fn all(&self) -> &[u8] {
        &self.all
    }

    /// The same without the body.
    pub(crate) fn ending(&self) -> &[u8] {
        &self.all[..self.all.len() - self.body.len()]
    }

    /// The field lines.
    pub(crate) fn fields(&self) -> &[u8] {
        self.ending().strip_suffix(b"\r\n").unwrap_or_default()
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }
}

/// A field that cannot be sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InvalidField;

impl fmt::Display for InvalidField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field name must be a token and a value free of control characters")
    }
}

impl std::error::Error for InvalidField {}

const CONTENT_TYPE: &str = "content-type";
const SERVER: &str = "server";

/// An answer to a request.
#[derive(Debug)]
pub struct Response {
    pub(crate) status: u16,
    pub(crate) fields: Vec<u8>,
    pub(crate) content_type: Option<&'static str>,
    pub(crate) prepared: Option<Arc<Prepared>>,
    pub(crate) body: Body,
    pub(crate) close: bool,
    /// `fields` has a `Server` that takes the place of the server's.
    pub(crate) names_server: bool,
    pub(crate) notes: Option<Box<Notes>>,
}

impl Response {
    /// A response without a body. A status outside 200..=599 counts as 500.
    #[must_use]
    pub fn new(status: u16) -> Self {
        let status = if (200..=599).contains(&status) {
            status
        } else {
            500
        };
        Self {
            status,
            fields: Vec::new(),
            content_type: None,
            prepared: None,
            body: Body::Empty,
            close: false,
            names_server: false,
            notes: None,
        }
    }

    /// 200 with a text.
    #[must_use]
    pub fn text(text: &'static str) -> Self {
        Self::ok("text/plain; charset=utf-8", Body::Static(text.as_bytes()))
    }

    /// 200 with a page.
    #[must_use]
    pub fn html(page: impl Into<Bytes>) -> Self {
        Self::ok("text/html; charset=utf-8", Body::Bytes(page.into()))
    }

    fn ok(content_type: &'static str, body: Body) -> Self {
        Self {
            status: 200,
            fields: Vec::new(),
            content_type: Some(content_type),
            prepared: None,
            body,
            close: false,
            names_server: false,
            notes: None,
        }
    }

    /// 404 with the plain page of that status.
    #[must_use]
    pub fn not_found() -> Self {
        Self::error(404)
    }

    /// A status with a short page that says it.
    #[must_use]
    pub fn error(status: u16) -> Self {
        let response = Self::new(status);
        let (status, reason) = (response.status, reason(response.status));
        let page = format!(
            "<!DOCTYPE html>\n<html><head><title>{status} {reason}</title></head>\n<body><h1>{reason}</h1></body></html>\n"
        );
        response
            .with_type("text/html; charset=utf-8")
            .with_body(Body::Bytes(page.into()))
    }

    /// The answer to what is not served; the note `error-notes` says why, as in Apache.
    pub(crate) fn refusing(refusal: Refusal) -> Self {
        Self::error(refusal.status()).with_note("error-notes", refusal.why())
    }

    /// 200 as prepared.
    #[must_use]
    pub fn prepared(prepared: Arc<Prepared>) -> Self {
        let mut response = Self::new(200);
        response.prepared = Some(prepared);
        response
    }

    /// The same with this Content-Type; an earlier one is gone.
    #[must_use]
    pub fn with_type(mut self, content_type: &'static str) -> Self {
        self.unprepare();
        self.drop_lines(CONTENT_TYPE);
        self.content_type = Some(content_type);
        self
    }

    /// The same with this body; an earlier one is gone.
    #[must_use]
    pub fn with_body(mut self, body: Body) -> Self {
        self.unprepare();
        self.body = body;
        self
    }

    /// The same, and the connection is closed behind it.
    #[must_use]
    pub fn closing(mut self) -> Self {
        self.close = true;
        self
    }

    /// The same with a word for observers under a name, in the place of an earlier one; it is not sent.
    #[must_use]
    pub fn with_note(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Self {
        let notes = self.notes.get_or_insert_default();
        notes.set(name, value.into());
        self
    }

    /// What [`Response::with_note`] said under this name.
    #[must_use]
    pub fn note(&self, name: &str) -> Option<&str> {
        self.notes.as_ref()?.get(name)
    }

    /// Adds a field.
    ///
    /// A message has one `Content-Type` and one `Server`: the last one that is added here stands alone, in the place of
    /// an earlier one, of [`Response::with_type`]'s and of [`crate::Server::name`]. What says where a message ends and
    /// when it was made is the server's alone and is refused: `Connection`, `Content-Length`, `Date`, `Keep-Alive` and
    /// `Transfer-Encoding`.
    ///
    /// # Errors
    /// [`InvalidField`] for these, and for what would break the head.
    pub fn add_field(&mut self, name: &str, value: &[u8]) -> Result<(), InvalidField> {
        let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        let valid = !name.is_empty()
            && name.bytes().all(token)
            && value
                .iter()
                .all(|b| *b == b'\t' || (*b >= b' ' && *b != 0x7f))
            && !framing::is_servers_own(name);
        if !valid {
            return Err(InvalidField);
        }
        let (is_type, is_server) = (
            name.eq_ignore_ascii_case(CONTENT_TYPE),
            name.eq_ignore_ascii_case(SERVER),
        );
        if is_type || is_server {
            self.unprepare();
            self.drop_lines(name);
        }
        if is_type {
            self.content_type = None;
        }
        self.names_server |= is_server;
        field(&mut self.fields, name, value);
        Ok(())
    }

    /// Takes out what has been added under a name.
    fn drop_lines(&mut self, name: &str) {
        if self.fields.is_empty() || named(&self.fields, name).is_none() {
            return;
        }
        let lines = self.fields.split_inclusive(|b| *b == b'\n');
        self.fields = lines
            .filter(|line| named(line, name).is_none())
            .flatten()
            .copied()
            .collect();
    }

    /// Takes a prepared answer apart, so that what it says can be changed.
    fn unprepare(&mut self) {
        if let Some(prepared) = self.prepared.take() {
            let added = std::mem::replace(&mut self.fields, prepared.all[..prepared.own].to_vec());
            self.fields.extend_from_slice(&added);
            self.names_server |= prepared.names_server;
            self.body = Body::Bytes(prepared.body.clone());
        }
    }

    /// The same with a field ([`Response::add_field`]); one that is refused is left out.
    #[must_use]
    pub fn with_field(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let _ = self.add_field(name, value.as_ref());
        self
    }

    /// The status code.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The first field of this name, as it will be sent; fields of the connection are not here.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        if name.eq_ignore_ascii_case("content-type")
            && let Some(kind) = self.content_type
        {
            return Some(kind.as_bytes());
        }
        let prepared = self.prepared.as_ref().map_or(&[][..], |p| p.fields());
        named(&self.fields, name).or_else(|| named(prepared, name))
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &Body {
        &self.body
    }

    /// The length of the body, wherever it is.
    #[must_use]
    pub fn body_len(&self) -> Option<u64> {
        match &self.prepared {
            Some(prepared) => Some(prepared.body.len() as u64),
            None => self.body.len(),
        }
    }
}
