//! Preconditions, evaluated in the order of RFC 9110 section 13.2.2.

use crate::head::{Head, Method, Names};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The validators of a representation.
#[derive(Clone, Copy, Debug)]
pub struct Validators<'a> {
    /// A strong entity tag with its quotes.
    pub etag: &'a str,
    /// Seconds since the epoch.
    pub modified: u64,
}

/// What the preconditions say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Go on; `ranges` says whether a Range field counts.
    Proceed {
        /// If-Range matched, or there is none.
        ranges: bool,
    },
    /// 304.
    NotModified,
    /// 412.
    Failed,
}

const CONDITIONS: Names = Names::of(&[
    "if-match",
    "if-none-match",
    "if-modified-since",
    "if-unmodified-since",
    "if-range",
]);

/// Evaluates the preconditions of a request for an existing representation.
#[must_use]
pub fn evaluate(head: &Head, validators: &Validators<'_>) -> Verdict {
    let mut fields = [None; 5];
    let (mut matches, mut any_match) = (false, false);
    let (mut none_matches, mut any_none) = (false, false);
    for (name, value) in head.fields_among(CONDITIONS) {
        if name.len() < 8 || !name[..3].eq_ignore_ascii_case(b"if-") {
            continue;
        }
        let name = &name[3..];
        if name.eq_ignore_ascii_case(b"match") {
            any_match = true;
            matches |= listed(value, validators.etag, true);
        } else if name.eq_ignore_ascii_case(b"none-match") {
            any_none = true;
            none_matches |= listed(value, validators.etag, false);
        } else if name.eq_ignore_ascii_case(b"modified-since") {
            fields[0] = fields[0].or(Some(value));
        } else if name.eq_ignore_ascii_case(b"unmodified-since") {
            fields[1] = fields[1].or(Some(value));
        } else if name.eq_ignore_ascii_case(b"range") {
            fields[2] = fields[2].or(Some(value));
        }
    }
    let reads = matches!(head.method(), Method::Get | Method::Head);
    if any_match {
        if !matches {
            return Verdict::Failed;
        }
    } else if let Some(since) = fields[1].and_then(date)
        && validators.modified > since
    {
        return Verdict::Failed;
    }
    if any_none {
        if none_matches {
            return if reads {
                Verdict::NotModified
            } else {
                Verdict::Failed
            };
        }
    } else if let Some(since) = fields[0].and_then(date).filter(|_| reads)
        && validators.modified <= since
    {
        return Verdict::NotModified;
    }
    let ranges = match fields[2] {
        None => true,
        Some(value) if value.first() == Some(&b'"') => value == validators.etag.as_bytes(),
        // A date is a strong validator only if it is exactly ours (section 13.1.5).
        Some(value) => date(value) == Some(validators.modified),
    };
    Verdict::Proceed { ranges }
}

/// Whether a list of entity tags names `etag`; `strong`: weak tags match nothing.
fn listed(list: &[u8], etag: &str, strong: bool) -> bool {
    if list.trim_ascii() == b"*" {
        return true;
    }
    let mut rest = list;
    loop {
        rest = rest.trim_ascii_start();
        while let Some(after) = rest.strip_prefix(b",") {
            rest = after.trim_ascii_start();
        }
        let weak = rest.starts_with(b"W/");
        let tag = if weak { &rest[2..] } else { rest };
        if tag.first() != Some(&b'"') {
            return false;
        }
        let Some(end) = tag[1..].iter().position(|b| *b == b'"').map(|i| i + 2) else {
            return false;
        };
        if &tag[..end] == etag.as_bytes() && !(strong && weak) {
            return true;
        }
        rest = &tag[end..];
    }
}

/// Any of the three forms of an HTTP date, as seconds since the epoch.
fn date(value: &[u8]) -> Option<u64> {
    let date = httpdate::parse_http_date(std::str::from_utf8(value).ok()?).ok()?;
    date.duration_since(UNIX_EPOCH).ok().map(|d| d.as_secs())
}

/// A moment as `Last-Modified` wants it.
#[must_use]
pub fn format_date(seconds: u64) -> String {
    httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::{HeadLimits, Parsed, parse};

    const NOW: u64 = 1_700_000_000;

    fn verdict(fields: &[(&str, &str)]) -> Verdict {
        let mut text = String::from("GET / HTTP/1.1\r\nHost: a\r\n");
        for (name, value) in fields {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        let Parsed::Complete(head, _) = parse(text.as_bytes(), &HeadLimits::default()) else {
            panic!("{text}")
        };
        evaluate(
            &head,
            &Validators {
                etag: "\"x\"",
                modified: NOW,
            },
        )
    }

    #[test]
    fn the_order_of_the_standard() {
        let (older, newer, equal) = (
            format_date(NOW - 100),
            format_date(NOW + 100),
            format_date(NOW),
        );
        let go = Verdict::Proceed { ranges: true };
        let (im, inm, ims, ius, ir) = (
            "If-Match",
            "If-None-Match",
            "If-Modified-Since",
            "If-Unmodified-Since",
            "If-Range",
        );
        let cases: Vec<(Vec<(&str, &str)>, Verdict)> = vec![
            (vec![], go),
            (vec![(inm, "\"x\""), (ims, &older)], Verdict::NotModified),
            (vec![(im, "\"x\""), (ius, &older)], go),
            (vec![(ius, &newer), (ims, &equal)], Verdict::NotModified),
            (vec![(ir, "\"x\""), (inm, "\"x\"")], Verdict::NotModified),
            (vec![(im, "\"y\"")], Verdict::Failed),
            (vec![(im, "\"y\""), (inm, "\"x\"")], Verdict::Failed),
            (vec![(ius, &older)], Verdict::Failed),
            (vec![(ius, "not a date")], go),
            (
                vec![(inm, "\"a\", \"b\""), (inm, "W/\"x\"")],
                Verdict::NotModified,
            ),
            (vec![(im, "W/\"x\"")], Verdict::Failed),
            (vec![(im, "*")], go),
            (vec![(inm, "*")], Verdict::NotModified),
            (vec![(ir, "\"y\"")], Verdict::Proceed { ranges: false }),
            (vec![(ir, "W/\"x\"")], Verdict::Proceed { ranges: false }),
            (vec![(ir, &equal)], go),
            (vec![(ir, &newer)], Verdict::Proceed { ranges: false }),
            (vec![(ims, &older)], go),
            (vec![(ims, &newer)], Verdict::NotModified),
        ];
        for (fields, expected) in cases {
            assert_eq!(verdict(&fields), expected, "{fields:?}");
        }
    }
}
