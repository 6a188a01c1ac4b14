//! What each client may see, and what it saw.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How far an exchange had come when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// There was no connection yet.
    Connecting,
    /// Between two requests: nothing was asked for.
    Idle,
    /// A request was on its way, and not a byte of its answer came.
    Unanswered,
    /// Part of the answer had come.
    Midway,
}

/// A connection or an exchange that failed.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    /// The client's port; 0 while connecting.
    pub port: u16,
    pub phase: Phase,
    /// When the connection was made.
    pub opened: Instant,
    /// When this exchange, or the silence before it, began.
    pub began: Instant,
    pub at: Instant,
    pub what: String,
}

/// Whom an event may hurt.
#[derive(Debug, Clone)]
pub(super) enum Scope {
    /// The connections with these client ports: their process is killed.
    Ports(HashSet<u16>),
    /// Requests that are being answered.
    Requests,
    /// Connections without a request in progress.
    Parked,
    /// Everyone who meets the event.
    Everyone,
}

#[derive(Debug)]
struct Excuse {
    from: Instant,
    /// Open while the event lasts.
    until: Option<Instant>,
    scope: Scope,
}

/// An answer that the client has read, and that its server has not finished with.
const JUST_ANSWERED: Duration = Duration::from_millis(50);

impl Excuse {
    fn covers(&self, failure: &Failure) -> bool {
        let meets =
            self.from <= failure.at && self.until.is_none_or(|until| failure.began <= until);
        match &self.scope {
            // A port may have a new owner since.
            Scope::Ports(ports) => {
                ports.contains(&failure.port)
                    && failure.opened <= self.from
                    && self.from <= failure.at
            }
            Scope::Requests => match failure.phase {
                Phase::Unanswered | Phase::Midway => meets,
                // Its answer went out as the event came: for the server it was not parked yet.
                Phase::Idle => {
                    meets
                        && failure.began + JUST_ANSWERED >= self.from
                        && failure.began <= self.from
                }
                Phase::Connecting => false,
            },
            Scope::Parked => meets && matches!(failure.phase, Phase::Idle | Phase::Unanswered),
            // A connection that was open during the event may learn of it only later.
            Scope::Everyone => meets || failure.port != 0 && self.holds_at_open(failure),
        }
    }

    fn holds_at_open(&self, failure: &Failure) -> bool {
        self.from <= failure.at && self.until.is_none_or(|until| failure.opened <= until)
    }
}

/// Names an excuse that is still open.
#[derive(Debug, Clone, Copy)]
pub(super) struct Open(usize);

#[derive(Debug, Default)]
struct Pages {
    excuses: Vec<Excuse>,
    answers: u64,
    excused: u64,
    sessions: BTreeMap<&'static str, u64>,
    faults: Vec<String>,
    /// The last events, to be read beside a fault.
    events: VecDeque<String>,
}

impl Pages {
    fn fault(&mut self, what: String) {
        let events: Vec<_> = self.events.iter().map(String::as_str).collect();
        self.faults
            .push(format!("{what}; before it: {}", events.join(", ")));
    }
}

/// Shared by all clients and the events.
#[derive(Debug)]
pub(super) struct Ledger {
    start: Instant,
    pages: Mutex<Pages>,
}

impl Ledger {
    pub(super) fn new() -> Ledger {
        Ledger {
            start: Instant::now(),
            pages: Mutex::default(),
        }
    }

    /// From now on, and until [`Ledger::close`], clients in `scope` may see failures.
    pub(super) fn excuse(&self, scope: Scope) -> Open {
        let mut pages = self.pages();
        pages.excuses.push(Excuse {
            from: Instant::now(),
            until: None,
            scope,
        });
        Open(pages.excuses.len() - 1)
    }

    /// The event is over for whoever begins something from now on.
    pub(super) fn close(&self, open: Open) {
        if let Some(excuse) = self.pages().excuses.get_mut(open.0) {
            excuse.until = Some(Instant::now());
        }
    }

    pub(super) fn answered(&self, n: usize) {
        self.pages().answers += n as u64;
    }

    pub(super) fn session(&self, kind: &'static str) {
        *self.pages().sessions.entry(kind).or_default() += 1;
    }

    /// Judges a failure.
    pub(super) fn failed(&self, failure: &Failure) {
        let mut pages = self.pages();
        if pages.excuses.iter().any(|e| e.covers(failure)) {
            pages.excused += 1;
            return;
        }
        let line = format!(
            "{:.3} s: client port {}, {:?} since {:.3} s ago, connection {:.3} s old: {}",
            failure.at.duration_since(self.start).as_secs_f64(),
            failure.port,
            failure.phase,
            failure.at.duration_since(failure.began).as_secs_f64(),
            failure.at.duration_since(failure.opened).as_secs_f64(),
            failure.what
        );
        pages.fault(line);
    }

    /// Notes that something happens, for whoever reads about a fault.
    pub(super) fn happens(&self, what: impl fmt::Display) {
        let at = self.start.elapsed().as_secs_f64();
        let mut pages = self.pages();
        if pages.events.len() == 6 {
            pages.events.pop_front();
        }
        pages.events.push_back(format!("{at:.3} {what}"));
    }

    /// What nothing excuses: a wrong answer, something left behind.
    pub(super) fn wrong(&self, what: impl fmt::Display) {
        let at = self.start.elapsed().as_secs_f64();
        self.pages().fault(format!("{at:.3} s: {what}"));
    }

    pub(super) fn seconds(&self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }

    pub(super) fn faults(&self) -> Vec<String> {
        self.pages().faults.clone()
    }

    /// Answers, failures that were excused, and faults.
    pub(super) fn sums(&self) -> (u64, u64, usize) {
        let pages = self.pages();
        (pages.answers, pages.excused, pages.faults.len())
    }

    pub(super) fn sessions(&self) -> BTreeMap<&'static str, u64> {
        self.pages().sessions.clone()
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{Failure, Ledger, Phase, Scope};
    use std::collections::HashSet;
    use std::time::{Duration, Instant};

    fn failure(phase: Phase, port: u16, opened: Instant, began: Instant) -> Failure {
        Failure {
            port,
            phase,
            opened,
            began,
            at: Instant::now(),
            what: "reset".to_owned(),
        }
    }

    fn faults_of(ledger: &Ledger, failure: &Failure) -> usize {
        let before = ledger.sums().2;
        ledger.failed(failure);
        ledger.sums().2 - before
    }

    fn later() -> Instant {
        std::thread::sleep(Duration::from_millis(2));
        Instant::now()
    }

    #[test]
    fn nothing_is_excused_without_an_event() {
        let ledger = Ledger::new();
        let now = Instant::now();
        for phase in [
            Phase::Connecting,
            Phase::Idle,
            Phase::Unanswered,
            Phase::Midway,
        ] {
            assert_eq!(faults_of(&ledger, &failure(phase, 7, now, now)), 1);
        }
    }

    #[test]
    fn a_kill_excuses_the_connections_of_that_process_alone() {
        let ledger = Ledger::new();
        let before = Instant::now();
        later();
        ledger.excuse(Scope::Ports(HashSet::from([7])));
        let after = later();
        assert_eq!(
            faults_of(&ledger, &failure(Phase::Idle, 7, before, before)),
            0
        );
        assert_eq!(
            faults_of(&ledger, &failure(Phase::Idle, 8, before, before)),
            1
        );
        let reused = failure(Phase::Idle, 7, after, after);
        assert_eq!(faults_of(&ledger, &reused), 1, "the port has a new owner");
    }

    #[test]
    fn a_hard_restart_excuses_requests_in_progress_but_no_parked_connection() {
        let ledger = Ledger::new();
        let before = Instant::now();
        let open = ledger.excuse(Scope::Requests);
        let during = later();
        assert_eq!(
            faults_of(&ledger, &failure(Phase::Midway, 7, before, before)),
            0
        );
        assert_eq!(
            faults_of(&ledger, &failure(Phase::Idle, 7, before, during)),
            1
        );
        ledger.close(open);
        let after = later();
        assert_eq!(
            faults_of(&ledger, &failure(Phase::Midway, 7, before, during)),
            0
        );
        assert_eq!(
            faults_of(&ledger, &failure(Phase::Midway, 7, before, after)),
            1
        );
    }

    #[test]
    fn want_of_descriptors_excuses_the_parked_alone() {
        let ledger = Ledger::new();
        let open = ledger.excuse(Scope::Parked);
        let now = later();
        assert_eq!(faults_of(&ledger, &failure(Phase::Idle, 7, now, now)), 0);
        assert_eq!(faults_of(&ledger, &failure(Phase::Midway, 7, now, now)), 1);
        assert_eq!(
            faults_of(&ledger, &failure(Phase::Connecting, 0, now, now)),
            1
        );
        ledger.close(open);
        let after = later();
        assert_eq!(
            faults_of(&ledger, &failure(Phase::Idle, 7, after, after)),
            1
        );
    }

    #[test]
    fn the_end_of_the_whole_server_excuses_everyone_who_met_it() {
        let ledger = Ledger::new();
        let open = ledger.excuse(Scope::Everyone);
        let during = later();
        ledger.close(open);
        let after = later();
        assert_eq!(
            faults_of(&ledger, &failure(Phase::Idle, 7, during, after)),
            0
        );
        assert_eq!(
            faults_of(&ledger, &failure(Phase::Idle, 7, after, after)),
            1
        );
        assert_eq!(
            faults_of(&ledger, &failure(Phase::Connecting, 0, after, after)),
            1
        );
    }
}
