//! The warm path: requests without a body whose handlers answer at once are served by plain calls, no future is made.

use super::answer::{self, After, End};
use super::later;
use super::local::{Local, Scratch};
use super::{Asked, Begin, Terms, own_answer};
use crate::framing::{self, Framing, Length};
use crate::head::{self, Head, HeadLimits};
use crate::request::Request;
use crate::server::Handler;
use parkade::{Conn, Keepalive, Next};
use std::io::ErrorKind;
use std::rc::Rc;
use std::task::{Context, Poll};

/// How the plain calls ended.
enum Reached<H: Handler> {
    /// Everything is answered and sent.
    Park(Keepalive),
    Over(End),
    /// Everything is answered, and the answers are sent later.
    Later(u32, Keepalive),
    /// Something has to be waited for, or does not belong here.
    Async(Stage<H>),
}

enum Stage<H: Handler> {
    Input,
    Waiting(Asked, super::Place<H>),
    Streaming(super::Streaming),
}

/// Serves what can be served now. `Err` says where the async form has to begin.
pub(crate) fn attempt<H: Handler>(
    local: &Local<H>,
    mut conn: Conn,
    cx: &mut Context<'_>,
) -> Result<Option<Next>, Begin<H>> {
    if conn.has_carry() {
        return Err(Begin::Fresh(conn));
    }
    let mut scratch = local.scratch.borrow_mut();
    // Before use, not after: a panic may have left the last burst's bytes.
    scratch.tidy();
    match serve(local, &mut conn, &mut scratch, cx) {
        Reached::Park(most) => Ok(Some(Next::Park(conn, most))),
        Reached::Over(end) => Ok(Some(end.of(conn))),
        Reached::Later(host, most) => {
            let Scratch { out, later, .. } = &mut *scratch;
            later.push(conn, out, host, most);
            Ok(None)
        }
        Reached::Async(stage) => Err(leave(conn, &mut scratch, stage)),
    }
}

/// The burst takes what it has used of the scratch with it.
#[cold]
fn leave<H: Handler>(conn: Conn, scratch: &mut Scratch, stage: Stage<H>) -> Begin<H> {
    let input = scratch.input.take().unwrap_or_else(|| conn.buffer());
    let out = std::mem::take(&mut scratch.out);
    match stage {
        Stage::Input => Begin::Input(conn, input, out),
        Stage::Waiting(asked, place) => Begin::Waiting(conn, input, out, Box::new(asked), place),
        Stage::Streaming(streaming) => Begin::Streaming(conn, input, out, Box::new(streaming)),
    }
}

/// In a frame of its own, so that what it uses of the stack lies close together: after every system call it comes cold.
#[inline(never)]
fn serve<H: Handler>(
    local: &Local<H>,
    conn: &mut Conn,
    scratch: &mut Scratch,
    cx: &mut Context<'_>,
) -> Reached<H> {
    // What governs the last request also governs how long the connection waits for the next.
    let mut governed = local.shared.ungoverned();
    let head_limits = &governed.limits.head;
    let Scratch {
        input,
        out,
        head,
        plain,
        ..
    } = scratch;
    let input = input.get_or_insert_with(|| conn.buffer());
    match conn.try_recv(input) {
        Ok(1..) => {}
        Err(e) if e.kind() == ErrorKind::WouldBlock => {
            // An event that came twice: nobody has asked for anything, so nothing is renewed.
            return Reached::Park(Keepalive::at(conn.parked_until()));
        }
        _ => return Reached::Over(End::Close),
    }
    while !input.is_empty() {
        let (framing, used) = match *plain {
            Some(framing) if head.begins(input.filled()) => (framing, head.size()),
            _ => {
                // Half a look must not pass for a whole one.
                *plain = None;
                let Some((framing, used)) = look(local, head, input.filled(), head_limits) else {
                    return Reached::Async(Stage::Input);
                };
                *plain = Some(framing);
                (framing, used)
            }
        };
        input.consume(used);
        conn.add_request();
        governed = local.shared.govern(head, conn);
        let terms = Terms {
            keep: answer::may_keep(conn, governed.limits, &framing),
            framing,
            done: true,
            host: governed.host,
            received: 0,
            began: local.begin(),
        };
        if again(local, conn, out, head, &terms) {
            if out.len() >= answer::FLUSH
                && let Err(end) = answer::flush(governed, conn, out, input, None)
            {
                return Reached::Over(end);
            }
            continue;
        }
        let request = Request::new(Rc::clone(head), conn.peer(), governed.host, None);
        let mut answer = Poll::Pending;
        if let Some(place) = local.ask(request, cx, &mut answer) {
            let head = Rc::clone(head);
            return Reached::Async(Stage::Waiting(Asked { head, terms }, place));
        }
        let Poll::Ready(response) = answer else {
            return Reached::Over(End::Close);
        };
        if !answer::respond_plainly(local, conn, out, head, &terms, &response) {
            let asked = (&**head, &terms);
            match answer::respond(local, governed, conn, input, out, asked, response) {
                After::Kept => {}
                After::Over(end) => return Reached::Over(end),
                After::Stream(streaming) => return Reached::Async(Stage::Streaming(streaming)),
            }
        }
        if out.len() >= answer::FLUSH
            && let Err(end) = answer::flush(governed, conn, out, input, None)
        {
            return Reached::Over(end);
        }
    }
    if !conn.drained() {
        return Reached::Async(Stage::Input);
    }
    if conn.crowded() && (1..=later::MOST).contains(&out.len()) {
        return Reached::Later(governed.host, governed.keep_alive);
    }
    match answer::flush(governed, conn, out, input, None) {
        Ok(()) => Reached::Park(governed.keep_alive),
        Err(end) => Reached::Over(end),
    }
}

/// Answers a head that was answered before, if its answer can be found by number and the connection has nothing to say
/// of its own.
#[inline]
fn again<H: Handler>(
    local: &Local<H>,
    conn: &Conn,
    out: &mut Vec<u8>,
    head: &Head,
    terms: &Terms,
) -> bool {
    let Some(number) = head.memo(terms.host) else {
        return false;
    };
    answer::is_silent(local, terms) && local.again(number, out, conn.unix_seconds())
}

/// Looks at a head that differs from the last one: its framing and how many bytes of `input` it took. `None` if `input`
/// does not begin with the head of a bodiless request for a handler.
///
/// Clients that ask the same thing again and again are many, so what a head means is kept beside it: one that repeats
/// it byte for byte needs no second look.
fn look<H: Handler>(
    local: &Local<H>,
    head: &mut Rc<Head>,
    input: &[u8],
    limits: &HeadLimits,
) -> Option<(Framing, usize)> {
    let used = head::parse_into(head, input, limits)?;
    let framing = framing::request(head).ok()?;
    let plain =
        framing.body == Length::None && own_answer(head, local.shared.any_method()).is_none();
    plain.then_some((framing, used))
}
