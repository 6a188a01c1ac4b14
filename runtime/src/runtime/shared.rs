//! What all threads of a runtime share: its homes, whether it ends, and who serves what.

use crate::error::{Error, Result};
use crate::executor::inbox::Message;
use crate::net::accept::Siblings;
use crate::net::service::AnyService;
use crate::net::turns::AcceptLock;
use crate::reactor::choice::Backend;
use crate::sys::clock;
use crate::worker::Home;
use crate::worker::reserve::Reserves;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::time::Duration;

const RUNNING: u8 = 0;
/// Accepts no more; parked connections live and may be taken by another process.
const HANDING_OVER: u8 = 1;
/// Shuts down.
const DRAINING: u8 = 2;

/// What all threads of a runtime share.
pub(crate) struct Shared {
    pub(crate) homes: Vec<Arc<Home>>,
    pub(crate) reserves: Reserves,
    phase: AtomicU8,
    /// Monotonic nanoseconds at which a runtime that hands over cuts its requests.
    cut_at: AtomicU64,
    /// Monotonic nanoseconds at which draining ends.
    stop_at: AtomicU64,
    descriptors: u32,
    pub(crate) siblings: Option<Box<dyn Siblings>>,
    pub(crate) accept_lock: Option<Box<dyn AcceptLock>>,
    /// Home workers that have accepted their last.
    left: AtomicUsize,
    /// Reserves that accept in the place of stuck ones at this moment.
    instead: AtomicUsize,
    first_byte: AtomicU32,
    /// Bytes of free buffers that each worker keeps at most; 0 is without bound.
    pub(crate) free_memory: usize,
    /// Workers with nothing to do start bursts of those that are behind.
    pub(crate) stealing: bool,
    /// How long a request may be kept waiting for others to wake the worker with; zero: not at all.
    pub(crate) coalescing: Duration,
    /// Never [`Backend::Auto`].
    pub(crate) backend: Backend,
    pub(crate) backend_why: &'static str,
    /// It cannot be had, and epoll does without.
    pub(crate) fell_back: AtomicBool,
    /// What each listener's connections are served by; a worker that meets one for the first time looks here.
    services: Mutex<Vec<Arc<dyn AnyService>>>,
    /// For reserves that accept while every home worker is stuck. The home workers keep them open.
    listeners: Mutex<Vec<(u8, Weak<OwnedFd>)>>,
    /// Home workers whose threads have ended.
    ended: Mutex<usize>,
    all_ended: Condvar,
}

impl Shared {
    /// `descriptors`: from how many connections on they count as short. `first_byte`: milliseconds, 0 for the default.
    pub(super) fn new(
        homes: Vec<Arc<Home>>,
        reserves: Reserves,
        descriptors: u32,
        siblings: Option<Box<dyn Siblings>>,
        accept_lock: Option<Box<dyn AcceptLock>>,
        first_byte: u32,
        free_memory: usize,
    ) -> Self {
        Self {
            homes,
            reserves,
            phase: AtomicU8::new(RUNNING),
            cut_at: AtomicU64::new(u64::MAX),
            stop_at: AtomicU64::new(u64::MAX),
            descriptors,
            siblings,
            accept_lock,
            left: AtomicUsize::new(0),
            instead: AtomicUsize::new(0),
            first_byte: AtomicU32::new(first_byte),
            free_memory,
            stealing: true,
            coalescing: Duration::ZERO,
            backend: Backend::Epoll,
            backend_why: "",
            fell_back: AtomicBool::new(false),
            services: Mutex::default(),
            listeners: Mutex::default(),
            ended: Mutex::new(0),
            all_ended: Condvar::new(),
        }
    }

    /// Workers without threads, for tests that step them; the last ones are reserves that have helped.
    #[cfg(all(test, not(loom)))]
    #[allow(clippy::unwrap_used, reason = "for tests only")]
    pub(crate) fn for_tests(
        pollsets: Vec<Box<dyn crate::reactor::Pollset>>,
        reserves: usize,
        service: impl crate::Service,
    ) -> Arc<Self> {
        let home = |(id, pollset)| {
            Arc::new(Home::new(id as u16, pollset, 1024, clock::monotonic_ms(), None).unwrap())
        };
        let mut homes: Vec<_> = pollsets.into_iter().enumerate().map(home).collect();
        let helpers = homes.split_off(homes.len() - reserves);
        let reserves = Reserves::for_tests(homes.len(), helpers);
        let shared = Self::new(homes, reserves, u32::MAX, None, None, 0, crate::buf::KEPT);
        shared.add_service(Arc::new(service)).unwrap();
        Arc::new(shared)
    }

    /// The worker that has claimed a connection: a home worker, or a reserve that has helped.
    pub(crate) fn owner(&self, id: u16) -> Option<&Arc<Home>> {
        let home = self.homes.get(id as usize);
        home.or_else(|| self.reserves.home(id))
    }

    pub(crate) fn running(&self) -> bool {
        self.phase.load(Ordering::Acquire) == RUNNING
    }

    pub(crate) fn draining(&self) -> bool {
        self.phase.load(Ordering::Acquire) == DRAINING
    }

    /// The runtime hands over, and requests in progress have had their time.
    pub(crate) fn cut_now(&self) -> bool {
        clock::monotonic_ns() >= self.cut_at.load(Ordering::Relaxed)
    }

    pub(crate) fn stop_now(&self) -> bool {
        self.draining() && clock::monotonic_ns() >= self.stop_at.load(Ordering::Relaxed)
    }

    /// How long requests in progress may still take; `cut`: those of a hand-over have been.
    pub(crate) fn grace_left(&self, cut: bool) -> Option<Duration> {
        let end = match self.phase.load(Ordering::Acquire) {
            DRAINING => &self.stop_at,
            HANDING_OVER if !cut => &self.cut_at,
            _ => return None,
        };
        let left = end
            .load(Ordering::Relaxed)
            .saturating_sub(clock::monotonic_ns());
        Some(Duration::from_nanos(left))
    }

    /// Within 2 % of the limit of open files, and never less than eight below it.
    pub(crate) fn descriptors_short(&self) -> bool {
        let open: u32 = self
            .homes
            .iter()
            .map(|h| h.connections.load(Ordering::Relaxed))
            .sum();
        open >= self.descriptors
    }

    /// The service of a listener.
    pub(crate) fn service(&self, listener: u8) -> Option<Arc<dyn AnyService>> {
        let services = self.services.lock().unwrap_or_else(PoisonError::into_inner);
        services.get(listener as usize).cloned()
    }

    /// Milliseconds a new connection may be silent.
    pub(crate) fn first_byte(&self, _listener: u8, default: u32) -> u32 {
        match self.first_byte.load(Ordering::Relaxed) {
            0 => default,
            ms => ms,
        }
    }

    /// Gives a listener's service a number.
    pub(super) fn add_service(&self, service: Arc<dyn AnyService>) -> Result<u8> {
        let mut services = self.services.lock().unwrap_or_else(PoisonError::into_inner);
        let Ok(id) = u8::try_from(services.len()) else {
            let why = std::io::Error::new(
                std::io::ErrorKind::InvalidInput,
                "a runtime has at most 256 listeners",
            );
            return Err(Error::new("listen", String::new(), why));
        };
        services.push(service);
        Ok(id)
    }

    pub(super) fn add_listener(&self, id: u8, listener: &Arc<OwnedFd>) {
        let mut listeners = self
            .listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        listeners.push((id, Arc::downgrade(listener)));
    }

    /// The listener of this number, while any home worker accepts from it.
    pub(crate) fn listener(&self, id: u8) -> Option<Arc<OwnedFd>> {
        let listeners = self
            .listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let of_id = listeners.iter().find(|(at, _)| *at == id);
        of_id.and_then(|(_, listener)| listener.upgrade())
    }

    /// From now on the runtime drains, for at most `grace` and no longer than it was told before.
    pub(crate) fn drain(&self, grace: Duration) {
        // The release publishes the moment: whoever sees DRAINING sees when it ends.
        self.stop_at.fetch_min(after(grace), Ordering::Relaxed);
        self.phase.fetch_max(DRAINING, Ordering::Release);
        // Pairs with the one in `accept_instead`.
        fence(Ordering::SeqCst);
    }

    /// From now on the runtime hands over; requests may take `grace`, and no longer than was said before.
    pub(crate) fn hand_over(&self, grace: Duration) {
        self.cut_at.fetch_min(after(grace), Ordering::Relaxed);
        self.phase.fetch_max(HANDING_OVER, Ordering::Release);
        // Pairs with the one in `accept_instead`.
        fence(Ordering::SeqCst);
    }

    /// A home worker has accepted its last. Releases what it has counted, for [`Shared::all_have_left`].
    pub(crate) fn one_has_left(&self) {
        self.left.fetch_add(1, Ordering::Release);
    }

    /// Whether every home worker has, and nobody accepts in the place of one.
    pub(crate) fn all_have_left(&self) -> bool {
        self.left.load(Ordering::Acquire) >= self.homes.len() && self.nobody_accepts_instead()
    }

    /// Whether no reserve is in the middle of accepting: what it has accepted has its place.
    pub(crate) fn nobody_accepts_instead(&self) -> bool {
        self.instead.load(Ordering::Acquire) == 0
    }

    /// Leave for a reserve to accept, unless the runtime ends: until it is given back nobody says that all have left.
    pub(crate) fn accept_instead(&self) -> Option<Instead<'_>> {
        self.instead.fetch_add(1, Ordering::Relaxed);
        let instead = Instead(self);
        // Either the end is seen here, or whoever brings it sees that this one accepts.
        fence(Ordering::SeqCst);
        self.running().then_some(instead)
    }

    /// A home worker's thread ends.
    pub(super) fn one_has_ended(&self) {
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.all_ended.notify_all();
    }

    /// A reserve that drains has done something.
    pub(crate) fn look_again(&self) {
        drop(self.ended.lock().unwrap_or_else(PoisonError::into_inner));
        self.all_ended.notify_all();
    }

    /// Waits until all home workers have ended, and the reserves have no sockets of tasks or no more grace.
    pub(super) fn wait(&self) {
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        while *ended < self.homes.len() {
            ended = self
                .all_ended
                .wait(ended)
                .unwrap_or_else(PoisonError::into_inner);
        }
        let mut reserves = self.reserves.homes();
        while reserves.any(|home| home.connections.load(Ordering::Relaxed) > 0) {
            let Some(left) = self.grace_left(true).filter(|left| !left.is_zero()) else {
                return;
            };
            let waited = self.all_ended.wait_timeout(ended, left);
            ended = waited.unwrap_or_else(PoisonError::into_inner).0;
            reserves = self.reserves.homes();
        }
    }
}

/// A reserve accepts.
pub(crate) struct Instead<'a>(&'a Shared);

impl Drop for Instead<'_> {
    fn drop(&mut self) {
        self.0.instead.fetch_sub(1, Ordering::Release);
        if self.0.running() {
            return;
        }
        // Whoever waited for it looks again.
        for home in &self.0.homes {
            home.post(Message::Due);
            home.tell();
        }
    }
}

/// The moment in monotonic nanoseconds.
fn after(grace: Duration) -> u64 {
    let ns = u64::try_from(grace.as_nanos()).unwrap_or(u64::MAX / 2);
    clock::monotonic_ns().saturating_add(ns)
}
