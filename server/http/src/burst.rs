//! One burst of input: requests are read, answered in order and the answers sent together; then the connection parks,
//! or goes on as plain data.

use crate::date::DateCache;
use crate::encode::{self, Closing};
use crate::framing::{self, Framing, Length, ResponseLength};
use crate::head::{self, Head, Method, Parsed};
use crate::outgoing;
use crate::request::{Incoming, Request};
use crate::response::Response;
use crate::server::{Exchange, Handler, Observer, Shared};
use crate::status::Refusal;
use bytes::Bytes;
use parkade::{Buffer, Carry, Conn, Deadline, Keepalive, Next, Output, Then};
use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::{SystemTime, UNIX_EPOCH};

/// Answers of a pipelining client are sent when they are so many bytes, or the input is used up.
const FLUSH: usize = 32 * 1024;
/// Output buffers kept, and how large one may have grown.
const KEPT: usize = 16;
const KEPT_BYTES: usize = 64 * 1024;
/// An unread rest of a body up to this size is read so that the connection can live on.
const DRAIN: u64 = 64 * 1024;

/// What belongs to one worker.
pub(crate) struct Local<H> {
    pub(crate) shared: Arc<Shared<H>>,
    observer: Option<Box<dyn Observer>>,
    date: DateCache,
    outs: RefCell<Vec<Vec<u8>>>,
}

impl<H: Handler> Local<H> {
    pub(crate) fn new(shared: Arc<Shared<H>>, observer: Option<Box<dyn Observer>>) -> Self {
        Self {
            shared,
            observer,
            date: DateCache::default(),
            outs: RefCell::default(),
        }
    }

    fn take_out(&self) -> Vec<u8> {
        self.outs
            .borrow_mut()
            .pop()
            .unwrap_or_else(|| Vec::with_capacity(4096))
    }

    fn give_out(&self, mut out: Vec<u8>) {
        let mut outs = self.outs.borrow_mut();
        if outs.len() < KEPT && out.capacity() <= KEPT_BYTES {
            out.clear();
            outs.push(out);
        }
    }

    /// The farewell to a client whose head never ended.
    pub(crate) fn too_slow(&self) -> Bytes {
        let seconds = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |d| d.as_secs());
        let mut out = Vec::with_capacity(512);
        let response = Response::error(Refusal::Timeout.status());
        self.encode(&mut out, &response, 1, seconds, true, None);
        outgoing::append_small(&mut out, &response);
        out.into()
    }

    fn encode(
        &self,
        out: &mut Vec<u8>,
        response: &Response,
        minor: u8,
        seconds: u64,
        close: bool,
        keep_alive: Option<(u64, u32)>,
    ) -> ResponseLength {
        let length = framing::response(response.status, minor, response.body_len());
        let close = close || length == ResponseLength::UntilClose;
        let closing = Closing {
            date: self.date.at(seconds),
            server: self.shared.name(),
            length,
            close,
            keep_alive,
        };
        encode::head(out, response, &closing);
        length
    }

    fn observe(
        &self,
        conn: &Conn,
        head: Option<&Head>,
        response: &Response,
        keep: bool,
        refusal: Option<Refusal>,
    ) {
        if let Some(observer) = &self.observer {
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
                keep_alive: keep,
                requests: conn.requests(),
                seconds: conn.unix_seconds(),
                refusal,
            });
        }
    }
}

/// What an exchange leaves.
enum After {
    /// The connection, for the next request of this burst.
    Conn(Conn, Buffer),
    /// The burst is over.
    Over(Next),
}

/// One burst.
pub(crate) async fn run<H: Handler>(local: Rc<Local<H>>, mut conn: Conn) -> Next {
    let mut input = conn.buffer();
    let mut out = local.take_out();
    let mut began: Option<Deadline> = None;
    let limits = local.shared.limits();
    if let Some(carry) = conn.take_carry() {
        input.extend_from_slice(&carry.bytes);
        began = carry.deadline;
    }
    loop {
        if !input.is_empty() {
            match head::parse(input.filled(), &limits.head) {
                Parsed::Complete(head, used) => {
                    input.consume(used);
                    began = None;
                    match exchange(&local, conn, input, &mut out, head).await {
                        After::Conn(c, i) => (conn, input) = (c, i),
                        After::Over(next) => {
                            local.give_out(out);
                            return next;
                        }
                    }
                    if out.len() < FLUSH {
                        continue;
                    }
                    match flush(&local, conn, &mut out, &mut input, None) {
                        Ok(c) => conn = c,
                        Err(next) => {
                            local.give_out(out);
                            return next;
                        }
                    }
                    continue;
                }
                Parsed::Refused(refusal) => {
                    let next = refuse(&local, conn, &mut out, None, refusal);
                    local.give_out(out);
                    return next;
                }
                Parsed::Partial => {}
            }
        }
        if conn.drained() {
            break;
        }
        if input.spare_len() == 0 {
            input.compact();
            if input.spare_len() == 0 {
                let next = refuse(&local, conn, &mut out, None, Refusal::FieldsTooLarge);
                local.give_out(out);
                return next;
            }
        }
        match conn.try_recv(&mut input) {
            Ok(0) => {
                let next = match flush(&local, conn, &mut out, &mut input, Some(Then::Close)) {
                    Ok(conn) => Next::Close(conn),
                    Err(next) => next,
                };
                local.give_out(out);
                return next;
            }
            Ok(_) => {}
            Err(e) if e.kind() == ErrorKind::WouldBlock => break,
            Err(_) => {
                local.give_out(out);
                return Next::Close(conn);
            }
        }
    }
    let flushed = flush(&local, conn, &mut out, &mut input, None);
    local.give_out(out);
    match flushed {
        Err(next) => next,
        Ok(conn) if input.is_empty() => Next::Park(conn, Keepalive::new(limits.keep_alive)),
        Ok(mut conn) => {
            // An unfinished head is data, not a future: it waits beside the slot, under one deadline for all of it.
            let began = began.unwrap_or_else(|| conn.now());
            let until = limits.head_pace.deadline(began, input.len() as u64);
            conn.set_carry(Carry {
                bytes: input.filled().to_vec(),
                deadline: Some(began),
                tag: 0,
            });
            Next::Park(
                conn,
                until.map_or(Keepalive::new(limits.keep_alive), Keepalive::at),
            )
        }
    }
}

/// Sends what is in `out`. What does not fit goes on as plain data: then the burst is over, and `then` (or a new burst
/// for the input that is left) follows.
fn flush<H: Handler>(
    local: &Local<H>,
    mut conn: Conn,
    out: &mut Vec<u8>,
    input: &mut Buffer,
    then: Option<Then>,
) -> Result<Conn, Next> {
    let mut sent = 0;
    while sent < out.len() {
        match conn.try_send(&out[sent..]) {
            Ok(n) => sent += n,
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                let rest = Bytes::copy_from_slice(&out[sent..]);
                out.clear();
                return Err(write_later(local, conn, rest, None, input, then));
            }
            Err(_) => return Err(Next::Close(conn)),
        }
    }
    out.clear();
    Ok(conn)
}

/// Hands an output to the runtime.
fn write_later<H: Handler>(
    local: &Local<H>,
    mut conn: Conn,
    bytes: Bytes,
    file: Option<parkade::FileRange>,
    input: &mut Buffer,
    then: Option<Then>,
) -> Next {
    let limits = local.shared.limits();
    let then = match then {
        Some(then) => then,
        None if input.is_empty() => Then::Park(Keepalive::new(limits.keep_alive)),
        None => {
            conn.set_carry(Carry {
                bytes: input.filled().to_vec(),
                deadline: None,
                tag: 0,
            });
            Then::Resume
        }
    };
    Next::Write(
        conn,
        Output {
            bytes,
            file,
            timeout: limits.write,
        },
        then,
    )
}

/// Answers what is not a request (or not one for a handler) and closes.
fn refuse<H: Handler>(
    local: &Local<H>,
    conn: Conn,
    out: &mut Vec<u8>,
    head: Option<&Head>,
    refusal: Refusal,
) -> Next {
    let response = Response::error(refusal.status());
    local.encode(out, &response, 1, conn.unix_seconds(), true, None);
    if head.is_none_or(|h| h.method() != Method::Head) {
        outgoing::append_small(out, &response);
    }
    local.observe(&conn, head, &response, false, Some(refusal));
    let linger = local.shared.limits().linger;
    let mut nothing = conn.buffer();
    match flush(local, conn, out, &mut nothing, Some(Then::Linger(linger))) {
        Ok(conn) => Next::Linger(conn, linger),
        Err(next) => next,
    }
}

/// Answers one request.
async fn exchange<H: Handler>(
    local: &Rc<Local<H>>,
    mut conn: Conn,
    input: Buffer,
    out: &mut Vec<u8>,
    head: Rc<Head>,
) -> After {
    let limits = local.shared.limits();
    conn.add_request();
    let framing = match framing::request(&head) {
        Ok(framing) => framing,
        Err(refusal) => return After::Over(refuse(local, conn, out, Some(&head), refusal)),
    };
    if matches!(framing.body, Length::Known(n) if n > limits.body) {
        return After::Over(refuse(local, conn, out, Some(&head), Refusal::BodyTooLarge));
    }
    let last = limits.requests > 0 && conn.requests() >= limits.requests;
    let keep = framing.keep_alive && !last && !conn.draining();

    if let Some(response) = own_answer(&head, local.shared.any_method()) {
        // A body nobody reads is not worth reading: the connection ends behind the answer.
        let keep = keep && framing.body == Length::None;
        let done = framing.body == Length::None;
        return respond(
            local, conn, input, out, &head, response, framing, keep, done,
        )
        .await;
    }
    if framing.body == Length::None {
        let request = Request::new(head.clone(), conn.peer_ip(), None);
        let response = guarded(local.shared.handler().call(request)).await;
        let after = respond(
            local, conn, input, out, &head, response, framing, keep, true,
        )
        .await;
        head::recycle(head);
        return after;
    }

    let expects = framing.expects_continue && input.is_empty();
    if !out.is_empty() {
        // The handler may wait for its body while the client waits for these.
        conn.set_io_deadline(Some(Deadline::after(conn.now(), limits.write)));
        if conn.send(out).await.is_err() {
            return After::Over(Next::Close(conn));
        }
        out.clear();
    }
    let peer = conn.peer_ip();
    let incoming = Incoming::new(
        conn,
        input,
        framing.body,
        limits.body,
        limits.body_pace,
        expects,
    );
    let incoming = Rc::new(RefCell::new(incoming));
    let request = Request::new(head.clone(), peer, Some(incoming.clone()));
    let mut response = guarded(local.shared.handler().call(request)).await;

    // What is left of the body decides whether the connection can live on.
    let mut drained = 0u64;
    let unsaid = incoming.borrow().expects;
    if !unsaid && incoming.borrow().left_at_most(DRAIN) {
        while drained <= DRAIN {
            match poll_fn(|cx| incoming.borrow_mut().poll_chunk(cx)).await {
                Ok(Some(piece)) => drained += piece.len() as u64,
                Ok(None) | Err(_) => break,
            }
        }
    }
    let (conn, input, failed, done) = {
        let mut body = incoming.borrow_mut();
        let Some(conn) = body.conn.take() else {
            return After::Over(Next::Gone);
        };
        let mut input = conn.buffer();
        std::mem::swap(&mut input, &mut body.input);
        (
            conn,
            input,
            body.failed,
            body.is_done() && body.failed.is_none(),
        )
    };
    if let Some(refusal) = failed {
        response = Response::error(refusal.status());
    }
    respond(
        local,
        conn,
        input,
        out,
        &head,
        response,
        framing,
        keep && done,
        done,
    )
    .await
}

/// Methods that are answered without asking the handler.
fn own_answer(head: &Head, any_method: bool) -> Option<Response> {
    const ALLOWED: &str = "GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH";
    match head.method() {
        Method::Connect | Method::Trace => Some(Response::error(405).with_field("Allow", ALLOWED)),
        Method::Options if head.path() == b"*" => {
            Some(Response::new(200).with_field("Allow", ALLOWED))
        }
        Method::Other if !any_method => Some(Response::error(501).with_field("Allow", ALLOWED)),
        _ => None,
    }
}

/// Runs a handler; its panic becomes a 500 behind which the connection closes.
async fn guarded(future: impl Future<Output = Response>) -> Response {
    let mut future = pin!(future);
    poll_fn(
        |cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(poll) => poll,
            Err(panic) => {
                let what = panic.downcast_ref::<&str>().copied();
                let what = what
                    .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
                    .unwrap_or("(no message)");
                tracing::error!(target: "parkade", "a handler panicked: {what}");
                Poll::Ready(Response::error(500).closing())
            }
        },
    )
    .await
}

/// Writes a response. `keep`: the connection goes on; `done`: nothing of the request is left unread.
#[allow(
    clippy::too_many_arguments,
    reason = "the whole state of an exchange, once"
)]
async fn respond<H: Handler>(
    local: &Local<H>,
    mut conn: Conn,
    mut input: Buffer,
    out: &mut Vec<u8>,
    head: &Head,
    mut response: Response,
    framing: Framing,
    keep: bool,
    done: bool,
) -> After {
    let limits = local.shared.limits();
    let stream = response.body_len().is_none();
    let keep = keep && !response.close && !(stream && head.minor_version() == 0);
    let told = (keep && framing.asked_keep_alive).then(|| {
        let left = if limits.requests == 0 {
            0
        } else {
            limits.requests - conn.requests()
        };
        (limits.keep_alive.as_secs(), left)
    });
    let length = local.encode(
        out,
        &response,
        head.minor_version(),
        conn.unix_seconds(),
        !keep,
        told,
    );
    local.observe(&conn, Some(head), &response, keep, None);
    let body = match framing::has_body(head.method(), response.status) {
        true => outgoing::take(&mut response),
        false => outgoing::Outgoing::Nothing,
    };
    // Behind a goodbye that the client asked for nothing can come; otherwise it may still be sending.
    let quiet = done && input.is_empty() && conn.drained() && !framing.keep_alive;
    let goodbye = if quiet {
        Then::Close
    } else {
        Then::Linger(limits.linger)
    };
    match body {
        outgoing::Outgoing::Nothing => {}
        outgoing::Outgoing::Small(bytes) => out.extend_from_slice(&bytes),
        outgoing::Outgoing::Static(bytes) => out.extend_from_slice(bytes),
        outgoing::Outgoing::Large(bytes) => {
            let then = (!keep).then_some(goodbye);
            match flush(local, conn, out, &mut input, None) {
                Ok(c) => conn = c,
                // The head did not even fit: both go on as plain data.
                Err(Next::Write(c, output, t)) => {
                    let all = [&output.bytes[..], &bytes[..]].concat();
                    let output = Output {
                        bytes: all.into(),
                        ..output
                    };
                    return After::Over(Next::Write(c, output, then.unwrap_or(t)));
                }
                Err(next) => return After::Over(next),
            }
            match conn.try_send(&bytes) {
                Ok(n) if n == bytes.len() => {}
                Ok(n) => {
                    return After::Over(write_later(
                        local,
                        conn,
                        bytes.slice(n..),
                        None,
                        &mut input,
                        then,
                    ));
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    return After::Over(write_later(local, conn, bytes, None, &mut input, then));
                }
                Err(_) => return After::Over(Next::Close(conn)),
            }
        }
        outgoing::Outgoing::File(range) => {
            let bytes = Bytes::copy_from_slice(out);
            out.clear();
            let then = (!keep).then_some(goodbye);
            return After::Over(write_later(
                local,
                conn,
                bytes,
                Some(range),
                &mut input,
                then,
            ));
        }
        outgoing::Outgoing::Stream(stream) => {
            let chunked = length == ResponseLength::Chunked;
            conn = match outgoing::send_stream(conn, out, stream, chunked, limits.write).await {
                Ok(conn) => conn,
                Err(conn) => return After::Over(Next::Close(conn)),
            };
        }
    }
    if keep {
        return After::Conn(conn, input);
    }
    match flush(local, conn, out, &mut input, Some(goodbye)) {
        Err(next) => After::Over(next),
        Ok(conn) if quiet => After::Over(Next::Close(conn)),
        Ok(conn) => After::Over(Next::Linger(conn, limits.linger)),
    }
}
