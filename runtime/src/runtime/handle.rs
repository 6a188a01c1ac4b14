//! What other threads may do with a runtime.

use super::Shared;
use crate::error::Result;
use crate::executor::inbox::Message;
use crate::executor::remote::Remote;
use crate::metrics::Metrics;
use crate::net::moving::{self, Arriving, Departing, Record};
use crate::net::parked::{self, Parked};
use crate::net::service::Service;
use crate::reactor::choice::Backend;
use crate::worker::News;
use std::future::Future;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Steers a runtime from any thread.
#[derive(Clone)]
pub struct Handle(pub(super) Arc<Shared>);

impl Handle {
    /// Stops accepting, says goodbye to idle connections, lets requests in progress finish for at most `grace`.
    pub fn shutdown(&self, grace: Duration) {
        self.0.drain(grace);
        self.rouse();
    }

    /// Every worker takes a turn.
    fn rouse(&self) {
        for home in self.0.homes.iter().chain(self.0.reserves.homes()) {
            home.post(Message::Spawn(Box::new(|| {})));
        }
    }

    /// Stops accepting for good, but lets parked connections live, to be taken by [`Handle::take_parked`].
    ///
    /// What lies in the backlogs is accepted first. Parked connections are served as ever meanwhile, keep-alive goes on.
    /// What cannot go to another process is asked to end ([`crate::Idle::Draining`]). Requests in progress after `grace`
    /// are cut, once; a request that begins later is served. The runtime stays until [`Handle::shutdown`].
    ///
    /// `news` is called by workers whenever a connection comes to rest or ends from now on, and must not block: it may
    /// set a flag or write an eventfd(2). It lives as long as the runtime, so it should not own a handle. Only the first
    /// call's counts.
    ///
    /// ```
    /// use parkade::{Conn, Departing, Keepalive, Next, Runtime, Workers};
    /// use std::io::{Read, Write};
    /// use std::time::Duration;
    ///
    /// async fn echo(mut conn: Conn) -> parkade::Result<Next> {
    ///     while let Some(chunk) = conn.recv_ready().await? {
    ///         conn.send(chunk.filled()).await?;
    ///     }
    ///     Ok(if conn.ended() { Next::Close(conn) } else { Next::Park(conn, Keepalive::secs(60)) })
    /// }
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let build = || Runtime::builder().workers(Workers::Count(1)).build();
    /// let (old, new) = (build()?, build()?);
    /// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// let mut client = std::net::TcpStream::connect(listener.local_addr()?)?;
    /// old.listen(listener, parkade::bursts(echo))?;
    /// new.handle().serve_adopted(parkade::bursts(echo))?;
    ///
    /// let (send, news) = std::sync::mpsc::channel();
    /// old.handle().hand_over(Duration::from_secs(5), move || { let _ = send.send(()); });
    /// let mut departing: Vec<Departing> = Vec::new();
    /// while departing.is_empty() {
    ///     news.recv()?;
    ///     old.handle().take_parked(100, &mut departing);
    /// }
    /// for connection in departing {
    ///     // Between processes the socket and the record go through a Unix socket here.
    ///     let socket = connection.socket().try_clone_to_owned()?;
    ///     let arriving = new.handle().adopt(socket, connection.record().clone())?;
    ///     connection.arrived();
    ///     arriving.start()?;
    /// }
    /// drop(old);
    /// client.write_all(b"still there?")?;
    /// client.read_exact(&mut [0; 12])?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn hand_over(&self, grace: Duration, news: impl Fn() + Send + Sync + 'static) {
        let news: News = Arc::new(news);
        for home in &self.0.homes {
            // Set already: the first one counts.
            let _ = home.news.set(news.clone());
        }
        self.0.hand_over(grace);
        self.rouse();
    }

    /// Takes at most `most` parked connections, to be given to another process; from any thread.
    ///
    /// A connection with more than 64 KiB of unfinished input is not taken. When fewer than `most` come, no others were at
    /// rest; news tell when to ask again.
    pub fn take_parked(&self, most: usize, into: &mut Vec<Departing>) {
        moving::take(&self.0, most, into);
    }

    /// Gives a connection of another process its place here. It is neither read nor registered before
    /// [`Arriving::start`], so that the sender can be told first.
    ///
    /// # Errors
    /// The runtime accepts no more; there is no such listener here; no slot is left. The socket is closed, which the peer
    /// does not notice while the sender has its own.
    pub fn adopt(&self, socket: OwnedFd, record: Record) -> Result<Arriving> {
        moving::adopt(&self.0, socket, record)
    }

    /// Serves adopted connections that have no listener here; returns its number, as [`crate::Runtime::listen`] does.
    ///
    /// # Errors
    /// There are 256 listeners.
    pub fn serve_adopted(&self, service: impl Service) -> Result<u8> {
        self.0.add_service(Arc::new(service))
    }

    /// Connections there are, whatever they do. One that is departing counts until it has arrived.
    #[must_use]
    pub fn connections(&self) -> usize {
        let homes = self.0.homes.iter().chain(self.0.reserves.homes());
        homes.map(|h| h.connections.load(Relaxed) as usize).sum()
    }

    /// Whether every worker has accepted its last, after [`Handle::hand_over`] or [`Handle::shutdown`]; `news` tells. Until
    /// then there may be more connections at any moment.
    #[must_use]
    pub fn has_left_listeners(&self) -> bool {
        self.0.all_have_left()
    }

    /// Shows every parked connection, one by one: those that come to rest or leave meanwhile may be missed. `look` runs on
    /// this thread and holds nobody up.
    ///
    /// ```
    /// # fn wake_all_of(handle: &parkade::Handle, listener: u8) {
    /// handle.for_each_parked(|connection| {
    ///     if connection.listener() == listener {
    ///         connection.handle().unpark();
    ///     }
    /// });
    /// # }
    /// ```
    pub fn for_each_parked(&self, mut look: impl FnMut(&Parked<'_>)) {
        parked::for_each(&self.0, |connection| look(&connection));
    }

    /// Closes every parked connection that `chosen` says, from any thread, and says how many those were.
    ///
    /// Each peer gets our FIN at once; what it still sends is thrown away for two seconds, so that it is not reset. A
    /// connection whose next request has come is served, not closed. One that was served while `chosen` looked at it is
    /// looked at again.
    ///
    /// ```
    /// use std::net::IpAddr;
    ///
    /// fn ban(handle: &parkade::Handle, peer: IpAddr) -> usize {
    ///     handle.close_parked(|connection| connection.peer_ip() == peer)
    /// }
    /// ```
    pub fn close_parked(&self, mut chosen: impl FnMut(&Parked<'_>) -> bool) -> usize {
        let mut closed = 0;
        parked::for_each(&self.0, |connection| {
            closed += usize::from(chosen(&connection) && connection.close(&mut chosen));
        });
        closed
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

    /// The backend that serves, and why it was chosen.
    #[must_use]
    pub fn backend(&self) -> (Backend, &'static str) {
        if self.0.fell_back.load(Relaxed) {
            return (Backend::Epoll, "io_uring cannot be had here");
        }
        (self.0.backend, self.0.backend_why)
    }

    /// The counters of now.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        Metrics {
            workers: (self.0.homes.iter())
                .chain(self.0.reserves.homes())
                .map(|h| h.metrics())
                .collect(),
        }
    }
}
