//! The border between the runtime and a protocol.

use super::conn::Conn;
use super::next::{Carry, Next};
use crate::error::Result;
use crate::executor::burst::Bursts as Cells;
use crate::worker::{Home, Worker};
use bytes::Bytes;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Serves connections, one burst of input at a time.
///
/// One value per listener, shared by all workers; what belongs to a worker (caches, pools) is its `Local`.
pub trait Service: Send + Sync + 'static {
    /// Made once per worker, on its thread.
    type Local: 'static;
    /// The future of one burst. It need not be `Send`: it never leaves its worker.
    type Burst: Future<Output = Next> + 'static;

    /// Makes a worker's share.
    fn local(&self) -> Self::Local;

    /// A connection has input (or the peer's FIN). Before it parks, the burst must have read until a short read or
    /// `WouldBlock`; otherwise it is started again at once.
    fn burst(&self, local: &Rc<Self::Local>, conn: Conn) -> Self::Burst;

    /// Serves at once what needs no waiting, without a future: the warm path of a protocol. What does wait becomes a
    /// burst; it is polled right after this with the same waker, so a wake that comes in between is not lost.
    fn attempt(
        &self,
        local: &Rc<Self::Local>,
        conn: Conn,
        cx: &mut Context<'_>,
    ) -> Attempt<Self::Burst> {
        let _ = cx;
        Attempt::Burst(self.burst(local, conn))
    }

    /// Does what [`Service::attempt`] has put off, and gives each connection back through `back`.
    fn catch_up(&self, local: &Rc<Self::Local>, back: &mut dyn FnMut(Next)) {
        let _ = (local, back);
    }

    /// The time of a parked connection is over. `Some` is sent before it lingers and closes.
    fn timed_out(&self, local: &Rc<Self::Local>, carry: Option<&Carry>) -> Option<Bytes> {
        let _ = (local, carry);
        None
    }
}

/// What [`Service::attempt`] came to.
#[derive(Debug)]
pub enum Attempt<B> {
    /// The burst is over.
    Over(Next),
    /// It goes on as a future.
    Burst(B),
    /// The service keeps the connection until [`Service::catch_up`], which comes in the same turn; only if
    /// [`Conn::crowded`].
    Later,
}

/// A service made of an async function; see [`bursts`].
pub struct Bursts<F>(F);

/// A service that runs `f` for every burst of input.
///
/// An error of `f` closes the connection (it was dropped with the future) and is logged at debug level.
///
/// ```no_run
/// use parkade::{Conn, Keepalive, Next, Runtime};
///
/// async fn echo(mut conn: Conn) -> parkade::Result<Next> {
///     while let Some(chunk) = conn.recv_ready().await? {
///         conn.send(chunk.filled()).await?;
///     }
///     Ok(if conn.ended() { Next::Close(conn) } else { Next::Park(conn, Keepalive::secs(60)) })
/// }
///
/// fn main() -> parkade::Result<()> {
///     Runtime::builder().build()?.serve("127.0.0.1:7000".parse().unwrap(), parkade::bursts(echo))
/// }
/// ```
pub fn bursts<F, Fut>(f: F) -> Bursts<F>
where
    F: Fn(Conn) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Next>> + 'static,
{
    Bursts(f)
}

impl<F, Fut> Service for Bursts<F>
where
    F: Fn(Conn) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Next>> + 'static,
{
    type Local = ();
    type Burst = Fallible<Fut>;

    fn local(&self) {}

    fn burst(&self, _: &Rc<()>, conn: Conn) -> Fallible<Fut> {
        Fallible(self.0(conn))
    }
}

/// Turns an error at the end of a burst into a log line.
pub struct Fallible<F>(F);

impl<F: Future<Output = Result<Next>>> Future for Fallible<F> {
    type Output = Next;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Next> {
        // SAFETY: the only field is structurally pinned.
        let inner = unsafe { self.map_unchecked_mut(|s| &mut s.0) };
        match inner.poll(cx) {
            Poll::Ready(Ok(next)) => Poll::Ready(next),
            Poll::Ready(Err(e)) => {
                tracing::debug!(target: "parkade", "burst: {e}");
                Poll::Ready(Next::Gone)
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

/// A service whose types are forgotten: what a runtime keeps.
pub(crate) trait AnyService: Send + Sync {
    fn localise(self: Arc<Self>, id: u8, home: Arc<Home>) -> Rc<dyn LocalService>;
}

impl<S: Service> AnyService for S {
    fn localise(self: Arc<Self>, id: u8, home: Arc<Home>) -> Rc<dyn LocalService> {
        Rc::new(Cells::new(self, id, home))
    }
}

/// One worker's side of a service.
pub(crate) trait LocalService {
    /// Starts a burst.
    fn start(&self, worker: &Rc<Worker>, conn: Conn);
    /// Does what was put off.
    fn catch_up(&self, worker: &Rc<Worker>);
    /// Polls a burst that was woken.
    fn resume(&self, worker: &Rc<Worker>, cell: u32);
    fn timed_out(&self, carry: Option<&Carry>) -> Option<Bytes>;
    /// Bursts in progress.
    fn pending(&self) -> usize;
    /// Drops every burst.
    fn clear(&self);
}
