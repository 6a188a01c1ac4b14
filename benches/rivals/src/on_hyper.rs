//! A hello server on hyper and tokio. Its date is the yardstick's, so that only parsing and writing are paid for.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{HeaderMap, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, body::Incoming};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::answer;

/// Serves until accepting fails. With `flush` what is pipelined is answered in one write, but also only when no head has
/// begun behind it.
pub async fn serve(listener: TcpListener, flush: bool) -> io::Result<()> {
    let (fields, body) = answer::parts();
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        map.append(name, HeaderValue::from_static(value));
    }
    let fields = Arc::new(map);
    let body = Bytes::from_static(body.as_bytes());
    let mut http = http1::Builder::new();
    // The same bytes.
    http.title_case_headers(true)
        .auto_date_header(false)
        .pipeline_flush(flush);
    loop {
        let (stream, _) = listener.accept().await?;
        let (fields, body) = (fields.clone(), body.clone());
        let hello = service_fn(move |_: Request<Incoming>| {
            let response = respond(&fields, body.clone());
            async move { Ok::<_, Infallible>(response) }
        });
        let connection = http.serve_connection(TokioIo::new(stream), hello);
        tokio::spawn(async move {
            // A peer that leaves is no news here.
            let _ = connection.await;
        });
    }
}

fn respond(fields: &HeaderMap, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.headers_mut() = fields.clone();
    response
}
