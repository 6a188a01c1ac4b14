//! A whole connection: bytes become requests with exactly one framing each, and the same ones however they were cut.
#![no_main]

use libfuzzer_sys::fuzz_target;
use parkade_http::chunked::{Decoder, Step};
use parkade_http::framing::{self, Length};
use parkade_http::head::{Head, HeadLimits, Parsed, parse};
use parkade_http::{Method, Refusal};

/// One request, as far as it came, or why nothing more was read.
#[derive(Debug, PartialEq)]
enum Seen {
    Request { method: Method, path: Vec<u8>, host: Option<String>, length: Length, body: Vec<u8>, whole: bool },
    Refused(Refusal),
}

enum At {
    Head,
    Known(u64),
    Chunked(Decoder),
}

fn read(pieces: &[&[u8]]) -> Vec<Seen> {
    let limits = HeadLimits { line: 200, field: 100, fields: 8 };
    let (mut buffer, mut seen, mut at) = (Vec::new(), Vec::new(), At::Head);
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            let took = match step(&mut at, &buffer, &limits, &mut seen) {
                Ok(took) => took,
                Err(refusal) => {
                    seen.push(Seen::Refused(refusal));
                    return seen;
                }
            };
            let Some(took) = took else { break };
            buffer.drain(..took);
        }
    }
    seen
}

/// Takes one step; `None`: more input is needed.
fn step(at: &mut At, input: &[u8], limits: &HeadLimits, seen: &mut Vec<Seen>) -> Result<Option<usize>, Refusal> {
    let (took, end) = match at {
        At::Head => {
            let (head, used) = match parse(input, limits) {
                Parsed::Complete(head, used) => (head, used),
                Parsed::Partial => return Ok(None),
                Parsed::Refused(refusal) => return Err(refusal),
            };
            let framing = framing::request(&head)?;
            one_framing(&head, framing.body);
            let host = head.host().map(str::to_owned);
            let (method, path) = (head.method(), head.path().to_vec());
            let whole = framing.body == Length::None;
            seen.push(Seen::Request { method, path, host, length: framing.body, body: Vec::new(), whole });
            *at = match framing.body {
                Length::None => At::Head,
                Length::Known(n) => At::Known(n),
                Length::Chunked => At::Chunked(Decoder::default()),
            };
            return Ok(Some(used));
        }
        _ if input.is_empty() => return Ok(None),
        At::Known(left) => {
            let n = (*left).min(input.len() as u64) as usize;
            *left -= n as u64;
            data(seen, &input[..n]);
            (n, *left == 0)
        }
        At::Chunked(decoder) => match decoder.step(input)? {
            Step::Data { skip, len } => {
                data(seen, &input[skip..skip + len]);
                (skip + len, false)
            }
            Step::More(n) => (n, false),
            Step::End(n) => (n, true),
        },
    };
    if end {
        *at = At::Head;
        if let Some(Seen::Request { whole, .. }) = seen.last_mut() {
            *whole = true;
        }
    }
    Ok(Some(took))
}

fn data(seen: &mut [Seen], piece: &[u8]) {
    if let Some(Seen::Request { body, .. }) = seen.last_mut() {
        body.extend_from_slice(piece);
    }
}

/// No second reader, however lenient, can find another length than ours in the fields.
fn one_framing(head: &Head, length: Length) {
    let lengths: Vec<_> = head.all("content-length").collect();
    let codings: Vec<_> = head.all("transfer-encoding").collect();
    match (&lengths[..], &codings[..]) {
        ([], []) => assert_eq!(length, Length::None),
        ([text], []) => {
            let n: u64 = std::str::from_utf8(text).unwrap().parse().unwrap();
            assert!(text.iter().all(u8::is_ascii_digit));
            assert_eq!(length, if n == 0 { Length::None } else { Length::Known(n) });
        }
        ([], [coding]) => {
            assert!(coding.eq_ignore_ascii_case(b"chunked") && head.minor_version() == 1);
            assert_eq!(length, Length::Chunked);
        }
        _ => panic!("two framings: {head:?}"),
    }
    assert!(head.all("host").count() <= 1 && (head.minor_version() == 0 || head.host().is_some()));
    for (name, value) in head.fields() {
        assert!(!name.is_empty() && !value.iter().any(|b| matches!(b, 0 | b'\r' | b'\n')));
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((&size, input)) = input.split_first() else { return };
    let whole = read(&[input]);
    let pieces: Vec<_> = input.chunks(usize::from(size).max(1)).collect();
    assert_eq!(read(&pieces), whole);
    let (a, b) = input.split_at(usize::from(size).min(input.len()));
    assert_eq!(read(&[a, b]), whole);
});
