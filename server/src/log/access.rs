//! Access logs: one line per exchange.

use super::format::Format;
use parkade_config::{Config, LogTarget};
use parkade_http::{Exchange, Observer};
use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::sync::Arc;

/// The format of a `CustomLog` that names none that is known.
const COMMON: &str = "%h %l %u %t \"%r\" %>s %b";
const COMBINED: &str = "%h %l %u %t \"%r\" %>s %b \"%{Referer}i\" \"%{User-Agent}i\"";

/// The access logs of a configuration, opened.
#[derive(Clone)]
pub(crate) struct AccessLogs(Arc<Vec<(File, Format)>>);

impl AccessLogs {
    /// Opens every `CustomLog`; as root, before privileges are dropped.
    pub(crate) fn open(config: &Config) -> io::Result<Self> {
        let mut logs = Vec::new();
        for log in &config.main.custom_logs {
            let LogTarget::File(path) = &log.target else {
                return Err(io::Error::other(
                    "CustomLog to a pipe or syslog is not built yet; name a file",
                ));
            };
            let text = config
                .log_formats
                .iter()
                .rev()
                .find(|(nick, _)| *nick == log.format)
                .map_or(
                    match log.format.as_str() {
                        "combined" => COMBINED,
                        "common" | "" => COMMON,
                        other => other,
                    },
                    |(_, format)| format,
                );
            let format = Format::compile(text).map_err(io::Error::other)?;
            let file = OpenOptions::new().append(true).create(true).open(path);
            let named = |e: io::Error| {
                io::Error::new(
                    e.kind(),
                    format!("could not open log {}: {e}", path.display()),
                )
            };
            logs.push((file.map_err(named)?, format));
        }
        Ok(Self(Arc::new(logs)))
    }

    /// Whether nothing is to be written.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One worker's writer.
    pub(crate) fn writer(&self) -> Box<dyn Observer> {
        Box::new(Writer {
            logs: self.clone(),
            state: RefCell::default(),
        })
    }
}

#[derive(Default)]
struct State {
    line: Vec<u8>,
    second: u64,
    time: String,
}

struct Writer {
    logs: AccessLogs,
    state: RefCell<State>,
}

impl Observer for Writer {
    fn exchange(&self, exchange: &Exchange<'_>) {
        let state = &mut *self.state.borrow_mut();
        if state.second != exchange.seconds {
            state.second = exchange.seconds;
            state.time = jiff::Zoned::now()
                .strftime("[%d/%b/%Y:%H:%M:%S %z]")
                .to_string();
        }
        for (file, format) in self.logs.0.iter() {
            state.line.clear();
            format.line(exchange, &state.time, &mut state.line);
            state.line.push(b'\n');
            // O_APPEND: a line is whole whoever else writes. A full disk does not stop serving.
            let mut file: &File = file;
            let _ = file.write(&state.line);
        }
    }
}
