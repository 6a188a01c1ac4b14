//! Heads as they come, into one that is used again.
#![allow(
    clippy::expect_used,
    reason = "a measurement of nothing must not look like one"
)]

use std::hint::black_box;
use std::rc::Rc;
use std::time::{Duration, Instant};

use parkade_http::HeadLimits;
use parkade_http::head::parse_into;

const SHORT: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost:8080\r\n\r\n";
const BROWSER: &[u8] = b"GET /articles/2026/parking.html?page=2 HTTP/1.1\r\n\
Host: www.example.org\r\n\
User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\
Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
Accept-Language: en-US,en;q=0.5\r\n\
Accept-Encoding: gzip, deflate, br, zstd\r\n\
Connection: keep-alive\r\n\
Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n\
Upgrade-Insecure-Requests: 1\r\n\
If-Modified-Since: Thu, 01 Jan 2026 00:00:00 GMT\r\n\
Priority: u=0, i\r\n\r\n";

fn parse(times: u64, bytes: &[u8]) -> Duration {
    let limits = HeadLimits::default();
    let mut head = Rc::default();
    let mut used = 0;
    let start = Instant::now();
    for _ in 0..times {
        used += parse_into(&mut head, black_box(bytes), &limits).expect("a whole head");
    }
    let took = start.elapsed();
    assert_eq!(used as u64, bytes.len() as u64 * times);
    took
}

pub(super) fn short(times: u64) -> Duration {
    parse(times, SHORT)
}

pub(super) fn browser(times: u64) -> Duration {
    parse(times, BROWSER)
}
