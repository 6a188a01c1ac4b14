//! A protocol of one's own: PING, GET, SET and DEL as Redis clients speak them, with idle connections parked.
//!
//! An idle client costs its slot and the kernel's socket; there is no task that waits for it. A command that has come in
//! part rests beside the slot (`Carry`) until more of it comes.
//!
//! `cargo run --release -p parkade --example own_protocol -- 127.0.0.1:6380`, then `redis-cli -p 6380 set a 1`

use parkade::{Carry, Conn, Keepalive, Next, Runtime, bursts};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// An unfinished command may be so long, and rest so long.
const LONGEST: usize = 64 * 1024;
const PATIENCE: Keepalive = Keepalive::secs(10);
const IDLE: Keepalive = Keepalive::secs(3600);

type Store = Arc<Mutex<HashMap<Vec<u8>, Vec<u8>>>>;

async fn serve(mut conn: Conn, store: Store) -> parkade::Result<Next> {
    let mut input = conn
        .take_carry()
        .map(|carry| carry.bytes)
        .unwrap_or_default();
    let mut output = Vec::new();
    while let Some(chunk) = conn.recv_ready().await? {
        input.extend_from_slice(chunk.filled());
        let mut left = &input[..];
        while let Some(parsed) = command(left) {
            let Ok((words, rest)) = parsed else {
                conn.send(&output).await?;
                conn.send(b"-ERR protocol\r\n").await?;
                return Ok(Next::Linger(conn, std::time::Duration::from_secs(2)));
            };
            answer(&words, &store, &mut output);
            conn.add_request();
            left = rest;
        }
        let used = input.len() - left.len();
        input.drain(..used);
        if input.len() > LONGEST {
            conn.send(b"-ERR too long\r\n").await?;
            return Ok(Next::Linger(conn, std::time::Duration::from_secs(2)));
        }
        // What several commands of one piece are answered goes out together.
        conn.send(&output).await?;
        output.clear();
    }
    if conn.ended() {
        return Ok(Next::Close(conn));
    }
    if input.is_empty() {
        return Ok(Next::Park(conn, IDLE));
    }
    conn.set_carry(Carry {
        bytes: input,
        ..Carry::default()
    });
    Ok(Next::Park(conn, PATIENCE))
}

type Words<'a> = Vec<&'a [u8]>;

/// The first command of `input` and what is behind it; `None` if there is more to come.
fn command(input: &[u8]) -> Option<Result<(Words<'_>, &[u8]), ()>> {
    let (line, mut rest) = line(input)?;
    let Some(count) = line.strip_prefix(b"*") else {
        // As people type it.
        let words = line.split(|b| *b == b' ').filter(|word| !word.is_empty());
        return Some(Ok((words.collect(), rest)));
    };
    let Some(count) = number(count).filter(|count| *count <= 64) else {
        return Some(Err(()));
    };
    let mut words = Vec::with_capacity(count);
    for _ in 0..count {
        let (head, behind) = self::line(rest)?;
        let Some(len) = head.strip_prefix(b"$").and_then(number) else {
            return Some(Err(()));
        };
        if len > LONGEST {
            return Some(Err(()));
        }
        let word = behind.get(..len)?;
        match behind.get(len..len + 2)? {
            b"\r\n" => rest = &behind[len + 2..],
            _ => return Some(Err(())),
        }
        words.push(word);
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

fn answer(words: &[&[u8]], store: &Store, output: &mut Vec<u8>) {
    let mut store = store.lock().unwrap_or_else(PoisonError::into_inner);
    let name = words.first().map(|name| name.to_ascii_uppercase());
    match (name.as_deref(), words.get(1..).unwrap_or_default()) {
        (None, _) => {}
        (Some(b"PING"), []) => output.extend_from_slice(b"+PONG\r\n"),
        (Some(b"GET"), [key]) => match store.get(*key) {
            Some(value) => {
                output.extend_from_slice(format!("${}\r\n", value.len()).as_bytes());
                output.extend_from_slice(value);
                output.extend_from_slice(b"\r\n");
            }
            None => output.extend_from_slice(b"$-1\r\n"),
        },
        (Some(b"SET"), [key, value]) => {
            store.insert(key.to_vec(), value.to_vec());
            output.extend_from_slice(b"+OK\r\n");
        }
        (Some(b"DEL"), [key]) => {
            let removed = usize::from(store.remove(*key).is_some());
            output.extend_from_slice(format!(":{removed}\r\n").as_bytes());
        }
        _ => output.extend_from_slice(b"-ERR unknown command or wrong arguments\r\n"),
    }
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
