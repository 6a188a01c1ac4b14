//! A handler as a service of the runtime.

use crate::burst::{self, Begin, Local};
use crate::head::Head;
use crate::hosts::{Governed, Hosts};
use crate::limits::Limits;
use crate::request::Request;
use crate::response::{Prepared, Response};
use crate::status::Refusal;
use bytes::Bytes;
use parkade::{Attempt, Carry, Conn, Keepalive, Next, Service, Written};
use std::future::Future;
use std::net::IpAddr;
use std::num::NonZeroU64;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Context;

/// Answers requests. Async functions and closures from [`Request`] to [`Response`] are handlers.
pub trait Handler: Send + Sync + 'static {
    /// The future of one answer. It stays on its worker and need not be `Send`.
    type Future: Future<Output = Response> + 'static;

    /// Answers what needs no waiting, without a future; `None` leaves the request to [`Handler::call`]. Only requests
    /// without a body come here.
    fn ready(&self, request: &Request) -> Option<Response> {
        let _ = request;
        None
    }

    /// Answers a request without a body whose head repeats one that was answered on this worker before and for which
    /// [`Request::remember`] kept `number`: gives the answer to `write`. False: it has to be asked as any other.
    ///
    /// Not asked for HEAD, where somebody observes, and where the connection has something to say of its own.
    fn again(&self, number: NonZeroU64, write: &mut dyn FnMut(&Prepared)) -> bool {
        let _ = (number, write);
        false
    }

    /// Answers one request.
    fn call(&self, request: Request) -> Self::Future;
}

impl<F, Fut> Handler for F
where
    F: Fn(Request) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Response> + 'static,
{
    type Future = Fut;

    fn call(&self, request: Request) -> Fut {
        self(request)
    }
}

/// One answered (or refused) request, as a log wants to see it.
#[derive(Debug)]
pub struct Exchange<'a> {
    /// `None` when the head could not be read.
    pub head: Option<&'a Head>,
    /// The client.
    pub peer: IpAddr,
    /// The status that was sent.
    pub status: u16,
    /// Bytes of the response's body; 0 if it has none or is a stream.
    pub body: u64,
    /// The connection goes on.
    pub keep_alive: bool,
    /// How many requests this connection has had, this one included.
    pub requests: u32,
    /// Seconds since the epoch.
    pub seconds: u64,
    /// Why the request was refused before it reached the handler.
    pub refusal: Option<Refusal>,
    /// The number of the host ([`Hosts::choose`]); 0 without hosts.
    pub host: u32,
    /// The answer, its body perhaps sent already.
    pub response: &'a Response,
    /// Bytes of the head of the answer.
    pub head_bytes: u64,
    /// Bytes of the request: its head, and what was read of its body.
    pub received: u64,
    /// What [`Observer::begin`] said when the request's head was complete; 0 when it never was.
    pub began: u64,
    /// The connection.
    pub conn: &'a Conn,
}

impl Exchange<'_> {
    /// The first value of a field of the request's trailers.
    #[must_use]
    pub fn trailer(&self, name: &str) -> Option<&[u8]> {
        self.response.notes.as_ref()?.trailer(name)
    }
}

/// Sees every exchange on one worker; it must not block.
pub trait Observer: 'static {
    /// A request's head is complete. What is returned comes back as [`Exchange::began`].
    fn begin(&self) -> u64 {
        0
    }

    /// An answer is on its way. What comes back is told when its last byte has been written, or never will be; such an
    /// answer is sent by itself, not together with the next ones of a pipelining client.
    fn exchange(&self, exchange: &Exchange<'_>) -> Option<Written>;
}

type MakeObserver = Box<dyn Fn() -> Box<dyn Observer> + Send + Sync>;

/// An HTTP server around a handler.
///
/// ```no_run
/// use parkade_http::{Request, Response, Server};
///
/// async fn hello(request: Request) -> Response {
///     match request.path() {
///         b"/" => Response::text("hello\n"),
///         _ => Response::not_found(),
///     }
/// }
///
/// fn main() -> parkade::Result<()> {
///     parkade::Runtime::builder().build()?.serve("127.0.0.1:8080".parse().unwrap(), Server::new(hello).service())
/// }
/// ```
pub struct Server<H> {
    handler: H,
    limits: Limits,
    name: String,
    observer: Option<MakeObserver>,
    hosts: Option<Box<dyn Hosts>>,
    any_method: bool,
}

impl<H: Handler> Server<H> {
    /// With default [`Limits`].
    pub fn new(handler: H) -> Self {
        Self {
            handler,
            limits: Limits::default(),
            name: String::new(),
            observer: None,
            hosts: None,
            any_method: false,
        }
    }

    /// Other limits.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The `Server` field; none by default. What cannot stand in a field is left out.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.name = name
            .chars()
            .filter(|c| c.is_ascii_graphic() || *c == ' ')
            .collect();
        self
    }

    /// Called once per worker for an observer of its exchanges.
    #[must_use]
    pub fn observe(mut self, make: impl Fn() -> Box<dyn Observer> + Send + Sync + 'static) -> Self {
        self.observer = Some(Box::new(make));
        self
    }

    /// Several hosts with limits of their own.
    #[must_use]
    pub fn hosts(mut self, hosts: impl Hosts) -> Self {
        self.hosts = Some(Box::new(hosts));
        self
    }

    /// Lets methods that are not known here reach the handler; otherwise they are answered 501.
    #[must_use]
    pub fn any_method(mut self) -> Self {
        self.any_method = true;
        self
    }

    /// The service, to be given to [`parkade::Runtime::listen`].
    pub fn service(self) -> impl Service {
        Http {
            shared: Arc::new(Shared {
                keep_alive: Keepalive::new(self.limits.keep_alive),
                server: self,
            }),
            burst: burst::run::<H>,
        }
    }
}

/// What all workers share.
pub(crate) struct Shared<H> {
    server: Server<H>,
    keep_alive: Keepalive,
}

impl<H: Handler> Shared<H> {
    /// How long a connection waits for its next request, ready to be used.
    pub(crate) fn handler(&self) -> &H {
        &self.server.handler
    }
    pub(crate) fn limits(&self) -> &Limits {
        &self.server.limits
    }
    /// What governs a request.
    pub(crate) fn govern(&self, head: &Head, conn: &Conn) -> Governed<'_> {
        match &self.server.hosts {
            None => self.ungoverned(),
            Some(hosts) => self.governed(hosts.choose(head, conn)),
        }
    }
    /// What governs a host's requests.
    pub(crate) fn governed(&self, host: u32) -> Governed<'_> {
        let hosts = self.server.hosts.as_ref();
        match hosts.and_then(|hosts| hosts.limits(host)) {
            None => Governed {
                host,
                ..self.ungoverned()
            },
            Some(limits) => Governed {
                host,
                limits,
                keep_alive: Keepalive::new(limits.keep_alive),
            },
        }
    }
    /// What governs before a head is known.
    pub(crate) fn ungoverned(&self) -> Governed<'_> {
        Governed {
            host: 0,
            limits: &self.server.limits,
            keep_alive: self.keep_alive,
        }
    }
    pub(crate) fn name(&self) -> &str {
        &self.server.name
    }
    pub(crate) fn any_method(&self) -> bool {
        self.server.any_method
    }
}

/// The burst's future has no name; being generic over the function that makes it gives it one.
struct Http<H, F> {
    shared: Arc<Shared<H>>,
    burst: F,
}

impl<H, F, Fut> Service for Http<H, F>
where
    H: Handler,
    F: Fn(Rc<Local<H>>, Begin<H>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Next> + 'static,
{
    type Local = Rc<Local<H>>;
    type Burst = Fut;

    fn local(&self) -> Rc<Local<H>> {
        let observer = self.shared.server.observer.as_ref().map(|make| make());
        Rc::new(Local::new(self.shared.clone(), observer))
    }

    fn burst(&self, local: &Rc<Rc<Local<H>>>, conn: Conn) -> Fut {
        (self.burst)(Rc::clone(local), Begin::Fresh(conn))
    }

    fn attempt(&self, local: &Rc<Rc<Local<H>>>, conn: Conn, cx: &mut Context<'_>) -> Attempt<Fut> {
        match burst::attempt(local, conn, cx) {
            Ok(Some(next)) => Attempt::Over(next),
            Ok(None) => Attempt::Later,
            Err(begin) => Attempt::Burst((self.burst)(Rc::clone(local), begin)),
        }
    }

    fn catch_up(&self, local: &Rc<Rc<Local<H>>>, back: &mut dyn FnMut(Next)) {
        burst::catch_up(local, back);
    }

    fn timed_out(&self, local: &Rc<Rc<Local<H>>>, carry: Option<&Carry>) -> Option<Bytes> {
        // Only a client that began to speak is told.
        carry
            .filter(|carry| !crate::head::is_blank(&carry.bytes))
            .map(|carry| local.too_slow(&carry.bytes))
    }
}
