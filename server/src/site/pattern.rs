//! Patterns of sections and host names.

use std::path::{Component, Path};

/// `*` and `?` match any characters; case counts. Work is bounded by the product of the lengths.
pub(super) fn wildcard(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where the last star stands, and up to where it reaches.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(b'?') => (p, t) = (p + 1, t + 1),
            Some(c) if *c == text[t] => (p, t) = (p + 1, t + 1),
            _ => match star {
                Some((at, reach)) => {
                    star = Some((at, reach + 1));
                    (p, t) = (at + 1, reach + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p.min(pattern.len())..].iter().all(|c| *c == b'*')
}

/// Whether a `<Directory>` contains `file`; wildcards stand within one segment.
pub(super) fn directory(pattern: &str, file: &Path) -> bool {
    let segments = |path| Path::components(path).filter(|c| *c != Component::CurDir);
    let mut have = segments(file);
    segments(Path::new(pattern)).all(|wanted| {
        have.next().is_some_and(|h| {
            wildcard(
                wanted.as_os_str().as_encoded_bytes(),
                h.as_os_str().as_encoded_bytes(),
            )
        })
    })
}

/// How deep a `<Directory>` is: shorter ones are applied first.
pub(super) fn depth(pattern: &str) -> usize {
    Path::new(pattern).components().count()
}

/// Whether a `<Location>` governs a path: equal, or a prefix that ends at a segment; with wildcards, segment by segment.
pub(super) fn location(pattern: &str, path: &str) -> bool {
    if pattern.contains(['*', '?']) {
        let mut have = path.split('/');
        return pattern.split('/').all(|w| {
            have.next()
                .is_some_and(|h| wildcard(w.as_bytes(), h.as_bytes()))
        });
    }
    match path.strip_prefix(pattern) {
        Some(rest) => rest.is_empty() || pattern.ends_with('/') || rest.starts_with('/'),
        None => pattern.strip_suffix('/') == Some(path),
    }
}

/// A host name as it is compared: without port and final dot, in lower case.
pub(super) fn host_name(host: &str) -> String {
    let name = match host.rfind(':') {
        Some(i) if !host[i..].contains(']') => &host[..i],
        _ => host,
    };
    name.trim_end_matches('.').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_by_the_table() {
        for (pattern, text, matches) in [
            ("*", "", true),
            ("*", "abc", true),
            ("a*c", "abbc", true),
            ("a*c", "abcb", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*.two.local", "a.two.local", true),
            ("*.two.local", "two.local", false),
            ("*a*b*", "xxaxxbxx", true),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(
                wildcard(pattern.as_bytes(), text.as_bytes()),
                matches,
                "{pattern} {text}"
            );
        }
        let hostile = "*a".repeat(200);
        assert!(!wildcard(hostile.as_bytes(), "a".repeat(199).as_bytes()));
    }

    #[test]
    fn sections_govern_whole_segments() {
        for (pattern, path, governs) in [
            ("/a", "/a", true),
            ("/a", "/a/b", true),
            ("/a", "/ab", false),
            ("/", "/x", true),
            ("/a/", "/a/b", true),
            ("/a/", "/a", true),
            ("/p*", "/private", true),
            ("/p*", "/private/x", true),
            ("/p*", "/x/private", false),
        ] {
            assert_eq!(location(pattern, path), governs, "{pattern} {path}");
        }
        for (pattern, path, governs) in [
            ("/srv/www", "/srv/www/x", true),
            ("/srv/www/", "/srv/www/x", true),
            ("/srv/w", "/srv/www/x", false),
            ("/srv/*/x", "/srv/a/x/y", true),
            ("/srv/*/x", "/srv/a/b/x", false),
            ("/", "/a", true),
            ("/srv/www/x", "/srv/www", false),
        ] {
            assert_eq!(
                directory(pattern, Path::new(path)),
                governs,
                "{pattern} {path}"
            );
        }
    }

    #[test]
    fn host_names_lose_port_case_and_final_dot() {
        for (given, name) in [
            ("A.Example:80", "a.example"),
            ("[::1]:80", "[::1]"),
            ("a.", "a"),
        ] {
            assert_eq!(host_name(given), name);
        }
    }
}
