//! Chunked bodies (RFC 9112 section 7.1), decoded strictly and at any split.

use crate::status::Refusal;

/// Bytes of chunk extensions and trailers that are read past in one body.
const OVERHEAD: usize = 16 * 1024;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// Hex digits, so many seen.
    Size(u8),
    /// White space behind the size, a name or a value: a delimiter must come (RFC 9110 section 5.6.3).
    Space(Before),
    /// Behind a `;`: a name must come.
    NameStart,
    Name,
    /// Behind a `=`: a value must come.
    ValueStart,
    Value,
    /// Inside a quoted value; true behind a backslash.
    Quoted(bool),
    QuotedEnd,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    TrailerStart,
    /// Inside a trailer's name.
    TrailerName,
    Trailer,
    TrailerLf,
    EndLf,
    Done,
}

/// Which delimiters may follow white space in a chunk's first line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Before {
    Name,
    NameOrValue,
}

/// Takes a chunked body apart.
#[derive(Clone, Debug)]
pub struct Decoder {
    state: State,
    left: u64,
    overhead: usize,
    /// Lines of the trailers, as far as they have come.
    trailers: Vec<u8>,
}

impl Default for Decoder {
    fn default() -> Self {
        Self {
            state: State::Size(0),
            left: 0,
            overhead: 0,
            trailers: Vec::new(),
        }
    }
}

/// One step of a decoder.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// So many bytes of framing were passed; the next `len` bytes are data. Afterwards the caller has consumed both.
    Data {
        /// Framing before the data.
        skip: usize,
        /// Bytes of data.
        len: usize,
    },
    /// So many bytes of framing were passed, and more input is needed.
    More(usize),
    /// So many bytes of framing were passed, and the body is complete.
    End(usize),
}

impl Decoder {
    /// Whether the last chunk and the trailers have been seen.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// The trailers (RFC 9112 section 7.1.2) that have come, each line with its end.
    #[must_use]
    pub fn trailers(&self) -> &[u8] {
        &self.trailers
    }

    /// Looks at `input`, which begins where the last step ended.
    ///
    /// # Errors
    /// 400 for whatever is not a chunked body by the letter of the grammar.
    pub fn step(&mut self, input: &[u8]) -> Result<Step, Refusal> {
        const BAD: Refusal = Refusal::BadRequest("malformed chunk");
        let mut at = 0;
        while at < input.len() {
            let b = input[at];
            let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
            let space = |b: u8| b == b' ' || b == b'\t';
            let text = |b: u8| b == b'\t' || b >= b' ' && b != 0x7f;
            self.state = match self.state {
                State::Done => return Ok(Step::End(at)),
                State::Data => {
                    let len = usize::try_from(self.left)
                        .unwrap_or(usize::MAX)
                        .min(input.len() - at);
                    self.left -= len as u64;
                    if self.left == 0 {
                        self.state = State::DataCr;
                    }
                    return Ok(Step::Data { skip: at, len });
                }
                State::Size(n) => match (b as char).to_digit(16) {
                    Some(_) if n == 15 => return Err(BAD),
                    Some(digit) => {
                        self.left = self.left << 4 | u64::from(digit);
                        State::Size(n + 1)
                    }
                    None if n == 0 => return Err(BAD),
                    None if b == b'\r' => State::SizeLf,
                    None if b == b';' => State::NameStart,
                    None if space(b) => State::Space(Before::Name),
                    None => return Err(BAD),
                },
                State::Space(_) | State::NameStart | State::ValueStart if space(b) => self.state,
                State::Space(_) if b == b';' => State::NameStart,
                State::Space(Before::NameOrValue) if b == b'=' => State::ValueStart,
                State::NameStart | State::Name if token(b) => State::Name,
                State::Name if b == b'=' => State::ValueStart,
                State::Name if space(b) => State::Space(Before::NameOrValue),
                State::ValueStart if b == b'"' => State::Quoted(false),
                State::ValueStart | State::Value if token(b) => State::Value,
                State::Name | State::Value | State::QuotedEnd if b == b'\r' => State::SizeLf,
                State::Name | State::Value | State::QuotedEnd if b == b';' => State::NameStart,
                State::Value | State::QuotedEnd if space(b) => State::Space(Before::Name),
                State::Quoted(true) if text(b) => State::Quoted(false),
                State::Quoted(false) if b == b'\\' => State::Quoted(true),
                State::Quoted(false) if b == b'"' => State::QuotedEnd,
                State::Quoted(false) if text(b) => State::Quoted(false),
                State::SizeLf if b == b'\n' => {
                    if self.left == 0 {
                        State::TrailerStart
                    } else {
                        State::Data
                    }
                }
                State::DataCr if b == b'\r' => State::DataLf,
                State::DataLf if b == b'\n' => State::Size(0),
                State::TrailerStart if b == b'\r' => State::EndLf,
                State::TrailerStart if token(b) => State::TrailerName,
                State::TrailerName if token(b) => State::TrailerName,
                State::TrailerName if b == b':' => State::Trailer,
                State::Trailer if b == b'\r' => State::TrailerLf,
                State::Trailer if text(b) => State::Trailer,
                State::TrailerLf if b == b'\n' => State::TrailerStart,
                State::EndLf if b == b'\n' => State::Done,
                _ => return Err(BAD),
            };
            at += 1;
            let ends_line = self.state == State::TrailerStart && !self.trailers.is_empty();
            if ends_line
                || matches!(
                    self.state,
                    State::TrailerName | State::Trailer | State::TrailerLf
                )
            {
                self.trailers.push(b);
            }
            let framing = matches!(
                self.state,
                State::Size(_) | State::SizeLf | State::Data | State::DataCr | State::DataLf
            );
            if !framing {
                self.overhead += 1;
                if self.overhead > OVERHEAD {
                    return Err(Refusal::FieldsTooLarge);
                }
            }
        }
        Ok(if self.is_done() {
            Step::End(at)
        } else {
            Step::More(at)
        })
    }
}

/// The line before a chunk of `len` bytes.
pub(crate) fn size_line(len: usize, out: &mut Vec<u8>) {
    let mut digits = [0u8; 16];
    let mut at = digits.len();
    let mut n = len;
    loop {
        at -= 1;
        digits[at] = b"0123456789abcdef"[n & 15];
        n >>= 4;
        if n == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Decodes `input` given in pieces that end at `cuts`; the data and the length of the body.
    fn decode(input: &[u8], cuts: &[usize]) -> Result<Option<(Vec<u8>, usize)>, Refusal> {
        let mut decoder = Decoder::default();
        let (mut data, mut at) = (Vec::new(), 0);
        let mut ends: Vec<usize> = cuts.iter().map(|c| c % (input.len() + 1)).collect();
        ends.push(input.len());
        ends.sort_unstable();
        for end in ends {
            while at < end {
                match decoder.step(&input[at..end])? {
                    Step::Data { skip, len } => {
                        data.extend_from_slice(&input[at + skip..at + skip + len]);
                        at += skip + len;
                    }
                    Step::More(n) => at += n,
                    Step::End(n) => return Ok(Some((data, at + n))),
                }
            }
        }
        Ok(None)
    }

    #[test]
    fn the_grammar_by_the_letter() {
        for (input, data) in [
            (&b"5\r\nhello\r\n0\r\n\r\n"[..], &b"hello"[..]),
            (b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", b"hello"),
            (b"A\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
            (b"5;a=b;c=\"d\\\"e\"\r\nhello\r\n0;x\r\n\r\n", b"hello"),
            (b"5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n", b"hello"),
            (b"0\r\n\r\n", b""),
        ] {
            assert_eq!(
                decode(input, &[]).unwrap(),
                Some((data.to_vec(), input.len()))
            );
        }
        for bad in [
            &b"5\nhello"[..],
            b"+5\r\n",
            b"0x5\r\n",
            b"1_0\r\n",
            b" 5\r\n",
            b"5 \r\n",
            b"-1\r\n",
            b"\r\n",
            b"g\r\n",
            b"5;\r\nhello",
            b"5;a\0b\r\n",
            b"5;a\nb\r\n",
            b"5;a\rb\r\n",
            b"5;b@d\r\n",
            b"5\rhello",
            b"5\r\nhello0\r\n\r\n",
            b"5\r\nhellooo\r\n",
            b"5\r\nhello\n0\r\n\r\n",
            b"0\r\nno colon\r\n\r\n",
            b"0\r\nX: a\n\r\n",
            b"fffffffffffffffff\r\n",
        ] {
            assert!(
                decode(bad, &[]).is_err(),
                "{:?}",
                String::from_utf8_lossy(bad)
            );
        }
        assert_eq!(decode(b"5\r\nhello\r\n", &[]).unwrap(), None);
    }

    proptest! {
        #[test]
        fn every_split_gives_the_same(chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 0..5),
                                      cuts in proptest::collection::vec(0usize..400, 0..6)) {
            let mut input = Vec::new();
            for chunk in &chunks {
                size_line(chunk.len(), &mut input);
                input.extend_from_slice(chunk);
                input.extend_from_slice(b"\r\n");
            }
            input.extend_from_slice(b"0\r\n\r\n");
            prop_assert_eq!(decode(&input, &cuts).unwrap(), Some((chunks.concat(), input.len())));
        }

        #[test]
        fn random_bytes_never_panic(input in proptest::collection::vec(any::<u8>(), 0..200), cuts in proptest::collection::vec(0usize..200, 0..4)) {
            let whole = decode(&input, &[]);
            let split = decode(&input, &cuts);
            prop_assert_eq!(whole, split);
        }
    }
}
