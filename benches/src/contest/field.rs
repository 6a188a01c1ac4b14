//! Who takes part: every backend and every server that is here, each tried once beforehand.

use std::io;

use parkade_tests::client;

use crate::launch::Server;
use crate::options::Options;
use crate::report::say;
use crate::target::Target;

/// The bare loops, and the server on each backend that it may have been built with. The first is what others are held
/// against.
const BACKENDS: [&str; 5] = [
    "reference",
    "reference-uring",
    "parkade-file+epoll",
    "parkade-file+epoll-oneshot",
    "parkade-file+io_uring",
];
/// Whole servers, each answering with 13 bytes: of a file, but for haproxy, which has none.
const SERVERS: [&str; 6] = [
    "parkade-file",
    "nginx-file",
    "apache2",
    "h2o",
    "lighttpd",
    "haproxy",
];
/// What tells which backend is really worked with.
const STATUS: &str =
    "<Location /status>\n  SetHandler server-status\n  Require local\n</Location>\n";

/// Those who take part, in their order; who cannot is named on standard error with the reason.
pub(super) fn of(options: &Options) -> io::Result<Vec<String>> {
    let names: Vec<String> = match (&options.contestants, options.command.as_str()) {
        (Some(list), _) => list.split(',').map(|name| name.trim().to_owned()).collect(),
        (None, "servers") => SERVERS.map(str::to_owned).into(),
        _ => BACKENDS.map(str::to_owned).into(),
    };
    let mut field = Vec::new();
    for name in names {
        match tried(&name, options) {
            Ok(()) => field.push(name),
            Err(e) => say(&format!("left out: {name}: {e}")),
        }
    }
    match field.len() {
        0 => Err(io::Error::other("no server can take part")),
        _ => Ok(field),
    }
}

/// Whether it starts, answers, and works with the backend that its name says.
fn tried(name: &str, options: &Options) -> io::Result<()> {
    let mut options = options.clone();
    options.directives.push_str(STATUS);
    let server = Server::start(name, &options)?;
    let target = Target::probe(&server.url, false)?;
    let Some(("parkade-file", wanted)) = name.split_once('+') else {
        return Ok(());
    };
    let request = b"GET /status?auto HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let answer = client::exchange(target.address, request)?;
    let text = String::from_utf8_lossy(&answer.body);
    match backend(&text) {
        Some((found, _)) if found == wanted => Ok(()),
        Some((found, why)) => Err(io::Error::other(format!(
            "not here: the server works with {found} instead {why}"
        ))),
        None => Err(io::Error::other("it does not say what it works with")),
    }
}

/// `ReactorBackend: NAME (REASON)`.
fn backend(status: &str) -> Option<(&str, &str)> {
    let line = status
        .lines()
        .find_map(|l| l.strip_prefix("ReactorBackend: "))?;
    Some(line.split_once(' ').unwrap_or((line, "")))
}

#[cfg(test)]
mod tests {
    use super::backend;

    #[test]
    fn a_status_says_the_backend_and_why() {
        let text = "Uptime: 1\nReactorBackend: epoll (PARKADE_BACKEND names no backend)\n";
        let expected = ("epoll", "(PARKADE_BACKEND names no backend)");
        assert_eq!(backend(text), Some(expected));
        assert_eq!(backend("Uptime: 1\n"), None);
    }
}
