//! Everything that is told, gathered once, so that a page agrees with itself.

use super::cpu::Cpu;
use crate::scoreboard::{Board, Child, Doing, Seen, State, Sum, monotonic};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{SystemTime, UNIX_EPOCH};

pub(super) struct Figures {
    /// What the client called this server.
    pub(super) host: String,
    /// `ExtendedStatus`.
    pub(super) extended: bool,
    pub(super) generation: u32,
    /// Seconds since the epoch.
    pub(super) now: u64,
    pub(super) restarted: u64,
    /// Seconds since counting began.
    pub(super) uptime: u64,
    pub(super) loads: [f64; 3],
    pub(super) cpu: Cpu,
    pub(super) sum: Sum,
    pub(super) children: Vec<Process>,
    /// A letter for each slot, in the order of children.
    pub(super) letters: String,
    /// Which calls of the kernel serve, and why.
    pub(super) backend: String,
    /// With ExtendedStatus: slots that have had a request.
    pub(super) slots: Vec<Row>,
}

/// A child.
pub(super) struct Process {
    pub(super) at: usize,
    pub(super) pid: u32,
    pub(super) generation: u32,
    pub(super) state: State,
    pub(super) accepting: bool,
    pub(super) sum: Sum,
    pub(super) busy: usize,
    pub(super) graceful: usize,
    pub(super) idle: usize,
}

/// A slot that has had a request.
pub(super) struct Row {
    pub(super) child: usize,
    pub(super) slot: usize,
    pub(super) pid: u32,
    pub(super) letter: char,
    /// Milliseconds since its last request began.
    pub(super) since: u64,
    pub(super) seen: Seen,
}

impl Figures {
    pub(super) fn gather(board: &Board, host: &str) -> Self {
        let header = board.header();
        let now = monotonic();
        let began = header.began.load(Relaxed);
        let mut figures = Self {
            // Whatever it contains ends no line.
            host: host.chars().filter(char::is_ascii_graphic).collect(),
            extended: header.extended.load(Relaxed) != 0,
            generation: header.generation.load(Relaxed),
            now: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |d| d.as_secs()),
            restarted: header.restarted.load(Relaxed),
            uptime: (now / 1_000_000).saturating_sub(began) / 1_000,
            loads: crate::sys::load::averages(),
            cpu: Cpu::of(board),
            sum: Sum::of_all(board),
            children: Vec::new(),
            letters: String::new(),
            backend: String::new(),
            slots: Vec::new(),
        };
        let planned = header.planned.load(Relaxed) as usize;
        let used = header.used.load(Relaxed) as usize;
        let slots = header.slots.load(Relaxed) as usize;
        for at in 0..planned.max(used) {
            match board.child(at).filter(|c| c.state() != State::Free) {
                Some(child) => figures.process(board, at, child, now),
                None if at < planned => figures.letters.extend((0..slots).map(|_| '.')),
                None => {}
            }
        }
        // Draining children of generations before; their numbers are their own.
        for (older, _) in board.family().skip(1) {
            for (at, child) in older.children() {
                figures.process(older, at, child, now);
            }
        }
        figures
    }

    fn process(&mut self, board: &Board, at: usize, child: &Child, now: u64) {
        let (pid, state) = (child.pid.load(Relaxed), child.state());
        let (mut busy, mut graceful, mut idle) = (0, 0, 0);
        let details = board.details(at);
        // Some children have one slot fewer than there is room for.
        let slots = child.slots.load(Relaxed) as usize;
        let slots = board.slots(at).iter().take(slots);
        for (slot, doing) in slots.map(Doing::of).enumerate() {
            let letter = letter(state, doing);
            self.letters.push(letter);
            match letter {
                'R' | 'W' => busy += 1,
                'G' => graceful += 1,
                '_' => idle += 1,
                _ => {}
            }
            if doing != Doing::Untouched
                && let Some(seen) = details.get(slot).and_then(|d| d.read())
            {
                self.slots.push(Row {
                    child: at,
                    slot,
                    pid,
                    letter,
                    since: now.saturating_sub(seen.began) / 1_000_000,
                    seen,
                });
            }
        }
        let sum = Sum::of(board, at);
        self.children.push(Process {
            at,
            pid,
            generation: child.generation.load(Relaxed),
            state,
            accepting: state == State::Serving
                && sum.accepting > 0
                && child.short.load(Relaxed) == 0,
            sum,
            busy,
            graceful,
            idle,
        });
    }

    fn total(&self, of: impl Fn(&Process) -> usize) -> usize {
        self.children.iter().map(of).sum()
    }

    /// Requests in progress, by slots.
    pub(super) fn busy(&self) -> usize {
        self.total(|c| c.busy)
    }

    /// The same in children that stop.
    pub(super) fn graceful(&self) -> usize {
        self.total(|c| c.graceful)
    }

    /// Free slots.
    pub(super) fn idle(&self) -> usize {
        self.total(|c| c.idle)
    }

    /// Children that stop.
    pub(super) fn stopping(&self) -> usize {
        self.total(|c| usize::from(c.state == State::Stopping))
    }

    /// `n` for each second of uptime.
    pub(super) fn per_second(&self, n: f64) -> Option<f64> {
        (self.uptime > 0).then(|| n / self.uptime as f64)
    }

    /// `n` for each request.
    pub(super) fn per_request(&self, n: f64) -> Option<f64> {
        (self.sum.requests > 0).then(|| n / self.sum.requests as f64)
    }

    /// Processor time in percent of the uptime.
    pub(super) fn cpu_load(&self) -> Option<f64> {
        let total = self.cpu.total();
        self.per_second(total * 100.0).filter(|_| total > 0.0)
    }
}

/// Apache's letter.
fn letter(state: State, doing: Doing) -> char {
    match (state, doing) {
        (State::Free, _) => '.',
        (State::Starting, _) => 'S',
        (State::Serving, Doing::Untouched | Doing::Free) => '_',
        (State::Serving, Doing::Reading) => 'R',
        (State::Serving, Doing::Writing) => 'W',
        (State::Stopping, Doing::Untouched | Doing::Free) => '.',
        (State::Stopping, _) => 'G',
    }
}

/// Days, hours, minutes and seconds in words; what is zero is left out.
pub(super) fn in_words(seconds: u64) -> String {
    let parts = [
        (seconds / 86_400, "day"),
        (seconds / 3_600 % 24, "hour"),
        (seconds / 60 % 60, "minute"),
        (seconds % 60, "second"),
    ];
    let words: Vec<String> = parts
        .iter()
        .filter(|(n, unit)| *n > 0 || (seconds == 0 && *unit == "second"))
        .map(|(n, unit)| format!("{n} {unit}{}", if *n == 1 { "" } else { "s" }))
        .collect();
    words.join(" ")
}

/// A number with six significant digits and no exponent.
pub(super) fn number(x: f64) -> String {
    if !x.is_finite() || x <= 0.0 {
        return "0".into();
    }
    let digits = (5 - x.log10().floor() as i32).clamp(0, 12) as usize;
    let text = format!("{x:.digits$}");
    if digits == 0 {
        return text;
    }
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A moment as Apache writes it, in local time.
pub(super) fn moment(seconds: u64) -> String {
    let seconds = i64::try_from(seconds).unwrap_or(0);
    let Ok(at) = jiff::Timestamp::from_second(seconds) else {
        return "-".into();
    };
    at.to_zoned(jiff::tz::TimeZone::system())
        .strftime("%A, %d-%b-%Y %H:%M:%S %Z")
        .to_string()
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
