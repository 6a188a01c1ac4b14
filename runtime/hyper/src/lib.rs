//! hyper on the parkade runtime: streams, timers and tasks behind hyper's traits.
//!
//! [`Stream`] is what hyper reads and writes, around the [`parkade::TcpStream`] of a task or the [`parkade::Conn`] of a
//! burst; [`Timer`] gives it time, [`Executor`] runs what it spawns. All of it belongs to the worker it was made on, and
//! nothing that runs there has to be `Send`.
//!
//! hyper compiles the `sync` module of tokio: see the README, also for why its connections are not parked.
//!
//! ```
//! use http_body_util::{BodyExt, Full};
//! use hyper::body::{Bytes, Incoming};
//! use hyper::service::service_fn;
//! use hyper::{Request, Response, client, server};
//! use parkade::{Runtime, TcpListener, TcpStream, Workers};
//! use parkade_hyper::{Stream, Timer};
//! use std::convert::Infallible;
//!
//! async fn hello(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
//!     Ok(Response::new("Hello, World!".into()))
//! }
//!
//! async fn both() -> Result<Bytes, Box<dyn std::error::Error + Send + Sync>> {
//!     let listener = TcpListener::bind(([127, 0, 0, 1], 0).into())?;
//!     let address = listener.local_addr()?;
//!     parkade::spawn(async move {
//!         let (stream, _peer) = listener.accept().await.expect("a client");
//!         let mut http = server::conn::http1::Builder::new();
//!         http.timer(Timer::new());
//!         http.serve_connection(Stream::new(stream), service_fn(hello)).await
//!     });
//!
//!     let stream = Stream::new(TcpStream::connect(address).await?);
//!     let (mut ask, connection) = client::conn::http1::handshake(stream).await?;
//!     parkade::spawn(connection);
//!     let request = Request::get("/").header("host", "localhost").body(Full::<Bytes>::default())?;
//!     let answer = ask.send_request(request).await?;
//!     Ok(answer.into_body().collect().await?.to_bytes())
//! }
//!
//! # fn main() -> parkade::Result<()> {
//! let runtime = Runtime::builder().workers(Workers::Count(1)).build()?;
//! let said = parkade::block_on(runtime.handle().spawn_on(0, both)).expect("an answer");
//! assert_eq!(said, "Hello, World!");
//! # Ok(())
//! # }
//! ```

mod executor;
mod stream;
mod timer;

pub use executor::Executor;
pub use stream::Stream;
pub use timer::Timer;
