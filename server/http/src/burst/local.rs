//! What one worker keeps for its bursts: recycled buffers, the place of a handler's future, the date.

use super::Seen;
use super::later::Later;
use crate::encode::{Closing, Encoder};
use crate::framing::{self, Framing, ResponseLength};
use crate::head::{self, Head};
use crate::outgoing;
use crate::request::Request;
use crate::response::{Prepared, Response};
use crate::server::{Exchange, Handler, Observer, Shared};
use crate::status::Refusal;
use bytes::Bytes;
use parkade::{Buffer, Conn, Written};
use std::cell::RefCell;
use std::future::Future;
use std::num::NonZeroU64;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{SystemTime, UNIX_EPOCH};

/// Bytes up to which an output buffer is kept.
const KEPT_BYTES: usize = 64 * 1024;

/// A recycled place for the future of a handler.
pub(crate) type Place<H> = Pin<Box<Option<<H as Handler>::Future>>>;

/// What the warm path uses again and again: a worker runs one burst at a time, and one that waits takes what it needs
/// with it.
#[derive(Default)]
pub(crate) struct Scratch {
    pub(crate) input: Option<Buffer>,
    pub(crate) out: Vec<u8>,
    pub(crate) later: Later,
    /// The last head that was looked at.
    pub(crate) head: Rc<Head>,
    /// Its framing, if it was that of a bodiless request for a handler.
    pub(crate) plain: Option<Framing>,
}

impl Scratch {
    /// Makes it ready for a burst: nothing of another connection is left in it. An output buffer that grew large is not
    /// kept.
    pub(crate) fn tidy(&mut self) {
        if self.out.capacity() > KEPT_BYTES {
            self.out = Vec::new();
        }
        self.out.clear();
        if let Some(input) = &mut self.input {
            input.clear();
        }
    }
}

/// What belongs to one worker.
pub(crate) struct Local<H: Handler> {
    pub(crate) shared: Arc<Shared<H>>,
    observer: Option<Box<dyn Observer>>,
    encoder: RefCell<Encoder>,
    pub(crate) scratch: RefCell<Scratch>,
    place: RefCell<Place<H>>,
}

impl<H: Handler> Local<H> {
    pub(crate) fn new(shared: Arc<Shared<H>>, observer: Option<Box<dyn Observer>>) -> Self {
        let encoder = RefCell::new(Encoder::new(shared.name()));
        Self {
            shared,
            observer,
            encoder,
            scratch: RefCell::default(),
            place: RefCell::new(Box::pin(None)),
        }
    }

    /// Asks the handler; `answer` is what it answers at once. What it does not goes on in the place that comes back. A
    /// panic becomes a 500 behind which the connection closes.
    pub(crate) fn ask(
        &self,
        request: Request,
        cx: &mut Context<'_>,
        answer: &mut Poll<Response>,
    ) -> Option<Place<H>> {
        let handler = self.shared.handler();
        let mut place = self.place.borrow_mut();
        // The answer is written where it stays: it is too large to be handed from call to call.
        let caught = catch_unwind(AssertUnwindSafe(|| {
            if let Some(response) = handler.ready(&request) {
                *answer = Poll::Ready(response);
                return;
            }
            place.set(Some(handler.call(request)));
            *answer = poll(&mut place, cx);
            if answer.is_ready() {
                place.set(None);
            }
        }));
        if let Err(panic) = caught {
            // A future that panicked once may panic again while it is dropped.
            let _ = catch_unwind(AssertUnwindSafe(|| place.set(None)));
            *answer = Poll::Ready(panicked(panic.as_ref()));
        }
        match answer {
            Poll::Ready(_) => None,
            Poll::Pending => Some(std::mem::replace(&mut *place, Box::pin(None))),
        }
    }

    /// Lets the handler answer by a number it has kept. False: nothing is written.
    pub(crate) fn again(&self, number: NonZeroU64, out: &mut Vec<u8>, seconds: u64) -> bool {
        let before = out.len();
        let caught = catch_unwind(AssertUnwindSafe(|| {
            let mut written = None;
            let mut write = |prepared: &Prepared| {
                written = self.encoder.borrow_mut().prepared(out, prepared, seconds);
            };
            self.shared.handler().again(number, &mut write) && written.is_some()
        }));
        match caught {
            Ok(answered) => answered,
            // Asked as any other it may panic again, and is answered then.
            Err(_) => {
                out.truncate(before);
                false
            }
        }
    }

    /// Polls a handler that did not answer at once; its panic becomes a 500, too.
    pub(crate) fn poll_place(place: &mut Place<H>, cx: &mut Context<'_>) -> Poll<Response> {
        catch_unwind(AssertUnwindSafe(|| poll(place, cx))).unwrap_or_else(|panic| {
            let _ = catch_unwind(AssertUnwindSafe(|| place.set(None)));
            Poll::Ready(panicked(panic.as_ref()))
        })
    }

    /// The farewell to a client whose head never ended.
    pub(crate) fn too_slow(&self, begun: &[u8]) -> Bytes {
        let seconds = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |d| d.as_secs());
        let mut out = Vec::with_capacity(512);
        let response = Response::error(Refusal::Timeout.status());
        self.encode(&mut out, &response, 1, seconds, true, None);
        if !head::asks_head(begun) {
            outgoing::append_small(&mut out, &response);
        }
        out.into()
    }

    /// Writes the head of `response`; `keep_alive` as in [`Closing`].
    pub(crate) fn encode(
        &self,
        out: &mut Vec<u8>,
        response: &Response,
        minor: u8,
        seconds: u64,
        close: bool,
        keep_alive: Option<(u64, u32)>,
    ) -> ResponseLength {
        let length = framing::response(response.status, minor, response.body_len());
        let closing = Closing {
            length,
            close: close || length == ResponseLength::UntilClose,
            keep_alive,
        };
        let mut encoder = self.encoder.borrow_mut();
        encoder.head(out, response, seconds, &closing);
        length
    }

    /// [`Encoder::whole`].
    pub(crate) fn whole(
        &self,
        out: &mut Vec<u8>,
        response: &Response,
        body: &[u8],
        seconds: u64,
    ) -> Option<()> {
        self.encoder
            .borrow_mut()
            .whole(out, response, body, seconds)
    }

    /// What the observer wants to remember of the moment.
    pub(crate) fn begin(&self) -> u64 {
        self.observer.as_ref().map_or(0, |o| o.begin())
    }

    /// Whether anybody wants to hear of exchanges.
    pub(super) fn observed(&self) -> bool {
        self.observer.is_some()
    }

    pub(super) fn observe(
        &self,
        conn: &Conn,
        head: Option<&Head>,
        response: &Response,
        seen: Seen,
    ) -> Option<Written> {
        let observer = self.observer.as_ref()?;
        let sent = head.is_none_or(|h| framing::has_body(h.method(), response.status));
        observer.exchange(&Exchange {
            head,
            peer: conn.peer_ip(),
            status: response.status,
            body: if sent {
                response.body_len().unwrap_or(0)
            } else {
                0
            },
            keep_alive: seen.keep,
            requests: conn.requests(),
            seconds: conn.unix_seconds(),
            refusal: seen.refusal,
            host: seen.host,
            response,
            head_bytes: seen.head_bytes as u64,
            received: seen.received + head.map_or(0, |h| h.size() as u64),
            began: seen.began,
            conn,
        })
    }
}

#[inline]
fn poll<F: Future<Output = Response>>(
    place: &mut Pin<Box<Option<F>>>,
    cx: &mut Context<'_>,
) -> Poll<Response> {
    match place.as_mut().as_pin_mut() {
        Some(future) => future.poll(cx),
        None => Poll::Ready(Response::error(500).closing()),
    }
}

#[cold]
fn panicked(panic: &(dyn std::any::Any + Send)) -> Response {
    let what = panic.downcast_ref::<&str>().copied();
    let what = what
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("(no message)");
    tracing::error!(target: "parkade", "a handler panicked: {what}");
    Response::error(500).closing()
}
