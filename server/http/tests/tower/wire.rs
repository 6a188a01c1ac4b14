//! A server around a router, and clients that wait for a bounded time only.

use parkade::{Runtime, Workers};
use parkade_http::tower::{self, RequestBody};
use parkade_http::{Limits, Server};
use parkade_tests::client::{self, Response};
use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};

pub(crate) struct Wire {
    pub(crate) runtime: Runtime,
    pub(crate) address: SocketAddr,
}

impl Wire {
    pub(crate) fn new<S>(service: S) -> Self
    where
        S: tower_service::Service<
                http::Request<RequestBody>,
                Response = http::Response<axum::body::Body>,
            > + Clone
            + Send
            + Sync
            + 'static,
        S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        Self::with(Limits::default(), service)
    }

    pub(crate) fn with<S>(limits: Limits, service: S) -> Self
    where
        S: tower_service::Service<
                http::Request<RequestBody>,
                Response = http::Response<axum::body::Body>,
            > + Clone
            + Send
            + Sync
            + 'static,
        S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let runtime = Runtime::builder()
            .workers(Workers::Count(1))
            .build()
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = Server::new(tower::handler(service)).limits(limits);
        runtime.listen(listener, server.service()).unwrap();
        Self { runtime, address }
    }

    pub(crate) fn connect(&self) -> TcpStream {
        client::connect(self.address).unwrap()
    }

    /// One request on a connection of its own.
    pub(crate) fn ask(&self, request: impl AsRef<[u8]>) -> Response {
        client::exchange(self.address, request.as_ref()).unwrap()
    }

    pub(crate) fn get(&self, target: &str) -> Response {
        self.ask(get(target))
    }
}

pub(crate) fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")
}

pub(crate) fn post(target: &str, kind: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {target} HTTP/1.1\r\nHost: a\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

/// Sends on a connection that goes on, and reads one answer.
pub(crate) fn talk(stream: &mut TcpStream, request: impl AsRef<[u8]>) -> Response {
    stream.write_all(request.as_ref()).unwrap();
    client::read(stream, request.as_ref().starts_with(b"HEAD ")).unwrap()
}

pub(crate) fn text(response: &Response) -> &str {
    std::str::from_utf8(&response.body).unwrap()
}
