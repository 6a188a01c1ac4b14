//! Byte ranges (RFC 9110 section 14).

/// What a Range field asks of a representation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Range {
    /// Everything: no field, one that is not understood, or several ranges.
    Whole,
    /// One part.
    Part {
        /// The first byte.
        offset: u64,
        /// How many.
        len: u64,
    },
    /// 416 with `Content-Range: bytes */N`.
    Unsatisfiable,
}

/// Reads a Range field for a representation of `size` bytes. More than one range, after dropping what cannot be
/// satisfied, is answered with the whole: bounded work for any field.
#[must_use]
pub fn parse(value: &[u8], size: u64) -> Range {
    /// More ranges than this are not looked at.
    const MOST: usize = 200;
    let set = match value.split_at_checked(6) {
        Some((unit, set)) if unit.eq_ignore_ascii_case(b"bytes=") => set,
        _ => return Range::Whole,
    };
    let mut parts = Vec::new();
    let mut any = false;
    for (n, spec) in set.split(|b| *b == b',').enumerate() {
        let spec = spec.trim_ascii();
        if spec.is_empty() {
            continue;
        }
        let Some(dash) = spec.iter().position(|b| *b == b'-').filter(|_| n < MOST) else {
            return Range::Whole;
        };
        let (first, last) = (&spec[..dash], &spec[dash + 1..]);
        any = true;
        match (first, last) {
            (b"", last) => match number(last) {
                None => return Range::Whole,
                Some(0) => {}
                Some(_) if size == 0 => {}
                Some(n) => parts.push((size - n.min(size), n.min(size))),
            },
            (first, last) => {
                let last = if last.is_empty() {
                    Some(u64::MAX)
                } else {
                    number(last)
                };
                let (Some(first), Some(last)) = (number(first), last) else {
                    return Range::Whole;
                };
                if last < first {
                    // An inverted range makes the whole field invalid.
                    return Range::Whole;
                }
                if first < size {
                    parts.push((first, last.min(size - 1) - first + 1));
                }
            }
        }
    }
    match parts[..] {
        [(offset, len)] => Range::Part { offset, len },
        [] if any => Range::Unsatisfiable,
        _ => Range::Whole,
    }
}

/// Digits only; what exceeds 64 bits is as good as the largest number.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0u64, |n, b| {
        n.saturating_mul(10).saturating_add(u64::from(b - b'0'))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_by_the_table() {
        let part = |offset, len| Range::Part { offset, len };
        for (value, expected) in [
            ("bytes=0-9", part(0, 10)),
            ("bytes=90-", part(90, 10)),
            ("bytes=-5", part(95, 5)),
            ("bytes=-500", part(0, 100)),
            ("bytes=1-18446744073709551615", part(1, 99)),
            ("bytes=1-99999999999999999999999", part(1, 99)),
            ("bytes=100-", Range::Unsatisfiable),
            ("bytes=-0", Range::Unsatisfiable),
            ("bytes=0-9,30-20", Range::Whole),
            ("bytes=0-9,20-29", Range::Whole),
            ("bytes=0-9, 200-300", part(0, 10)),
            ("bytes=9-0", Range::Whole),
            ("bytes=a-b", Range::Whole),
            ("bytes=", Range::Whole),
            ("bytes=0 -9", Range::Whole),
            ("lines=0-9", Range::Whole),
            ("bytes=--1", Range::Whole),
        ] {
            assert_eq!(parse(value.as_bytes(), 100), expected, "{value}");
        }
        assert_eq!(parse(b"bytes=0-", 0), Range::Unsatisfiable);
        assert_eq!(parse(b"bytes=-5", 0), Range::Unsatisfiable);
    }
}
