//! LogFormat, compiled once into operations. The operations of `common` and `combined` are there.

use super::escape;
use parkade_http::Exchange;
use std::io::Write;

enum Op {
    Text(Vec<u8>),
    RemoteHost,
    Dash,
    Time,
    RequestLine,
    Status,
    /// `%b`: a dash for none.
    Bytes,
    /// `%B`.
    BytesPlain,
    Field(String),
    Percent,
}

/// A compiled format.
pub(crate) struct Format(Vec<Op>);

impl Format {
    /// Compiles `text`; `Err` names what is not understood.
    pub(crate) fn compile(text: &str) -> Result<Self, String> {
        let mut ops = Vec::new();
        let mut literal = Vec::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            if c != '%' {
                literal.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                continue;
            }
            if !literal.is_empty() {
                ops.push(Op::Text(std::mem::take(&mut literal)));
            }
            let mut argument = None;
            let mut c = chars.next();
            while matches!(c, Some('>' | '<')) {
                c = chars.next();
            }
            if c == Some('{') {
                argument = Some(chars.by_ref().take_while(|c| *c != '}').collect::<String>());
                c = chars.next();
            }
            ops.push(match (c, argument) {
                (Some('h' | 'a'), None) => Op::RemoteHost,
                (Some('l' | 'u'), None) => Op::Dash,
                (Some('t'), None) => Op::Time,
                (Some('r'), None) => Op::RequestLine,
                (Some('s'), None) => Op::Status,
                (Some('b' | 'O'), None) => Op::Bytes,
                (Some('B'), None) => Op::BytesPlain,
                (Some('i'), Some(name)) => Op::Field(name),
                (Some('%'), None) => Op::Percent,
                (Some(c), argument) => {
                    let argument = argument.map(|a| format!("{{{a}}}")).unwrap_or_default();
                    return Err(format!("LogFormat: %{argument}{c} is not built yet"));
                }
                (None, _) => return Err("LogFormat: a % at the end".into()),
            });
        }
        if !literal.is_empty() {
            ops.push(Op::Text(literal));
        }
        Ok(Self(ops))
    }

    /// Writes one line without its end. `time` is the formatted `%t`.
    pub(crate) fn line(&self, exchange: &Exchange<'_>, time: &str, out: &mut Vec<u8>) {
        for op in &self.0 {
            match op {
                Op::Text(text) => out.extend_from_slice(text),
                Op::RemoteHost => _ = write!(out, "{}", exchange.peer),
                Op::Dash => out.push(b'-'),
                Op::Time => out.extend_from_slice(time.as_bytes()),
                Op::RequestLine => match exchange.head {
                    Some(head) => escape(head.request_line(), out),
                    None => out.push(b'-'),
                },
                Op::Status => _ = write!(out, "{}", exchange.status),
                Op::Bytes if exchange.body == 0 => out.push(b'-'),
                Op::Bytes | Op::BytesPlain => _ = write!(out, "{}", exchange.body),
                Op::Field(name) => match exchange.head.and_then(|h| h.field(name)) {
                    Some(value) => escape(value, out),
                    None => out.push(b'-'),
                },
                Op::Percent => out.push(b'%'),
            }
        }
    }
}
