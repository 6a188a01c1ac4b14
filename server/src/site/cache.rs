//! Small files, ready to be sent, by the path that asked for them. Each worker has its own; an entry is held against the
//! file system again when it is older than a moment, so a change is seen within one second. A head that repeats the last
//! one finds its entry by a number.

use super::stamp::Stamp;
use parkade_http::precondition::{Validators, Verdict, evaluate};
use parkade_http::{Prepared, Request, Response};
use rustix::time::clock_gettime;
use slab::Slab;
use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::Arc;

/// Files up to this size are kept: head and body leave in one call.
pub(super) const SMALL: u64 = 16 * 1024;
/// Entries and bytes a worker keeps.
const ENTRIES: usize = 1024;
const BYTES: usize = 8 << 20;
/// How long an entry is believed; under one second, so that together with the request it stays below.
const FRESH_MS: i64 = 800;
/// How long an entry may live by being unchanged: then the whole path is looked up anew, with what the rules say of it.
const LIFE_MS: i64 = 10_000;

/// What is kept of a file.
pub(super) struct Entry {
    pub(super) prepared: Arc<Prepared>,
    pub(super) etag: String,
    pub(super) stamp: Stamp,
    pub(super) file: PathBuf,
    /// For an index file: its directory, where a better one may appear.
    pub(super) directory: Option<(PathBuf, Stamp)>,
}

impl Entry {
    fn is_current(&self) -> bool {
        let directory = self.directory.as_ref();
        Stamp::of(&self.file) == Some(self.stamp)
            && directory.is_none_or(|(path, stamp)| Stamp::of(path) == Some(*stamp))
    }

    fn bytes(&self) -> usize {
        self.prepared.body().len() + self.file.as_os_str().len() + size_of::<Held>()
    }
}

struct Held {
    entry: Entry,
    born: i64,
    checked: i64,
    /// Of all that were ever kept here.
    number: NonZeroU64,
}

#[derive(Default)]
struct Cache {
    places: HashMap<Vec<u8>, usize, BuildHasherDefault<Fold>>,
    held: Slab<Held>,
    /// How many were ever kept.
    count: u64,
    bytes: usize,
    key: Vec<u8>,
}

/// Bits of a number that say where its entry is; the others say which one it was.
const PLACE: u32 = ENTRIES.trailing_zeros();

thread_local! {
    static CACHE: RefCell<Cache> = RefCell::default();
}

/// Names of existing files are not an attacker's to choose: a simple hash will do.
#[derive(Default)]
struct Fold(u64);

impl Hasher for Fold {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            let mixed = (self.0.rotate_left(5) ^ u64::from_le_bytes(word)) as u128;
            let product = mixed * 0x9e37_79b9_7f4a_7c15_u128;
            self.0 = product as u64 ^ (product >> 64) as u64;
        }
    }
    fn finish(&self) -> u64 {
        self.0
    }
}

/// Milliseconds of a clock that costs no system call; it moves every few milliseconds.
fn now() -> i64 {
    let t = clock_gettime(crate::sys::extras::COARSE);
    t.tv_sec * 1000 + t.tv_nsec / 1_000_000
}

/// Two hosts may have different files at one path; the query is nothing to a file.
fn key(request: &Request, into: &mut Vec<u8>) {
    into.clear();
    into.extend_from_slice(&request.host_number().to_le_bytes());
    into.extend_from_slice(request.path());
}

/// The answer, if the file is kept and has not changed.
pub(super) fn look_up(request: &Request) -> Option<Response> {
    CACHE.with_borrow_mut(|cache| {
        let mut wanted = std::mem::take(&mut cache.key);
        key(request, &mut wanted);
        let answer = cache.answer(&wanted, request);
        cache.key = wanted;
        answer
    })
}

/// Gives the answer of an entry by its number, if it is still there and was looked at a moment ago.
pub(super) fn again(number: NonZeroU64, write: &mut dyn FnMut(&Prepared)) -> bool {
    CACHE.with_borrow(|cache| {
        let place = number.get() as usize % ENTRIES;
        match cache.held.get(place) {
            Some(held) if held.number == number && now() - held.checked <= FRESH_MS => {
                write(&held.entry.prepared);
                true
            }
            _ => false,
        }
    })
}

impl Cache {
    fn answer(&mut self, wanted: &[u8], request: &Request) -> Option<Response> {
        let place = *self.places.get(wanted)?;
        let held = self.held.get_mut(place)?;
        let now = now();
        if now - held.checked > FRESH_MS {
            if now - held.born > LIFE_MS || !held.entry.is_current() {
                self.forget(wanted);
                return None;
            }
            held.checked = now;
        }
        let entry = &held.entry;
        let validators = Validators {
            etag: &entry.etag,
            modified: entry.stamp.seconds(),
        };
        match evaluate(request, &validators) {
            // Parts are cut from the file.
            Verdict::Proceed { ranges: true } if request.field("Range").is_some() => None,
            Verdict::Proceed { .. } => {
                // The same head means the same for the same file.
                request.remember(held.number);
                Some(Response::prepared(entry.prepared.clone()))
            }
            Verdict::NotModified => Some(super::files::not_modified(&validators)),
            Verdict::Failed => Some(Response::error(412)),
        }
    }

    fn forget(&mut self, key: &[u8]) {
        if let Some(place) = self.places.remove(key) {
            let gone = self.held.remove(place);
            self.bytes -= gone.entry.bytes() + key.len();
        }
    }

    fn keep(&mut self, key: Vec<u8>, entry: Entry, now: i64) {
        self.forget(&key);
        let size = entry.bytes() + key.len();
        if self.held.len() >= ENTRIES || self.bytes + size > BYTES {
            // Full: begin anew rather than keep an order for what is cheap to read again.
            self.places.clear();
            self.held.clear();
            self.bytes = 0;
        }
        self.bytes += size;
        self.count += 1;
        let place = self.held.vacant_entry();
        // Never the same twice, as the count never is.
        let Some(number) = NonZeroU64::new(self.count << PLACE | place.key() as u64) else {
            return;
        };
        let held = Held {
            entry,
            born: now,
            checked: now,
            number,
        };
        self.places.insert(key, place.key());
        place.insert(held);
    }
}

/// Keeps a file for the next request with this path. Of the many ways to write a path only the plain one is kept, so
/// that a client cannot fill the memory with one file.
pub(super) fn keep(request: &Request, path: &str, entry: Entry) {
    if request.path() != path.as_bytes() {
        return;
    }
    CACHE.with_borrow_mut(|cache| {
        let mut wanted = Vec::new();
        key(request, &mut wanted);
        cache.keep(wanted, entry, now());
    });
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;
    use parkade_http::Body;

    fn entry(file: &std::path::Path, size: usize) -> Entry {
        let response = Response::new(200).with_body(Body::Bytes(vec![0; size].into()));
        Entry {
            prepared: Arc::new(Prepared::new(response)),
            etag: String::new(),
            stamp: Stamp::of(file).unwrap(),
            file: file.to_owned(),
            directory: None,
        }
    }

    #[test]
    fn it_is_bounded_in_entries_and_in_bytes() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut cache = Cache::default();
        for i in 0..3 * ENTRIES {
            cache.keep(i.to_le_bytes().to_vec(), entry(file.path(), 1), 0);
            assert!(cache.held.len() <= ENTRIES && cache.places.len() == cache.held.len());
        }
        for i in 0..3 * BYTES / SMALL as usize {
            let key = i.to_le_bytes().to_vec();
            cache.keep(key.clone(), entry(file.path(), SMALL as usize), 0);
            cache.keep(key, entry(file.path(), SMALL as usize), 0);
            assert!(cache.bytes <= BYTES);
        }
        let keys: Vec<_> = cache.places.keys().cloned().collect();
        keys.iter().for_each(|k| cache.forget(k));
        assert_eq!(cache.bytes, 0, "what is forgotten weighs nothing");
    }

    #[test]
    fn a_number_finds_its_own_entry_and_no_other() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let number = |key: &[u8]| {
            CACHE.with_borrow(|cache| cache.held[*cache.places.get(key).unwrap()].number)
        };
        let keep = |key: &[u8], size: usize| {
            CACHE.with_borrow_mut(|c| c.keep(key.to_vec(), entry(file.path(), size), now()));
            number(key)
        };
        let found = |number| {
            let mut size = None;
            let there = again(number, &mut |prepared| size = Some(prepared.body().len()));
            assert_eq!(there, size.is_some());
            size
        };
        let (a, b) = (keep(b"a", 1), keep(b"b", 2));
        assert_eq!((found(a), found(b)), (Some(1), Some(2)));
        let newer = keep(b"a", 3);
        assert_eq!((found(a), found(newer)), (None, Some(3)), "replaced");
        CACHE.with_borrow_mut(|cache| cache.forget(b"b"));
        assert_eq!(found(b), None, "forgotten");
        let c = keep(b"c", 4);
        assert_eq!(
            (found(b), found(c)),
            (None, Some(4)),
            "its place is another's"
        );
        CACHE.with_borrow_mut(|cache| {
            let place = *cache.places.get(b"c".as_slice()).unwrap();
            cache.held[place].checked -= FRESH_MS + 1;
        });
        assert_eq!(found(c), None, "it must be looked at again first");
    }

    #[test]
    fn every_change_of_a_file_is_a_change() {
        use std::fs;
        use std::os::unix::fs::PermissionsExt;
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("a");
        fs::write(&file, "old").unwrap();
        let fresh = || Entry {
            directory: Some((root.path().to_owned(), Stamp::of(root.path()).unwrap())),
            ..entry(&file, 3)
        };
        // The clock of a file system moves in steps.
        let step = || std::thread::sleep(std::time::Duration::from_millis(20));
        let kept = fresh();
        assert!(kept.is_current());
        step();
        fs::write(&file, "new").unwrap();
        assert!(!kept.is_current(), "edited, same size");
        let kept = fresh();
        step();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o000)).unwrap();
        assert!(!kept.is_current(), "permissions");
        let kept = fresh();
        step();
        fs::write(root.path().join("index"), "").unwrap();
        assert!(!kept.is_current(), "another file appeared beside it");
        let kept = fresh();
        fs::write(root.path().join("b"), "old").unwrap();
        fs::rename(root.path().join("b"), &file).unwrap();
        assert!(!kept.is_current(), "replaced");
        let kept = fresh();
        fs::remove_file(&file).unwrap();
        assert!(!kept.is_current(), "gone");
    }
}
