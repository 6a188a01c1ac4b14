//! LogFormat, compiled once into items: <https://httpd.apache.org/docs/2.4/mod/mod_log_config.html>.

/// What one item writes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum What {
    /// As written in the format.
    Text(Vec<u8>),
    /// `%h`, `%a`, `%{c}a`: the client's address.
    Client,
    /// `%A`: our address.
    LocalAddress,
    /// `%l`, `%u`, `%L`, `%R`, `%{…}e`, `%{…}n`, `%{…}^ti`, `%{…}^to`: there is none of it here.
    Nothing,
    /// `%t`.
    Time,
    /// `%{…}t` with a strftime(3) format.
    TimeAs(String),
    /// `%{sec}t`, `%{msec}t`, `%{usec}t`, `%{msec_frac}t`, `%{usec_frac}t`.
    TimePart(Part),
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

/// A compiled format.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Format(pub(super) Vec<Item>);

impl Format {
    /// Compiles `text`; `Err` names what is not understood.
    pub(crate) fn compile(text: &str) -> Result<Self, String> {
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
fn directive(text: &str) -> Result<(Item, &str), String> {
    let mut rest = text;
    let mut item = always(What::Nothing);
    let mut argument = None;
    loop {
        let Some(c) = rest.chars().next() else {
            return Err("LogFormat: a % at the end".into());
        };
        match c {
            // Original and final request are the same here: nothing is redirected inside.
            '<' | '>' => rest = &rest[1..],
            '!' => {
                item.except = true;
                rest = &rest[1..];
            }
            ',' => rest = &rest[1..],
            '0'..='9' => {
                let end = rest
                    .find(|c: char| !c.is_ascii_digit())
                    .unwrap_or(rest.len());
                let status = rest[..end].parse();
                item.statuses
                    .push(status.map_err(|_| format!("LogFormat: %{text}: not a status"))?);
                rest = &rest[end..];
            }
            '{' => {
                let end = rest
                    .find('}')
                    .ok_or_else(|| format!("LogFormat: %{text}: the brace is not closed"))?;
                argument = Some(&rest[1..end]);
                rest = &rest[end + 1..];
            }
            '^' => {
                let name = rest.get(..3).unwrap_or(rest);
                if !["^ti", "^to"].contains(&name) {
                    return Err(format!("LogFormat: %{name} is not known"));
                }
                return Ok((item, &rest[3..]));
            }
            c => {
                item.what = what(c, argument)?;
                return Ok((item, &rest[c.len_utf8()..]));
            }
        }
    }
}

fn what(c: char, argument: Option<&str>) -> Result<What, String> {
    let unknown = || {
        let argument = argument.map(|a| format!("{{{a}}}")).unwrap_or_default();
        Err(format!("LogFormat: %{argument}{c} is not known"))
    };
    Ok(match (c, argument) {
        ('%', None) => What::Text(b"%".to_vec()),
        ('h' | 'a', None | Some("c")) => What::Client,
        ('A', None) => What::LocalAddress,
        ('l' | 'u' | 'L' | 'R', None) | ('e' | 'n', Some(_)) | ('L', Some("c")) => What::Nothing,
        ('t', None) => What::Time,
        ('t', Some(form)) => time(form),
        ('r', None) => What::RequestLine,
        ('s', None) => What::Status,
        ('b', None) => What::Bytes,
        ('B', None) => What::BytesPlain,
        ('I', None) => What::Received,
        ('O', None) => What::Sent,
        ('S', None) => What::Transferred,
        ('D', None) | ('T', Some("us")) => What::Duration(1_000),
        ('T', None | Some("s")) => What::Duration(1_000_000_000),
        ('T', Some("ms")) => What::Duration(1_000_000),
        ('i', Some(name)) => What::RequestField(name.to_owned()),
        ('o', Some(name)) => What::ResponseField(name.to_owned()),
        ('C', Some(name)) => What::Cookie(name.to_owned()),
        ('f', None) => What::File,
        ('H', None) => What::Protocol,
        ('k', None) => What::KeptAlive,
        ('m', None) => What::Method,
        ('p', None | Some("canonical")) => What::Port,
        ('p', Some("local")) => What::LocalPort,
        ('p', Some("remote")) => What::RemotePort,
        ('P', None | Some("pid")) => What::Process,
        ('P', Some("tid")) => What::Thread,
        ('P', Some("hextid")) => What::ThreadHex,
        ('q', None) => What::Query,
        ('U', None) => What::Path,
        ('v', None) => What::ServerName,
        ('V', None) => What::HostName,
        ('X', None) => What::Connection,
        _ => return unknown(),
    })
}

fn time(form: &str) -> What {
    // Both ends of a request are the moment it is logged: %D says how far they are apart.
    let form = form
        .strip_prefix("begin:")
        .or_else(|| form.strip_prefix("end:"))
        .unwrap_or(form);
    match form {
        "" | "begin" | "end" => What::Time,
        "sec" => What::TimePart(Part::Seconds),
        "msec" => What::TimePart(Part::Millis),
        "usec" => What::TimePart(Part::Micros),
        "msec_frac" => What::TimePart(Part::MillisOfSecond),
        "usec_frac" => What::TimePart(Part::MicrosOfSecond),
        form => What::TimeAs(form.to_owned()),
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
            ("%{%Y}t", vec![always(What::TimeAs("%Y".into()))]),
            (
                "%{begin:msec_frac}t",
                vec![always(What::TimePart(Part::MillisOfSecond))],
            ),
            ("%{X}^ti.", vec![always(What::Nothing), text(".")]),
        ] {
            assert_eq!(Format::compile(format).unwrap().0, items, "{format}");
        }
        for (format, said) in [
            ("%", "at the end"),
            ("%y", "%y is not known"),
            ("%{xx}T", "%{xx}T"),
            ("%{X", "not closed"),
            ("%999999s", "status"),
        ] {
            let error = Format::compile(format).unwrap_err();
            assert!(error.contains(said), "{format}: {error}");
        }
    }
}
