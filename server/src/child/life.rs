//! A child's life after its start: what it is told, by its supervisor or by signals, and how it ends.

use super::moving::{Giving, Taking};
use super::{ENDING, Place, held, signals};
use crate::control::{Heard, News, Order};
use crate::log::{Level, write};
use crate::scoreboard::State;
use crate::sys::bell::Bell;
use crate::sys::signals::Signals;
use nix::sys::signal::Signal;
use parkade::{Handle, Runtime};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// How long requests in progress may take when the supervisor has died.
const ORPHANED: Duration = Duration::from_secs(10);
/// How long the workers may take to end when nothing is waited for any more; a handler that is stuck holds its thread.
const END: Duration = Duration::from_secs(1);

/// How long parked connections may take to be given away when nothing else is waited for.
const GIVING: Duration = Duration::from_secs(2);
/// After a cut, so long for requests that begin later.
const QUICK: Duration = Duration::from_millis(250);
/// When those that took its connections are gone, a child waits so long for others.
const LONELY: Duration = Duration::from_secs(5);
/// So much later the runtime cuts by itself what was to be cut.
const NAMING: Duration = Duration::from_millis(100);
/// When the kernel has too much on its way, it is asked again after so long.
const AGAIN: Duration = Duration::from_millis(20);

/// What a child does.
enum Phase {
    Serving,
    /// It gives its connections away, at most until then; requests in progress are finished, or (`hard`) cut when all
    /// that can be given is given.
    Giving {
        until: Option<Instant>,
        hard: bool,
    },
    /// It finishes what it has, at most until then.
    Draining(Option<Instant>),
    /// Everything is cut; threads end.
    Ending(Instant),
}

/// What lives.
pub(super) struct Started {
    pub(super) runtime: Runtime,
    pub(super) taking: Taking,
    /// Of the listeners, by number.
    pub(super) addresses: Vec<SocketAddr>,
    /// Readable when this child has accepted as many connections as it may.
    pub(super) spent: Bell,
    /// Readable when few of its request slots are free.
    pub(super) busy: Bell,
    /// How long a graceful stop may take, without a supervisor to say so.
    pub(super) grace: Option<Duration>,
}

struct Life<'a> {
    handle: Handle,
    /// Until a thread waits for its end.
    runtime: Option<Runtime>,
    place: &'a Place,
    signals: Signals,
    /// `None` without a supervisor, or when it has died.
    control: Option<&'a OwnedFd>,
    /// Whether there ever was one.
    alone: bool,
    phase: Phase,
    /// Readable when the workers have ended.
    done: Option<OwnedFd>,
    taking: Taking,
    giving: Giving,
    /// Readable when there may be more to give.
    more: Bell,
    /// Of the listeners, by number.
    addresses: Vec<SocketAddr>,
    /// Readable when this child has accepted as many connections as it may.
    spent: Bell,
    busy: Bell,
    grace: Option<Duration>,
    /// Nobody takes its connections any more: until when it waits for others.
    lonely_until: Option<Instant>,
    /// Until when requests that came after a cut may still be answered, so that their connections move, too.
    quick_until: Option<Instant>,
}

/// Lives until it is told to end. `control` is the supervisor's end of life: its closing means that the supervisor has
/// died. Without it this is the only process, and the interrupt key ends it.
pub(super) fn live(started: Started, place: &Place, control: Option<&OwnedFd>) -> io::Result<()> {
    let runtime = started.runtime;
    let mut life = Life {
        handle: runtime.handle(),
        runtime: Some(runtime),
        place,
        signals: Signals::new(&signals())?,
        control,
        alone: control.is_none(),
        phase: Phase::Serving,
        done: None,
        taking: started.taking,
        giving: Giving::default(),
        more: Bell::new()?,
        addresses: started.addresses,
        spent: started.spent,
        busy: started.busy,
        grace: started.grace,
        lonely_until: None,
        quick_until: None,
    };
    while life.turn()? {}
    Ok(())
}

impl Life<'_> {
    /// Waits for something to happen and sees to it; whether life goes on.
    fn turn(&mut self) -> io::Result<bool> {
        let due = match self.phase {
            Phase::Serving => None,
            Phase::Draining(until) | Phase::Giving { until, .. } => until,
            Phase::Ending(at) => Some(at),
        };
        let waits = [due, self.lonely_until, self.quick_until];
        self.sleep(waits.into_iter().flatten().min())?;
        if self.done.as_ref().is_some_and(has_ended) {
            return Ok(false);
        }
        self.listen();
        self.hear_signals()?;
        if self.spent.silence() {
            self.ask_to_leave();
        }
        if self.busy.silence() {
            let _ = self.control.map(|c| News::Busy.send(c));
        }
        self.taking.go_on(&self.handle);
        self.give();
        if due.is_some_and(|at| Instant::now() >= at) {
            return Ok(self.time_is_over());
        }
        Ok(true)
    }

    /// Until something happens, or it is `due`.
    fn sleep(&self, due: Option<Instant>) -> io::Result<()> {
        let left = due.map(|at| at.saturating_duration_since(Instant::now()));
        let again = self.giving.is_stalled().then_some(AGAIN);
        let most = left.into_iter().chain(again).min().map(|left| Timespec {
            tv_sec: left.as_secs() as i64,
            tv_nsec: i64::from(left.subsec_nanos()),
        });
        let mut waits = vec![
            PollFd::new(&self.signals, PollFlags::IN),
            PollFd::new(&self.more, PollFlags::IN),
            PollFd::new(&self.spent, PollFlags::IN),
            PollFd::new(&self.busy, PollFlags::IN),
        ];
        waits.extend(self.control.map(|c| PollFd::new(c, PollFlags::IN)));
        waits.extend(self.done.as_ref().map(|d| PollFd::new(d, PollFlags::IN)));
        let peers = self.taking.waits().chain(self.giving.waits());
        waits.extend(peers.map(|(fd, what)| PollFd::new(fd, what)));
        match poll(&mut waits, most.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    /// The supervisor's words.
    fn listen(&mut self) {
        while let Some(control) = self.control {
            match Order::hear(control) {
                Heard::Said(Order::Stop) => self.stop(),
                // Who takes its connections may be named later.
                Heard::Said(Order::Drain(grace)) => self.begin_giving(grace),
                Heard::Said(Order::Finish(grace)) => {
                    ENDING.store(true, Relaxed);
                    self.drain(grace);
                }
                Heard::Said(Order::Give(taker)) => self.giving.add(taker),
                Heard::Said(Order::Take(giver)) => self.taking.add(giver, &self.handle),
                Heard::Nothing => return,
                Heard::Ended => {
                    self.control = None;
                    // A dead supervisor has said all it will.
                    if !matches!(self.phase, Phase::Ending(_)) {
                        self.drain(Some(ORPHANED));
                    }
                }
            }
        }
    }

    fn hear_signals(&mut self) -> io::Result<()> {
        while let Some(caught) = self.signals.next()? {
            match caught.signal {
                // A child that is told to go asks to be replaced first; the only process stops.
                Signal::SIGTERM if !self.alone => self.ask_to_leave(),
                Signal::SIGTERM | Signal::SIGINT if self.alone => self.stop(),
                // A terminal's change of size is no wish.
                Signal::SIGWINCH if caught.by_kernel => {}
                Signal::SIGWINCH | Signal::SIGQUIT if self.alone => self.drain(self.grace),
                _ => {}
            }
        }
        Ok(())
    }

    /// Asks to be replaced, and told to go then.
    fn ask_to_leave(&mut self) {
        let heard = self.control.map(|c| News::Leaving.send(c));
        if !matches!(heard, Some(Ok(()))) && matches!(self.phase, Phase::Serving) {
            self.drain(Some(ORPHANED));
        }
    }

    /// Parked connections are given away from now on; requests in progress are finished, within `grace`.
    fn begin_giving(&mut self, grace: Option<Duration>) {
        self.show_stopping();
        let hard = grace == Some(Duration::ZERO);
        let grace = if hard { Some(GIVING) } else { grace };
        let until = grace.and_then(|g| Instant::now().checked_add(g));
        if let Phase::Ending(_) = self.phase {
            return;
        }
        self.phase = Phase::Giving { until, hard };
        if hard && self.quick_until.is_none() {
            self.quick_until = Some(Instant::now() + QUICK);
        }
        let more = self.more.clone();
        let cut = if hard { Duration::ZERO } else { Duration::MAX };
        self.handle.hand_over(cut, move || more.ring());
        self.give();
    }

    /// Gives what there is to give.
    fn give(&mut self) {
        let Phase::Giving { until, hard } = self.phase else {
            return;
        };
        self.more.silence();
        // First, or a connection that is being accepted would be missed: before its last look into the backlogs a worker
        // may still get connections that nobody else knows of.
        let left = self.handle.has_left_listeners();
        self.giving.go_on(&self.handle, &self.addresses);
        if self.giving.has_takers() {
            self.lonely_until = None;
        } else if self.control.is_none() || self.is_lonely() {
            // Nobody is left to give to: a goodbye is better than nothing.
            let left = until.map(|at| at.saturating_duration_since(Instant::now()));
            return self.drain(if hard { Some(Duration::ZERO) } else { left });
        }
        self.quick_until = self.quick_until.filter(|at| Instant::now() < *at);
        let over = self.handle.connections() == 0 || hard && self.quick_until.is_none();
        if left && self.giving.is_settled() && over {
            let given = self.giving.given;
            write(
                "mpm_event",
                Level::Debug,
                &format!("{given} connections were given away"),
            );
            self.stop();
        }
    }

    /// Whether it has waited long enough for somebody to give to.
    fn is_lonely(&mut self) -> bool {
        let now = Instant::now();
        now >= *self.lonely_until.get_or_insert(now + LONELY)
    }

    /// Finishes what was begun, for at most `grace`.
    fn drain(&mut self, grace: Option<Duration>) {
        self.show_stopping();
        let until = grace.and_then(|g| Instant::now().checked_add(g));
        // Who was not in time is named before it is cut.
        let cut = grace.map_or(Duration::MAX, |g| if g.is_zero() { g } else { g + NAMING });
        self.handle.shutdown(cut);
        if !matches!(self.phase, Phase::Ending(_)) {
            self.phase = Phase::Draining(until);
        }
        self.expect_the_end();
    }

    fn stop(&mut self) {
        self.show_stopping();
        self.giving.let_go();
        self.handle.shutdown(Duration::ZERO);
        if !matches!(self.phase, Phase::Ending(_)) {
            self.phase = Phase::Ending(Instant::now() + END);
        }
        self.expect_the_end();
    }

    fn show_stopping(&mut self) {
        self.lonely_until = None;
        self.quick_until = None;
        if let Some(child) = self.place.board.child(self.place.record) {
            child.set_state(State::Stopping);
        }
    }

    /// The time for a phase is over; whether life goes on.
    fn time_is_over(&mut self) -> bool {
        match self.phase {
            Phase::Serving => true,
            Phase::Draining(_) | Phase::Giving { .. } => {
                if let Some(held) = held::by(self.place) {
                    let text = format!("requests that did not finish in time are cut: {held}");
                    write("mpm_event", Level::Warn, &text);
                }
                self.stop();
                true
            }
            // What is stuck is left behind: its threads are joined by nobody, the process ends.
            Phase::Ending(_) => false,
        }
    }

    /// From now on the workers may end, and that ends this life.
    fn expect_the_end(&mut self) {
        let Some(runtime) = self.runtime.take() else {
            return;
        };
        let Ok((done, ended)) = io::pipe() else {
            return self.do_without(runtime);
        };
        self.done = Some(done.into());
        let waits = std::thread::Builder::new().name("end".into());
        // Without a thread its closing end says at once what would have been said later.
        let _ = waits.spawn(move || {
            runtime.wait();
            drop(ended);
            std::mem::forget(runtime);
        });
    }

    /// No descriptor is left to hear of the end by: time alone decides.
    fn do_without(&mut self, runtime: Runtime) {
        std::mem::forget(runtime);
        if matches!(self.phase, Phase::Draining(None)) {
            self.phase = Phase::Draining(Some(Instant::now() + ORPHANED));
        }
    }
}

/// Whether the other end of a pipe is closed.
fn has_ended(pipe: &OwnedFd) -> bool {
    let mut wait = [PollFd::new(pipe, PollFlags::IN)];
    let now = Timespec::default();
    poll(&mut wait, Some(&now)).is_ok_and(|n| n > 0)
}
