//! A hello server on mio alone: edges, and no call to wait again.

use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use parkade_rivals::dialogue::{Dialogue, Turn};
use parkade_rivals::threads;

const BUFFER: usize = 16 * 1024;

fn main() -> io::Result<()> {
    threads::run(serve)
}

fn serve(listener: std::net::TcpListener) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let mut listener = TcpListener::from_std(listener);
    let mut poll = Poll::new()?;
    let own = Token(listener.as_raw_fd() as usize);
    poll.registry()
        .register(&mut listener, own, Interest::READABLE)?;
    let mut guests: Vec<Option<(TcpStream, Dialogue)>> = Vec::new();
    let mut input = vec![0; BUFFER];
    let mut events = Events::with_capacity(512);
    loop {
        match poll.poll(&mut events, None) {
            Ok(()) => {}
            Err(e) if e.kind() == ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        }
        for event in &events {
            if event.token() == own {
                accept_all(&listener, &poll, &mut guests)?;
                continue;
            }
            let Some(place) = guests.get_mut(event.token().0) else {
                continue;
            };
            let Some((stream, dialogue)) = place else {
                continue;
            };
            if dialogue.turn(stream, &mut input, event.is_read_closed()) == Turn::Over {
                // The kernel takes it out of the set when it is closed.
                *place = None;
            }
        }
    }
}

fn accept_all(
    listener: &TcpListener,
    poll: &Poll,
    guests: &mut Vec<Option<(TcpStream, Dialogue)>>,
) -> io::Result<()> {
    loop {
        let mut stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(e)
                if matches!(
                    e.kind(),
                    ErrorKind::Interrupted | ErrorKind::ConnectionAborted
                ) =>
            {
                continue;
            }
            Err(e) => return Err(e),
        };
        let key = stream.as_raw_fd() as usize;
        // Edges of both kinds at once: one for output comes only after a write that did not fit.
        let both = Interest::READABLE | Interest::WRITABLE;
        poll.registry().register(&mut stream, Token(key), both)?;
        if guests.len() <= key {
            guests.resize_with(key + 1, || None);
        }
        guests[key] = Some((stream, Dialogue::default()));
    }
}
