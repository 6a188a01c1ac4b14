//! Request heads: no input panics, what is accepted is framed without ambiguity, and its path never leaves the root.
#![no_main]

use libfuzzer_sys::fuzz_target;
use parkade_http::head::{HeadLimits, Parsed, parse};
use parkade_http::{framing, target};

fuzz_target!(|data: &[u8]| {
    let limits = HeadLimits::default();
    if let Parsed::Complete(head, used) = parse(data, &limits) {
        assert!(used <= data.len());
        // More input behind it changes nothing.
        let longer = [data, b"GET / HTTP/1.1\r\n"].concat();
        assert!(matches!(parse(&longer, &limits), Parsed::Complete(_, n) if n == used));
        // Without its last byte it is not complete.
        assert!(!matches!(parse(&data[..used - 1], &limits), Parsed::Complete(..)));
        let _ = framing::request(&head);
        let mut path = Vec::new();
        if target::normalise(head.path(), &mut path).is_ok() {
            assert!(path.starts_with(b"/") && !path.windows(4).any(|w| w == b"/../") && !path.ends_with(b"/.."));
        }
    }
});
