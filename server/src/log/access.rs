//! Access logs: one line per exchange.
//!
//! A worker gathers the lines of a turn and writes them together at its end: a task of its own is woken by the first
//! line and runs behind the bursts. No line waits for a timer, and an idle worker stays idle.

use super::format::{Format, USUAL};
use super::line::{self, Host, Moment};
use super::sink::{News, Sink};
use super::{Level, write};
use parkade::Written;
use parkade_config::{Config, HostSettings, LogTarget};
use parkade_http::{Exchange, Observer};
use rustix::time::{ClockId, clock_gettime};
use std::cell::{Ref, RefCell};
use std::future::poll_fn;
use std::io;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

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
    hosts: Vec<(Host, Vec<Log>)>,
    /// Some format asks when a request came.
    times: bool,
}

impl Logs {
    fn write(&self, sink: usize, lines: &[u8]) {
        match self.sinks[sink].write(lines, INFO) {
            Some(News::Losing(said)) => write("log_config", Level::Error, &said),
            Some(News::Over(said)) => write("log_config", Level::Notice, &said),
            None => {}
        }
    }
}

/// One `CustomLog`.
struct Log {
    sink: usize,
    format: Format,
    /// Its lines wait until it is known what became of the answer.
    waits: bool,
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
                logs.push(Log {
                    sink,
                    waits: format.asks_end(),
                    format,
                });
            }
            hosts.push((host(settings), logs));
        }
        let times = hosts
            .iter()
            .flat_map(|(_, logs)| logs)
            .any(|log| log.format.asks_time());
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

    /// One worker's writer; made on the worker's thread.
    pub(crate) fn writer(&self) -> Box<dyn Observer> {
        let gathered = Gathered::new(self.0.clone());
        HERE.set(Rc::downgrade(&gathered));
        Box::new(Writer {
            logs: self.0.clone(),
            gathered,
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

thread_local! {
    /// What the writer made last on this thread has gathered.
    static HERE: RefCell<Weak<RefCell<Gathered>>> = const { RefCell::new(Weak::new()) };
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
    fn new(logs: Arc<Logs>) -> Rc<RefCell<Self>> {
        let lines = vec![Vec::new(); logs.sinks.len()];
        Rc::new(RefCell::new(Self {
            logs,
            lines,
            woken: false,
            waker: None,
        }))
    }

    /// What `write` appends is the line of a sink.
    fn line(&mut self, sink: usize, write: impl FnOnce(&mut Vec<u8>)) {
        let lines = &mut self.lines[sink];
        write(lines);
        lines.push(b'\n');
        if lines.len() >= MANY {
            self.flush(sink);
        }
    }

    fn flush(&mut self, sink: usize) {
        let lines = &mut self.lines[sink];
        if lines.is_empty() {
            return;
        }
        self.logs.write(sink, lines);
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

    fn exchange(&self, exchange: &Exchange<'_>) -> Option<Written> {
        let host = crate::site::host_of(exchange.host);
        let (host, logs) = self.logs.hosts.get(host).or(self.logs.hosts.first())?;
        if logs.is_empty() {
            return None;
        }
        let took = match exchange.began {
            0 => 0,
            began => nanoseconds().saturating_sub(began),
        };
        let time = self.time(exchange.seconds, took);
        let mut moment = Moment {
            time: &time,
            took,
            connection: if exchange.keep_alive { b'+' } else { b'-' },
        };
        let mut late = Vec::new();
        let mut gathered = self.gathered.borrow_mut();
        for log in logs {
            let write = |moment: &Moment<'_>, out: &mut Vec<u8>| {
                line::write(&log.format, exchange, host, moment, out);
            };
            if !log.waits {
                gathered.line(log.sink, |out| write(&moment, out));
                continue;
            }
            let mut lines = Late {
                sink: log.sink,
                ..Late::default()
            };
            write(&moment, &mut lines.whole);
            moment.connection = b'X';
            write(&moment, &mut lines.aborted);
            moment.connection = if exchange.keep_alive { b'+' } else { b'-' };
            late.push(lines);
        }
        drop(gathered);
        if late.len() < logs.len() {
            wake(&self.gathered);
        }
        if late.is_empty() {
            return None;
        }
        let logs = self.logs.clone();
        Some(Written::new(move |whole| deliver(&logs, &late, whole)))
    }
}

impl Writer {
    /// `%t` of a request that has taken so many nanoseconds.
    fn time(&self, now: u64, took: u64) -> Ref<'_, str> {
        // A worker's seconds are good enough for what was answered at once.
        let began = (took >= 1_000_000).then(|| line::began(SystemTime::now(), took));
        let second = began
            .and_then(|began| began.duration_since(UNIX_EPOCH).ok())
            .map_or(now, |since| since.as_secs());
        if self.time.borrow().0 != second {
            let moment = UNIX_EPOCH + Duration::from_secs(second);
            let text = line::formatted(moment, USUAL).unwrap_or_default();
            *self.time.borrow_mut() = (second, text);
        }
        Ref::map(self.time.borrow(), |(_, text)| &**text)
    }
}

/// A line whose request is answered, but not yet wholly written.
#[derive(Default)]
struct Late {
    sink: usize,
    whole: Vec<u8>,
    /// The line where the client is gone before the end.
    aborted: Vec<u8>,
}

/// Puts late lines beside those that this thread has gathered, or writes them where it gathers none.
fn deliver(logs: &Arc<Logs>, late: &[Late], whole: bool) {
    let here = HERE.with_borrow(Weak::upgrade);
    for one in late {
        let line = if whole { &one.whole } else { &one.aborted };
        match here.as_ref().and_then(|here| here.try_borrow_mut().ok()) {
            Some(mut here) if Arc::ptr_eq(&here.logs, logs) => {
                here.line(one.sink, |out| out.extend_from_slice(line));
            }
            _ => logs.write(one.sink, &[line, &b"\n"[..]].concat()),
        }
    }
    if let Some(here) = here {
        wake(&here);
    }
}

/// Wakes the task that writes what has been gathered, or starts it.
fn wake(gathered: &Rc<RefCell<Gathered>>) {
    let waker = {
        let mut gathered = gathered.borrow_mut();
        if std::mem::replace(&mut gathered.woken, true) {
            return;
        }
        gathered.waker.clone()
    };
    if let Some(waker) = waker {
        return waker.wake();
    }
    let gathered = gathered.clone();
    drop(parkade::spawn(poll_fn(move |cx| {
        let mut gathered = gathered.borrow_mut();
        gathered.woken = false;
        gathered.flush_all();
        gathered.waker.get_or_insert_with(|| cx.waker().clone());
        Poll::<()>::Pending
    })));
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
