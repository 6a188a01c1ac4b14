//! However requests are cut on their way, the answers are the same.

use super::wire::*;
use parkade_http::Limits;
use proptest::prelude::*;
use std::sync::LazyLock;

static WIRE: LazyLock<Wire> = LazyLock::new(|| {
    Wire::new(Limits {
        requests: 0,
        ..Limits::default()
    })
});

/// Answers without their dates.
fn said(request: &[u8], pieces: Vec<&[u8]>) -> Vec<Answer> {
    let mut got = answers(request, &WIRE.talk(pieces));
    got.iter_mut()
        .for_each(|a| a.fields.retain(|(name, _)| name != "date"));
    got
}

/// Every kind of request a pipeline may have.
const KINDS: [&str; 10] = [
    "GET /a?b HTTP/1.1\r\nHost: a\r\nX:\t y \r\n\r\n",
    "\r\nHEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 13\r\n\r\nHEAD /\r\n\r\nX: ",
    "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;x=\"y\"\r\nhello\r\n01\r\n!\r\n0\r\nT: u\r\n\r\n",
    "POST /unread HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n\r\n\r\n",
    "GET http://b?c HTTP/1.2\r\nHost: a\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
];

#[test]
fn every_cut_of_a_pipeline_gives_the_same_answers() {
    let request = KINDS.concat();
    let request = request.as_bytes();
    let whole = said(request, vec![request]);
    assert_eq!(
        whole.iter().map(|a| a.status).collect::<Vec<_>>(),
        [200; 10]
    );
    for cut in 1..request.len() {
        let (a, b) = request.split_at(cut);
        assert_eq!(said(request, vec![a, b]), whole, "cut at {cut}");
    }
    for size in 1..8 {
        assert_eq!(
            said(request, request.chunks(size).collect()),
            whole,
            "pieces of {size}"
        );
    }
}

/// Refusals, too: the byte that is wrong decides, not the piece it came in.
#[test]
fn every_cut_of_a_refused_request_gives_the_same_refusal() {
    for request in [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\nX: y\r\nHost: b\r\n\r\n",
        "GET / HTTP/9.9\r\nno colon\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n bad\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n5 \r\nhello\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n",
        "\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        let request = request.as_bytes();
        let whole = said(request, vec![request]);
        assert!(whole.last().is_some_and(|a| a.status >= 400), "{whole:?}");
        for cut in 1..request.len() {
            let (a, b) = request.split_at(cut);
            assert_eq!(said(request, vec![a, b]), whole, "cut at {cut}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_pipeline_in_any_pieces(kinds in proptest::collection::vec(0..KINDS.len(), 1..12), cuts in proptest::collection::vec(1usize..200, 0..40)) {
        let request: String = kinds.iter().map(|k| KINDS[*k]).collect();
        let mut rest = request.as_bytes();
        let mut pieces = Vec::new();
        for cut in cuts {
            let (piece, after) = rest.split_at(cut.min(rest.len()));
            pieces.push(piece);
            rest = after;
        }
        pieces.push(rest);
        let each: Vec<_> = kinds.iter().flat_map(|k| said(KINDS[*k].as_bytes(), vec![KINDS[*k].as_bytes()])).collect();
        // Keep-Alive tells nothing that depends on the place in the row.
        prop_assert_eq!(said(request.as_bytes(), pieces), each);
    }
}
