//! LogFormat, compiled once into items: <https://httpd.apache.org/docs/2.4/mod/mod_log_config.html>.

use super::escape;
use std::fmt;

/// `%t`, for strftime(3).
pub(super) const USUAL: &str = "[%d/%b/%Y:%H:%M:%S %z]";

/// What one item writes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum What {
    /// As written in the format.
    Text(Vec<u8>),
    /// `%h`, `%a`, `%{c}a`: the client's address.
    Client,
    /// `%A`: our address.
    LocalAddress,
    /// `%l`, `%u`: nobody is asked for a name. `%{…}^to`: no answer has trailers.
    Nothing,
    /// `%t`: when the request came.
    Time,
    /// `%{…}t` with a strftime(3) format.
    TimeAs(End, String),
    /// `%{sec}t`, `%{msec}t`, `%{usec}t`, `%{msec_frac}t`, `%{usec_frac}t`.
    TimePart(End, Part),
    /// `%{…}e`: of the server's environment when it was started; as it is written, or empty.
    Environment(Vec<u8>),
    /// `%{…}n`.
    Note(String),
    /// `%R`: the handler that `SetHandler` names.
    Handler,
    /// `%L`: what the error log's lines about the request begin with.
    LogId,
    /// `%{…}^ti`.
    RequestTrailer(String),
    /// `%r`.
    RequestLine,
    /// `%s`.
    Status,
    /// `%b`: a dash for none.
    Bytes,
    /// `%B`.
    BytesPlain,
    /// `%I`.
    Received,
    /// `%O`.
    Sent,
    /// `%S`.
    Transferred,
    /// `%D`, `%T`, `%{unit}T`: how long, in parts of so many nanoseconds.
    Duration(u64),
    /// `%{…}i`.
    RequestField(String),
    /// `%{…}o`.
    ResponseField(String),
    /// `%{…}C`.
    Cookie(String),
    /// `%f`.
    File,
    /// `%H`.
    Protocol,
    /// `%k`.
    KeptAlive,
    /// `%m`.
    Method,
    /// `%p`: the port of ServerName, or ours.
    Port,
    /// `%{local}p`.
    LocalPort,
    /// `%{remote}p`.
    RemotePort,
    /// `%P`.
    Process,
    /// `%{tid}P`.
    Thread,
    /// `%{hextid}P`.
    ThreadHex,
    /// `%q`.
    Query,
    /// `%U`.
    Path,
    /// `%v`.
    ServerName,
    /// `%V`.
    HostName,
    /// `%X`.
    Connection,
}

/// Which end of a request a time is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum End {
    Begin,
    End,
}

/// A part of a moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Part {
    Seconds,
    Millis,
    Micros,
    MillisOfSecond,
    MicrosOfSecond,
}

/// One item and the status codes it is for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Item {
    pub(super) what: What,
    /// Empty: all.
    pub(super) statuses: Vec<u16>,
    /// All but those.
    pub(super) except: bool,
}

/// What a format cannot have.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Bad {
    /// The item, as it is written in the format.
    pub(crate) item: String,
    pub(crate) why: &'static str,
}

impl fmt::Display for Bad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogFormat: {} {}", self.item, self.why)
    }
}

impl std::error::Error for Bad {}

/// A compiled format.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Format(pub(super) Vec<Item>);

impl Format {
    /// Compiles `text`.
    ///
    /// # Errors
    /// The first item that is not known, or not with its argument.
    pub(crate) fn compile(text: &str) -> Result<Self, Bad> {
        let mut items = Vec::new();
        let mut literal = Vec::new();
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            rest = &rest[c.len_utf8()..];
            match c {
                '%' => {
                    let (item, after) = directive(rest)?;
                    rest = after;
                    match item.what {
                        What::Text(text) => literal.extend_from_slice(&text),
                        _ => {
                            flush(&mut literal, &mut items);
                            items.push(item);
                        }
                    }
                }
                // In formats these two are control characters that the administrator wants.
                '\\' if rest.starts_with(['n', 't', 'r']) => {
                    literal.push(match rest.as_bytes()[0] {
                        b'n' => b'\n',
                        b't' => b'\t',
                        _ => b'\r',
                    });
                    rest = &rest[1..];
                }
                '\\' if rest.starts_with(['\\', '"']) => {
                    literal.push(rest.as_bytes()[0]);
                    rest = &rest[1..];
                }
                c => literal.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        flush(&mut literal, &mut items);
        Ok(Self(items))
    }

    /// Whether some item is one of these.
    pub(super) fn asks(&self, f: impl Fn(&What) -> bool) -> bool {
        self.0.iter().any(|item| f(&item.what))
    }

    /// Whether lines of the error log are asked for by their number.
    pub(super) fn asks_log_id(&self) -> bool {
        self.asks(|what| *what == What::LogId)
    }

    /// Whether it has to be known when a request came.
    pub(super) fn asks_time(&self) -> bool {
        self.asks(|what| {
            matches!(
                what,
                What::Duration(_)
                    | What::Time
                    | What::TimeAs(End::Begin, _)
                    | What::TimePart(End::Begin, _)
            )
        })
    }

    /// Whether it has to be known what became of an answer.
    pub(super) fn asks_end(&self) -> bool {
        self.asks(|what| *what == What::Connection)
    }
}

fn flush(literal: &mut Vec<u8>, items: &mut Vec<Item>) {
    if !literal.is_empty() {
        items.push(always(What::Text(std::mem::take(literal))));
    }
}

fn always(what: What) -> Item {
    Item {
        what,
        statuses: Vec::new(),
        except: false,
    }
}

/// What follows a `%`, and the rest.
fn directive(text: &str) -> Result<(Item, &str), Bad> {
    let mut rest = text;
    let mut item = always(What::Nothing);
    let mut argument = None;
    let bad = |rest: &str, why| {
        let item = &text[..text.len() - rest.len()];
        let item = format!("%{item}");
        Err(Bad { item, why })
    };
    loop {
        let Some(c) = rest.chars().next() else {
            return bad(rest, "has no item behind it");
        };
        let after = &rest[c.len_utf8()..];
        match c {
            // Original and final request are the same here: nothing is redirected inside.
            '<' | '>' | ',' => rest = after,
            '!' => {
                item.except = true;
                rest = after;
            }
            '0'..='9' => {
                let end = rest.find(|c: char| !c.is_ascii_digit());
                let (digits, after) = rest.split_at(end.unwrap_or(rest.len()));
                match digits.parse() {
                    Ok(status @ 100..600) => item.statuses.push(status),
                    _ => return bad(after, "names no status"),
                }
                rest = after;
            }
            '{' => {
                let Some(end) = rest.find('}') else {
                    return bad("", "has a brace that is not closed");
                };
                argument = Some(&rest[1..end]);
                rest = &rest[end + 1..];
            }
            _ => {
                // A trailer's item has three characters.
                let len = if c == '^' { 3 } else { c.len_utf8() };
                let after = rest.get(len..).unwrap_or_default();
                let name = &rest[..rest.len() - after.len()];
                let Some(what) = what(name, argument) else {
                    return bad(after, "is not known");
                };
                item.what = what;
                return Ok((item, after));
            }
        }
    }
}

/// The table of items.
fn what(name: &str, argument: Option<&str>) -> Option<What> {
    let own = |name: &str| name.to_owned();
    Some(match (name, argument) {
        ("%", None) => What::Text(b"%".to_vec()),
        ("h" | "a", None | Some("c")) => What::Client,
        ("A", None) => What::LocalAddress,
        ("l" | "u", None) | ("^to", Some(_)) => What::Nothing,
        ("L", None | Some("c")) => What::LogId,
        ("R", None) => What::Handler,
        ("e", Some(name)) => What::Environment(environment(name)),
        ("n", Some(name)) => What::Note(own(name)),
        ("^ti", Some(name)) => What::RequestTrailer(own(name)),
        ("t", None) => What::Time,
        ("t", Some(form)) => time(form),
        ("r", None) => What::RequestLine,
        ("s", None) => What::Status,
        ("b", None) => What::Bytes,
        ("B", None) => What::BytesPlain,
        ("I", None) => What::Received,
        ("O", None) => What::Sent,
        ("S", None) => What::Transferred,
        ("D", None) | ("T", Some("us")) => What::Duration(1_000),
        ("T", None | Some("s")) => What::Duration(1_000_000_000),
        ("T", Some("ms")) => What::Duration(1_000_000),
        ("i", Some(name)) => What::RequestField(own(name)),
        ("o", Some(name)) => What::ResponseField(own(name)),
        ("C", Some(name)) => What::Cookie(own(name)),
        ("f", None) => What::File,
        ("H", None) => What::Protocol,
        ("k", None) => What::KeptAlive,
        ("m", None) => What::Method,
        ("p", None | Some("canonical")) => What::Port,
        ("p", Some("local")) => What::LocalPort,
        ("p", Some("remote")) => What::RemotePort,
        ("P", None | Some("pid")) => What::Process,
        ("P", Some("tid")) => What::Thread,
        ("P", Some("hextid")) => What::ThreadHex,
        ("q", None) => What::Query,
        ("U", None) => What::Path,
        ("v", None) => What::ServerName,
        ("V", None) => What::HostName,
        ("X", None) => What::Connection,
        _ => return None,
    })
}

/// A variable as it is written; empty if it is not set.
fn environment(name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    if let Some(value) = std::env::var_os(name) {
        escape(value.as_encoded_bytes(), &mut out);
    }
    out
}

fn time(form: &str) -> What {
    let (end, form) = match form.strip_prefix("end") {
        Some("") => return What::TimeAs(End::End, USUAL.to_owned()),
        Some(rest) if rest.starts_with(':') => (End::End, &rest[1..]),
        _ => (End::Begin, form.strip_prefix("begin:").unwrap_or(form)),
    };
    match form {
        "" | "begin" if end == End::Begin => What::Time,
        "" => What::TimeAs(end, USUAL.to_owned()),
        "sec" => What::TimePart(end, Part::Seconds),
        "msec" => What::TimePart(end, Part::Millis),
        "usec" => What::TimePart(end, Part::Micros),
        "msec_frac" => What::TimePart(end, Part::MillisOfSecond),
        "usec_frac" => What::TimePart(end, Part::MicrosOfSecond),
        form => What::TimeAs(end, form.to_owned()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;

    #[test]
    fn formats_by_the_table() {
        let text = |t: &str| always(What::Text(t.into()));
        for (format, items) in [
            ("a%%b", vec![text("a%b")]),
            (
                "%h %l",
                vec![always(What::Client), text(" "), always(What::Nothing)],
            ),
            ("%>s%<s", vec![always(What::Status), always(What::Status)]),
            (
                "%{Referer}i",
                vec![always(What::RequestField("Referer".into()))],
            ),
            (
                "%400,501{User-Agent}i",
                vec![Item {
                    what: What::RequestField("User-Agent".into()),
                    statuses: vec![400, 501],
                    except: false,
                }],
            ),
            (
                "%!200,304s",
                vec![Item {
                    what: What::Status,
                    statuses: vec![200, 304],
                    except: true,
                }],
            ),
            (
                "\\t\\\"%U\\n",
                vec![text("\t\""), always(What::Path), text("\n")],
            ),
            (
                "%{%Y}t",
                vec![always(What::TimeAs(End::Begin, "%Y".into()))],
            ),
            (
                "%{begin:msec_frac}t",
                vec![always(What::TimePart(End::Begin, Part::MillisOfSecond))],
            ),
            (
                "%{end:sec}t",
                vec![always(What::TimePart(End::End, Part::Seconds))],
            ),
            (
                "%{X}^ti.%{X}^to",
                vec![
                    always(What::RequestTrailer("X".into())),
                    text("."),
                    always(What::Nothing),
                ],
            ),
            ("%{c}L%R", vec![always(What::LogId), always(What::Handler)]),
        ] {
            assert_eq!(Format::compile(format).unwrap().0, items, "{format}");
        }
        for (format, item) in [
            ("a %", "%"),
            ("%h %y", "%y"),
            ("%>s %400,!{xx}T%h", "%400,!{xx}T"),
            ("%{X", "%{X"),
            ("%999999s", "%999999"),
            ("%{a}^xi%h", "%{a}^xi"),
            ("%^t", "%^t"),
            ("%^ti", "%^ti"),
            ("%é", "%é"),
            ("%^é", "%^é"),
            ("%i", "%i"),
            ("%{c}A", "%{c}A"),
        ] {
            let error = Format::compile(format).unwrap_err();
            assert_eq!(error.item, item, "{format}: {error}");
        }
    }
}
