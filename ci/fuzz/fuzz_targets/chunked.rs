//! Chunked bodies: no input panics, and every split gives the same data, the same end or the same refusal.
#![no_main]

use libfuzzer_sys::fuzz_target;
use parkade_http::Refusal;
use parkade_http::chunked::{Decoder, Step};

fn decode(pieces: &[&[u8]]) -> Result<(Vec<u8>, bool), Refusal> {
    let (mut decoder, mut data) = (Decoder::default(), Vec::new());
    for piece in pieces {
        let mut rest = *piece;
        while !rest.is_empty() {
            match decoder.step(rest)? {
                Step::Data { skip, len } => {
                    data.extend_from_slice(&rest[skip..skip + len]);
                    rest = &rest[skip + len..];
                }
                Step::More(n) => rest = &rest[n..],
                Step::End(_) => return Ok((data, true)),
            }
        }
    }
    Ok((data, decoder.is_done()))
}

fuzz_target!(|data: &[u8]| {
    let Some((&cut, body)) = data.split_first() else { return };
    let (a, b) = body.split_at(usize::from(cut).min(body.len()));
    let whole = decode(&[body]);
    assert_eq!(whole, decode(&[a, b]));
    assert_eq!(whole, decode(&body.chunks(usize::from(cut % 8) + 1).collect::<Vec<_>>()));
});
