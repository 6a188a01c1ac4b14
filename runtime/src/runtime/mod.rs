//! A runtime: giving it listeners, waiting for it, and ending it.

mod block_on;
mod builder;
mod handle;
mod shared;
mod thread;

pub use block_on::block_on;
pub use builder::{Affinity, Builder, Workers};
pub use handle::Handle;
pub(crate) use shared::Shared;

use crate::error::{Error, Result};
use crate::executor::inbox::Message;
use crate::net::service::{AnyService, Service};
use std::future::Future;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

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
        Builder::new()
    }

    fn start(
        &mut self,
        name: String,
        stack: Option<usize>,
        f: impl FnOnce() + Send + 'static,
    ) -> Result<()> {
        let mut builder = std::thread::Builder::new().name(name.clone());
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
        self.accept_from(listener.into(), service)
    }

    /// [`Runtime::listen`] for Unix sockets: unix(7). The peers of their connections count as 127.0.0.1.
    ///
    /// ```
    /// use parkade::{Conn, Keepalive, Next, Runtime, Workers};
    /// use std::io::{Read, Write};
    /// use std::os::unix::net::{UnixListener, UnixStream};
    ///
    /// async fn echo(mut conn: Conn) -> parkade::Result<Next> {
    ///     while let Some(chunk) = conn.recv_ready().await? {
    ///         conn.send(chunk.filled()).await?;
    ///     }
    ///     Ok(if conn.ended() { Next::Close(conn) } else { Next::Park(conn, Keepalive::secs(60)) })
    /// }
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// let path = folder.path().join("echo");
    /// let runtime = Runtime::builder().workers(Workers::Count(1)).build()?;
    /// runtime.listen_unix(UnixListener::bind(&path)?, parkade::bursts(echo))?;
    ///
    /// let mut client = UnixStream::connect(&path)?;
    /// client.write_all(b"hello")?;
    /// client.read_exact(&mut [0; 5])?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Runtime::listen`].
    pub fn listen_unix(
        &self,
        listener: std::os::unix::net::UnixListener,
        service: impl Service,
    ) -> Result<u8> {
        listener
            .set_nonblocking(true)
            .map_err(|e| Error::new("set non-blocking", "listener", e))?;
        self.accept_from(listener.into(), service)
    }

    fn accept_from(&self, listener: OwnedFd, service: impl Service) -> Result<u8> {
        let listener = Arc::new(listener);
        let service: Arc<dyn AnyService> = Arc::new(service);
        // Before any worker hears of the listener: a connection may be placed on one that has not heard yet.
        let id = self.shared.add_service(service)?;
        self.shared.add_listener(id, &listener);
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

    /// Binds a Unix socket at `path`, which must not exist, serves it, and returns when the runtime was shut down through
    /// a [`Handle`]. Nobody removes the path.
    ///
    /// # Errors
    /// The path cannot be bound.
    pub fn serve_unix(self, path: impl AsRef<Path>, service: impl Service) -> Result<()> {
        let path = path.as_ref();
        let listener = std::os::unix::net::UnixListener::bind(path)
            .map_err(|e| Error::new("bind", path.display().to_string(), e))?;
        self.listen_unix(listener, service)?;
        self.wait();
        Ok(())
    }

    /// Waits until the runtime was shut down through a [`Handle`].
    pub fn wait(&self) {
        self.shared.wait();
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
