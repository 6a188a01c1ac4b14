//! Small files, ready to be sent, by the target that asked for them. Each worker has its own; an entry is held
//! against the file system again at most once a second, so an edited file is seen within one.

use super::files::Stamp;
use parkade_http::precondition::{Validators, Verdict, evaluate};
use parkade_http::{Prepared, Request, Response};
use std::cell::RefCell;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Files up to this size are kept.
pub(crate) const SMALL: u64 = 16 * 1024;
/// Entries and bytes a worker keeps.
const ENTRIES: usize = 1024;
const BYTES: usize = 8 << 20;
/// How long an entry is believed; under one second, so that together with the request it stays below.
const FRESH: Duration = Duration::from_millis(800);

/// What is kept of a file.
pub(crate) struct Entry {
    pub(crate) prepared: Arc<Prepared>,
    pub(crate) etag: String,
    pub(crate) stamp: Stamp,
    pub(crate) file: PathBuf,
    checked: Instant,
}

#[derive(Default)]
struct Cache {
    entries: HashMap<Vec<u8>, Entry>,
    bytes: usize,
    key: Vec<u8>,
}

thread_local! {
    static CACHE: RefCell<Cache> = RefCell::default();
}

/// `host NUL target`: two hosts may have different files at one path.
fn key(request: &Request, into: &mut Vec<u8>) {
    into.clear();
    into.extend_from_slice(request.host().unwrap_or_default().as_bytes());
    into.push(0);
    into.extend_from_slice(request.path_and_query());
}

/// The answer, if the file is kept and has not changed.
pub(crate) fn look_up(request: &Request) -> Option<Response> {
    CACHE.with_borrow_mut(|cache| {
        let mut wanted = std::mem::take(&mut cache.key);
        key(request, &mut wanted);
        let found = cache.entries.get_mut(&wanted).and_then(|entry| {
            if entry.checked.elapsed() > FRESH {
                if Stamp::of(&entry.file) != Some(entry.stamp) {
                    return None;
                }
                entry.checked = Instant::now();
            }
            if request.field("Range").is_some() {
                // Parts are cut from the file.
                return Some(None);
            }
            let validators = Validators {
                etag: &entry.etag,
                modified: entry.stamp.seconds(),
            };
            Some(Some(match evaluate(request, &validators) {
                Verdict::Proceed { .. } => Response::prepared(entry.prepared.clone()),
                Verdict::NotModified => super::files::not_modified(&validators),
                Verdict::Failed => Response::error(412),
            }))
        });
        if found.is_none()
            && let Some(gone) = cache.entries.remove(&wanted)
        {
            cache.bytes -= gone.prepared.body().len() + wanted.len();
        }
        cache.key = wanted;
        found.flatten()
    })
}

/// Keeps a file for the next request with this target.
pub(crate) fn keep(
    request: &Request,
    prepared: Arc<Prepared>,
    etag: String,
    stamp: Stamp,
    file: PathBuf,
) {
    CACHE.with_borrow_mut(|cache| {
        let mut wanted = Vec::new();
        key(request, &mut wanted);
        let size = prepared.body().len() + wanted.len();
        if cache.entries.len() >= ENTRIES || cache.bytes + size > BYTES {
            // Full: begin anew rather than keep an order for what is cheap to read again.
            cache.entries.clear();
            cache.bytes = 0;
        }
        let entry = Entry {
            prepared,
            etag,
            stamp,
            file,
            checked: Instant::now(),
        };
        let key = wanted.len();
        cache.bytes += size;
        if let Some(old) = cache.entries.insert(wanted, entry) {
            cache.bytes -= old.prepared.body().len() + key;
        }
    });
}
