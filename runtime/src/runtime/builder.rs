//! Settings of a runtime, and its start.

use super::thread::{reserve, work};
use super::{Runtime, Shared};
use crate::buf::KEPT;
use crate::error::{Error, Result};
use crate::metrics::WorkerCounters;
use crate::net::accept::Siblings;
use crate::net::turns::AcceptLock;
use crate::reactor;
use crate::reactor::choice::Backend;
use crate::sys::{affinity, clock};
use crate::worker::Home;
use crate::worker::reserve::Reserves;
use std::sync::Arc;
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

/// Settings of a runtime that is to be built.
pub struct Builder {
    workers: Workers,
    reserves: usize,
    affinity: Affinity,
    name: String,
    first_byte: Duration,
    stack_size: Option<usize>,
    free_memory: usize,
    siblings: Option<Box<dyn Siblings>>,
    accept_lock: Option<Box<dyn AcceptLock>>,
    stealing: bool,
    coalescing: Duration,
    backend: Backend,
    counters: Vec<&'static WorkerCounters>,
}

impl Builder {
    pub(super) fn new() -> Self {
        Self {
            workers: Workers::PerCore,
            reserves: 0,
            affinity: Affinity::None,
            name: "parkade".into(),
            first_byte: Duration::from_secs(60),
            stack_size: None,
            free_memory: KEPT,
            siblings: None,
            accept_lock: None,
            stealing: true,
            coalescing: Duration::ZERO,
            backend: Backend::Auto,
            counters: Vec::new(),
        }
    }

    /// The number of home workers; one per processor by default.
    #[must_use]
    pub fn workers(mut self, workers: Workers) -> Self {
        self.workers = workers;
        self
    }

    /// Threads for [`crate::spawn_blocking`], which also serve the connections of a worker whose handler blocks; none
    /// by default.
    ///
    /// A worker that has been inside one turn of its loop for a few milliseconds is helped by a reserve: requests that
    /// nobody has started, unfinished writes and lingering connections go on there, and so does accepting when every
    /// worker is stuck. What was started on the blocked worker waits for it.
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

    /// How many bytes of free buffers each worker keeps for later, at least those of one buffer; 0 is without bound, 256 KiB
    /// the default. What is above it goes back to the allocator, and from there to the system.
    #[must_use]
    pub fn free_memory(mut self, bytes: usize) -> Self {
        self.free_memory = bytes;
        self
    }

    /// Other processes with the same listeners; none by default.
    #[must_use]
    pub fn siblings(mut self, siblings: impl Siblings) -> Self {
        self.siblings = Some(Box::new(siblings));
        self
    }

    /// A lock by which processes with the same listeners take turns accepting; none by default.
    #[must_use]
    pub fn accept_lock(mut self, lock: impl AcceptLock) -> Self {
        self.accept_lock = Some(Box::new(lock));
        self
    }

    /// Whether a worker with nothing to do starts bursts of connections whose own worker is behind; true by default. Only
    /// bursts that nobody has started go elsewhere, and a connection's next one is at home again.
    #[must_use]
    pub fn stealing(mut self, on: bool) -> Self {
        self.stealing = on;
        self
    }

    /// How the runtime waits and talks to the kernel; [`Backend::Auto`] by default.
    #[must_use]
    pub fn backend(mut self, backend: Backend) -> Self {
        self.backend = backend;
        self
    }

    /// How long a request may wait for others, so that one wake of a worker does for several; zero, the default, is not at
    /// all. A worker naps only while its connections wake it thickly and it is idle for most of the time: about from
    /// 5,000 requests a second on at 0.5 ms. Bounds above 10 ms are taken as 10 ms.
    #[must_use]
    pub fn coalescing(mut self, bound: Duration) -> Self {
        self.coalescing = bound.min(Duration::from_millis(10));
        self
    }

    /// Where the workers count, the first worker in the first place, and the reserves behind them; those that get none
    /// count in memory of their own.
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
        let cpus = affinity::cpus();
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
        let (backend, why) = self.backend.resolve();
        let mut homes = Vec::new();
        for id in 0..count {
            let pollset = reactor::open(backend)
                .map_err(|e| Error::new("open a pollset", format!("worker {id}"), e))?;
            let counters = self.counters.get(id).copied();
            let now = clock::monotonic_ms();
            let home = Home::new(id as u16, pollset, files, now, counters)
                .map_err(|e| Error::new("map slots", format!("worker {id}"), e))?;
            homes.push(Arc::new(home));
        }
        let descriptors = files
            .saturating_sub((files / 50).max(8))
            .saturating_sub(own)
            .max(4);
        let first_byte = u32::try_from(self.first_byte.as_millis()).unwrap_or(u32::MAX >> 4);
        let places = self.counters.get(count..).unwrap_or_default();
        let reserves = Reserves::new(self.reserves, count, files, places);
        let mut shared = Shared::new(
            homes,
            reserves,
            descriptors,
            self.siblings,
            self.accept_lock,
            first_byte,
            self.free_memory,
        );
        shared.stealing = self.stealing;
        shared.coalescing = self.coalescing;
        (shared.backend, shared.backend_why) = (backend, why);
        tracing::info!(target: "parkade", "reactor backend {backend}: {why}");
        let shared = Arc::new(shared);
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
                reserve(&shared, n)
            })?;
        }
        Ok(runtime)
    }
}
