//! Answering requests: which section governs a path (`tree`), may the client see it, and what stands there (`files`,
//! with `cache` in front for small ones, `media` for their types; `welcome.html` for the built-in configuration;
//! `diagnostics` for tests and benches).

mod cache;
#[cfg(feature = "diagnostics")]
mod diagnostics;
mod files;
mod media;
mod tree;

use crate::log::{Level, write};
use crate::settings::Settings;
use parkade_config::Handler;
use parkade_http::target::{BadPath, normalise};
use parkade_http::{BodyError, Method, Request, Response};
use std::sync::Arc;
use tree::{Rules, Tree};

/// The methods that files have.
pub(crate) const ALLOW: &str = "GET, HEAD, POST, OPTIONS";

/// Everything that is served.
pub(crate) struct Site {
    tree: Tree,
    media: media::Types,
    builtin: bool,
}

impl Site {
    pub(crate) fn new(settings: &Settings) -> Self {
        let builtin = settings.builtin && settings.config.main.document_root.is_none();
        Self {
            tree: Tree::new(&settings.config),
            media: media::Types::new(&settings.config),
            builtin,
        }
    }

    /// Answers one request.
    pub(crate) async fn answer(self: Arc<Self>, mut request: Request) -> Response {
        let method = request.method();
        // The warm path: one look-up of the target as it was sent.
        if (method == Method::Get || method == Method::Head)
            && let Some(response) = cache::look_up(&request)
        {
            return response;
        }
        let mut path = Vec::new();
        match normalise(request.path(), &mut path) {
            Ok(()) => {}
            Err(BadPath::Malformed) => return Response::error(400),
            Err(BadPath::NotFound) => return Response::error(404),
        }
        let host = self.tree.host(request.host());
        let rules = self.tree.rules(host, &path);
        if !rules.permits(request.peer()) {
            let text = format!(
                "client denied by server configuration: {}",
                String::from_utf8_lossy(&path)
            );
            write("authz_core", Level::Error, &text);
            return Response::error(403);
        }
        match rules.handler {
            #[cfg(feature = "diagnostics")]
            Handler::Diagnostics => return diagnostics::answer(&mut request).await,
            #[cfg(not(feature = "diagnostics"))]
            Handler::Diagnostics => return Response::error(404),
            Handler::ServerStatus => return Response::error(404),
            Handler::None => {}
        }
        match method {
            Method::Get | Method::Head => {}
            Method::Options => return Response::new(200).with_field("Allow", ALLOW),
            Method::Post => return refuse_post(&mut request, &rules).await,
            _ => return Response::error(405).with_field("Allow", ALLOW),
        }
        if self.builtin {
            return match &path[..] {
                b"/" | b"/index.html" => Response::html(&include_bytes!("welcome.html")[..]),
                _ => Response::not_found(),
            };
        }
        let Some(root) = self.tree.document_root(host) else {
            return Response::not_found();
        };
        files::answer(&request, root, &path, &rules, &self.media)
    }
}

/// A file takes no body, but the client is heard out within limits, so that the answer reaches it.
async fn refuse_post(request: &mut Request, rules: &Rules) -> Response {
    let mut taken = 0u64;
    loop {
        match request.chunk().await {
            Ok(Some(piece)) => {
                taken += piece.len() as u64;
                if rules.body > 0 && taken > rules.body {
                    return Response::error(413).closing();
                }
            }
            Ok(None) => return Response::error(405).with_field("Allow", ALLOW),
            Err(BodyError::TooLarge) => return Response::error(413).closing(),
            Err(_) => return Response::error(400).closing(),
        }
    }
}
