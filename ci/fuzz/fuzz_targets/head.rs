//! Request heads: no input panics, what is accepted has one meaning, what is refused is refused by its first wrong byte,
//! and a path never leaves the root.
#![no_main]

use libfuzzer_sys::fuzz_target;
use parkade_http::head::{HeadLimits, Parsed, parse};
use parkade_http::{framing, target};

fuzz_target!(|data: &[u8]| {
    let limits = HeadLimits { line: 100, field: 60, fields: 8 };
    let whole = parse(data, &limits);
    // A beginning is refused for the same reason, accepted with the same end, or not finished.
    let step = data.len() / 64 + 1;
    for cut in (0..data.len()).step_by(step) {
        match (parse(&data[..cut], &limits), &whole) {
            (Parsed::Partial, _) => {}
            (Parsed::Refused(early), Parsed::Refused(late)) => assert_eq!(early, *late),
            (Parsed::Complete(_, early), Parsed::Complete(_, late)) => assert_eq!(early, *late),
            (early, late) => panic!("{early:?} became {late:?}"),
        }
    }
    let Parsed::Complete(head, used) = whole else { return };
    assert!(!matches!(parse(&data[..used - 1], &limits), Parsed::Complete(..)));
    let _ = framing::request(&head);
    let (request_line, path) = (head.request_line(), head.path());
    assert!(request_line.iter().all(|b| (b' '..=b'~').contains(b)) && request_line.len() <= limits.line);
    assert!(!path.is_empty() && path.iter().all(u8::is_ascii_graphic));
    let mut out = Vec::new();
    if target::normalise(path, &mut out).is_ok() {
        assert!(out.starts_with(b"/") && !out.windows(4).any(|w| w == b"/../") && !out.ends_with(b"/.."));
    }
});
