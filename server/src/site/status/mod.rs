//! `SetHandler server-status`: what the server is doing, for people and for programs.
//!
//! `figures` gathers everything once from the scoreboard and the kernel (`cpu`); `auto` writes it as `Key: value` lines
//! in the names and the order that monitoring programs know from Apache, `page` (with `rows`) as HTML. Nothing here costs
//! anything while nobody asks.

mod auto;
mod cpu;
mod figures;
mod page;
mod rows;

use crate::scoreboard::Board;
use figures::Figures;
use parkade::Handle;
use parkade_config::Config;
use parkade_http::{Body, Request, Response};

/// `Refresh` where the query names no number of seconds.
const REFRESH: u32 = 10;

/// What the status page knows of the configuration.
pub(super) struct Status {
    /// `ServerName` of each host, by its number; empty where there is none.
    hosts: Vec<String>,
    runtime: Handle,
}

impl Status {
    pub(super) fn new(config: &Config, runtime: Handle) -> Self {
        let hosts = config.virtual_hosts.iter().map(|h| &h.settings);
        let all = std::iter::once(&config.main).chain(hosts);
        let name = |n: Option<&str>| n.unwrap_or_default().to_owned();
        Self {
            hosts: all
                .map(|h| name(h.server_name.as_ref().map(|n| &*n.value)))
                .collect(),
            runtime,
        }
    }

    /// Answers a GET or a HEAD.
    pub(super) fn answer(&self, request: &Request, host: usize, board: &Board) -> Response {
        let asked = Asked::of(request.query().unwrap_or_default());
        // A client that names no host is told the configured name.
        let named = request.host().filter(|name| !name.is_empty());
        let own = self.hosts.get(host).map(String::as_str);
        let mut figures = Figures::gather(board, without_port(named.or(own).unwrap_or_default()));
        let (backend, why) = self.runtime.backend();
        figures.backend = format!("{backend} ({why})");
        let mut text = String::new();
        let kind = if asked.auto {
            auto::write(&figures, &mut text);
            "text/plain; charset=ISO-8859-1"
        } else {
            page::write(&figures, &self.hosts, !asked.notable, &mut text);
            "text/html; charset=ISO-8859-1"
        };
        let response = Response::new(200)
            .with_type(kind)
            .with_body(Body::Bytes(text.into_bytes().into()));
        match asked.refresh {
            None => response,
            Some(seconds) => response.with_field("Refresh", seconds.to_string()),
        }
    }
}

/// What the query asks for. Each word counts wherever it stands, as with Apache.
#[derive(PartialEq, Eq, Debug)]
struct Asked {
    auto: bool,
    notable: bool,
    refresh: Option<u32>,
}

impl Asked {
    fn of(query: &[u8]) -> Self {
        let query = String::from_utf8_lossy(query);
        let refresh = query.split_once("refresh").map(|(_, rest)| {
            let digits = rest.strip_prefix('=').unwrap_or_default();
            let end = digits.find(|c: char| !c.is_ascii_digit());
            let digits = &digits[..end.unwrap_or(digits.len())];
            match digits.parse::<u32>() {
                Ok(0) => REFRESH,
                Ok(seconds) => seconds,
                Err(_) if digits.is_empty() => REFRESH,
                Err(_) => u32::MAX,
            }
        });
        Self {
            auto: query.contains("auto"),
            notable: query.contains("notable"),
            refresh,
        }
    }
}

fn without_port(host: &str) -> &str {
    match host.rfind(':') {
        Some(i) if !host[i..].contains(']') => &host[..i],
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_query_count_wherever_they_stand() {
        for (query, auto, notable, refresh) in [
            ("", false, false, None),
            ("auto", true, false, None),
            ("auto&refresh=5", true, false, Some(5)),
            ("refresh=7&auto", true, false, Some(7)),
            ("notable", false, true, None),
            ("refresh", false, false, Some(10)),
            ("refresh=", false, false, Some(10)),
            ("refresh=0", false, false, Some(10)),
            ("refresh=-3", false, false, Some(10)),
            ("refresh=5x", false, false, Some(5)),
            ("refresh=99999999999", false, false, Some(u32::MAX)),
        ] {
            let expected = Asked {
                auto,
                notable,
                refresh,
            };
            assert_eq!(Asked::of(query.as_bytes()), expected, "{query}");
        }
    }

    #[test]
    fn a_host_is_named_without_its_port() {
        for (host, name) in [
            ("a.example:80", "a.example"),
            ("a.example", "a.example"),
            ("[::1]:80", "[::1]"),
            ("[::1]", "[::1]"),
        ] {
            assert_eq!(without_port(host), name);
        }
    }
}
