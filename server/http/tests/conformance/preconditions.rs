//! Preconditions in the order of RFC 9110 section 13.2.2, every combination against the text of the standard; and
//! ranges (section 14).

use parkade_http::head::{HeadLimits, Parsed, parse};
use parkade_http::precondition::{Validators, Verdict, evaluate, format_date};
use parkade_http::range::{self, Range};

const MODIFIED: u64 = 1_700_000_000;
const ETAG: &str = "\"x\"";

/// What a field may say, and whether its condition is true; `None`: the field does not count.
fn tags(strong: bool) -> Vec<(&'static str, Option<bool>)> {
    vec![
        ("", None),
        ("\"x\"", Some(true)),
        ("\"a\", W/\"b\" , \"x\"", Some(true)),
        ("*", Some(true)),
        ("W/\"x\"", Some(!strong)),
        ("\"y\"", Some(false)),
        ("\"X\"", Some(false)),
        ("x", Some(false)),
    ]
}

/// Dates: the value, and how it compares with the last modification.
fn dates() -> Vec<(String, Option<std::cmp::Ordering>)> {
    let mut all = vec![(String::new(), None), ("nonsense".into(), None)];
    for at in [MODIFIED - 1, MODIFIED, MODIFIED + 1] {
        all.push((format_date(at), Some(at.cmp(&MODIFIED))));
    }
    all
}

#[test]
fn every_combination_follows_the_five_steps() {
    let mut seen = 0;
    for method in ["GET", "HEAD", "PUT"] {
        for (im, im_true) in tags(true) {
            for (inm, inm_true) in tags(false) {
                for (ius, ius_is) in dates() {
                    for (ims, ims_is) in dates() {
                        let fields = [
                            ("If-Match", im),
                            ("If-None-Match", inm),
                            ("If-Unmodified-Since", &*ius),
                            ("If-Modified-Since", &*ims),
                        ];
                        let expected = five_steps(method, im_true, inm_true, ius_is, ims_is);
                        assert_eq!(verdict(method, &fields), expected, "{method} {fields:?}");
                        seen += 1;
                    }
                }
            }
        }
    }
    assert_eq!(seen, 3 * 8 * 8 * 5 * 5);
}

fn five_steps(
    method: &str,
    im: Option<bool>,
    inm: Option<bool>,
    ius: Option<std::cmp::Ordering>,
    ims: Option<std::cmp::Ordering>,
) -> Verdict {
    let reads = method != "PUT";
    // 1 and 2.
    if im.map_or(ius.is_some_and(|o| o.is_lt()), |matches| !matches) {
        return Verdict::Failed;
    }
    // 3.
    if inm == Some(true) {
        return if reads {
            Verdict::NotModified
        } else {
            Verdict::Failed
        };
    }
    // 4.
    if inm.is_none() && reads && ims.is_some_and(|o| o.is_ge()) {
        return Verdict::NotModified;
    }
    Verdict::Proceed { ranges: true }
}

fn verdict(method: &str, fields: &[(&str, &str)]) -> Verdict {
    let mut text = format!("{method} / HTTP/1.1\r\nHost: a\r\n");
    for (name, value) in fields.iter().filter(|(_, value)| !value.is_empty()) {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    let Parsed::Complete(head, _) = parse(text.as_bytes(), &HeadLimits::default()) else {
        panic!("{text}")
    };
    let validators = Validators {
        etag: ETAG,
        modified: MODIFIED,
    };
    evaluate(&head, &validators)
}

/// Step 5 (section 13.1.5): only an exact strong validator lets a range through.
#[test]
fn if_range() {
    for (value, ranges) in [
        ("\"x\"", true),
        ("\"y\"", false),
        ("W/\"x\"", false),
        ("*", false),
        ("x", false),
        ("nonsense", false),
        (&format_date(MODIFIED), true),
        (&format_date(MODIFIED + 1), false),
        (&format_date(MODIFIED - 1), false),
    ] {
        assert_eq!(
            verdict("GET", &[("If-Range", value)]),
            Verdict::Proceed { ranges },
            "{value}"
        );
        assert_eq!(
            verdict("GET", &[("If-Range", value), ("If-None-Match", ETAG)]),
            Verdict::NotModified
        );
    }
    // Lists may be spread over fields; the three forms of dates are read (section 5.6.7).
    assert_eq!(
        verdict(
            "GET",
            &[("If-None-Match", "\"a\""), ("if-none-match", ETAG)]
        ),
        Verdict::NotModified
    );
    for date in [
        "Tue, 14 Nov 2023 22:13:20 GMT",
        "Tuesday, 14-Nov-23 22:13:20 GMT",
        "Tue Nov 14 22:13:20 2023",
    ] {
        assert_eq!(
            verdict("GET", &[("If-Modified-Since", date)]),
            Verdict::NotModified,
            "{date}"
        );
    }
}

#[test]
fn ranges() {
    let part = |offset, len| Range::Part { offset, len };
    for (value, expected) in [
        ("bytes=0-0", part(0, 1)),
        ("bytes=0-99", part(0, 100)),
        ("bytes=0-100", part(0, 100)),
        ("bytes=99-", part(99, 1)),
        ("bytes=-1", part(99, 1)),
        ("bytes=-101", part(0, 100)),
        ("bytes= 0-9 ", part(0, 10)),
        // Section 14.1: names of units have no case.
        ("Bytes=0-9", part(0, 10)),
        ("BYTES=-5", part(95, 5)),
        ("bytes=1-18446744073709551615", part(1, 99)),
        ("bytes=18446744073709551616-", Range::Unsatisfiable),
        ("bytes=100-200", Range::Unsatisfiable),
        ("bytes=-0", Range::Unsatisfiable),
        ("bytes=0-9,30-20", Range::Whole),
        ("bytes=5-4", Range::Whole),
        ("bytes=-", Range::Whole),
        ("bytes=+1-2", Range::Whole),
        ("bytes=0x0-9", Range::Whole),
        ("bytes=0-9;", Range::Whole),
        ("bytes 0-9", Range::Whole),
        ("bytes", Range::Whole),
        ("", Range::Whole),
        ("items=0-9", Range::Whole),
    ] {
        assert_eq!(range::parse(value.as_bytes(), 100), expected, "{value}");
    }
    // Many ranges are bounded work.
    let many = format!("bytes={}", "0-0,".repeat(5000));
    assert_eq!(range::parse(many.as_bytes(), 100), Range::Whole);
}
