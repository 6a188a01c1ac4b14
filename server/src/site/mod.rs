//! Answering requests.
//!
//! `hosts` says which virtual host a request is for, `tree` (with `pattern`) which settings govern its path; then access
//! control, then the handler. Files: `lookup` (with `walk` where links need it) opens them, `content` reads small ones,
//! `files` makes the response, `cache` keeps small ones by their `stamp`, `media` knows their types. `welcome.html` is
//! the built-in configuration's page; `status` shows what the server does; `diagnostics` is for tests and benches.

mod cache;
mod content;
#[cfg(feature = "diagnostics")]
mod diagnostics;
mod files;
mod hosts;
mod lookup;
mod media;
mod pattern;
mod stamp;
mod status;
mod tree;
mod walk;

use crate::accept_mutex::Lock;
use crate::child::slots::Slots;
use crate::log::line::{HANDLER, LOG_ID};
use crate::log::{self, Level};
use crate::settings::Settings;
use hosts::{Front, Table, unpack};
use parkade_config::Handler as Special;
use parkade_http::target::{BadPath, normalise};
use parkade_http::{Body, BodyError, Handler, Method, Prepared, Request, Response, Server};
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tree::{Rules, Tree};

/// The methods that files have.
const ALLOW: &str = "GET, HEAD, POST, OPTIONS";

/// Everything that is served.
pub(crate) struct Site {
    tree: Tree,
    table: Arc<Table>,
    media: media::Types,
    slots: Slots,
    status: status::Status,
    builtin: bool,
    /// The accept mutex, for diagnostics to hold.
    #[cfg_attr(not(feature = "diagnostics"), allow(dead_code, reason = "as said"))]
    turns: Option<Lock>,
}

/// The number of a host in what [`parkade_http::Hosts::choose`] gave.
pub(crate) fn host_of(number: u32) -> usize {
    unpack(number).0
}

/// What a request asks for, as far as files are concerned.
struct Asked {
    host: usize,
    /// The client's address is ours too.
    own: bool,
    /// Decoded and normalised.
    path: String,
}

impl Site {
    pub(crate) fn new(
        settings: &Settings,
        slots: Slots,
        turns: Option<Lock>,
        runtime: parkade::Handle,
    ) -> Self {
        let config = &settings.config;
        let tree = Tree::new(config, settings.builtin);
        Self {
            table: Table::new(config, &tree),
            tree,
            media: media::Types::new(config),
            slots,
            status: status::Status::new(config, runtime),
            builtin: settings.builtin && config.main.document_root.is_none(),
            turns,
        }
    }

    /// The HTTP server for the listener of an address: its hosts, their limits, and this site as the handler.
    pub(crate) fn server(self: &Arc<Self>, address: SocketAddr) -> Server<impl Handler + use<>> {
        let site = self.clone();
        let server = Server::new(Answers {
            site: self.clone(),
            call: move |request| site.clone().answer(request),
        });
        let front = Front::new(&self.table, address);
        let server = server
            .limits(front.limits().clone())
            .name(crate::cli::VERSION);
        if front.is_plain() {
            server
        } else {
            server.hosts(front)
        }
    }

    /// The same for connections of a listener that exists no more: each is answered once and told goodbye.
    pub(crate) fn goodbye(self: &Arc<Self>, address: SocketAddr) -> Server<impl Handler + use<>> {
        let front = Front::new(&self.table, address);
        let mut limits = front.limits().clone();
        limits.requests = 1;
        self.server(address)
            .limits(limits)
            .hosts(hosts::Goodbye::new(front))
    }

    /// What can be answered from memory: the warm path, one look-up of the path as it was sent.
    pub(crate) fn ready(&self, request: &Request) -> Option<Response> {
        let reads = matches!(request.method(), Method::Get | Method::Head);
        if reads && !request.has_body() {
            cache::look_up(request)
        } else {
            None
        }
    }

    /// Answers one request.
    pub(crate) async fn answer(self: Arc<Self>, mut request: Request) -> Response {
        let (host, own) = unpack(request.host_number());
        let mut slot = match self.slots.try_take() {
            Some(slot) => Ok(slot),
            None if self.only_shows(&request, host) => Err(self.slots.outside()),
            None => Ok(self.slots.take().await),
        };
        if let Ok(slot) = &mut slot {
            slot.begin(&request, host);
        }
        let mut path = Vec::new();
        match normalise(request.path(), &mut path) {
            Ok(()) => {}
            Err(BadPath::Malformed) => return Response::error(400),
            Err(BadPath::NotFound) => return Response::error(404),
        }
        let Ok(path) = String::from_utf8(path) else {
            return Response::not_found();
        };
        let asked = Asked { host, own, path };
        let rules = self.tree.rules(asked.host, &asked.path);
        if request.limit_body(rules.body).is_err() {
            return Response::error(413).closing();
        }
        if let Err(refusal) = self.permits(&request, &asked, &rules) {
            return refusal;
        }
        match rules.handler {
            #[cfg(feature = "diagnostics")]
            Special::Diagnostics => {
                let turns = self.turns.as_ref();
                let answer = diagnostics::answer(&mut request, self.slots.board(), turns).await;
                return answer.with_note(HANDLER, "parkade-diagnostics");
            }
            #[cfg(not(feature = "diagnostics"))]
            Special::Diagnostics => return Response::error(404),
            Special::Health if matches!(request.method(), Method::Get | Method::Head) => {
                return health();
            }
            Special::ServerStatus if matches!(request.method(), Method::Get | Method::Head) => {
                let answer = self.status.answer(&request, host, self.slots.board());
                return answer.with_note(HANDLER, "server-status");
            }
            // Other methods mean the file, if there is one.
            Special::Health | Special::ServerStatus | Special::None => {}
        }
        match request.method() {
            Method::Get | Method::Head => {}
            Method::Options => return Response::new(200).with_field("Allow", ALLOW),
            Method::Post => {
                if let Ok(slot) = &slot {
                    slot.reading();
                }
                return refuse_post(&mut request).await;
            }
            _ => return Response::error(405).with_field("Allow", ALLOW),
        }
        if self.builtin {
            return match &*asked.path {
                "/" | "/index.html" => Response::html(&include_bytes!("welcome.html")[..]),
                _ => Response::not_found(),
            };
        }
        files::answer(&self, &request, &asked, rules).await
    }

    /// Whether the answer says what the server knows of itself, and is made at once.
    fn only_shows(&self, request: &Request, host: usize) -> bool {
        let mut path = Vec::new();
        let reads = matches!(request.method(), Method::Get | Method::Head) && !request.has_body();
        if !reads || normalise(request.path(), &mut path).is_err() {
            return false;
        }
        let Ok(path) = std::str::from_utf8(&path) else {
            return false;
        };
        match self.tree.rules(host, path).handler {
            Special::ServerStatus | Special::Health => true,
            #[cfg(feature = "diagnostics")]
            Special::Diagnostics => diagnostics::only_shows(request.query()),
            _ => false,
        }
    }

    /// Whether the client may see it; a refusal is logged.
    fn permits(&self, request: &Request, asked: &Asked, rules: &Rules) -> Result<(), Response> {
        let own = asked.own.then(|| request.peer());
        if rules.permits(request.peer(), own) {
            return Ok(());
        }
        let text = format!(
            "[client {}] client denied by server configuration: {}",
            request.peer().to_canonical(),
            asked.path
        );
        let id = log::write_about(asked.host, "authz_core", Level::Error, &text);
        let refusal = Response::error(403);
        Err(match id {
            Some(id) => refusal.with_note(LOG_ID, id),
            None => refusal,
        })
    }
}

/// For those who decide whether this server gets requests: 200 while it serves, 503 once it ends. That an answer comes at
/// all says that it lives.
fn health() -> Response {
    let (status, text) = match crate::child::ENDING.load(Relaxed) {
        false => (200, &b"ok\n"[..]),
        true => (503, &b"ending\n"[..]),
    };
    Response::new(status)
        .with_type("text/plain; charset=utf-8")
        .with_field("Cache-Control", "no-store")
        .with_body(Body::Static(text))
        .with_note(HANDLER, "parkade-health")
}

/// A site as a handler; the future of [`Site::answer`] has no name, so a function that makes it gives it one.
struct Answers<F> {
    site: Arc<Site>,
    call: F,
}

impl<F, Fut> Handler for Answers<F>
where
    F: Fn(Request) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Response> + 'static,
{
    type Future = Fut;

    fn ready(&self, request: &Request) -> Option<Response> {
        self.site.ready(request)
    }

    fn again(&self, number: NonZeroU64, write: &mut dyn FnMut(&Prepared)) -> bool {
        cache::again(number, write)
    }

    fn call(&self, request: Request) -> Fut {
        (self.call)(request)
    }
}

/// A file takes no body, but the client is heard out within limits, so that the answer reaches it.
async fn refuse_post(request: &mut Request) -> Response {
    loop {
        match request.chunk().await {
            Ok(Some(_)) => {}
            Ok(None) => return Response::error(405).with_field("Allow", ALLOW),
            Err(BodyError::TooLarge) => return Response::error(413).closing(),
            Err(_) => return Response::error(400).closing(),
        }
    }
}
