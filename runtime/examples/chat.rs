//! A chat over a Unix socket: what one says, all others hear.
//!
//! Each client is a task with two halves of its stream; what it is to hear waits in a queue of its own. A client that
//! does not read is thrown out, so that it holds nobody up.
//!
//! `cargo run -p parkade --example chat -- /tmp/chat`, then `socat - UNIX-CONNECT:/tmp/chat` several times

use parkade::{OwnedWriteHalf, Runtime, Unix, UnixListener, UnixStream, Workers, spawn};
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::io::Write;
use std::rc::Rc;
use std::task::{Poll, Waker};

/// Lines that may wait for a client.
const QUEUE: usize = 256;
const LONGEST_LINE: usize = 4096;

/// All clients. One worker serves them, so an `Rc` is enough.
#[derive(Default)]
struct Room {
    clients: RefCell<BTreeMap<u64, Rc<Client>>>,
}

#[derive(Default)]
struct Client {
    lines: RefCell<VecDeque<Rc<[u8]>>>,
    gone: std::cell::Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Client {
    fn hear(&self, line: &Rc<[u8]>) {
        let mut lines = self.lines.borrow_mut();
        lines.push_back(line.clone());
        if lines.len() > QUEUE {
            self.gone.set(true);
        }
        self.wake();
    }

    fn leave(&self) {
        self.gone.set(true);
        self.wake();
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    /// The next line; `None` when the client is gone.
    async fn next(&self) -> Option<Rc<[u8]>> {
        poll_fn(|cx| {
            if self.gone.get() {
                return Poll::Ready(None);
            }
            match self.lines.borrow_mut().pop_front() {
                Some(line) => Poll::Ready(Some(line)),
                None => {
                    *self.waker.borrow_mut() = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }
}

impl Room {
    fn say(&self, from: u64, line: &[u8]) {
        let mut said = format!("{from}: ").into_bytes();
        said.extend_from_slice(line);
        let said = Rc::from(said);
        let clients = self.clients.borrow();
        let others = clients.iter().filter(|(id, _)| **id != from);
        others.for_each(|(_, client)| client.hear(&said));
    }
}

async fn talk(id: u64, stream: UnixStream, room: Rc<Room>) {
    let client = Rc::new(Client::default());
    room.clients.borrow_mut().insert(id, client.clone());
    let (reader, writer) = stream.into_split();
    let telling = spawn(tell(client.clone(), writer));
    let mut line = Vec::new();
    let mut buf = [0; 1024];
    room.say(id, b"is here\n");
    'talk: loop {
        let n = match reader.read(&mut buf).await {
            Ok(0) | Err(_) => break,
            Ok(n) => n,
        };
        for piece in buf[..n].split_inclusive(|b| *b == b'\n') {
            line.extend_from_slice(piece);
            if line.ends_with(b"\n") {
                room.say(id, &line);
                line.clear();
            } else if line.len() > LONGEST_LINE {
                break 'talk;
            }
        }
    }
    room.clients.borrow_mut().remove(&id);
    room.say(id, b"has left\n");
    client.leave();
    telling.await;
}

async fn tell(client: Rc<Client>, writer: OwnedWriteHalf<Unix>) {
    while let Some(line) = client.next().await {
        if writer.write_all(&line).await.is_err() {
            break;
        }
    }
    // Thrown out for want of reading, or gone: the other half sees the end, too.
    let _ = writer.stream().shutdown(std::net::Shutdown::Both);
}

async fn serve(path: String) -> parkade::Result<()> {
    let listener = UnixListener::bind(&path)?;
    println!("listening at {path}");
    let _ = std::io::stdout().flush();
    let room = Rc::new(Room::default());
    for id in 1.. {
        let (stream, _) = listener.accept().await?;
        drop(spawn(talk(id, stream, room.clone())));
    }
    Ok(())
}

fn main() -> parkade::Result<()> {
    let path = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "/tmp/chat".into());
    let runtime = Runtime::builder().workers(Workers::Count(1)).build()?;
    parkade::block_on(runtime.handle().spawn_on(0, move || serve(path)))
}
