//! One burst of input: requests are read, answered in order and the answers sent together; then the connection parks,
//! or goes on as plain data.
//!
//! `quick` serves what needs no waiting, without a future: the warm path. What it cannot serve at once it hands to
//! `run`, the async form, at the point it has reached ([`Begin`]). `answer` writes responses for both, `local` is what
//! a worker keeps for its bursts, `later` the answers that a crowd of connections gets one after the other.

mod answer;
mod later;
mod local;
mod quick;
mod run;

pub(crate) use answer::Streaming;
pub(crate) use later::catch_up;
pub(crate) use local::Local;
pub(crate) use quick::attempt;
pub(crate) use run::run;

use crate::framing::Framing;
use crate::head::{Head, Method};
use crate::response::Response;
use crate::server::Handler;
use crate::status::Refusal;
use local::Place;
use parkade::{Buffer, Conn};
use std::rc::Rc;

/// Where a burst that became a future begins.
pub(crate) enum Begin<H: Handler> {
    /// Nothing has been read.
    Fresh(Conn),
    /// There is input, and perhaps output that waits for more of it.
    Input(Conn, Buffer, Vec<u8>),
    /// A handler is at work.
    Waiting(Conn, Buffer, Vec<u8>, Box<Asked>, Place<H>),
    /// A response comes in pieces.
    Streaming(Conn, Buffer, Vec<u8>, Box<Streaming>),
}

/// A request that a handler is asked.
pub(crate) struct Asked {
    head: Rc<Head>,
    terms: Terms,
}

/// What was decided about a request before its answer.
#[derive(Clone, Copy)]
pub(crate) struct Terms {
    framing: Framing,
    /// The connection may go on behind the answer.
    keep: bool,
    /// Nothing of the request is left unread.
    done: bool,
    /// The number of its host.
    host: u32,
    /// Bytes read of its body.
    received: u64,
    /// What the observer said when it came.
    began: u64,
}

/// What only the burst knows of an exchange that is observed.
#[derive(Default)]
struct Seen {
    host: u32,
    keep: bool,
    refusal: Option<Refusal>,
    head_bytes: usize,
    received: u64,
    began: u64,
}

/// Methods that are answered without asking the handler.
fn own_answer(head: &Head, any_method: bool) -> Option<Response> {
    const ALLOWED: &str = "GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH";
    match head.method() {
        Method::Connect | Method::Trace => Some(Response::error(405).with_field("Allow", ALLOWED)),
        Method::Options if head.path() == b"*" => {
            Some(Response::new(200).with_field("Allow", ALLOWED))
        }
        // A method nobody knows may be a rest of something else: what follows is not trusted either.
        Method::Other if !any_method => {
            let response = Response::error(501).with_field("Allow", ALLOWED);
            Some(response.closing())
        }
        _ => None,
    }
}
