//! Parked connections seen from outside: waking one, looking at all, ending some.
//!
//! A parked connection belongs to nobody, so whoever wins the compare-and-swap on its state word may say what happens
//! next, on any thread. A handle names slot and generation; when the connection is gone its generation is, and the
//! handle means nothing, whoever has the slot then. What was won is handed to a worker: to its own if that waits, to one
//! that does if its own is busy.

use crate::executor::handed::Handed;
use crate::executor::inbox::Message;
use crate::park::peer::Peer;
use crate::park::state::{PARKED, Readiness, SILENT, Snapshot};
use crate::runtime::Shared;
use crate::sys::socket;
use crate::time::Deadline;
use crate::worker::{Home, Worker};
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::Ordering::{Acquire, Relaxed};
use std::sync::atomic::fence;
use std::sync::{Arc, Weak};

/// Looked at in one go, under the lock of a worker's slots.
const GO: usize = 256;

/// Wakes a connection that is parked, from any thread: for server push and long poll.
///
/// It keeps neither the connection nor the runtime alive, may outlive both, and never means another connection: 24 bytes
/// to keep wherever the event is expected. It comes from [`crate::Conn::parked_handle`].
///
/// ```
/// use parkade::{Conn, Keepalive, Next, ParkedHandle, Runtime, Workers};
/// use std::io::{Read, Write};
/// use std::sync::{Arc, Mutex};
///
/// /// Who waits, and for which news.
/// #[derive(Default)]
/// struct Board {
///     news: Option<&'static str>,
///     waiting: Vec<ParkedHandle>,
/// }
///
/// async fn poll(mut conn: Conn, board: Arc<Mutex<Board>>) -> parkade::Result<Next> {
///     while conn.recv_ready().await?.is_some() {}
///     if conn.ended() {
///         return Ok(Next::Close(conn));
///     }
///     // Under one lock with the look at the news: whoever publishes finds the handle, or the news are seen here.
///     let news = {
///         let mut board = board.lock().unwrap();
///         if board.news.is_none() {
///             board.waiting.push(conn.parked_handle());
///         }
///         board.news
///     };
///     if let Some(news) = news {
///         conn.send(news.as_bytes()).await?;
///     }
///     Ok(Next::Park(conn, Keepalive::secs(60)))
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let board = Arc::new(Mutex::new(Board::default()));
/// let runtime = Runtime::builder().workers(Workers::Count(1)).build()?;
/// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// let mut client = std::net::TcpStream::connect(listener.local_addr()?)?;
/// let theirs = board.clone();
/// runtime.listen(listener, parkade::bursts(move |conn| poll(conn, theirs.clone())))?;
///
/// client.write_all(b"any news?")?;
/// while board.lock().unwrap().waiting.is_empty() {
///     std::thread::yield_now();
/// }
/// let mut board = board.lock().unwrap();
/// board.news = Some("it rains");
/// for waiting in board.waiting.drain(..) {
///     waiting.unpark();
/// }
/// drop(board);
/// client.read_exact(&mut [0; 8])?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ParkedHandle {
    shared: Weak<Shared>,
    home: u16,
    index: u32,
    generation: u32,
}

/// What [`ParkedHandle::unpark`] came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unpark {
    /// The connection was parked, and a burst begins.
    Started,
    /// It is busy: a burst begins when it would park next. One that is idle ([`crate::Conn::idle`]) ends that now.
    Later,
    /// It is gone, or about to go.
    Gone,
}

impl ParkedHandle {
    pub(crate) fn new(shared: &Arc<Shared>, home: u16, index: u32, generation: u32) -> Self {
        Self {
            shared: Arc::downgrade(shared),
            home,
            index,
            generation,
        }
    }

    /// Starts a burst as if there were input, which there need not be: [`crate::Conn::recv_ready`] says `None` then.
    ///
    /// No call is lost: one that comes while a burst runs starts another one, even if the running burst has seen what the
    /// call was for. Several calls may be one burst. A connection that goes to another process
    /// ([`crate::Handle::take_parked`]) takes no handle with it: [`Unpark::Later`] means nothing if it arrives there.
    /// Costs a compare-and-swap and, if its worker sleeps, a write(2).
    pub fn unpark(&self) -> Unpark {
        match self.shared.upgrade() {
            Some(shared) => unpark(&shared, self.home, self.index, self.generation),
            None => Unpark::Gone,
        }
    }
}

impl PartialEq for ParkedHandle {
    /// Whether both name the same connection.
    fn eq(&self, other: &Self) -> bool {
        let name = |h: &Self| (h.home, h.index, h.generation);
        Weak::ptr_eq(&self.shared, &other.shared) && name(self) == name(other)
    }
}

impl Eq for ParkedHandle {}

impl fmt::Debug for ParkedHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParkedHandle")
            .field("worker", &self.home)
            .field("slot", &self.index)
            .field("generation", &self.generation)
            .finish()
    }
}

pub(crate) fn unpark(shared: &Arc<Shared>, home: u16, index: u32, generation: u32) -> Unpark {
    let Some(home) = shared.homes.get(home as usize) else {
        return Unpark::Gone;
    };
    let Some(slot) = home.slots.slot(index) else {
        return Unpark::Gone;
    };
    let here = Worker::current().filter(|worker| Arc::ptr_eq(&worker.home, home));
    let by = match &here {
        Some(worker) => &worker.home,
        None => whoever_waits(shared, home),
    };
    match slot.state.unpark(generation, by.id) {
        Readiness::Claimed(_) => {
            let handed = Handed::new(home, index, generation);
            match here {
                Some(worker) => worker.take_over(handed),
                None => handed.send(by, Message::Start),
            }
            Unpark::Started
        }
        Readiness::Wake(owner) => {
            let waiter = slot.waiter.load(Relaxed).checked_sub(1);
            if let (Some(key), Some(owner)) = (waiter, shared.owner(owner)) {
                owner.post(Message::Waiter(key));
            }
            Unpark::Later
        }
        Readiness::Recorded => Unpark::Later,
        Readiness::Stale => Unpark::Gone,
    }
}

/// The worker of `home`, unless that is busy while another one waits for something to do.
fn whoever_waits<'a>(shared: &'a Shared, home: &'a Arc<Home>) -> &'a Arc<Home> {
    let waits = |home: &Home| !home.harvest.look().busy() && home.inbox.is_empty();
    if waits(home) || !shared.stealing || !shared.running() {
        return home;
    }
    let other = shared.homes.iter().find(|other| waits(other));
    other.unwrap_or(home)
}

/// A parked connection, as it was a moment ago; see [`crate::Handle::for_each_parked`].
#[derive(Clone)]
pub struct Parked<'a> {
    shared: &'a Arc<Shared>,
    home: &'a Arc<Home>,
    index: u32,
    generation: u32,
    known: Known,
}

/// What its slot says.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Known {
    peer: Peer,
    listener: u8,
    requests: u32,
    deadline: u32,
    silent: bool,
}

impl Known {
    fn read(home: &Home, index: u32, state: Snapshot) -> Self {
        let (slot, cold) = (home.slots.claimed(index), home.slots.claimed_cold(index));
        Self {
            peer: cold.packed_peer(),
            listener: cold.listener(),
            requests: cold.requests.load(Relaxed),
            deadline: slot.deadline.load(Relaxed),
            silent: state.has(SILENT),
        }
    }
}

impl<'a> Parked<'a> {
    /// Nobody has claimed it, so what was read counts only if it is still the same connection at rest.
    fn look(
        shared: &'a Arc<Shared>,
        home: &'a Arc<Home>,
        index: u32,
        generation: u32,
    ) -> Option<Self> {
        let state = &home.slots.claimed(index).state;
        let seen = state.peek();
        fence(Acquire);
        let known = Known::read(home, index, seen);
        fence(Acquire);
        let valid = seen.generation() == generation && seen.has(PARKED) && state.peek() == seen;
        valid.then_some(Self {
            shared,
            home,
            index,
            generation,
            known,
        })
    }

    /// Ends it, if it is still the one that was chosen; whether it ends.
    pub(crate) fn close(mut self, chosen: &mut impl FnMut(&Parked<'_>) -> bool) -> bool {
        let slot = self.home.slots.claimed(self.index);
        let Some(was) = slot.state.expire_parked(self.generation, self.home.id) else {
            return false;
        };
        // It is ours now: what its slot says is so.
        let known = Known::read(self.home, self.index, was);
        let changed = std::mem::replace(&mut self.known, known) != known;
        let handed = Handed::new(self.home, self.index, self.generation);
        if changed && !chosen(&self) || socket::has_input(slot.fd()) {
            slot.state.revive();
            handed.send(self.home, Message::Start);
            return false;
        }
        socket::shutdown_write(slot.fd());
        handed.send(self.home, Message::SeeOff);
        true
    }

    /// The peer's address, as it was when the connection was accepted; of a Unix socket 127.0.0.1.
    #[must_use]
    pub fn peer_ip(&self) -> IpAddr {
        self.known.peer.ip()
    }

    /// Which listener it came through, in the order of [`crate::Runtime::listen`].
    #[must_use]
    pub fn listener(&self) -> u8 {
        self.known.listener
    }

    /// How many requests it has had, if its protocol counts them ([`crate::Conn::add_request`]).
    #[must_use]
    pub fn requests(&self) -> u32 {
        self.known.requests
    }

    /// Until when it may stay parked.
    #[must_use]
    pub fn deadline(&self) -> Deadline {
        Deadline(self.known.deadline)
    }

    /// Whether nothing has come from the peer yet.
    #[must_use]
    pub fn silent(&self) -> bool {
        self.known.silent
    }

    /// The index of the worker that it is parked at.
    #[must_use]
    pub fn worker(&self) -> usize {
        self.home.id as usize
    }

    /// What wakes it.
    #[must_use]
    pub fn handle(&self) -> ParkedHandle {
        ParkedHandle::new(self.shared, self.home.id, self.index, self.generation)
    }
}

impl fmt::Debug for Parked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parked")
            .field("peer", &self.peer_ip())
            .field("listener", &self.listener())
            .field("requests", &self.requests())
            .finish_non_exhaustive()
    }
}

/// Every parked connection of all workers.
pub(crate) fn for_each(shared: &Arc<Shared>, mut look: impl FnMut(Parked<'_>)) {
    let mut found = Vec::with_capacity(GO);
    for home in &shared.homes {
        let mut from = Some(0);
        while let Some(first) = from {
            found.clear();
            from = home.slots.parked_from(first, GO, &mut found);
            let parked = found.iter().copied();
            parked
                .filter_map(|(index, generation)| Parked::look(shared, home, index, generation))
                .for_each(&mut look);
        }
    }
}
