//! Signals of the process as something to await: signal(7).
//!
//! A signal belongs to the whole process, so this is the one place with state outside any runtime: from the first
//! [`Signals`] for a signal on, its default action (the end of the process, as a rule) does not come back, not even when
//! they are dropped. Several may await the same signal, in several runtimes; each hears of it.

use crate::error::{Error, Result};
use crate::net::foreign::Async;
use futures_core::Stream;
use signal_hook::SigId;
use signal_hook::low_level::{pipe, unregister};
use std::fmt;
use std::future::poll_fn;
use std::io::{self, ErrorKind, Read};
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A signal that can be awaited.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Signal {
    /// SIGINT: ctrl-c at the terminal.
    Interrupt,
    /// SIGTERM: what asks a process to end.
    Terminate,
    /// SIGHUP: the terminal is gone; to servers, "read your configuration again".
    Hangup,
    /// SIGQUIT: ctrl-\ at the terminal.
    Quit,
    /// SIGUSR1.
    User1,
    /// SIGUSR2.
    User2,
    /// SIGCHLD: a child process has ended or stopped.
    Child,
    /// SIGWINCH: the terminal has another size.
    WindowChange,
}

impl Signal {
    fn number(self) -> i32 {
        match self {
            Signal::Interrupt => libc::SIGINT,
            Signal::Terminate => libc::SIGTERM,
            Signal::Hangup => libc::SIGHUP,
            Signal::Quit => libc::SIGQUIT,
            Signal::User1 => libc::SIGUSR1,
            Signal::User2 => libc::SIGUSR2,
            Signal::Child => libc::SIGCHLD,
            Signal::WindowChange => libc::SIGWINCH,
        }
    }
}

/// Hears signals, on the worker that made it; see [`signals`]. As a stream it ends when the runtime shuts down.
pub struct Signals {
    heard: Vec<Heard>,
}

/// One signal and the socket that its handler writes to.
struct Heard {
    signal: Signal,
    id: SigId,
    socket: Async<UnixStream>,
}

impl Drop for Heard {
    fn drop(&mut self) {
        unregister(self.id);
    }
}

/// Begins to hear these signals.
///
/// A signal that comes several times before it is asked for is told once, or more often: like signals themselves, they
/// count for nothing.
///
/// ```no_run
/// use parkade::signal::{Signal, signals};
/// use std::time::Duration;
///
/// async fn until_told(handle: parkade::Handle) -> parkade::Result<()> {
///     let mut told = signals([Signal::Interrupt, Signal::Terminate])?;
///     if let Some(signal) = told.next().await {
///         println!("{signal:?}: finishing what has begun");
///         handle.shutdown(Duration::from_secs(10));
///     }
///     Ok(())
/// }
/// ```
///
/// # Errors
/// No descriptor or slot is left; not called on a worker.
pub fn signals(which: impl IntoIterator<Item = Signal>) -> Result<Signals> {
    let heard = which.into_iter().map(hear).collect::<Result<_>>()?;
    Ok(Signals { heard })
}

/// Waits for ctrl-c: SIGINT. Cancel safe, but for a signal that comes before the first poll.
///
/// # Errors
/// `NotConnected` when the runtime shuts down first; otherwise as [`signals`].
pub async fn ctrl_c() -> Result<()> {
    let mut told = signals([Signal::Interrupt])?;
    told.next().await.map(drop).ok_or_else(over)
}

/// Waits for what asks a process to end, SIGTERM or ctrl-c, and says which. Cancel safe, but for a signal that comes
/// before the first poll.
///
/// # Errors
/// `NotConnected` when the runtime shuts down first; otherwise as [`signals`].
pub async fn terminate() -> Result<Signal> {
    let mut told = signals([Signal::Terminate, Signal::Interrupt])?;
    told.next().await.ok_or_else(over)
}

fn over() -> Error {
    let why = io::Error::new(ErrorKind::NotConnected, "the runtime is shutting down");
    Error::new("await", "a signal", why)
}

fn hear(signal: Signal) -> Result<Heard> {
    let failed = |e: io::Error| Error::new("hear", format!("{signal:?}"), e);
    let (ours, handlers) = UnixStream::pair().map_err(failed)?;
    let socket = Async::new(ours)?;
    handlers.set_nonblocking(true).map_err(failed)?;
    let id = pipe::register(signal.number(), handlers).map_err(failed)?;
    Ok(Heard { signal, id, socket })
}

impl Signals {
    /// The next signal; `None` when the runtime shuts down, which would otherwise wait for whoever waits here. Cancel safe.
    /// Without any to hear it waits for ever.
    pub async fn next(&mut self) -> Option<Signal> {
        poll_fn(|cx| self.poll_signal(cx)).await
    }

    /// [`Signals::next`] for hand-written futures.
    pub fn poll_signal(&mut self, cx: &mut Context<'_>) -> Poll<Option<Signal>> {
        for heard in &self.heard {
            // Several that have come are one.
            let polled = heard.socket.poll_read_with(cx, |mut socket| {
                let mut bytes = [0; 64];
                loop {
                    match socket.read(&mut bytes) {
                        Ok(0) => return Err(ErrorKind::WouldBlock.into()),
                        Err(e) if e.kind() == ErrorKind::Interrupted => {}
                        read => return read,
                    }
                }
            });
            if let Poll::Ready(Ok(_)) = polled {
                return Poll::Ready(Some(heard.signal));
            }
        }
        // The end wakes every waiter of this thread once; who comes later sees it here.
        match self.heard.iter().any(|heard| heard.socket.ending()) {
            true => Poll::Ready(None),
            false => Poll::Pending,
        }
    }
}

impl Stream for Signals {
    type Item = Signal;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Signal>> {
        self.poll_signal(cx)
    }
}

impl fmt::Debug for Signals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let signals = self.heard.iter().map(|heard| heard.signal);
        f.debug_list().entries(signals).finish()
    }
}
