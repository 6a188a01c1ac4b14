//! Heads at the edges: what fuzzing found, what repeats, and that no input panics.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use super::*;
use proptest::prelude::*;
use std::rc::Rc;

/// Found by fuzzing: a known version that httparse refuses for another reason was rewritten to itself for ever.
#[test]
fn a_refused_known_version_is_refused_once() {
    for line in [
        "GET / x HTTP/1.1",
        "GET / HTTP/1.0 HTTP/1.1",
        "GET / HTTP/9.9 HTTP/1.7",
        "GET / HTTP/2.0 HTTP/1.0",
    ] {
        let text = format!("{line}\r\nHost: a\r\n\r\n");
        assert!(
            matches!(
                parse(text.as_bytes(), &HeadLimits::default()),
                Parsed::Refused(_)
            ),
            "{line}"
        );
    }
}

#[test]
fn a_repeated_head_is_recognised_and_half_a_head_is_not() {
    let limits = HeadLimits::default();
    let mut head = Rc::default();
    let text = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n";
    let both = [&text[..], b"GET /b"].concat();
    assert_eq!(parse_into(&mut head, &both, &limits), Some(text.len()));
    assert_eq!(parse_into(&mut head, &both, &limits), Some(text.len()));
    assert_eq!(head.path(), b"/a");
    let held = head.clone();
    let other = b"GET /b HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(parse_into(&mut head, other, &limits), Some(other.len()));
    assert_eq!((held.path(), head.path()), (&b"/a"[..], &b"/b"[..]));
    let wrong = b"GET /c HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n";
    assert_eq!(parse_into(&mut head, wrong, &limits), None);
    assert_eq!(parse_into(&mut head, wrong, &limits), None);
}

/// The host of the last head is believed: nothing else may pass for it.
#[test]
fn every_host_that_differs_from_the_last_is_looked_at() {
    let limits = HeadLimits::default();
    let with = |host: &str| format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
    for wrong in ["", "a b", "a:x", "a%2"] {
        // What comes between leaves half a head, or one whose bytes of the same place are the wrong host.
        for between in [
            None,
            Some("\r".to_owned()),
            Some("GET / HT".to_owned()),
            Some(with("a\r\nHost: b")),
            Some(with(wrong)),
            Some(format!(
                "GET / HTTP/1.1\r\nHost: b\r\nHose: {wrong}\r\n\r\n"
            )),
            Some(format!("GET / HTTP/1.1\r\nHose: {wrong}\r\n\r\n")),
        ] {
            let mut head = Rc::default();
            let right = with("abc");
            assert!(parse_into(&mut head, right.as_bytes(), &limits).is_some());
            assert!(parse_into(&mut head, right.as_bytes(), &limits).is_some());
            if let Some(between) = &between {
                parse_into(&mut head, between.as_bytes(), &limits);
            }
            let got = parse_into(&mut head, with(wrong).as_bytes(), &limits);
            assert_eq!(got, None, "{wrong:?} behind {between:?}");
        }
    }
}

#[test]
fn a_head_knows_its_parts() {
    let text =
        b"\r\nPOST http://h:1/a%20b?q=1 HTTP/1.1\r\nHost: other\r\nX: \t y \r\nE:\r\n\r\nrest";
    let Parsed::Complete(head, used) = parse(text, &HeadLimits::default()) else {
        panic!()
    };
    assert_eq!(&text[used..], b"rest");
    assert_eq!(
        (head.path(), head.query(), head.host()),
        (&b"/a%20b"[..], Some(&b"q=1"[..]), Some("h:1"))
    );
    assert_eq!(
        (head.field("x"), head.field("e")),
        (Some(&b"y"[..]), Some(&b""[..]))
    );
    assert_eq!(head.request_line(), b"POST http://h:1/a%20b?q=1 HTTP/1.1");
}

proptest! {
    /// What is noted of the names hides none of them, in whatever case.
    #[test]
    fn every_field_is_found(names in proptest::collection::vec("[A-Za-z!~0-9-]{1,70}", 1..8)) {
        let lines: String = names.iter().map(|name| format!("{name}: x\r\n")).collect();
        let text = format!("GET / HTTP/1.0\r\n{lines}\r\n");
        if let Parsed::Complete(head, _) = parse(text.as_bytes(), &HeadLimits::default()) {
            for name in names.iter().flat_map(|n| [n.clone(), n.to_lowercase(), n.to_uppercase()]) {
                prop_assert_eq!(head.field(&name), Some(&b"x"[..]), "{}", name);
            }
            prop_assert_eq!(head.fields().count(), names.len());
        }
    }

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), version in "HTTP/[0-9]\\.[0-9]") {
        let _ = parse(&bytes, &HeadLimits::default());
        let mut text = b"GET /".to_vec();
        text.extend_from_slice(&bytes);
        text.extend_from_slice(format!(" {version}\r\nHost: a\r\n\r\n").as_bytes());
        let _ = parse(&text, &HeadLimits::default());
    }
}
