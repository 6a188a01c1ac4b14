//! Cuts text into logical lines and words; every character remembers the physical line and byte it came from,
//! so a word that went through `\`-continuation or `${VAR}` still points at what the user typed.
use crate::diagnostic::Origin;
use std::sync::Arc;

/// A file's name and physical lines.
pub(crate) struct FileText {
    pub(crate) name: Arc<str>,
    pub(crate) lines: Vec<Arc<str>>,
}

impl FileText {
    pub(crate) fn new(name: &str, text: &str) -> Self {
        Self {
            name: name.into(),
            // A byte order mark is no part of the first name.
            lines: text
                .strip_prefix('\u{feff}')
                .unwrap_or(text)
                .lines()
                .map(Arc::from)
                .collect(),
        }
    }

    /// The place of a run of characters; a run over several lines is cut at the first line's end.
    pub(crate) fn origin(&self, run: &[Ch]) -> Origin {
        let Some(first) = run.first() else {
            return Origin {
                file: self.name.clone(),
                line: 1,
                column: 1,
                span: 0..0,
                text: "".into(),
            };
        };
        let text = self
            .lines
            .get(first.line as usize)
            .cloned()
            .unwrap_or_else(|| "".into());
        let start = first.byte as usize;
        let last = run
            .iter()
            .take_while(|ch| ch.line == first.line)
            .map(|ch| ch.byte as usize)
            .max();
        let last = last.unwrap_or(start);
        let end = last
            + text
                .get(last..)
                .and_then(|rest| rest.chars().next())
                .map_or(0, char::len_utf8);
        let column = text.get(..start).map_or(0, |before| before.chars().count()) as u32 + 1;
        Origin {
            file: self.name.clone(),
            line: first.line + 1,
            column,
            span: start..end,
            text,
        }
    }
}

/// One character and its place (line from 0, byte in that line).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ch {
    pub(crate) c: char,
    pub(crate) line: u32,
    pub(crate) byte: u32,
}

/// A word and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// Its text, without quotes.
    pub text: String,
    /// Where it stands, quotes included.
    pub at: Origin,
}

/// Joins continued lines, drops blanks and comments.
pub(crate) fn logical_lines(file: &FileText) -> Vec<Vec<Ch>> {
    let mut out = Vec::new();
    let mut current: Vec<Ch> = Vec::new();
    for (number, text) in file.lines.iter().enumerate() {
        let (body, continued) = match text.strip_suffix('\\') {
            Some(body) => (body, true),
            None => (&**text, false),
        };
        let place = |(byte, c)| Ch {
            c,
            line: number as u32,
            byte: byte as u32,
        };
        current.extend(body.char_indices().map(place));
        if !continued {
            finish(&mut current, &mut out);
        }
    }
    finish(&mut current, &mut out);
    out
}

fn finish(current: &mut Vec<Ch>, out: &mut Vec<Vec<Ch>>) {
    let line = trim(current);
    if line.first().is_some_and(|ch| ch.c != '#') {
        out.push(line.to_vec());
    }
    current.clear();
}

/// What separates words: C's white space, and no more of Unicode's (a name may have a no-break space in it).
pub(crate) const fn is_blank(c: char) -> bool {
    c.is_ascii_whitespace() || c == '\x0b'
}

/// Without white space at both ends.
pub(crate) fn trim(mut run: &[Ch]) -> &[Ch] {
    while let [first, rest @ ..] = run {
        if !is_blank(first.c) {
            break;
        }
        run = rest;
    }
    while let [rest @ .., last] = run {
        if !is_blank(last.c) {
            break;
        }
        run = rest;
    }
    run
}

/// Replaces `${NAME}`; `undefined` hears of names that nothing defines (they stay as text).
/// `None` if the result would be longer than `max` characters.
pub(crate) fn expand(
    line: &[Ch],
    max: usize,
    value: &dyn Fn(&str) -> Option<String>,
    undefined: &mut dyn FnMut(&str, &[Ch]),
) -> Option<Vec<Ch>> {
    let mut out = Vec::with_capacity(line.len());
    let mut i = 0;
    while let Some(&ch) = line.get(i) {
        if ch.c == '$'
            && line.get(i + 1).is_some_and(|next| next.c == '{')
            && let Some(length) = line[i..].iter().position(|c| c.c == '}')
            && length > 2
        {
            let name: String = line[i + 2..i + length].iter().map(|c| c.c).collect();
            if let Some(text) = value(&name) {
                out.extend(text.chars().map(|c| Ch { c, ..ch }));
                i += length + 1;
                if out.len() > max {
                    return None;
                }
                continue;
            }
            undefined(&name, &line[i..=i + length]);
        }
        out.push(ch);
        i += 1;
    }
    Some(out)
}

/// Splits a logical line into words.
///
/// # Errors
/// The place of a quote that is never closed.
pub(crate) fn words(file: &FileText, line: &[Ch]) -> Result<Vec<Word>, Origin> {
    let mut out = Vec::new();
    let mut i = 0;
    while let Some(&ch) = line.get(i) {
        if is_blank(ch.c) {
            i += 1;
            continue;
        }
        let start = i;
        let mut text = String::new();
        if ch.c == '"' || ch.c == '\'' {
            i += 1;
            loop {
                let Some(&next) = line.get(i) else {
                    return Err(file.origin(&line[start..=start]));
                };
                i += 1;
                if next.c == ch.c {
                    break;
                }
                match line.get(i) {
                    Some(&escaped)
                        if next.c == '\\' && (escaped.c == ch.c || escaped.c == '\\') =>
                    {
                        text.push(escaped.c);
                        i += 1;
                    }
                    _ => text.push(next.c),
                }
            }
        } else {
            while let Some(next) = line.get(i).filter(|next| !is_blank(next.c)) {
                text.push(next.c);
                i += 1;
            }
        }
        out.push(Word {
            text,
            at: file.origin(&line[start..i]),
        });
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Text, line, column.
    type Placed = (String, u32, u32);

    /// Words of a text's logical lines, or the column of a quote left open.
    fn cut(text: &str) -> Vec<Result<Vec<Placed>, u32>> {
        let file = FileText::new("f", text);
        let one = |line: Vec<Ch>| match words(&file, &line) {
            Ok(all) => Ok(all
                .into_iter()
                .map(|w| (w.text, w.at.line, w.at.column))
                .collect()),
            Err(at) => Err(at.column),
        };
        logical_lines(&file).into_iter().map(one).collect()
    }

    fn texts(text: &str) -> Vec<Vec<String>> {
        let lines = cut(text)
            .into_iter()
            .map(|line| line.expect("closed quotes"));
        lines
            .map(|line| line.into_iter().map(|(text, ..)| text).collect())
            .collect()
    }

    #[test]
    fn lines_are_joined_and_comments_dropped() {
        let cases: [(&str, &[&[&str]]); 6] = [
            ("a b\n\n \tc", &[&["a", "b"], &["c"]]),
            ("a \\\n b", &[&["a", "b"]]),
            ("a\\\r\nb", &[&["ab"]]),
            (" # c \\\n still\nx", &[&["x"]]),
            ("a # b", &[&["a", "#", "b"]]),
            ("\u{feff}a", &[&["a"]]),
        ];
        for (text, expected) in cases {
            assert_eq!(texts(text), expected, "{text:?}");
        }
    }

    #[test]
    fn quotes_group_and_escape_only_themselves() {
        let cases: [(&str, &[&str]); 6] = [
            (r#""a b" c"#, &["a b", "c"]),
            (r#"'a "b"'"#, &[r#"a "b""#]),
            (r#""a\"b""#, &[r#"a"b"#]),
            (r#""a\\b""#, &[r"a\b"]),
            (r#""a\nb""#, &[r"a\nb"]),
            (r"a\b", &[r"a\b"]),
        ];
        for (text, expected) in cases {
            assert_eq!(texts(text), [expected], "{text}");
        }
        assert_eq!(cut("a \"b c"), [Err(3)], "the quote that is never closed");
    }

    #[test]
    fn a_word_points_at_its_physical_line_and_counts_characters() {
        let found = cut("ä \\\n  ü x");
        let word = |text: &str, line, column| (text.to_owned(), line, column);
        let expected = vec![word("ä", 1, 1), word("ü", 2, 3), word("x", 2, 5)];
        assert_eq!(found, [Ok(expected)]);
    }

    #[test]
    fn variables_expand_and_point_at_where_they_were_written() {
        let file = FileText::new("f", "a ${X}b ${Y} ${} $");
        let line = &logical_lines(&file)[0];
        let mut unknown = Vec::new();
        let value = |name: &str| (name == "X").then(|| "1 2".to_owned());
        let out = expand(line, 99, &value, &mut |name, _| {
            unknown.push(name.to_owned())
        });
        let out = words(&file, &out.expect("short")).expect("no quotes");
        let shown: Vec<_> = out.iter().map(|w| (&*w.text, w.at.column)).collect();
        let expected = [
            ("a", 1),
            ("1", 3),
            ("2b", 3),
            ("${Y}", 9),
            ("${}", 14),
            ("$", 18),
        ];
        assert_eq!(shown, expected);
        assert_eq!(unknown, ["Y"]);
        assert!(
            expand(line, 3, &value, &mut |_, _| ()).is_none(),
            "too long"
        );
    }
}
