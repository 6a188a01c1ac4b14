//! What is served: lines that say what is to be done before they are sent back.

use parkade::{Carry, Conn, Idle, Keepalive, Next, Output, Then};
use std::time::Duration;

/// Bytes of a large answer, which no socket takes at once.
pub(crate) const LARGE: usize = 3 << 20;
const KEEPALIVE: Keepalive = Keepalive::secs(60);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verb {
    Echo,
    /// Answers after a moment, as a task.
    Sleep,
    /// Keeps the worker busy.
    Spin,
    /// Waits softly for more before it parks.
    Idle,
    /// Asks for the same answer once more with its first wait for input dropped half-way.
    Cancel,
    /// The line, many bytes as plain data, and then the connection goes on.
    Large,
    /// Closes after the answer.
    Close,
    /// Lingers after the answer.
    Linger,
    /// Parks for a moment only.
    Brief,
    /// Is never answered.
    Never,
}

impl Verb {
    pub(crate) const ALL: [Verb; 10] = [
        Verb::Echo,
        Verb::Sleep,
        Verb::Spin,
        Verb::Idle,
        Verb::Cancel,
        Verb::Large,
        Verb::Close,
        Verb::Linger,
        Verb::Brief,
        Verb::Never,
    ];

    pub(crate) fn letter(self) -> u8 {
        b"esiIcoCLbn"[self as usize]
    }

    fn of(letter: u8) -> Option<Verb> {
        Self::ALL.into_iter().find(|v| v.letter() == letter)
    }
}

fn bytes(conn: &mut Conn) -> Vec<u8> {
    conn.take_carry().map_or_else(Vec::new, |carry| carry.bytes)
}

/// What is left goes into the carry: the connection rests with it.
fn keep(conn: &mut Conn, input: Vec<u8>) {
    if !input.is_empty() {
        let deadline = None;
        let bytes = input;
        conn.set_carry(Carry {
            bytes,
            deadline,
            tag: 1,
        });
    }
}

/// Serves until there is nothing to do.
pub(crate) async fn serve(mut conn: Conn) -> parkade::Result<Next> {
    let mut input = bytes(&mut conn);
    // An event may come twice: then nothing has changed, the deadline neither.
    let until = Keepalive::at(conn.parked_until());
    let mut news = false;
    loop {
        while let Some(chunk) = conn.recv_ready().await? {
            news = true;
            input.extend_from_slice(chunk.filled());
        }
        let Some(end) = input.iter().position(|b| *b == b'\n') else {
            if conn.ended() {
                return Ok(Next::Close(conn));
            }
            keep(&mut conn, input);
            return Ok(Next::Park(conn, if news { KEEPALIVE } else { until }));
        };
        news = true;
        let rest = input.split_off(end + 1);
        let line = std::mem::replace(&mut input, rest);
        match Verb::of(line[0]) {
            Some(Verb::Sleep) => parkade::time::sleep(Duration::from_millis(2)).await,
            Some(Verb::Spin) => {
                let start = std::time::Instant::now();
                while start.elapsed() < Duration::from_millis(15) {
                    std::hint::spin_loop();
                }
            }
            Some(Verb::Cancel) => cancelled(&mut conn, &mut input).await?,
            Some(Verb::Never) => std::future::pending::<()>().await,
            Some(Verb::Large) => {
                keep(&mut conn, input);
                let output = Output {
                    bytes: [&line[..], &vec![b'.'; LARGE], b"\n"].concat().into(),
                    file: None,
                    timeout: Duration::from_secs(30),
                };
                return Ok(Next::Write(conn, output, Then::Resume));
            }
            _ => {}
        }
        conn.send(&line).await?;
        match Verb::of(line[0]) {
            Some(Verb::Close) => return Ok(Next::Close(conn)),
            Some(Verb::Linger) => return Ok(Next::Linger(conn, Duration::from_secs(20))),
            Some(Verb::Brief) => return Ok(Next::Park(conn, Keepalive::millis(40))),
            Some(Verb::Idle) if input.is_empty() => match conn.idle(Duration::from_millis(5)).await
            {
                Idle::Input => {}
                _ => return Ok(Next::Park(conn, KEEPALIVE)),
            },
            _ => {}
        }
    }
}

/// A receive that is dropped while it waits. What it has taken by then is not lost: it takes with its last look or not at
/// all.
async fn cancelled(conn: &mut Conn, input: &mut Vec<u8>) -> parkade::Result<()> {
    let mut buffer = conn.buffer();
    let receive = conn.recv(&mut buffer);
    if let Ok(n) = parkade::time::timeout(Duration::from_millis(1), receive).await {
        n?;
    }
    input.extend_from_slice(buffer.filled());
    Ok(())
}
