//! Access logs: one line per exchange.
//!
//! A worker gathers the lines of a turn and writes them together at its end: a task of its own is woken by the first
//! line and runs behind the bursts. No line waits for a timer, and an idle worker stays idle.

use super::format::{Format, What};
use super::line::{self, Host, Moment};
use super::sink::Sink;
use super::{Level, write};
use parkade_config::{Config, HostSettings, LogTarget};
use parkade_http::{Exchange, Observer};
use rustix::time::{ClockId, clock_gettime};
use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};

/// Lines are written when they are so many bytes.
const MANY: usize = 16 * 1024;
/// syslog's `info`.
const INFO: u8 = 6;

/// The access logs of a configuration, opened.
#[derive(Clone)]
pub(crate) struct AccessLogs(Arc<Logs>);

struct Logs {
    sinks: Vec<Sink>,
    /// By host number: where its lines go and how they look.
    hosts: Vec<(Host, Vec<(usize, Format)>)>,
    /// Some format asks how long a request took.
    times: bool,
}

impl AccessLogs {
    /// Opens every `CustomLog`; as root, before privileges are dropped and before any thread is started.
    pub(crate) fn open(config: &Config) -> io::Result<Self> {
        let mut targets: Vec<&LogTarget> = Vec::new();
        let mut sinks = Vec::new();
        let mut hosts = Vec::new();
        let all = config.virtual_hosts.iter().map(|h| &h.settings);
        for settings in std::iter::once(&config.main).chain(all) {
            let mut logs = Vec::new();
            for log in &settings.custom_logs {
                let format = Format::compile(&log.format).map_err(io::Error::other)?;
                let known = targets.iter().position(|t| **t == log.target);
                let sink = match known {
                    Some(sink) => sink,
                    None => {
                        sinks.push(Sink::open(&log.target, "log")?);
                        targets.push(&log.target);
                        sinks.len() - 1
                    }
                };
                logs.push((sink, format));
            }
            hosts.push((host(settings), logs));
        }
        let times = hosts
            .iter()
            .flat_map(|(_, logs)| logs)
            .flat_map(|(_, format)| &format.0)
            .any(|item| matches!(item.what, What::Duration(_)));
        Ok(Self(Arc::new(Logs {
            sinks,
            hosts,
            times,
        })))
    }

    /// No logs at all.
    pub(crate) fn none() -> Self {
        Self(Arc::new(Logs {
            sinks: Vec::new(),
            hosts: Vec::new(),
            times: false,
        }))
    }

    /// Whether nothing is to be written.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.sinks.is_empty()
    }

    /// One worker's writer.
    pub(crate) fn writer(&self) -> Box<dyn Observer> {
        let lines = vec![Vec::new(); self.0.sinks.len()];
        Box::new(Writer {
            logs: self.0.clone(),
            gathered: Rc::new(RefCell::new(Gathered {
                logs: self.0.clone(),
                lines,
                woken: false,
                waker: None,
            })),
            time: RefCell::default(),
        })
    }
}

fn host(settings: &HostSettings) -> Host {
    let written = settings.server_name.as_ref().map_or("", |n| &*n.value);
    let (name, port) = match written.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, port.parse().ok()),
        _ => (written, None),
    };
    Host {
        name: name.to_owned(),
        port,
        root: settings.document_root.as_ref().map(|r| r.value.clone()),
    }
}

/// Lines that wait to be written, by sink.
struct Gathered {
    logs: Arc<Logs>,
    lines: Vec<Vec<u8>>,
    /// The task that writes was woken.
    woken: bool,
    /// How it is woken; it lives as long as this does.
    waker: Option<Waker>,
}

impl Gathered {
    fn flush(&mut self, sink: usize) {
        let lines = &mut self.lines[sink];
        if lines.is_empty() {
            return;
        }
        if let Some(lost) = self.logs.sinks[sink].write(lines, INFO) {
            write("log_config", Level::Error, &lost);
        }
        lines.clear();
        lines.shrink_to(MANY);
    }

    fn flush_all(&mut self) {
        for sink in 0..self.lines.len() {
            self.flush(sink);
        }
    }
}

struct Writer {
    logs: Arc<Logs>,
    gathered: Rc<RefCell<Gathered>>,
    /// `%t` of a second.
    time: RefCell<(u64, String)>,
}

impl Observer for Writer {
    fn begin(&self) -> u64 {
        if self.logs.times { nanoseconds() } else { 0 }
    }

    fn exchange(&self, exchange: &Exchange<'_>) {
        let host = crate::site::host_of(exchange.host);
        let Some((host, logs)) = self.logs.hosts.get(host).or(self.logs.hosts.first()) else {
            return;
        };
        if logs.is_empty() {
            return;
        }
        let mut time = self.time.borrow_mut();
        if time.0 != exchange.seconds {
            let text = jiff::Zoned::now()
                .strftime("[%d/%b/%Y:%H:%M:%S %z]")
                .to_string();
            *time = (exchange.seconds, text);
        }
        let took = match exchange.began {
            0 => 0,
            began => nanoseconds().saturating_sub(began),
        };
        let moment = Moment {
            time: &time.1,
            took,
        };
        let mut gathered = self.gathered.borrow_mut();
        for (sink, format) in logs {
            let lines = &mut gathered.lines[*sink];
            line::write(format, exchange, host, &moment, lines);
            lines.push(b'\n');
            if lines.len() >= MANY {
                gathered.flush(*sink);
            }
        }
        if std::mem::replace(&mut gathered.woken, true) {
            return;
        }
        let waker = gathered.waker.clone();
        drop(gathered);
        match waker {
            Some(waker) => waker.wake(),
            None => self.start(),
        }
    }
}

impl Writer {
    /// Starts the task that writes what has been gathered, whenever it is woken.
    fn start(&self) {
        let gathered = self.gathered.clone();
        drop(parkade::spawn(poll_fn(move |cx| {
            let mut gathered = gathered.borrow_mut();
            gathered.woken = false;
            gathered.flush_all();
            gathered.waker.get_or_insert_with(|| cx.waker().clone());
            Poll::<()>::Pending
        })));
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let waker = {
            let mut gathered = self.gathered.borrow_mut();
            gathered.flush_all();
            gathered.waker.take()
        };
        // The last one: the task ends with it.
        drop(waker);
    }
}

fn nanoseconds() -> u64 {
    let t = clock_gettime(ClockId::Monotonic);
    (t.tv_sec as u64) * 1_000_000_000 + t.tv_nsec as u64
}
