//! One line of an access log, written from an exchange by a compiled format.

use super::escape;
use super::format::{End, Format, Item, Part, What};
use parkade_http::{Exchange, precondition::format_date};
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The note that says which handler answered.
pub(crate) const HANDLER: &str = "handler";
/// The note that says by which number the error log tells of a request.
pub(crate) const LOG_ID: &str = "log-id";

/// What a log knows of the host a request was for.
#[derive(Debug, Default)]
pub(super) struct Host {
    /// `ServerName` without its port; empty if there is none.
    pub(super) name: String,
    pub(super) port: Option<u16>,
    pub(super) root: Option<PathBuf>,
}

/// What is the same for all lines of an exchange.
pub(super) struct Moment<'a> {
    /// `%t`.
    pub(super) time: &'a str,
    /// Nanoseconds since the head was complete.
    pub(super) took: u64,
    /// Takes the place of `%X`, until it is known what became of the answer.
    pub(super) connection: u8,
}

impl Moment<'_> {
    /// One end of the request.
    fn of(&self, end: End) -> SystemTime {
        let now = SystemTime::now();
        match end {
            End::End => now,
            End::Begin => began(now, self.took),
        }
    }
}

/// When a request came that took so many nanoseconds until `now`.
pub(super) fn began(now: SystemTime, took: u64) -> SystemTime {
    now.checked_sub(Duration::from_nanos(took)).unwrap_or(now)
}

/// Appends a line without its end.
pub(super) fn write(
    format: &Format,
    exchange: &Exchange<'_>,
    host: &Host,
    moment: &Moment<'_>,
    out: &mut Vec<u8>,
) {
    for Item {
        what,
        statuses,
        except,
    } in &format.0
    {
        let listed = statuses.contains(&exchange.status);
        if !statuses.is_empty() && listed == *except {
            out.push(b'-');
            continue;
        }
        item(what, exchange, host, moment, out);
    }
}

fn number(n: impl std::fmt::Display, out: &mut Vec<u8>) {
    // Writing into memory does not fail.
    let _ = write!(out, "{n}");
}

/// The value, or a dash.
fn or_dash(value: Option<&[u8]>, out: &mut Vec<u8>) {
    match value {
        Some(value) => escape(value, out),
        None => out.push(b'-'),
    }
}

fn item(what: &What, exchange: &Exchange<'_>, host: &Host, moment: &Moment<'_>, out: &mut Vec<u8>) {
    let head = exchange.head;
    let local = || exchange.conn.local_addr().ok();
    let sent = exchange.head_bytes + exchange.body;
    match what {
        What::Text(text) => out.extend_from_slice(text),
        What::Client => number(exchange.peer.to_canonical(), out),
        What::LocalAddress => match local() {
            Some(address) => number(address.ip().to_canonical(), out),
            None => out.push(b'-'),
        },
        What::Nothing => out.push(b'-'),
        What::Time => out.extend_from_slice(moment.time.as_bytes()),
        What::TimeAs(end, form) => time_as(moment.of(*end), form, out),
        What::TimePart(end, part) => time_part(moment.of(*end), *part, out),
        What::Environment(value) if value.is_empty() => out.push(b'-'),
        What::Environment(value) => out.extend_from_slice(value),
        What::Note(name) => note(exchange, name, out),
        What::Handler => note(exchange, HANDLER, out),
        What::LogId => note(exchange, LOG_ID, out),
        What::RequestTrailer(name) => or_dash(exchange.trailer(name), out),
        What::RequestLine => or_dash(head.map(|h| h.request_line()), out),
        What::Status => number(exchange.status, out),
        What::Bytes if exchange.body == 0 => out.push(b'-'),
        What::Bytes | What::BytesPlain => number(exchange.body, out),
        What::Received => number(exchange.received, out),
        What::Sent => number(sent, out),
        What::Transferred => number(exchange.received + sent, out),
        What::Duration(unit) => number(moment.took / unit, out),
        What::RequestField(name) => {
            let mut any = false;
            for value in head.iter().flat_map(|h| h.all(name)) {
                if any {
                    out.extend_from_slice(b", ");
                }
                any = true;
                escape(value, out);
            }
            if !any {
                out.push(b'-');
            }
        }
        What::ResponseField(name) => response_field(name, exchange, out),
        What::Cookie(name) => or_dash(head.and_then(|h| cookie(h.field("Cookie")?, name)), out),
        What::File => file(exchange, host, out),
        What::Protocol => match head {
            Some(head) => {
                let _ = write!(out, "HTTP/1.{}", head.minor_version());
            }
            None => out.push(b'-'),
        },
        What::KeptAlive => number(exchange.requests.saturating_sub(1), out),
        What::Method => or_dash(head.map(|h| h.method_name().as_bytes()), out),
        What::Port => match host.port.or_else(|| local().map(|a| a.port())) {
            Some(port) => number(port, out),
            None => out.push(b'-'),
        },
        What::LocalPort => match local() {
            Some(address) => number(address.port(), out),
            None => out.push(b'-'),
        },
        What::RemotePort => match exchange.conn.peer_addr() {
            Ok(address) => number(address.port(), out),
            Err(_) => out.push(b'-'),
        },
        What::Process => number(std::process::id(), out),
        What::Thread => number(crate::sys::thread::id(), out),
        What::ThreadHex => {
            let _ = write!(out, "{:x}", crate::sys::thread::id());
        }
        What::Query => {
            if let Some(query) = head.and_then(|h| h.query()) {
                out.push(b'?');
                escape(query, out);
            }
        }
        What::Path => or_dash(head.map(|h| h.path()), out),
        What::ServerName if host.name.is_empty() => out.push(b'-'),
        What::ServerName => escape(host.name.as_bytes(), out),
        What::HostName => {
            let asked = head.and_then(|h| h.host()).map(without_port);
            match asked.or(Some(&*host.name)).filter(|n| !n.is_empty()) {
                Some(name) => escape(name.as_bytes(), out),
                None => out.push(b'-'),
            }
        }
        What::Connection => out.push(moment.connection),
    }
}

fn note(exchange: &Exchange<'_>, name: &str, out: &mut Vec<u8>) {
    or_dash(exchange.response.note(name).map(str::as_bytes), out);
}

fn without_port(host: &str) -> &str {
    match host.rfind(':') {
        Some(i) if !host[i..].contains(']') => &host[..i],
        _ => host,
    }
}

/// A field as it was sent; those of the connection are told from what is known of it.
fn response_field(name: &str, exchange: &Exchange<'_>, out: &mut Vec<u8>) {
    if let Some(value) = exchange.response.field(name) {
        return escape(value, out);
    }
    let known = [
        (
            "content-length",
            exchange.response.body_len().map(|n| n.to_string()),
        ),
        ("date", Some(format_date(exchange.seconds))),
        ("server", Some(crate::cli::VERSION.to_owned())),
        (
            "connection",
            (!exchange.keep_alive).then(|| "close".to_owned()),
        ),
    ];
    let found = known
        .into_iter()
        .find(|(n, _)| n.eq_ignore_ascii_case(name));
    or_dash(
        found.and_then(|(_, v)| v).as_deref().map(str::as_bytes),
        out,
    );
}

fn cookie<'a>(cookies: &'a [u8], name: &str) -> Option<&'a [u8]> {
    cookies.split(|b| *b == b';').find_map(|one| {
        let one = one.trim_ascii();
        let equals = one.iter().position(|b| *b == b'=')?;
        (one[..equals] == *name.as_bytes()).then(|| &one[equals + 1..])
    })
}

/// Where the path leads by name: the DocumentRoot and the decoded path.
fn file(exchange: &Exchange<'_>, host: &Host, out: &mut Vec<u8>) {
    let mut path = Vec::new();
    let named = exchange
        .head
        .is_some_and(|h| parkade_http::target::normalise(h.path(), &mut path).is_ok());
    match &host.root {
        Some(root) if named => {
            escape(root.as_os_str().as_encoded_bytes(), out);
            escape(&path, out);
        }
        _ => out.push(b'-'),
    }
}

/// A moment in local time by a strftime(3) format.
pub(super) fn formatted(moment: SystemTime, form: &str) -> Option<String> {
    let zoned = jiff::Timestamp::try_from(moment)
        .ok()?
        .to_zoned(jiff::tz::TimeZone::system());
    jiff::fmt::strtime::format(form, &zoned).ok()
}

fn time_as(moment: SystemTime, form: &str, out: &mut Vec<u8>) {
    let text = formatted(moment, form);
    out.extend_from_slice(text.as_deref().unwrap_or("-").as_bytes());
}

fn time_part(moment: SystemTime, part: Part, out: &mut Vec<u8>) {
    let now = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
    let _ = match part {
        Part::Seconds => write!(out, "{}", now.as_secs()),
        Part::Millis => write!(out, "{}", now.as_millis()),
        Part::Micros => write!(out, "{}", now.as_micros()),
        Part::MillisOfSecond => write!(out, "{:03}", now.subsec_millis()),
        Part::MicrosOfSecond => write!(out, "{:06}", now.subsec_micros()),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_found_by_its_whole_name() {
        let cookies = b"ab=1; b=2;c = 3; d=4=5";
        for (name, value) in [
            ("b", Some(&b"2"[..])),
            ("ab", Some(b"1")),
            ("d", Some(b"4=5")),
            ("x", None),
        ] {
            assert_eq!(cookie(cookies, name), value, "{name}");
        }
    }
}
