//! A hello server on `polling`, in two modes.

use std::io::{self, ErrorKind};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;

use polling::{Event, Events, PollMode, Poller};

use crate::dialogue::{Dialogue, Turn};

const BUFFER: usize = 16 * 1024;

/// A connection and whether it waits for room to write.
type Guest = Option<(TcpStream, Dialogue, bool)>;

/// Serves in `mode`: `Level` needs no call to wait again, `Oneshot` is what the crate has on every system.
pub fn serve(listener: &TcpListener, mode: PollMode) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let poller = Poller::new()?;
    let own = listener.as_raw_fd() as usize;
    // SAFETY: the listener lives as long as the poller.
    unsafe { poller.add_with_mode(listener, Event::readable(own), mode)? };
    let mut guests: Vec<Guest> = Vec::new();
    let mut input = vec![0; BUFFER];
    let mut events = Events::new();
    loop {
        events.clear();
        poller.wait(&mut events, None)?;
        for event in events.iter() {
            if event.key == own {
                accept_all(listener, &poller, mode, &mut guests)?;
                if mode == PollMode::Oneshot {
                    poller.modify(listener, Event::readable(own))?;
                }
                continue;
            }
            let Some(place) = guests.get_mut(event.key) else {
                continue;
            };
            let Some((stream, dialogue, blocked)) = place else {
                continue;
            };
            // Waiting again tells of an end that was announced together with the last input.
            let turn = dialogue.turn(stream, &mut input, false);
            if turn == Turn::Over {
                poller.delete(&*stream)?;
                *place = None;
                continue;
            }
            let room = turn == Turn::Room;
            if mode == PollMode::Oneshot || room != *blocked {
                *blocked = room;
                let wanted = if room {
                    Event::writable(event.key)
                } else {
                    Event::readable(event.key)
                };
                poller.modify_with_mode(&*stream, wanted, mode)?;
            }
        }
    }
}

fn accept_all(
    listener: &TcpListener,
    poller: &Poller,
    mode: PollMode,
    guests: &mut Vec<Guest>,
) -> io::Result<()> {
    loop {
        let stream = match listener.accept() {
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
        stream.set_nonblocking(true)?;
        let key = stream.as_raw_fd() as usize;
        // SAFETY: a connection is deleted from the poller before it is dropped.
        unsafe { poller.add_with_mode(&stream, Event::readable(key), mode)? };
        if guests.len() <= key {
            guests.resize_with(key + 1, || None);
        }
        guests[key] = Some((stream, Dialogue::default(), false));
    }
}
