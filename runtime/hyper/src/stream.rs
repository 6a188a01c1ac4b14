//! Connections of the runtime as hyper reads and writes them.

use hyper::rt::{Read, ReadBufCursor, Write};
use parkade::{Buffer, Conn, TcpStream};
use std::cell::RefCell;
use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// What is read at once at most.
const PIECE: usize = 64 * 1024;

thread_local! {
    /// Where tasks read to: hyper's buffers are not initialised, and a copy of what came costs less than filling all the
    /// room there is with zeros.
    static PLACE: RefCell<Vec<u8>> = RefCell::new(vec![0; PIECE]);
}

/// A connection for hyper: around the [`TcpStream`] of a task, or the [`Conn`] of a burst.
///
/// A `Conn` is accepted by [`parkade::Runtime::listen`], on all workers:
///
/// ```
/// use http_body_util::Full;
/// use hyper::body::{Bytes, Incoming};
/// use hyper::{Request, Response, server::conn::http1, service::service_fn};
/// use parkade::{Conn, Next, Runtime, Workers};
/// use parkade_hyper::{Stream, Timer};
/// use std::convert::Infallible;
///
/// async fn hello(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
///     Ok(Response::new("Hello, World!".into()))
/// }
///
/// async fn serve(conn: Conn) -> parkade::Result<Next> {
///     let mut http = http1::Builder::new();
///     http.timer(Timer::new());
///     // hyper keeps the connection to its end, and closes it.
///     let _ = http.serve_connection(Stream::new(conn), service_fn(hello)).await;
///     Ok(Next::Gone)
/// }
///
/// # fn main() -> parkade::Result<()> {
/// let runtime = Runtime::builder().workers(Workers::Count(1)).build()?;
/// let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
/// # let address = listener.local_addr().expect("an address");
/// runtime.listen(listener, parkade::bursts(serve))?;
/// # use std::io::{Read, Write};
/// # let mut client = std::net::TcpStream::connect(address).expect("a connection");
/// # client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").expect("sent");
/// # let mut answer = String::new();
/// # client.read_to_string(&mut answer).expect("an answer");
/// # assert!(answer.ends_with("\r\n\r\nHello, World!"), "{answer}");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Stream<T> {
    inner: T,
    /// What has been read and did not fit; bursts only.
    ahead: Option<Buffer>,
}

impl<T> Stream<T> {
    /// Around a connection.
    pub fn new(inner: T) -> Self {
        Self { inner, ahead: None }
    }

    /// The connection.
    pub fn get_ref(&self) -> &T {
        &self.inner
    }

    /// The connection back. What hyper has read of it is in hyper's `Parts::read_buf`, and for a [`Conn`] what was read
    /// beyond that is in the buffer.
    pub fn into_inner(self) -> (T, Option<Buffer>) {
        (self.inner, self.ahead)
    }
}

impl Stream<Conn> {
    /// Around a connection of which something has been read already.
    ///
    /// ```no_run
    /// # use parkade::{Conn, Next};
    /// # use parkade_hyper::Stream;
    /// async fn serve(mut conn: Conn) -> parkade::Result<Next> {
    ///     let mut begun = conn.buffer();
    ///     conn.recv(&mut begun).await?;
    ///     let two = begun.filled().starts_with(b"PRI ");
    ///     let stream = Stream::with_ahead(conn, begun);
    ///     // hyper's http2 or http1 takes it from here.
    /// #   drop((stream, two));
    ///     Ok(Next::Gone)
    /// }
    /// ```
    #[must_use]
    pub fn with_ahead(inner: Conn, ahead: Buffer) -> Self {
        let ahead = (!ahead.is_empty()).then_some(ahead);
        Self { inner, ahead }
    }
}

impl Read for Stream<TcpStream> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut cursor: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let room = cursor.remaining().min(PIECE);
        if room == 0 {
            return Poll::Ready(Ok(()));
        }
        PLACE.with_borrow_mut(|place| {
            let n = ready!(self.inner.poll_read(cx, &mut place[..room]))?;
            cursor.put_slice(&place[..n]);
            Poll::Ready(Ok(()))
        })
    }
}

impl Write for Stream<TcpStream> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.inner.poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(unless_gone(self.inner.shutdown(Shutdown::Write)))
    }
}

impl Read for Stream<Conn> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut cursor: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if cursor.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let mut buffer = match self.ahead.take() {
            Some(buffer) => buffer,
            None => {
                let mut buffer = self.inner.buffer();
                ready!(self.inner.poll_recv(cx, &mut buffer))?;
                buffer
            }
        };
        let n = buffer.len().min(cursor.remaining());
        cursor.put_slice(&buffer.filled()[..n]);
        buffer.consume(n);
        self.ahead = (!buffer.is_empty()).then_some(buffer);
        Poll::Ready(Ok(()))
    }
}

impl Write for Stream<Conn> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.inner.poll_send(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// The end is sent when the connection is closed, which follows.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Where the peer has gone there is nothing to end.
fn unless_gone(ended: io::Result<()>) -> io::Result<()> {
    ended.or_else(|e| match e.kind() {
        ErrorKind::NotConnected => Ok(()),
        _ => Err(e),
    })
}
