//! Static files: what is found becomes a response, by the rules of RFC 9110.

use super::cache::{self, Entry};
use super::content;
use super::lookup::{self, Failure, Found, Patience, Wanted};
use super::stamp::Stamp;
use super::tree::Rules;
use super::{Asked, Site};
use parkade::{Copying, FileRange, spawn_blocking};
use parkade_http::precondition::{Validators, Verdict, evaluate, format_date};
use parkade_http::range::{self, Range};
use parkade_http::{Body, Method, Prepared, Request, Response};
use std::fs::File;
use std::sync::Arc;

/// Answers GET and HEAD.
pub(super) async fn answer(
    site: &Arc<Site>,
    request: &Request,
    asked: &Asked,
    rules: Rules,
) -> Response {
    let found = match find(site, asked, &rules).await {
        Ok(found) => found,
        Err(Failure::Redirect) => return redirect(request, &asked.path),
        Err(Failure::Status(status)) => return Response::error(status),
        Err(Failure::Again) => return Response::error(500),
    };
    // An index file, and what a link inside leads to, may have rules of their own.
    let mut rules = rules;
    if let Some(inside) = &found.inside {
        let real = site.tree.rules(asked.host, &format!("/{inside}"));
        if let Err(refusal) = site.permits(request, asked, &real) {
            return refusal;
        }
    }
    if asked.path.ends_with('/') {
        rules = site.tree.rules(asked.host, &format!("/{}", found.name));
        if let Err(refusal) = site.permits(request, asked, &rules) {
            return refusal;
        }
    }
    serve(site, request, asked, found, &rules).await
}

/// First with what is in memory, on a reserve thread if that does not say.
async fn find(site: &Arc<Site>, asked: &Asked, rules: &Rules) -> Result<Found, Failure> {
    fn look(
        site: &Site,
        host: usize,
        path: &str,
        index: &[String],
        patience: Patience,
    ) -> Result<Found, Failure> {
        let root = site.tree.root(host).ok_or(Failure::Status(404))?;
        let wanted = Wanted {
            tree: &site.tree,
            host,
            root,
            path,
            index,
        };
        lookup::find(&wanted, patience)
    }
    match look(
        site,
        asked.host,
        &asked.path,
        &rules.index,
        Patience::Memory,
    ) {
        Err(Failure::Again) => {}
        other => return other,
    }
    let (site, host, path, index) = (
        site.clone(),
        asked.host,
        asked.path.clone(),
        rules.index.clone(),
    );
    spawn_blocking(move || look(&site, host, &path, &index, Patience::Disk)).await
}

/// A directory was asked for without its slash. The target is written anew from the normalised path, so it never begins
/// with `//`, which would be another site's address.
fn redirect(request: &Request, path: &str) -> Response {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut location = Vec::new();
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@".contains(&byte) {
            location.push(byte);
        } else {
            let (high, low) = (usize::from(byte >> 4), usize::from(byte & 15));
            location.extend_from_slice(&[b'%', HEX[high], HEX[low]]);
        }
    }
    location.push(b'/');
    if let Some(query) = request.query() {
        location.push(b'?');
        location.extend_from_slice(query);
    }
    Response::error(301).with_field("Location", location)
}

/// 304 with what a cache wants to know: what 200 would say, without what describes the body (RFC 9110 section 15.4.5).
pub(super) fn not_modified(validators: &Validators<'_>) -> Response {
    Response::new(304)
        .with_field("Last-Modified", format_date(validators.modified))
        .with_field("ETag", validators.etag)
}

async fn serve(
    site: &Site,
    request: &Request,
    asked: &Asked,
    found: Found,
    rules: &Rules,
) -> Response {
    let Found {
        mut file,
        mut stamp,
        name,
        directory,
        walked,
        ..
    } = found;
    let etag = stamp.etag();
    let validators = Validators {
        etag: &etag,
        modified: stamp.seconds(),
    };
    let ranges = match evaluate(request, &validators) {
        Verdict::Failed => return Response::error(412),
        Verdict::NotModified => return not_modified(&validators),
        Verdict::Proceed { ranges } => ranges && request.method() == Method::Get,
    };
    let range = match request.field("Range").filter(|_| ranges) {
        Some(value) => range::parse(value, stamp.size),
        None => Range::Whole,
    };
    let base = name.rsplit('/').next().unwrap_or_default();
    let kind = match &rules.force_type {
        Some(kind) => Some(kind.clone()),
        None => site.media.of(base, &rules.types),
    };
    let send = |file: File, offset, len| {
        let copying = if rules.sendfile {
            Copying::InKernel
        } else {
            Copying::ThroughBuffer
        };
        Body::File(FileRange::new(Arc::new(file), offset, len).copying(copying))
    };
    match range {
        Range::Unsatisfiable => {
            Response::error(416).with_field("Content-Range", format!("bytes */{}", stamp.size))
        }
        Range::Part { offset, len } => {
            let text = format!("bytes {offset}-{}/{}", offset + len - 1, stamp.size);
            describe(Response::new(206), stamp, &kind)
                .with_field("Content-Range", text)
                .with_body(send(file, offset, len))
        }
        Range::Whole if stamp.size <= cache::SMALL => {
            let read;
            (file, read) = content::read(file, stamp).await;
            drop(file);
            let bytes = match read {
                Ok((bytes, now)) => {
                    stamp = now;
                    bytes
                }
                Err(_) => return Response::error(500),
            };
            let keep = rules.keep
                && rules.open_to_all()
                && !walked
                && bytes.len() as u64 == stamp.size
                && stamp.is_settled();
            let response =
                describe(Response::new(200), stamp, &kind).with_body(Body::Bytes(bytes.into()));
            let prepared = Arc::new(Prepared::new(response));
            if keep && let Some(root) = site.tree.root(asked.host) {
                let entry = Entry {
                    prepared: prepared.clone(),
                    etag: stamp.etag(),
                    stamp,
                    file: root.join(&name),
                    directory: directory
                        .map(|d| (root.join(asked.path.trim_start_matches('/')), d)),
                };
                cache::keep(request, &asked.path, entry);
            }
            Response::prepared(prepared)
        }
        Range::Whole => {
            describe(Response::new(200), stamp, &kind).with_body(send(file, 0, stamp.size))
        }
    }
}

fn describe(response: Response, stamp: Stamp, kind: &Option<String>) -> Response {
    let response = response
        .with_field("Last-Modified", format_date(stamp.seconds()))
        .with_field("ETag", stamp.etag())
        .with_field("Accept-Ranges", "bytes");
    match kind {
        Some(kind) => response.with_field("Content-Type", kind),
        None => response,
    }
}
