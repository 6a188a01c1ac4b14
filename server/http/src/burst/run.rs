//! The async form of a burst: bodies, handlers that wait, streams, heads that come in pieces.

use super::answer::{self, After, End};
use super::local::{Local, Place};
use super::{Asked, Begin, Terms, own_answer};
use crate::framing::{self, Length};
use crate::head::{self, Head, Method, Parsed};
use crate::hosts::Governed;
use crate::outgoing;
use crate::request::{Incoming, Request};
use crate::response::Response;
use crate::server::Handler;
use crate::status::Refusal;
use parkade::{Buffer, Carry, Conn, Deadline, Keepalive, Next, Then};
use std::cell::RefCell;
use std::future::poll_fn;
use std::io::ErrorKind;
use std::rc::Rc;
use std::task::Poll;

/// An unread rest of a body up to this size is read so that the connection can live on.
const DRAIN: u64 = 64 * 1024;

/// One burst, from where `begin` says.
pub(crate) async fn run<H: Handler>(local: Rc<Local<H>>, begin: Begin<H>) -> Next {
    let mut governed = local.shared.ungoverned();
    let (mut conn, mut input, mut out, after) = match begin {
        Begin::Fresh(conn) => {
            let input = conn.buffer();
            (conn, input, Vec::new(), After::Kept)
        }
        Begin::Input(conn, input, out) => (conn, input, out, After::Kept),
        Begin::Waiting(mut conn, input, mut out, asked, place) => {
            let response = wait::<H>(place).await;
            let Asked { head, mut terms } = *asked;
            terms.keep &= !conn.draining();
            governed = local.shared.governed(terms.host);
            let after = answer::respond(
                &local,
                governed,
                &mut conn,
                &input,
                &mut out,
                (&head, &terms),
                response,
            );
            (conn, input, out, after)
        }
        Begin::Streaming(conn, input, out, streaming) => {
            governed = local.shared.governed(streaming.host);
            (conn, input, out, After::Stream(*streaming))
        }
    };
    match settle(governed, &mut conn, &input, &mut out, after).await {
        None => serve(&local, governed, conn, &mut input, &mut out).await,
        Some(end) => end.of(conn),
    }
}

/// Sends a stream, if that is what is left to do. `None`: the connection goes on.
async fn settle(
    governed: Governed<'_>,
    conn: &mut Conn,
    input: &Buffer,
    out: &mut Vec<u8>,
    after: After,
) -> Option<End> {
    let after = match after {
        After::Stream(mut streaming) => {
            let patience = governed.limits.write;
            match outgoing::send_stream(conn, &mut streaming, out, patience).await {
                Ok(()) => streaming.finish(governed, conn, input, out),
                // The client must see that the body is not complete.
                Err(_) => After::Over(End::Close),
            }
        }
        after => after,
    };
    match after {
        After::Kept => None,
        After::Over(end) => Some(end),
        After::Stream(_) => Some(End::Close),
    }
}

/// Polls a handler to its end.
async fn wait<H: Handler>(mut place: Place<H>) -> Response {
    poll_fn(|cx| Local::<H>::poll_place(&mut place, cx)).await
}

/// Reads and answers until the input is used up.
async fn serve<H: Handler>(
    local: &Local<H>,
    mut governed: Governed<'_>,
    mut conn: Conn,
    input: &mut Buffer,
    out: &mut Vec<u8>,
) -> Next {
    let mut began: Option<Deadline> = None;
    // A head is held to what governs before it is known.
    let limits = local.shared.limits();
    if let Some(carry) = conn.take_carry() {
        input.extend_from_slice(&carry.bytes);
        // Empty lines are no beginning.
        began = carry.deadline.filter(|_| !head::is_blank(&carry.bytes));
    }
    loop {
        if !input.is_empty() {
            match head::parse(input.filled(), &limits.head) {
                Parsed::Complete(head, used) => {
                    input.consume(used);
                    began = None;
                    governed = local.shared.govern(&head, &conn);
                    let answered = exchange(local, governed, conn, input, out, head).await;
                    let Some((c, after)) = answered else {
                        return Next::Gone;
                    };
                    conn = c;
                    let mut end = settle(governed, &mut conn, input, out, after).await;
                    if end.is_none() && out.len() >= answer::FLUSH {
                        end = answer::flush(governed, &mut conn, out, input, None).err();
                    }
                    match end {
                        None => continue,
                        Some(end) => return end.of(conn),
                    }
                }
                Parsed::Refused(refusal) => {
                    let to_head = head::asks_head(input.filled());
                    return answer::refuse(local, governed, &mut conn, out, None, to_head, refusal)
                        .of(conn);
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
                let (to_head, refusal) = (head::asks_head(input.filled()), Refusal::FieldsTooLarge);
                return answer::refuse(local, governed, &mut conn, out, None, to_head, refusal)
                    .of(conn);
            }
        }
        match conn.try_recv(input) {
            Ok(0) => {
                let flushed = answer::flush(governed, &mut conn, out, input, Some(Then::Close));
                return flushed.err().unwrap_or(End::Close).of(conn);
            }
            Ok(_) => {}
            Err(e) if e.kind() == ErrorKind::WouldBlock => break,
            Err(_) => return Next::Close(conn),
        }
    }
    if let Err(end) = answer::flush(governed, &mut conn, out, input, None) {
        return end.of(conn);
    }
    if input.is_empty() {
        return Next::Park(conn, governed.keep_alive);
    }
    // An unfinished head is data, not a future: it waits beside the slot, under one deadline for all of it.
    let began = began.unwrap_or_else(|| conn.now());
    let until = match head::is_blank(input.filled()) {
        true => None,
        false => limits.head_pace.deadline(began, input.len() as u64),
    };
    conn.set_carry(Carry {
        bytes: input.filled().to_vec(),
        deadline: Some(began),
        tag: 0,
    });
    Next::Park(conn, until.map_or(governed.keep_alive, Keepalive::at))
}

/// Answers one request. `None`: the connection went down with the handler that held it.
async fn exchange<H: Handler>(
    local: &Local<H>,
    governed: Governed<'_>,
    mut conn: Conn,
    input: &mut Buffer,
    out: &mut Vec<u8>,
    head: Rc<Head>,
) -> Option<(Conn, After)> {
    let limits = governed.limits;
    conn.add_request();
    let framing = framing::request(&head).and_then(|framing| match framing.body {
        Length::Known(n) if n > limits.body => Err(Refusal::BodyTooLarge),
        _ => Ok(framing),
    });
    let framing = match framing {
        Ok(framing) => framing,
        Err(refusal) => {
            let to_head = head.method() == Method::Head;
            let end = answer::refuse(
                local,
                governed,
                &mut conn,
                out,
                Some(&head),
                to_head,
                refusal,
            );
            return Some((conn, After::Over(end)));
        }
    };
    let bodiless = framing.body == Length::None;
    let mut terms = Terms {
        keep: answer::may_keep(&conn, limits, &framing),
        framing,
        done: bodiless,
        host: governed.host,
        received: 0,
        began: local.begin(),
    };
    let response = if let Some(own) = own_answer(&head, local.shared.any_method()) {
        // A body nobody reads is not worth reading: the connection ends behind the answer.
        terms.keep &= bodiless;
        own
    } else if bodiless {
        ask(
            local,
            Request::new(head.clone(), conn.peer(), governed.host, None),
        )
        .await
    } else {
        return with_body(local, governed, conn, input, out, &head, terms).await;
    };
    // It may have taken a while.
    terms.keep &= !conn.draining();
    let asked = (&*head, &terms);
    let after = answer::respond(local, governed, &mut conn, input, out, asked, response);
    Some((conn, after))
}

/// Asks a handler that may read a body, and answers; the body holds the connection meanwhile.
async fn with_body<H: Handler>(
    local: &Local<H>,
    governed: Governed<'_>,
    mut conn: Conn,
    input: &mut Buffer,
    out: &mut Vec<u8>,
    head: &Rc<Head>,
    mut terms: Terms,
) -> Option<(Conn, After)> {
    let limits = governed.limits;
    let expects = terms.framing.expects_continue && input.is_empty();
    if !out.is_empty() {
        // The handler may wait for its body while the client waits for these.
        conn.set_io_deadline(Some(Deadline::after(conn.now(), limits.write)));
        if conn.send(out).await.is_err() {
            return None;
        }
        out.clear();
    }
    let (peer, lent) = (conn.peer(), conn.buffer());
    let incoming = Incoming::new(
        conn,
        std::mem::replace(input, lent),
        terms.framing.body,
        limits.body,
        limits.body_pace,
        expects,
    );
    let incoming = Rc::new(RefCell::new(incoming));
    let request = Request::new(head.clone(), peer, terms.host, Some(incoming.clone()));
    let response = ask(local, request).await;

    // A stream that still holds its request may be made from its body: both go on at once.
    let may_be_read = Rc::strong_count(&incoming) > 1 && incoming.borrow().is_readable();
    if response.body.is_stream() && may_be_read {
        let asked = (&**head, &terms);
        return both_ways(local, governed, incoming, input, out, asked, response).await;
    }
    read_rest(&incoming).await;
    let mut body = incoming.borrow_mut();
    std::mem::swap(input, &mut body.input);
    terms.done = body.is_done() && body.failed.is_none();
    terms.keep &= terms.done;
    terms.received = body.taken();
    let mut response = match body.failed {
        Some(refusal) => Response::refusing(refusal),
        None => response,
    };
    if !body.trailers.is_empty() {
        response.notes.get_or_insert_default().trailers = std::mem::take(&mut body.trailers);
    }
    let mut conn = body.conn.take()?;
    terms.keep &= !conn.draining();
    let asked = (&**head, &terms);
    let after = answer::respond(local, governed, &mut conn, input, out, asked, response);
    Some((conn, after))
}

/// What is left of the body decides whether the connection can live on.
async fn read_rest(incoming: &Rc<RefCell<Incoming>>) {
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
}

/// Sends a stream while the body of its request is still being read, by the stream or by whoever has it.
async fn both_ways<H: Handler>(
    local: &Local<H>,
    governed: Governed<'_>,
    mut incoming: Rc<RefCell<Incoming>>,
    input: &mut Buffer,
    out: &mut Vec<u8>,
    asked: (&Head, &Terms),
    response: Response,
) -> Option<(Conn, After)> {
    let after = {
        let mut body = incoming.borrow_mut();
        // Nothing but the answer can be said once its head is on its way.
        body.say_continue();
        let conn = body.conn.as_mut()?;
        answer::respond(local, governed, conn, input, out, asked, response)
    };
    let limits = governed.limits;
    let (after, whole) = match after {
        After::Stream(mut streaming) => {
            let sent =
                outgoing::send_stream(&mut incoming, &mut streaming, out, limits.write).await;
            (After::Stream(streaming), sent.is_ok())
        }
        after => (after, true),
    };
    if !whole {
        let conn = incoming.borrow_mut().conn.take()?;
        return Some((conn, After::Over(End::Close)));
    }
    read_rest(&incoming).await;
    let mut body = incoming.borrow_mut();
    std::mem::swap(input, &mut body.input);
    let done = body.is_done() && body.failed.is_none();
    let mut conn = body.conn.take()?;
    let after = match after {
        After::Stream(mut streaming) => {
            if !done {
                streaming.leave(limits.linger);
            }
            streaming.finish(governed, &mut conn, input, out)
        }
        After::Kept if !done => After::Over(End::Linger(limits.linger)),
        after => after,
    };
    Some((conn, after))
}

/// Asks the handler and waits for its answer.
async fn ask<H: Handler>(local: &Local<H>, request: Request) -> Response {
    let (mut request, mut answer) = (Some(request), Poll::Pending);
    let place = poll_fn(|cx| match request.take() {
        Some(request) => Poll::Ready(local.ask(request, cx, &mut answer)),
        None => Poll::Pending,
    });
    match (place.await, answer) {
        (Some(place), _) => wait::<H>(place).await,
        (None, Poll::Ready(response)) => response,
        (None, Poll::Pending) => Response::error(500).closing(),
    }
}
