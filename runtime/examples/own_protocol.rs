//! A protocol of one's own: PING, GET, SET and DEL as Redis clients speak them, with idle connections parked.
//!
//! An idle client costs its slot and the kernel's socket; there is no task that waits for it. A command that has come in
//! part rests beside the slot (`Carry`) until more of it comes. A request costs one recv(2) and one send(2), and reading
//! a value no allocation: input and output are in buffers that the worker lends.
//!
//! `cargo run --release -p parkade --example own_protocol -- 127.0.0.1:6380`, then `redis-cli -p 6380 set a 1`

use parkade::{Buffer, Carry, Conn, Keepalive, Next, Runtime, bursts};
use std::collections::HashMap;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// An unfinished command may be so long, and rest so long.
const LONGEST: usize = 64 * 1024;
const PATIENCE: Keepalive = Keepalive::secs(10);
const IDLE: Keepalive = Keepalive::secs(3600);
/// Words of a command.
const WORDS: usize = 4;

type Store = Arc<Mutex<HashMap<Vec<u8>, Arc<[u8]>>>>;

async fn serve(mut conn: Conn, store: Store) -> parkade::Result<Next> {
    let mut output = conn.buffer();
    let mut left = conn.take_carry().map(|carry| carry.bytes);
    while let Some(chunk) = conn.recv_ready().await? {
        let mut joined = left.take();
        let mut input: &[u8] = match &mut joined {
            Some(before) => {
                before.extend_from_slice(chunk.filled());
                &before[..]
            }
            None => chunk.filled(),
        };
        while let Some(parsed) = command(input) {
            let Ok((words, rest)) = parsed else {
                return refuse(conn, output, b"-ERR protocol\r\n").await;
            };
            match answer(&words, &store) {
                Answer::Nothing => {}
                Answer::Line(line) => put(&mut conn, &mut output, line.as_bytes()).await?,
                Answer::Value(value) => {
                    let (head, len) = bulk_head(value.len());
                    put(&mut conn, &mut output, &head[..len]).await?;
                    put(&mut conn, &mut output, &value).await?;
                    put(&mut conn, &mut output, b"\r\n").await?;
                }
            }
            conn.add_request();
            input = rest;
        }
        if input.len() > LONGEST {
            return refuse(conn, output, b"-ERR too long\r\n").await;
        }
        if !input.is_empty() {
            left = Some(input.to_vec());
        }
        // What several commands of one piece are answered goes out together.
        conn.send(output.filled()).await?;
        output.clear();
    }
    if conn.ended() {
        return Ok(Next::Close(conn));
    }
    let Some(bytes) = left else {
        return Ok(Next::Park(conn, IDLE));
    };
    conn.set_carry(Carry {
        bytes,
        ..Carry::default()
    });
    Ok(Next::Park(conn, PATIENCE))
}

/// Into the output, which goes out when it is full.
async fn put(conn: &mut Conn, output: &mut Buffer, mut bytes: &[u8]) -> parkade::Result<()> {
    loop {
        let taken = output.extend_from_slice(bytes);
        bytes = &bytes[taken..];
        if bytes.is_empty() {
            return Ok(());
        }
        conn.send(output.filled()).await?;
        output.clear();
    }
}

async fn refuse(mut conn: Conn, output: Buffer, why: &[u8]) -> parkade::Result<Next> {
    conn.send(output.filled()).await?;
    conn.send(why).await?;
    Ok(Next::Linger(conn, Duration::from_secs(2)))
}

/// What a command is answered.
enum Answer {
    Nothing,
    Line(&'static str),
    Value(Arc<[u8]>),
}

/// A value's first line and how long it is.
fn bulk_head(len: usize) -> ([u8; 24], usize) {
    let mut head = [0; 24];
    let mut left = &mut head[..];
    // There is room for every number.
    let _ = write!(left, "${len}\r\n");
    let left = left.len();
    (head, 24 - left)
}

/// The words of a command, empty ones behind them.
type Words<'a> = [&'a [u8]; WORDS];

/// The first command of `input` and what is behind it; `None` if there is more to come.
fn command(input: &[u8]) -> Option<Result<(Words<'_>, &[u8]), ()>> {
    let (line, mut rest) = line(input)?;
    let mut words = Words::default();
    let Some(count) = line.strip_prefix(b"*") else {
        // As people type it.
        let typed = line.split(|b| *b == b' ').filter(|word| !word.is_empty());
        words
            .iter_mut()
            .zip(typed)
            .for_each(|(w, typed)| *w = typed);
        return Some(Ok((words, rest)));
    };
    let Some(count) = number(count).filter(|count| *count <= WORDS) else {
        return Some(Err(()));
    };
    for word in &mut words[..count] {
        let (head, behind) = self::line(rest)?;
        let Some(len) = head.strip_prefix(b"$").and_then(number) else {
            return Some(Err(()));
        };
        if len > LONGEST {
            return Some(Err(()));
        }
        *word = behind.get(..len)?;
        match behind.get(len..len + 2)? {
            b"\r\n" => rest = &behind[len + 2..],
            _ => return Some(Err(())),
        }
    }
    Some(Ok((words, rest)))
}

fn line(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = input.iter().position(|b| *b == b'\n')?;
    let line = &input[..end];
    Some((line.strip_suffix(b"\r").unwrap_or(line), &input[end + 1..]))
}

fn number(digits: &[u8]) -> Option<usize> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn answer(words: &Words<'_>, store: &Store) -> Answer {
    let mut store = store.lock().unwrap_or_else(PoisonError::into_inner);
    let [name, key, value, _] = *words;
    if name.is_empty() {
        return Answer::Nothing;
    }
    if name.eq_ignore_ascii_case(b"PING") {
        return Answer::Line("+PONG\r\n");
    }
    if name.eq_ignore_ascii_case(b"GET") {
        return match store.get(key) {
            Some(value) => Answer::Value(value.clone()),
            None => Answer::Line("$-1\r\n"),
        };
    }
    if name.eq_ignore_ascii_case(b"SET") {
        store.insert(key.to_vec(), value.into());
        return Answer::Line("+OK\r\n");
    }
    if name.eq_ignore_ascii_case(b"DEL") {
        return match store.remove(key) {
            Some(_) => Answer::Line(":1\r\n"),
            None => Answer::Line(":0\r\n"),
        };
    }
    Answer::Line("-ERR unknown command\r\n")
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1);
    let address = address.as_deref().unwrap_or("127.0.0.1:6380").parse()?;
    let store = Store::default();
    Runtime::builder()
        .build()?
        .serve(address, bursts(move |conn| serve(conn, store.clone())))?;
    Ok(())
}
