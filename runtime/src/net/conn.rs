//! The handle a burst holds.

use super::claim::Claim;
use super::idle::{Idle, Idling};
use super::next::Carry;
use super::parked::ParkedHandle;
use super::written::Written;
use crate::buf::Buffer;
use crate::park::peer::Peer;
use crate::park::slots::{Cold, Slot};
use crate::park::state::{RDHUP, READY, WREADY};
use crate::sys::socket;
use crate::time::Deadline;
use crate::worker::{Home, Worker};
use std::fmt;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};
use std::time::Duration;

/// A connection that has been taken up for a burst of input.
///
/// It is owned by one burst on one worker; [`crate::Next`] returns it to the runtime. Dropping it closes the
/// connection.
pub struct Conn {
    worker: Rc<Worker>,
    home: u16,
    pub(crate) index: u32,
    pub(crate) generation: u32,
    /// The last read was short, or found nothing, with no FIN announced.
    drained: bool,
    /// A read found the end.
    ended: bool,
    timed: bool,
    owned: bool,
}

/// What the runtime needs to know of a returned connection.
pub(crate) struct Returned {
    pub(crate) home: u16,
    pub(crate) index: u32,
    pub(crate) generation: u32,
    pub(crate) drained: bool,
}

impl Conn {
    /// The caller has claimed the slot.
    pub(crate) fn new(worker: Rc<Worker>, home: u16, index: u32, generation: u32) -> Self {
        Self {
            worker,
            home,
            index,
            generation,
            drained: false,
            ended: false,
            timed: false,
            owned: true,
        }
    }

    /// Back to the runtime: the slot stays claimed, dropping no longer closes.
    pub(crate) fn give_back(mut self) -> Returned {
        self.owned = false;
        Returned {
            home: self.home,
            index: self.index,
            generation: self.generation,
            drained: self.drained,
        }
    }

    /// Nobody asks for what was received ahead any more.
    pub(crate) fn forget_input(&self) {
        self.claim().forget_input();
    }

    fn home(&self) -> &Home {
        &self.worker.shared.homes[self.home as usize]
    }

    fn slot(&self) -> &Slot {
        self.home().slots.claimed(self.index)
    }

    fn cold(&self) -> &Cold {
        self.home().slots.claimed_cold(self.index)
    }

    pub(crate) fn home_id(&self) -> usize {
        self.home as usize
    }

    /// Reads what is there, once, and appends it to `buf`.
    ///
    /// `Ok(0)` is the peer's FIN.
    ///
    /// # Errors
    /// `WouldBlock` if there is nothing now; `InvalidInput` if `buf` has no space; otherwise recv(2)'s.
    pub fn try_recv(&mut self, buf: &mut Buffer) -> io::Result<usize> {
        let spare = buf.spare_mut();
        if spare.is_empty() {
            return Err(ErrorKind::InvalidInput.into());
        }
        let (read, drained) = self.claim().recv(spare);
        self.drained = drained;
        if let Ok(n) = read {
            self.ended |= n == 0;
            buf.advance(n);
        }
        read
    }

    /// Whether the last read left nothing behind: the connection may park without another one.
    #[must_use]
    pub fn drained(&self) -> bool {
        self.drained
    }

    /// Whether a read has found the peer's FIN.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Whether the peer's FIN (or a failure) was announced; there may still be input before it.
    #[must_use]
    pub fn peer_closed(&self) -> bool {
        self.slot().state.peek().has(RDHUP)
    }

    /// Reads into `buf`, waiting until there is something. Cancel safe.
    ///
    /// # Errors
    /// `TimedOut` when the I/O deadline passed; otherwise as [`Conn::try_recv`].
    pub async fn recv(&mut self, buf: &mut Buffer) -> io::Result<usize> {
        poll_fn(|cx| self.poll_recv(cx, buf)).await
    }

    /// [`Conn::recv`] for hand-written futures.
    ///
    /// # Errors
    /// As [`Conn::recv`].
    pub fn poll_recv(&mut self, cx: &mut Context<'_>, buf: &mut Buffer) -> Poll<io::Result<usize>> {
        loop {
            match self.try_recv(buf) {
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                other => return Poll::Ready(other),
            }
            match self.poll_edge(cx, READY | RDHUP) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(e)) => return Poll::Ready(Err(e)),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// The next piece of input that is there now; `None` if nothing is left (or the peer has ended).
    ///
    /// # Errors
    /// As recv(2).
    #[allow(
        clippy::unused_async,
        reason = "room for backends whose reads complete later"
    )]
    pub async fn recv_ready(&mut self) -> io::Result<Option<Buffer>> {
        if self.drained {
            return Ok(None);
        }
        let mut buffer = self.buffer();
        match self.try_recv(&mut buffer) {
            Ok(0) => Ok(None),
            Ok(_) => Ok(Some(buffer)),
            Err(e) if e.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Writes what the socket takes now.
    ///
    /// # Errors
    /// `WouldBlock` if that is nothing; otherwise send(2)'s.
    pub fn try_send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.worker.calls.send(self.slot().fd(), bytes)?;
        self.worker.home.counters.bytes.add_mine(sent as u64);
        Ok(sent)
    }

    /// [`Conn::try_send`] on `count` connections of one worker in one system call, if the backend can; false if it cannot.
    /// `results` are in the order of the answers.
    pub fn try_send_together<'a>(
        count: usize,
        answer: impl Fn(usize) -> (&'a Conn, &'a [u8]),
        results: &mut Vec<io::Result<usize>>,
    ) -> bool {
        results.clear();
        if count > 0
            && let worker = &answer(0).0.worker
            && let Some(batched) = worker.calls.batched()
        {
            let socket = |at| {
                let (conn, bytes) = answer(at);
                (conn.slot().fd(), bytes)
            };
            batched.send_all(count, socket, results);
            let sent = results.iter().flatten().sum::<usize>();
            worker.home.counters.bytes.add_mine(sent as u64);
            return true;
        }
        false
    }

    /// Writes all of `bytes`, waiting where the socket is full. Not cancel safe: a part may have been written.
    ///
    /// # Errors
    /// `TimedOut` when the I/O deadline passed; otherwise send(2)'s.
    pub async fn send(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let n = poll_fn(|cx| self.poll_send(cx, bytes)).await?;
            bytes = &bytes[n..];
        }
        Ok(())
    }

    /// Writes some of `bytes`, for hand-written futures.
    ///
    /// # Errors
    /// As [`Conn::send`].
    pub fn poll_send(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            match self.try_send(bytes) {
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                other => return Poll::Ready(other),
            }
            let slot = self.slot();
            if let Err(e) = self.home().arm_output(slot, self.generation, self.index) {
                return Poll::Ready(Err(e));
            }
            match self.poll_edge(cx, WREADY) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(e)) => return Poll::Ready(Err(e)),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Waits for one of `edges` or the I/O deadline.
    fn poll_edge(&mut self, cx: &mut Context<'_>, edges: u64) -> Poll<io::Result<()>> {
        self.claim().poll_edge(cx, edges, self.timed)
    }

    /// What an edge, a wait or a read needs of it.
    fn claim(&self) -> Claim<'_> {
        Claim {
            worker: &self.worker,
            home: self.home(),
            index: self.index,
            generation: self.generation,
        }
    }

    /// From when on pending reads and writes of this burst fail with `TimedOut`; `None` for never.
    pub fn set_io_deadline(&mut self, deadline: Option<Deadline>) {
        self.timed = deadline.is_some();
        if let Some(d) = deadline {
            self.slot().deadline.store(d.0, Relaxed);
        }
    }

    /// Waits for input as a pending burst, at most `most` (six days at the farthest).
    ///
    /// The soft way to be idle: the future stays, with all it holds, and its worker keeps the connection; a connection
    /// that returns as [`crate::Next::Park`] costs less and may be taken up by any worker. It needs no buffer: give back
    /// what [`Conn::recv_ready`] lent first. Whatever the I/O deadline is, it does not count meanwhile and counts again
    /// afterwards. Ends at once if the last read may have left something ([`Conn::drained`]). Cancel safe.
    ///
    /// ```no_run
    /// # use parkade::{Conn, Idle, Next};
    /// # use std::time::Duration;
    /// async fn talk(mut conn: Conn) -> parkade::Result<Next> {
    ///     loop {
    ///         while let Some(chunk) = conn.recv_ready().await? {
    ///             conn.send(chunk.filled()).await?;
    ///         }
    ///         if conn.ended() || conn.idle(Duration::from_secs(30)).await != Idle::Input {
    ///             return Ok(Next::Close(conn));
    ///         }
    ///     }
    /// }
    /// ```
    pub async fn idle(&mut self, most: Duration) -> Idle {
        if !self.drained {
            return Idle::Input;
        }
        let outcome = Idling::new(self.claim(), most).await;
        self.drained = outcome != Idle::Input;
        outcome
    }

    /// This turn's clock; no system call.
    #[must_use]
    pub fn now(&self) -> Deadline {
        Deadline(self.worker.now.get())
    }

    /// This turn's wall clock in seconds since the epoch; no system call.
    #[must_use]
    pub fn unix_seconds(&self) -> u64 {
        self.worker.unix.get()
    }

    /// Until when the connection might have stayed parked, if nothing has been said about deadlines since. A burst that finds
    /// nothing, as an event came twice, parks it until then again: `Keepalive::at(conn.parked_until())`.
    #[must_use]
    pub fn parked_until(&self) -> Deadline {
        Deadline(self.slot().deadline.load(Relaxed))
    }

    /// What wakes this connection when it is parked: for whoever will have something for its peer.
    #[must_use]
    pub fn parked_handle(&self) -> ParkedHandle {
        ParkedHandle::new(&self.worker.shared, self.home, self.index, self.generation)
    }

    /// What the last burst left.
    pub fn take_carry(&mut self) -> Option<Carry> {
        self.home().take_carry(self.cold())
    }

    /// Whether the last burst left something.
    #[must_use]
    pub fn has_carry(&self) -> bool {
        self.cold().rare().is_some()
    }

    /// Leaves something for the next burst.
    pub fn set_carry(&mut self, carry: Carry) {
        self.home()
            .with_rare(self.cold(), |rare| rare.carry = Some(carry));
    }

    /// Who hears whether the [`crate::Next::Write`] that ends this burst is written to its end.
    pub fn set_written(&mut self, written: Written) {
        self.home()
            .with_rare(self.cold(), |rare| rare.written = Some(written));
    }

    /// How many requests this connection has had.
    #[must_use]
    pub fn requests(&self) -> u32 {
        self.cold().requests.load(Relaxed)
    }

    /// Counts a request.
    pub fn add_request(&mut self) {
        let requests = &self.cold().requests;
        requests.store(requests.load(Relaxed).wrapping_add(1), Relaxed);
        self.worker.home.counters.requests.add_mine(1);
    }

    /// The peer's address, as it was when the connection was accepted.
    #[must_use]
    pub fn peer_ip(&self) -> IpAddr {
        self.peer().ip()
    }

    /// The same, packed: 16 bytes to keep until they are needed.
    #[must_use]
    pub fn peer(&self) -> Peer {
        self.cold().packed_peer()
    }

    /// The peer's address and port: getpeername(2).
    ///
    /// # Errors
    /// `NotConnected` when the peer has gone.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        socket::peer(self.slot().fd())
    }

    /// Our own address and port: getsockname(2).
    ///
    /// # Errors
    /// That of getsockname(2).
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        socket::local(self.slot().fd())
    }

    /// Whether the end of this connection is a reset instead of a FIN: setsockopt(2) with `SO_LINGER` and no time.
    ///
    /// Bytes that the peer has not acknowledged by then are lost. For protocols in which the end means "complete".
    ///
    /// # Errors
    /// That of setsockopt(2).
    pub fn reset_when_closed(&self, reset: bool) -> io::Result<()> {
        socket::set_reset(self.slot().fd(), reset)
    }

    /// Which listener it came through, in the order of [`crate::Runtime::listen`].
    #[must_use]
    pub fn listener(&self) -> u8 {
        self.cold().listener()
    }

    /// An empty buffer of the worker's pool.
    #[must_use]
    pub fn buffer(&self) -> Buffer {
        self.worker.pool.take()
    }

    /// Whether other connections are ready, too, so that what comes cheaper for many at once may be put off
    /// ([`crate::Attempt::Later`]).
    #[must_use]
    pub fn crowded(&self) -> bool {
        self.worker.crowded.get()
    }

    /// Whether a graceful shutdown is in progress: the protocol should say goodbye with its answer.
    #[must_use]
    pub fn draining(&self) -> bool {
        self.worker.shared.draining()
    }

    /// The index of the worker that runs this burst.
    #[must_use]
    pub fn worker(&self) -> usize {
        self.worker.home.id as usize
    }
}

impl AsFd for Conn {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.slot().fd()
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        if self.owned {
            self.forget_input();
            self.worker.forget_waiter(self.slot());
            self.home().close(self.index);
        }
    }
}

impl fmt::Debug for Conn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conn")
            .field("worker", &self.worker())
            .field("slot", &self.index)
            .field(
                "peer",
                &if self.owned {
                    self.peer_ip()
                } else {
                    Ipv4Addr::UNSPECIFIED.into()
                },
            )
            .finish_non_exhaustive()
    }
}
