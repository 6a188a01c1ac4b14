//! Server push: clients that wait for the next event are parked, and an event wakes them.
//!
//! A client says `wait` and hears the next event; whoever says `say something` makes one. Thousands may wait: each is a
//! slot and a handle of 24 bytes, and none has a task or a timer.
//!
//! `cargo run --release -p parkade --example long_poll -- 127.0.0.1:7000`

use parkade::{Carry, Conn, Keepalive, Next, ParkedHandle, Runtime, bursts};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const IDLE: Keepalive = Keepalive::secs(300);
const LONGEST_LINE: usize = 4096;
/// Events that are kept for those who were slow to ask.
const KEPT: usize = 64;

/// What has happened, and who waits for what happens next.
#[derive(Default)]
struct Events {
    /// The number of the first one that is kept.
    first: u32,
    kept: VecDeque<Arc<str>>,
    waiting: Vec<ParkedHandle>,
}

impl Events {
    fn next(&self) -> u32 {
        self.first.wrapping_add(self.kept.len() as u32)
    }

    /// Those from `number` on, as far as they are kept.
    fn since(&self, number: u32) -> impl Iterator<Item = &Arc<str>> {
        let passed = number.wrapping_sub(self.first) as i32;
        self.kept.iter().skip(usize::try_from(passed).unwrap_or(0))
    }

    fn add(&mut self, event: &str) {
        self.kept.push_back(event.into());
        if self.kept.len() > KEPT {
            self.kept.pop_front();
            self.first = self.first.wrapping_add(1);
        }
        for waiting in self.waiting.drain(..) {
            waiting.unpark();
        }
    }
}

type Shared = Arc<Mutex<Events>>;

fn lock(events: &Shared) -> MutexGuard<'_, Events> {
    events.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(mut conn: Conn, events: Shared) -> parkade::Result<Next> {
    // Between bursts the carry says what the connection waits for: the event's number plus one, or nothing.
    let Carry { mut bytes, tag, .. } = conn.take_carry().unwrap_or_default();
    let mut waits = tag.checked_sub(1);
    // Its handle is with the events until the next one comes.
    let known = waits.is_some();
    while let Some(chunk) = conn.recv_ready().await? {
        bytes.extend_from_slice(chunk.filled());
        while let Some(end) = bytes.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = bytes.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            match line.trim_end().split_once(' ') {
                None if line.trim_end() == "wait" => waits = Some(lock(&events).next()),
                Some(("say", event)) => lock(&events).add(event),
                _ => conn.send(b"wait, or say something\n").await?,
            }
        }
        if bytes.len() > LONGEST_LINE {
            return Ok(Next::Close(conn));
        }
    }
    if conn.ended() {
        return Ok(Next::Close(conn));
    }
    if let Some(number) = waits {
        // Under one lock: whoever adds an event finds the handle, or the event is found here.
        let heard: Vec<_> = {
            let mut events = lock(&events);
            let heard: Vec<_> = events.since(number).cloned().collect();
            if heard.is_empty() && !known {
                events.waiting.push(conn.parked_handle());
            }
            heard
        };
        if !heard.is_empty() {
            waits = None;
        }
        for event in heard {
            conn.send(format!("event {event}\n").as_bytes()).await?;
        }
    }
    if waits.is_some() || !bytes.is_empty() {
        let tag = waits.map_or(0, |number| number.wrapping_add(1));
        conn.set_carry(Carry {
            bytes,
            tag,
            deadline: None,
        });
    }
    Ok(Next::Park(conn, IDLE))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1);
    let address = address.as_deref().unwrap_or("127.0.0.1:7000").parse()?;
    let events = Shared::default();
    Runtime::builder()
        .build()?
        .serve(address, bursts(move |conn| serve(conn, events.clone())))?;
    Ok(())
}
