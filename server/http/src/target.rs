//! Request targets (RFC 9112 section 3.2) and the paths in them.

use crate::head::Method;
use crate::status::Refusal;

/// A target taken apart.
pub(crate) struct Form<'a> {
    pub(crate) authority: Option<&'a [u8]>,
    /// Path and query, always a part of the target; an absolute target may have neither. For CONNECT: the authority.
    pub(crate) path: &'a [u8],
    /// The same without the query.
    pub(crate) bare: &'a [u8],
}

/// Which of the four forms `target` has, and whether `method` may have it.
pub(crate) fn split(method: Method, target: &[u8]) -> Result<Form<'_>, Refusal> {
    if method == Method::Connect {
        check_authority(target, false)?;
        if !target.ends_with(b":") && memchr::memrchr(b':', target) > memchr::memrchr(b']', target)
        {
            return Ok(Form {
                authority: Some(target),
                path: target,
                bare: target,
            });
        }
        return Err(Refusal::BadRequest("no port in the target"));
    }
    let (authority, path) = match target {
        [b'/', ..] => (None, target),
        b"*" if method == Method::Options => (None, target),
        _ => {
            let rest =
                strip_scheme(target).ok_or(Refusal::BadRequest("the target has no known form"))?;
            let end = rest.iter().position(|b| matches!(b, b'/' | b'?'));
            let (authority, path) = rest.split_at(end.unwrap_or(rest.len()));
            check_authority(authority, false)?;
            (Some(authority), path)
        }
    };
    let query = path.iter().position(|b| !PATH[*b as usize]);
    if let Some(i) = query
        && (path[i] != b'?' || path[i..].iter().any(|b| !QUERY[*b as usize]))
    {
        return Err(Refusal::BadRequest("a byte that no target may have"));
    }
    let bare = &path[..query.unwrap_or(path.len())];
    Ok(Form {
        authority,
        path,
        bare,
    })
}

fn strip_scheme(target: &[u8]) -> Option<&[u8]> {
    for scheme in [&b"http://"[..], b"https://"] {
        if target.len() > scheme.len() && target[..scheme.len()].eq_ignore_ascii_case(scheme) {
            return Some(&target[scheme.len()..]);
        }
    }
    None
}

/// `host[:port]`, without user information; `from_field` for a Host field, which then may not be empty either.
pub(crate) fn check_authority(value: &[u8], from_field: bool) -> Result<(), Refusal> {
    let bad = Refusal::BadRequest(if from_field {
        "malformed Host"
    } else {
        "malformed authority"
    });
    let (host, port) = match value {
        [b'[', ..] => {
            let end = memchr::memchr(b']', value).ok_or(bad)?;
            let inner = &value[1..end];
            let literal = std::str::from_utf8(inner)
                .ok()
                .and_then(|s| s.parse::<std::net::Ipv6Addr>().ok());
            literal.ok_or(bad)?;
            (inner, &value[end + 1..])
        }
        _ => {
            let end = value.iter().position(|b| !REG_NAME[*b as usize]);
            value.split_at(end.unwrap_or(value.len()))
        }
    };
    let port_fine = match port {
        [] => true,
        [b':', digits @ ..] => is_port(digits),
        _ => false,
    };
    if port_fine && !host.is_empty() && is_encoded(host) {
        Ok(())
    } else {
        Err(bad)
    }
}

fn is_port(digits: &[u8]) -> bool {
    let number = digits.iter().try_fold(0u16, |n, b| {
        let digit = b.is_ascii_digit().then(|| u16::from(b - b'0'))?;
        n.checked_mul(10)?.checked_add(digit)
    });
    number.is_some()
}

/// Whether each `%` begins two hex digits.
fn is_encoded(text: &[u8]) -> bool {
    memchr::memchr_iter(b'%', text).all(|i| {
        matches!(text[i + 1..], [high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit())
    })
}

/// The letters, the digits and `others`, one look each.
const fn bytes(others: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut b = 0;
    while b < 256 {
        table[b] = (b as u8).is_ascii_alphanumeric();
        b += 1;
    }
    let mut i = 0;
    while i < others.len() {
        table[others[i] as usize] = true;
        i += 1;
    }
    table
}

/// A registered name (RFC 3986 section 3.2.2).
static REG_NAME: [bool; 256] = bytes(b"-._~!$&'()*+,;=%");
/// A path (RFC 3986 section 3.3), with the marks that some clients do not encode.
static PATH: [bool; 256] = bytes(b"-._~!$&'()*+,;=%:@/[]^`{|}");
/// A query, in which browsers leave the backslash alone, too.
static QUERY: [bool; 256] = bytes(b"-._~!$&'()*+,;=%:@/[]^`{|}?\\");

/// Why a path names nothing here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BadPath {
    /// It would leave the root, or is not percent-encoded properly: 400.
    Malformed,
    /// It hides a separator (`%2f`, a backslash) or a NUL: 404.
    NotFound,
}

/// Decodes and normalises a path into `out`: it begins with `/`, has no dot segments, no empty segments, no NUL and
/// no backslash, and is UTF-8. A trailing slash stays.
///
/// # Errors
/// [`BadPath`] for what cannot name a file below a root.
pub fn normalise(path: &[u8], out: &mut Vec<u8>) -> Result<(), BadPath> {
    out.clear();
    if path.first() != Some(&b'/') {
        return Err(BadPath::Malformed);
    }
    let mut directory = false;
    for segment in path[1..].split(|b| *b == b'/') {
        let from = out.len();
        out.push(b'/');
        let mut rest = segment;
        while let [first, tail @ ..] = rest {
            let byte = if *first == b'%' {
                let (high, low) = match tail {
                    [h, l, after @ ..] => {
                        rest = after;
                        (
                            hex(*h).ok_or(BadPath::Malformed)?,
                            hex(*l).ok_or(BadPath::Malformed)?,
                        )
                    }
                    _ => return Err(BadPath::Malformed),
                };
                high << 4 | low
            } else {
                rest = tail;
                *first
            };
            if matches!(byte, 0 | b'/' | b'\\') {
                return Err(BadPath::NotFound);
            }
            out.push(byte);
        }
        directory = false;
        match &out[from + 1..] {
            b"" | b"." => {
                out.truncate(from);
                directory = true;
            }
            b".." => {
                out.truncate(from);
                let parent = out
                    .iter()
                    .rposition(|b| *b == b'/')
                    .ok_or(BadPath::Malformed)?;
                out.truncate(parent);
                directory = true;
            }
            _ => {}
        }
    }
    if directory || out.is_empty() {
        out.push(b'/');
    }
    if std::str::from_utf8(out).is_err() {
        return Err(BadPath::NotFound);
    }
    Ok(())
}

fn hex(b: u8) -> Option<u8> {
    (b as char).to_digit(16).map(|d| d as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_never_leave_the_root() {
        let cases: &[(&str, Result<&str, BadPath>)] = &[
            ("/", Ok("/")),
            ("/a/b.txt", Ok("/a/b.txt")),
            ("/a//b", Ok("/a/b")),
            ("/a/./b/../c", Ok("/a/c")),
            ("/a/b/..", Ok("/a/")),
            ("/a/b/%2e%2E/", Ok("/a/")),
            ("/..", Err(BadPath::Malformed)),
            ("/a/../../etc", Err(BadPath::Malformed)),
            ("/%2e%2e/x", Err(BadPath::Malformed)),
            ("/a%2fb", Err(BadPath::NotFound)),
            ("/a%00", Err(BadPath::NotFound)),
            ("/a%5c..%5cb", Err(BadPath::NotFound)),
            ("/%c0%ae%c0%ae/x", Err(BadPath::NotFound)),
            ("/%zz", Err(BadPath::Malformed)),
            ("/%4", Err(BadPath::Malformed)),
            ("/a%20b", Ok("/a b")),
            ("/...", Ok("/...")),
        ];
        let mut out = Vec::new();
        for (path, expected) in cases {
            let got = normalise(path.as_bytes(), &mut out)
                .map(|()| String::from_utf8(out.clone()).unwrap());
            assert_eq!(got.as_deref().map_err(|e| *e), *expected, "{path}");
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_comes_out_is_a_clean_path(path in "/[a-z./%20ef\\\\]{0,40}") {
            let mut out = Vec::new();
            if normalise(path.as_bytes(), &mut out).is_ok() {
                let text = String::from_utf8(out).unwrap();
                proptest::prop_assert!(text.starts_with('/'));
                let segments: Vec<_> = text[1..].split('/').collect();
                let last = segments.len() - 1;
                for (i, s) in segments.iter().enumerate() {
                    proptest::prop_assert!((i == last || !s.is_empty()) && *s != "." && *s != ".." && !s.contains('\\'));
                }
            }
        }
    }
}
