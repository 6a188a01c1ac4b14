//! Lines for syslog(3): one datagram each to /dev/log, never waited for.

use std::io;
use std::os::unix::net::UnixDatagram;

const SOCKET: &str = "/dev/log";

/// The facilities by name; their place is their number.
const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv",
    "ftp", "", "", "", "", "local0", "local1", "local2", "local3", "local4", "local5", "local6",
    "local7",
];

/// A facility and the name lines go under.
#[derive(Debug)]
pub(super) struct Syslog {
    socket: UnixDatagram,
    facility: u8,
    tag: String,
}

impl Syslog {
    /// `words` is `facility`, `facility:tag` or `:tag`; without a facility it is local7, as Apache's.
    pub(super) fn open(words: Option<&str>) -> io::Result<Self> {
        let (facility, tag) = parse(words.unwrap_or_default())?;
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket,
            facility,
            tag,
        })
    }

    /// Sends one line. `severity` is 0 (emerg) to 7 (debug).
    pub(super) fn send(&self, severity: u8, line: &[u8]) -> io::Result<()> {
        let mut message = format!(
            "<{}>{} {}[{}]: ",
            self.facility * 8 + severity.min(7),
            jiff::Zoned::now().strftime("%b %e %H:%M:%S"),
            self.tag,
            std::process::id()
        )
        .into_bytes();
        message.extend_from_slice(line);
        self.socket.send_to(&message, SOCKET).map(drop)
    }
}

fn parse(words: &str) -> io::Result<(u8, String)> {
    let (facility, tag) = words.split_once(':').unwrap_or((words, ""));
    let facility = if facility.is_empty() {
        "local7"
    } else {
        facility
    };
    let number = FACILITIES
        .iter()
        .position(|f| f.eq_ignore_ascii_case(facility))
        .ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("syslog: there is no facility named {facility}"),
            )
        })?;
    let tag = if tag.is_empty() { "parkade" } else { tag };
    Ok((number as u8, tag.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facilities_by_name() {
        for (words, facility, tag) in [
            ("", 23, "parkade"),
            ("user", 1, "parkade"),
            ("LOCAL0:web", 16, "web"),
            (":web", 23, "web"),
        ] {
            let (f, t) = parse(words).unwrap_or_default();
            assert_eq!((f, &*t), (facility, tag), "{words}");
        }
        assert!(parse("nobody").is_err());
    }
}
