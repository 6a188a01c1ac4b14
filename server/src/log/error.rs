//! The error log: one line per event, one write(2) per line.

use parkade_config::{Config, LogLevel, LogTarget};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::sync::OnceLock;

/// Severity, most severe first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[allow(
    dead_code,
    reason = "the scale is syslog's; not every degree has a message yet"
)]
pub(crate) enum Level {
    Emerg,
    Alert,
    Crit,
    Error,
    Warn,
    Notice,
    Info,
    Debug,
    Trace,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Self::Emerg => "emerg",
            Self::Alert => "alert",
            Self::Crit => "crit",
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Notice => "notice",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }

    fn of(level: &LogLevel) -> Self {
        match level {
            LogLevel::Emerg => Self::Emerg,
            LogLevel::Alert => Self::Alert,
            LogLevel::Crit => Self::Crit,
            LogLevel::Error => Self::Error,
            LogLevel::Warn => Self::Warn,
            LogLevel::Notice => Self::Notice,
            LogLevel::Info => Self::Info,
            LogLevel::Debug => Self::Debug,
            LogLevel::Trace(_) => Self::Trace,
        }
    }
}

struct ErrorLog {
    /// `None`: standard error.
    file: Option<File>,
    level: Level,
}

static LOG: OnceLock<ErrorLog> = OnceLock::new();

/// Opens the error log of the configuration and sends the runtime's events there.
pub(crate) fn open(config: &Config) -> io::Result<()> {
    let file = match config.main.error_log.as_ref().map(|t| &t.value) {
        None => None,
        Some(LogTarget::File(path)) => {
            let opened = OpenOptions::new().append(true).create(true).open(path);
            Some(opened.map_err(|e| {
                io::Error::new(
                    e.kind(),
                    format!("could not open error log {}: {e}", path.display()),
                )
            })?)
        }
        Some(LogTarget::Pipe(_) | LogTarget::Syslog(_)) => {
            return Err(io::Error::other(
                "ErrorLog to a pipe or syslog is not built yet; name a file",
            ));
        }
    };
    let _ = LOG.set(ErrorLog {
        file,
        level: Level::of(&config.main.log_level),
    });
    super::events::install();
    Ok(())
}

/// The descriptor behind the log, to stand in for standard error.
pub(crate) fn file() -> Option<&'static File> {
    LOG.get()?.file.as_ref()
}

/// Whether a message of this level would be written. What the supervisor notices is always shown.
pub(crate) fn shows(level: Level) -> bool {
    level
        <= LOG
            .get()
            .map_or(Level::Warn, |l| l.level)
            .max(Level::Notice)
}

/// Writes one line.
pub(crate) fn write(module: &str, level: Level, message: &str) {
    if !shows(level) {
        return;
    }
    let now = jiff::Zoned::now();
    let mut line = Vec::with_capacity(160 + message.len());
    let _ = write!(
        line,
        "[{}] [{module}:{}] [pid {}:tid {}] ",
        now.strftime("%a %b %d %H:%M:%S.%6f %Y"),
        level.name(),
        std::process::id(),
        rustix::thread::gettid().as_raw_nonzero(),
    );
    for c in message.chars() {
        match c {
            c if c.is_control() => line.extend(c.escape_default().to_string().bytes()),
            c => line.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    line.push(b'\n');
    // A full disk must not stop serving; there is nowhere to say so.
    let _ = match file() {
        Some(mut file) => file.write_all(&line),
        None => io::stderr().lock().write_all(&line),
    };
}
