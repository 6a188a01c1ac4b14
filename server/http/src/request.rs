//! What a handler gets: a head, and a body that is read only as far as the handler asks.

use crate::chunked::{Decoder, Step};
use crate::framing::Length;
use crate::head::Head;
use crate::limits::Pace;
use crate::outgoing::Way;
use crate::status::Refusal;
use bytes::Bytes;
use parkade::{Buffer, Conn, Deadline, Peer};
use std::cell::RefCell;
use std::fmt;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::num::NonZeroU64;
use std::ops::Deref;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

/// A request in progress. Derefs to its [`Head`].
#[derive(Debug)]
pub struct Request {
    head: Rc<Head>,
    peer: Peer,
    host: u32,
    body: Option<Rc<RefCell<Incoming>>>,
}

impl Request {
    pub(crate) fn new(
        head: Rc<Head>,
        peer: Peer,
        host: u32,
        body: Option<Rc<RefCell<Incoming>>>,
    ) -> Self {
        Self {
            head,
            peer,
            host,
            body,
        }
    }

    /// The number that [`crate::Hosts::choose`] gave; 0 without hosts.
    #[must_use]
    pub fn host_number(&self) -> u32 {
        self.host
    }

    /// Keeps a number for when this head comes again, byte for byte, for the same host and on the same worker: then
    /// [`crate::Handler::again`] may answer by it.
    pub fn remember(&self, number: NonZeroU64) {
        self.head.set_memo(self.host, number);
    }

    /// From here on the body may have at most `most` bytes in all.
    ///
    /// # Errors
    /// `TooLarge` if it is known to have more: the connection is answered 413 and closed.
    pub fn limit_body(&mut self, most: u64) -> Result<(), BodyError> {
        match &self.body {
            Some(body) => body.borrow_mut().limit(most),
            None => Ok(()),
        }
    }

    /// The client's address.
    #[must_use]
    pub fn peer(&self) -> IpAddr {
        self.peer.ip()
    }

    /// Whether there is a body (perhaps an empty one).
    #[must_use]
    pub fn has_body(&self) -> bool {
        self.body.is_some()
    }

    /// Bytes of the body that are still to come, as far as they are known: not if it comes in chunks.
    #[must_use]
    pub fn body_left(&self) -> Option<u64> {
        match &self.body {
            Some(body) => match body.borrow().left {
                Left::Known(n) => Some(n),
                Left::Chunked(_) => None,
                Left::Done => Some(0),
            },
            None => Some(0),
        }
    }

    /// [`Request::chunk`] for hand-written futures.
    ///
    /// # Errors
    /// As [`Request::chunk`].
    pub fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BodyError>> {
        match &self.body {
            Some(body) => body.borrow_mut().poll_chunk(cx),
            None => Poll::Ready(Ok(None)),
        }
    }

    /// The next piece of the body; `None` at its end. The first call answers `Expect: 100-continue`.
    ///
    /// # Errors
    /// [`BodyError`]; the connection is answered with its status and closed, whatever the handler says then.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, BodyError> {
        poll_fn(|cx| self.poll_chunk(cx)).await
    }

    /// The whole body, if it has at most `most` bytes.
    ///
    /// # Errors
    /// As [`Request::chunk`]; `TooLarge` beyond `most`.
    pub async fn collect(&mut self, most: usize) -> Result<Bytes, BodyError> {
        let mut all = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            if all.len() + chunk.len() > most {
                if let Some(body) = &self.body {
                    body.borrow_mut().failed = Some(Refusal::BodyTooLarge);
                }
                return Err(BodyError::TooLarge);
            }
            all.extend_from_slice(&chunk);
        }
        Ok(all.into())
    }
}

impl Deref for Request {
    type Target = Head;

    fn deref(&self) -> &Head {
        &self.head
    }
}

/// Why a body could not be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BodyError {
    /// More than the limit allows.
    TooLarge,
    /// Not a body by the rules.
    Malformed,
    /// It came too slowly.
    TimedOut,
    /// The connection ended, or the request is over.
    Closed,
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLarge => "the body is larger than allowed",
            Self::Malformed => "the body is malformed",
            Self::TimedOut => "the body did not come in time",
            Self::Closed => "the connection ended before the body",
        })
    }
}

impl std::error::Error for BodyError {}

/// The body of the request in progress, with the connection it comes from. The burst lends the connection for as
/// long as the handler runs and takes it back afterwards.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) conn: Option<Conn>,
    pub(crate) input: Buffer,
    left: Left,
    taken: u64,
    most: u64,
    pace: Pace,
    /// When it was first waited for.
    began: Option<Deadline>,
    /// `100 Continue` is still to be said.
    pub(crate) expects: bool,
    pub(crate) failed: Option<Refusal>,
    /// The lines of the trailers, once they have come.
    pub(crate) trailers: Vec<u8>,
}

/// Tells a client that waits for it to send its body.
fn say_continue(expects: &mut bool, conn: &mut Conn) {
    if std::mem::take(expects) {
        // 25 bytes fit any socket that has just been idle; if they do not, the client's own timer helps it.
        let _ = conn.try_send(b"HTTP/1.1 100 Continue\r\n\r\n");
    }
}

/// The body sends for as long as it holds the connection.
impl Way for Rc<RefCell<Incoming>> {
    fn set_patience(&mut self, patience: Duration) {
        if let Some(conn) = &mut self.borrow_mut().conn {
            conn.set_patience(patience);
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.borrow_mut().conn {
            Some(conn) => conn.poll_send(cx, bytes),
            None => Poll::Ready(Err(ErrorKind::NotConnected.into())),
        }
    }

    fn reset_when_closed(&self, reset: bool) -> io::Result<()> {
        match &self.borrow().conn {
            Some(conn) => conn.reset_when_closed(reset),
            None => Err(ErrorKind::NotConnected.into()),
        }
    }
}

#[derive(Debug)]
enum Left {
    Known(u64),
    Chunked(Decoder),
    Done,
}

impl Incoming {
    pub(crate) fn new(
        conn: Conn,
        input: Buffer,
        length: Length,
        most: u64,
        pace: Pace,
        expects: bool,
    ) -> Self {
        let left = match length {
            Length::None => Left::Done,
            Length::Known(n) => Left::Known(n),
            Length::Chunked => Left::Chunked(Decoder::default()),
        };
        Self {
            conn: Some(conn),
            input,
            left,
            taken: 0,
            most,
            pace,
            began: None,
            expects,
            failed: None,
            trailers: Vec::new(),
        }
    }

    /// Whether the body has been read to its end.
    pub(crate) fn is_done(&self) -> bool {
        matches!(self.left, Left::Done)
    }

    /// Whether there is more of it to be had.
    pub(crate) fn is_readable(&self) -> bool {
        !self.is_done() && self.failed.is_none()
    }

    /// Says `100 Continue` if that is still to be said: no more than the final answer may follow it.
    pub(crate) fn say_continue(&mut self) {
        if let Some(conn) = &mut self.conn {
            say_continue(&mut self.expects, conn);
        }
    }

    /// Bytes taken so far.
    pub(crate) fn taken(&self) -> u64 {
        self.taken
    }

    fn limit(&mut self, most: u64) -> Result<(), BodyError> {
        self.most = self.most.min(most);
        let known = match self.left {
            Left::Known(left) => left,
            Left::Chunked(_) | Left::Done => 0,
        };
        if self.taken.saturating_add(known) > self.most {
            self.failed = Some(Refusal::BodyTooLarge);
            return Err(BodyError::TooLarge);
        }
        Ok(())
    }

    /// Whether what is left is at most `most` bytes, or unknown.
    pub(crate) fn left_at_most(&self, most: u64) -> bool {
        match self.left {
            Left::Known(n) => n <= most,
            Left::Chunked(_) | Left::Done => true,
        }
    }

    fn fail(
        &mut self,
        refusal: Refusal,
        error: BodyError,
    ) -> Poll<Result<Option<Bytes>, BodyError>> {
        self.failed = Some(refusal);
        Poll::Ready(Err(error))
    }

    /// What of the input is body, if there is any.
    fn take(&mut self) -> Result<Option<Bytes>, Refusal> {
        let filled = self.input.filled();
        match &mut self.left {
            Left::Done => Ok(None),
            Left::Known(left) => {
                let n = usize::try_from(*left)
                    .unwrap_or(usize::MAX)
                    .min(filled.len());
                let piece = Bytes::copy_from_slice(&filled[..n]);
                *left -= n as u64;
                if *left == 0 {
                    self.left = Left::Done;
                }
                self.input.consume(n);
                Ok(Some(piece))
            }
            Left::Chunked(decoder) => match decoder.step(filled)? {
                Step::Data { skip, len } => {
                    let piece = Bytes::copy_from_slice(&filled[skip..skip + len]);
                    self.input.consume(skip + len);
                    Ok(Some(piece))
                }
                Step::More(n) => {
                    self.input.consume(n);
                    Ok(Some(Bytes::new()))
                }
                Step::End(n) => {
                    self.trailers = decoder.trailers().to_vec();
                    self.left = Left::Done;
                    self.input.consume(n);
                    Ok(None)
                }
            },
        }
    }

    pub(crate) fn poll_chunk(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, BodyError>> {
        loop {
            if self.failed.is_some() {
                return Poll::Ready(Err(BodyError::Closed));
            }
            if self.is_done() {
                return Poll::Ready(Ok(None));
            }
            match self.take() {
                Err(refusal) => return self.fail(refusal, BodyError::Malformed),
                Ok(None) => return Poll::Ready(Ok(None)),
                Ok(Some(piece)) if !piece.is_empty() => {
                    self.taken += piece.len() as u64;
                    if self.taken > self.most {
                        return self.fail(Refusal::BodyTooLarge, BodyError::TooLarge);
                    }
                    return Poll::Ready(Ok(Some(piece)));
                }
                Ok(Some(_)) => {}
            }
            let Some(conn) = &mut self.conn else {
                return Poll::Ready(Err(BodyError::Closed));
            };
            say_continue(&mut self.expects, conn);
            let began = *self.began.get_or_insert(conn.now());
            conn.set_io_deadline(self.pace.deadline(began, self.taken));
            self.input.compact();
            match conn.poll_recv(cx, &mut self.input) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(0)) => {
                    return self.fail(
                        Refusal::BadRequest("the body ends early"),
                        BodyError::Closed,
                    );
                }
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(e)) if e.kind() == ErrorKind::TimedOut => {
                    return self.fail(Refusal::Timeout, BodyError::TimedOut);
                }
                Poll::Ready(Err(_)) => {
                    return self.fail(
                        Refusal::BadRequest("the connection failed"),
                        BodyError::Closed,
                    );
                }
            }
        }
    }
}
