//! The error log: one line per event, one write(2) per line.

use super::format::Format;
use super::sink::{News, Sink};
use parkade_config::{Config, LogLevel, LogTarget};
use std::fs::File;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

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

    /// syslog's number.
    fn severity(self) -> u8 {
        (self as u8).min(7)
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

/// One host's log: where it goes and what is shown.
struct ErrorLog {
    /// `None`: standard error.
    sink: Option<Arc<Sink>>,
    level: Level,
    /// Levels of single modules.
    modules: Vec<(String, Level)>,
    /// Lines about a request have a number, as some access log names it.
    ids: bool,
}

impl ErrorLog {
    fn shows(&self, module: &str, level: Level) -> bool {
        let own = self.modules.iter().rev().find(|(m, _)| m == module);
        let most = own.map_or(self.level, |(_, level)| *level);
        // What the supervisor notices is always shown.
        level <= most || level == Level::Notice
    }
}

/// By host number; the main server's is the first.
static LOGS: RwLock<Vec<ErrorLog>> = RwLock::new(Vec::new());

fn logs() -> std::sync::RwLockReadGuard<'static, Vec<ErrorLog>> {
    LOGS.read().unwrap_or_else(PoisonError::into_inner)
}

/// Error logs, opened.
pub(crate) struct Opened(Vec<ErrorLog>);

/// Opens the error logs of the configuration, and sends the runtime's events there.
pub(crate) fn open(config: &Config) -> io::Result<()> {
    prepare(config)?.install();
    super::events::install();
    Ok(())
}

/// Opens the error logs of the configuration. Before any thread is started.
pub(crate) fn prepare(config: &Config) -> io::Result<Opened> {
    let mut opened: Vec<(&LogTarget, Arc<Sink>)> = Vec::new();
    let mut all = Vec::new();
    let hosts = config.virtual_hosts.iter().map(|h| &h.settings);
    for settings in std::iter::once(&config.main).chain(hosts) {
        let mut formats = settings.custom_logs.iter().map(|log| &log.format);
        let ids = formats.any(|f| Format::compile(f).is_ok_and(|f| f.asks_log_id()));
        let sink = match settings.error_log.as_ref().map(|t| &t.value) {
            None => None,
            Some(target) => match opened.iter().find(|(t, _)| *t == target) {
                Some((_, sink)) => Some(sink.clone()),
                None => {
                    let sink = Arc::new(Sink::open(target, "error log")?);
                    opened.push((target, sink.clone()));
                    Some(sink)
                }
            },
        };
        all.push(ErrorLog {
            sink,
            level: Level::of(&settings.log_level),
            modules: settings
                .module_log_levels
                .iter()
                .map(|(module, level)| (module.clone(), Level::of(level)))
                .collect(),
            ids,
        });
    }
    Ok(Opened(all))
}

impl Opened {
    pub(crate) fn none() -> Self {
        Self(Vec::new())
    }

    /// From now on these are written to; gives those before.
    pub(crate) fn install(self) -> Self {
        let mut logs = LOGS.write().unwrap_or_else(PoisonError::into_inner);
        Self(std::mem::replace(&mut logs, self.0))
    }
}

/// The descriptor behind the main server's log, to stand in for standard error.
pub(crate) fn file() -> Option<File> {
    let logs = logs();
    logs.first()?.sink.as_ref()?.file()?.try_clone().ok()
}

/// Whether a message of the main server would be written.
pub(crate) fn shows(module: &str, level: Level) -> bool {
    match logs().first() {
        Some(log) => log.shows(module, level),
        None => level <= Level::Notice,
    }
}

/// Writes one line to the main server's log.
pub(crate) fn write(module: &str, level: Level, message: &str) {
    write_for(0, module, level, message);
}

/// Writes one line to the log of a host.
fn write_for(host: usize, module: &str, level: Level, message: &str) {
    let logs = logs();
    let log = logs.get(host).or(logs.first());
    if !log.map_or(level <= Level::Notice, |log| log.shows(module, level)) {
        return;
    }
    let line = line(module, level, message);
    match log.and_then(|log| log.sink.as_ref()) {
        // A full disk must not stop serving; there is nowhere to say so until it is over.
        Some(sink) => {
            if let Some(News::Over(said)) = sink.write(&line, level.severity()) {
                let line = self::line("core", Level::Notice, &said);
                drop(sink.write(&line, Level::Notice.severity()));
            }
        }
        None => drop(io::stderr().lock().write_all(&line)),
    }
}

/// Writes one line about a request to the log of its host. Where an access log of the host has `%L`, the line begins with
/// a number that no other request has; it comes back.
pub(crate) fn write_about(
    host: usize,
    module: &str,
    level: Level,
    message: &str,
) -> Option<String> {
    let numbered = {
        let logs = logs();
        let log = logs.get(host).or(logs.first())?;
        log.ids && log.shows(module, level)
    };
    if !numbered {
        write_for(host, module, level, message);
        return None;
    }
    let id = log_id();
    write_for(host, module, level, &format!("[R:{id}] {message}"));
    Some(id)
}

/// Unique on this machine: the time, this process and a count.
fn log_id() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    format!(
        "{:x}-{:x}-{:x}",
        now.unwrap_or_default().as_micros(),
        std::process::id(),
        // Nothing else depends on it.
        COUNT.fetch_add(1, Relaxed)
    )
}

fn line(module: &str, level: Level, message: &str) -> Vec<u8> {
    let now = jiff::Zoned::now();
    let mut line = Vec::with_capacity(160 + message.len());
    let _ = write!(
        line,
        "[{}] [{module}:{}] [pid {}:tid {}] ",
        now.strftime("%a %b %d %H:%M:%S.%6f %Y"),
        level.name(),
        std::process::id(),
        crate::sys::thread::id(),
    );
    for c in message.chars() {
        match c {
            c if c.is_control() => line.extend(c.escape_default().to_string().bytes()),
            c => line.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_apaches_and_has_no_raw_control_bytes() {
        let text =
            String::from_utf8(line("core", Level::Warn, "a\nb\u{1b}[1mé")).unwrap_or_default();
        let parts: Vec<&str> = text.splitn(4, "] ").collect();
        assert!(
            parts[0].starts_with('[') && parts[0].len() == "[Mon Nov 23 09:57:15.202546 2026".len(),
            "{text}"
        );
        assert_eq!(parts[1], "[core:warn");
        assert!(
            parts[2].starts_with("[pid ") && parts[2].contains(":tid "),
            "{text}"
        );
        assert_eq!(parts[3], "a\\nb\\u{1b}[1mé\n");
    }

    #[test]
    fn a_module_may_have_a_level_of_its_own() {
        let log = ErrorLog {
            sink: None,
            level: Level::Warn,
            modules: vec![
                ("authz_core".into(), Level::Debug),
                ("core".into(), Level::Crit),
            ],
            ids: false,
        };
        for (module, level, shown) in [
            ("x", Level::Info, false),
            ("x", Level::Warn, true),
            ("authz_core", Level::Debug, true),
            ("authz_core", Level::Trace, false),
            ("core", Level::Info, false),
            ("core", Level::Warn, false),
            ("core", Level::Notice, true),
        ] {
            assert_eq!(log.shows(module, level), shown, "{module} {level:?}");
        }
    }
}
