//! Building a runtime, giving it listeners, and ending it.

use crate::blocking::Reserves;
use crate::error::{Error, Result};
use crate::executor::inbox::Message;
use crate::executor::remote::Remote;
use crate::metrics::{Metrics, WorkerCounters};
use crate::net::accept::Siblings;
use crate::net::service::{AnyService, Service};
use crate::reactor::epoll::Epoll;
use crate::sys::clock;
use crate::worker::{Home, Worker};
use std::future::Future;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;

/// How many home workers a runtime has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Workers {
    /// One per processor this process may use.
    PerCore,
    /// So many, at least one and at most 1,024.
    Count(usize),
}

/// Where worker threads may run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Affinity {
    /// Wherever the scheduler likes.
    None,
    /// Worker `n` on the `n`-th processor this process may use.
    PerCore,
    /// Worker `n` on processor `list[n % len]`.
    Cores(Vec<usize>),
}

const RUNNING: u8 = 0;
const DRAINING: u8 = 1;

/// What all threads of a runtime share.
pub(crate) struct Shared {
    pub(crate) homes: Vec<Arc<Home>>,
    pub(crate) reserves: Reserves,
    phase: AtomicU8,
    /// Monotonic nanoseconds at which draining ends.
    stop_at: AtomicU64,
    descriptors: u32,
    pub(crate) siblings: Option<Box<dyn Siblings>>,
    first_byte: AtomicU32,
    /// What each listener's connections are served by; a worker that meets one for the first time looks here.
    services: Mutex<Vec<Arc<dyn AnyService>>>,
    ended: Mutex<usize>,
    all_ended: Condvar,
}

impl Shared {
    /// Workers without threads, for tests that step them.
    #[cfg(all(test, not(loom)))]
    #[allow(clippy::unwrap_used, reason = "for tests only")]
    pub(crate) fn for_tests(
        pollsets: Vec<Box<dyn crate::reactor::Pollset>>,
        service: impl Service,
    ) -> Arc<Self> {
        let home = |(id, pollset)| {
            Arc::new(Home::new(id as u16, pollset, 1024, clock::monotonic_ms(), None).unwrap())
        };
        Arc::new(Self {
            homes: pollsets.into_iter().enumerate().map(home).collect(),
            reserves: Reserves::default(),
            phase: AtomicU8::new(RUNNING),
            stop_at: AtomicU64::new(u64::MAX),
            descriptors: u32::MAX,
            siblings: None,
            first_byte: AtomicU32::new(0),
            services: Mutex::new(vec![Arc::new(service)]),
            ended: Mutex::new(0),
            all_ended: Condvar::new(),
        })
    }

    pub(crate) fn running(&self) -> bool {
        self.phase.load(Ordering::Acquire) == RUNNING
    }

    pub(crate) fn draining(&self) -> bool {
        !self.running()
    }

    pub(crate) fn stop_now(&self) -> bool {
        self.draining() && clock::monotonic_ns() >= self.stop_at.load(Ordering::Relaxed)
    }

    /// How long draining may still take.
    pub(crate) fn grace_left(&self) -> Option<Duration> {
        self.draining().then(|| {
            Duration::from_nanos(
                self.stop_at
                    .load(Ordering::Relaxed)
                    .saturating_sub(clock::monotonic_ns()),
            )
        })
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
}

/// Settings of a runtime that is to be built.
pub struct Builder {
    workers: Workers,
    reserves: usize,
    affinity: Affinity,
    name: String,
    first_byte: Duration,
    stack_size: Option<usize>,
    siblings: Option<Box<dyn Siblings>>,
    counters: Vec<&'static WorkerCounters>,
}

impl Builder {
    /// The number of home workers; one per processor by default.
    #[must_use]
    pub fn workers(mut self, workers: Workers) -> Self {
        self.workers = workers;
        self
    }

    /// Threads for [`crate::spawn_blocking`]; none by default.
    #[must_use]
    pub fn reserves(mut self, threads: usize) -> Self {
        self.reserves = threads;
        self
    }

    /// Where worker threads may run; anywhere by default.
    #[must_use]
    pub fn affinity(mut self, affinity: Affinity) -> Self {
        self.affinity = affinity;
        self
    }

    /// The name of the threads, to which a number is added; at most eleven bytes are seen.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// How long a new connection may be silent; 60 s by default.
    #[must_use]
    pub fn first_byte_timeout(mut self, timeout: Duration) -> Self {
        self.first_byte = timeout;
        self
    }

    /// The stack of each worker thread in bytes.
    #[must_use]
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = Some(bytes);
        self
    }

    /// Other processes with the same listeners; none by default.
    #[must_use]
    pub fn siblings(mut self, siblings: impl Siblings) -> Self {
        self.siblings = Some(Box::new(siblings));
        self
    }

    /// Where the workers count, the first worker in the first place; those that get none count in memory of their own.
    #[must_use]
    pub fn counters(mut self, places: Vec<&'static WorkerCounters>) -> Self {
        self.counters = places;
        self
    }

    /// Starts the worker threads.
    ///
    /// # Errors
    /// No or more than 1,024 workers; no descriptors, memory or threads for them.
    pub fn build(self) -> Result<Runtime> {
        let cpus = cpus();
        let count = match self.workers {
            Workers::PerCore => cpus.len().clamp(1, 1024),
            Workers::Count(n @ 1..=1024) => n,
            Workers::Count(n) => {
                let why = std::io::Error::new(
                    std::io::ErrorKind::InvalidInput,
                    "a runtime has 1 to 1,024 workers",
                );
                return Err(Error::new("build", format!("{n} workers"), why));
            }
        };
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        let files = u32::try_from(limit.current.unwrap_or(1 << 20))
            .unwrap_or(1 << 20)
            .clamp(16, 1 << 22);
        let own = u32::try_from(count * 2 + 8).unwrap_or(16);
        let mut homes = Vec::new();
        for id in 0..count {
            let epoll =
                Epoll::new().map_err(|e| Error::new("epoll_create", format!("worker {id}"), e))?;
            let counters = self.counters.get(id).copied();
            let now = clock::monotonic_ms();
            let home = Home::new(id as u16, Box::new(epoll), files, now, counters)
                .map_err(|e| Error::new("map slots", format!("worker {id}"), e))?;
            homes.push(Arc::new(home));
        }
        let shared = Arc::new(Shared {
            homes,
            reserves: Reserves::default(),
            phase: AtomicU8::new(RUNNING),
            stop_at: AtomicU64::new(u64::MAX),
            descriptors: files
                .saturating_sub((files / 50).max(8))
                .saturating_sub(own)
                .max(4),
            siblings: self.siblings,
            first_byte: AtomicU32::new(
                u32::try_from(self.first_byte.as_millis()).unwrap_or(u32::MAX >> 4),
            ),
            services: Mutex::default(),
            ended: Mutex::new(0),
            all_ended: Condvar::new(),
        });
        let mut runtime = Runtime {
            shared: shared.clone(),
            threads: Vec::new(),
        };
        for home in &shared.homes {
            let cpu = match &self.affinity {
                Affinity::None => None,
                Affinity::PerCore => cpus.get(home.id as usize % cpus.len().max(1)).copied(),
                Affinity::Cores(list) => list.get(home.id as usize % list.len().max(1)).copied(),
            };
            let (shared, home) = (shared.clone(), home.clone());
            let name = format!("{}-{}", self.name, home.id);
            runtime.start(name, self.stack_size, move || work(shared, home, cpu))?;
        }
        for n in 0..self.reserves {
            let shared = shared.clone();
            runtime.start(format!("{}-r{n}", self.name), self.stack_size, move || {
                shared.reserves.run()
            })?;
        }
        Ok(runtime)
    }
}

/// The life of a home worker's thread.
fn work(shared: Arc<Shared>, home: Arc<Home>, cpu: Option<usize>) {
    if let Some(cpu) = cpu {
        let mut set = rustix::thread::CpuSet::new();
        if cpu < rustix::thread::CpuSet::MAX_CPU {
            set.set(cpu);
            if let Err(e) = rustix::thread::sched_setaffinity(None, &set) {
                tracing::warn!(target: "parkade", "worker {}: cannot be bound to processor {cpu}: {e}", home.id);
            }
        }
    }
    let abort = AbortOnPanic;
    let worker = Worker::new(shared.clone(), home);
    let entered = Worker::enter(&worker);
    worker.run();
    worker.clear();
    drop(entered);
    std::mem::forget(abort);
    *shared.ended.lock().unwrap_or_else(PoisonError::into_inner) += 1;
    shared.all_ended.notify_all();
}

/// Panics of bursts, tasks and wakers are caught. One of our own would leave a process whose connections nobody serves.
struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        tracing::error!(target: "parkade", "a worker panicked outside any handler: aborting");
        std::process::abort();
    }
}

fn cpus() -> Vec<usize> {
    match rustix::thread::sched_getaffinity(None) {
        Ok(set) => (0..rustix::thread::CpuSet::MAX_CPU)
            .filter(|c| set.is_set(*c))
            .collect(),
        Err(_) => vec![0],
    }
}

/// Worker threads with their connections.
///
/// Dropping it closes everything at once and waits for the threads.
pub struct Runtime {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Runtime {
    /// Default settings.
    #[must_use]
    pub fn builder() -> Builder {
        Builder {
            workers: Workers::PerCore,
            reserves: 0,
            affinity: Affinity::None,
            name: "parkade".into(),
            first_byte: Duration::from_secs(60),
            stack_size: None,
            siblings: None,
            counters: Vec::new(),
        }
    }

    fn start(
        &mut self,
        name: String,
        stack: Option<usize>,
        f: impl FnOnce() + Send + 'static,
    ) -> Result<()> {
        let mut builder = thread::Builder::new().name(name.clone());
        if let Some(bytes) = stack {
            builder = builder.stack_size(bytes);
        }
        self.threads.push(
            builder
                .spawn(f)
                .map_err(|e| Error::new("start thread", name, e))?,
        );
        Ok(())
    }

    /// Accepts from `listener` on every worker and serves its connections. Returns its number.
    ///
    /// # Errors
    /// The listener cannot be made non-blocking; there are more than 255 of them.
    pub fn listen(&self, listener: std::net::TcpListener, service: impl Service) -> Result<u8> {
        listener
            .set_nonblocking(true)
            .map_err(|e| Error::new("set non-blocking", "listener", e))?;
        // Accepted sockets inherit it. Answers are written whole; a rest that waits for an acknowledgement helps nobody.
        if let Err(e) = rustix::net::sockopt::set_tcp_nodelay(&listener, true) {
            tracing::debug!(target: "parkade", "TCP_NODELAY on a listener: {e}");
        }
        let listener = Arc::new(OwnedFd::from(listener));
        let service: Arc<dyn AnyService> = Arc::new(service);
        // Before any worker hears of the listener: a connection may be placed on one that has not heard yet.
        let id = {
            let mut services = self
                .shared
                .services
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let Ok(id) = u8::try_from(services.len()) else {
                let why = std::io::Error::new(
                    std::io::ErrorKind::InvalidInput,
                    "a runtime has at most 256 listeners",
                );
                return Err(Error::new("listen", String::new(), why));
            };
            services.push(service);
            id
        };
        for home in &self.shared.homes {
            home.post(Message::Listen {
                id,
                listener: listener.clone(),
            });
        }
        Ok(id)
    }

    /// Binds `address`, serves it, and returns when the runtime was shut down through a [`Handle`].
    ///
    /// # Errors
    /// The address cannot be bound.
    pub fn serve(self, address: SocketAddr, service: impl Service) -> Result<()> {
        let listener = std::net::TcpListener::bind(address)
            .map_err(|e| Error::new("bind", address.to_string(), e))?;
        self.listen(listener, service)?;
        self.wait();
        Ok(())
    }

    /// Waits until the runtime was shut down through a [`Handle`].
    pub fn wait(&self) {
        let mut ended = self
            .shared
            .ended
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        while *ended < self.shared.homes.len() {
            ended = self
                .shared
                .all_ended
                .wait(ended)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Runs `future` on worker 0 and waits for its output. What is not `Send` is made there by [`Handle::spawn_on`].
    ///
    /// # Panics
    /// If the future panics, or the runtime is shut down before it is done.
    pub fn block_on<F>(&self, future: F) -> F::Output
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        block_on(self.handle().spawn_on(0, move || future))
    }

    /// A handle for other threads.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle(self.shared.clone())
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        self.handle().shutdown(Duration::ZERO);
        self.shared.reserves.close();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Steers a runtime from any thread.
#[derive(Clone)]
pub struct Handle(Arc<Shared>);

impl Handle {
    /// Stops accepting, says goodbye to idle connections, lets requests in progress finish for at most `grace`.
    pub fn shutdown(&self, grace: Duration) {
        let ns = u64::try_from(grace.as_nanos()).unwrap_or(u64::MAX / 2);
        let at = clock::monotonic_ns().saturating_add(ns);
        // The release publishes the moment: whoever sees DRAINING sees when it ends.
        self.0.stop_at.fetch_min(at, Ordering::Relaxed);
        self.0.phase.store(DRAINING, Ordering::Release);
        for home in &self.0.homes {
            home.post(Message::Spawn(Box::new(|| {})));
        }
    }

    /// Makes a future on a worker (counted modulo their number), where it runs as a task. It need not be `Send`.
    ///
    /// ```
    /// use parkade::{Runtime, Workers};
    /// use std::{cell::Cell, rc::Rc};
    ///
    /// let runtime = Runtime::builder().workers(Workers::Count(2)).build()?;
    /// let seven = runtime.handle().spawn_on(1, || async {
    ///     let shared = Rc::new(Cell::new(3));
    ///     let other = shared.clone();
    ///     parkade::spawn(async move { other.set(other.get() + 4) }).await;
    ///     shared.get()
    /// });
    /// assert_eq!(parkade::block_on(seven), 7);
    /// # Ok::<(), parkade::Error>(())
    /// ```
    pub fn spawn_on<F>(
        &self,
        worker: usize,
        make: impl FnOnce() -> F + Send + 'static,
    ) -> Remote<F::Output>
    where
        F: Future + 'static,
        F::Output: Send + 'static,
    {
        let homes = &self.0.homes;
        Remote::spawn(&homes[worker % homes.len()], make)
    }

    /// The counters of now.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        Metrics {
            workers: self.0.homes.iter().map(|h| h.counters.read()).collect(),
        }
    }
}

/// Runs a future on the calling thread, which sleeps between polls; for tests and small programs.
pub fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut cx = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut cx) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}
