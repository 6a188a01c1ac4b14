//! Finds home workers that are stuck in one turn, and sends help.
//!
//! A duty of one idle reserve at a time, which looks at every harvest word once a tick: a worker that is found busy
//! with the same turn twice is stuck. One helper serves all of them; when that one gets stuck as well, the monitor
//! hands its duty on and goes itself. While all workers wait for events the monitor sleeps, and a worker that leaves its
//! wait then wakes it.

use super::Home;
use crate::executor::inbox::Message;
use crate::park::harvest::Look;
use std::sync::Arc;
use std::time::Duration;

/// Between two looks. One costs about 15 us of processor time (sleep, wake-up and caches, not the look).
const TICK: Duration = Duration::from_millis(4);
/// The same when help was needed lately, or a worker was just found busy.
const FAST: Duration = Duration::from_millis(1);
/// For how long help counts as lately needed.
const LATELY: Duration = Duration::from_secs(1);
/// Looks that find nobody active before the monitor sleeps.
const QUIET: u32 = 4;
/// Fast looks at busy workers that all get on: then this is what they look like, until one is found waiting.
const PATIENCE: u32 = 4;

/// What the monitor remembers; it stays when the duty changes hands.
#[derive(Default)]
pub(crate) struct Watch {
    homes: Vec<Seen>,
    /// Who helps, and how it was seen last.
    helper: Option<(u16, Look)>,
    /// Nanoseconds; `None`: the monitor was asleep.
    next: Option<u64>,
    fast_until: u64,
    quiet: u32,
    patience: u32,
}

#[derive(Clone, Copy, Default)]
struct Seen {
    look: Look,
    /// The turn in which it is being helped.
    helped: Option<u64>,
}

/// A home that is stuck in a turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stuck {
    pub(crate) home: u16,
    pub(crate) turn: u64,
}

/// What the monitor does next.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Plan {
    /// Sleep so long, or until a worker wakes it.
    Sleep(Option<Duration>),
    /// Hand the duty on and help.
    Help(Vec<Stuck>),
}

impl Watch {
    /// One look at `now`, in nanoseconds, by the worker with the number `me`.
    pub(crate) fn look(
        &mut self,
        homes: &[Arc<Home>],
        helpers: impl Fn(u16) -> Option<Arc<Home>>,
        me: u16,
        now: u64,
    ) -> Plan {
        if let Some(left) = self.next.and_then(|next| next.checked_sub(now))
            && left > 0
        {
            return Plan::Sleep(Some(Duration::from_nanos(left)));
        }
        let (stuck, busy, active) = self.look_at(homes);
        let needed = self.send_help(stuck, helpers, me, now);
        self.quiet = if active { 0 } else { self.quiet + 1 };
        if self.quiet >= QUIET && needed.is_empty() {
            // Not `all`: whoever is left out would not wake the monitor, but then it does not sleep.
            let waiting = homes
                .iter()
                .filter(|h| h.harvest.arm() || h.ended.has_ended());
            if waiting.count() == homes.len() {
                self.next = None;
                return Plan::Sleep(None);
            }
            self.quiet = 0;
        }
        let hasty = busy && self.patience < PATIENCE;
        self.patience = if busy {
            self.patience + u32::from(hasty)
        } else {
            0
        };
        let tick = if hasty || now < self.fast_until {
            FAST
        } else {
            TICK
        };
        self.next = Some(now + tick.as_nanos() as u64);
        if needed.is_empty() {
            Plan::Sleep(Some(tick))
        } else {
            Plan::Help(needed)
        }
    }

    /// Who is stuck, whether anybody is busy, and whether anybody is or has been since the last look.
    fn look_at(&mut self, homes: &[Arc<Home>]) -> (Vec<Stuck>, bool, bool) {
        self.homes.resize(homes.len(), Seen::default());
        let (mut stuck, mut busy, mut active) = (Vec::new(), false, false);
        for (home, seen) in homes.iter().zip(&mut self.homes) {
            let look = home.harvest.look();
            if home.ended.has_ended() {
                continue;
            }
            busy |= look.busy();
            active |= look.busy() || look.turn() != seen.look.turn();
            if self.next.is_some() && seen.look.stuck_until(look) {
                let (home, turn) = (home.id, look.turn());
                stuck.push(Stuck { home, turn });
            }
            seen.look = look;
        }
        (stuck, busy, active)
    }

    /// Sends the helper to whoever needs it. What is returned is left to the monitor itself.
    fn send_help(
        &mut self,
        mut stuck: Vec<Stuck>,
        helpers: impl Fn(u16) -> Option<Arc<Home>>,
        me: u16,
        now: u64,
    ) -> Vec<Stuck> {
        let mut helper = None;
        if let Some((id, seen)) = &mut self.helper
            && let Some(home) = helpers(*id)
        {
            let look = home.harvest.look();
            if *id == me || !std::mem::replace(seen, look).stuck_until(look) {
                helper = Some(home);
            }
        }
        if helper.is_some() {
            stuck.retain(|s| self.homes[s.home as usize].helped != Some(s.turn));
        }
        if stuck.is_empty() {
            return stuck;
        }
        self.patience = 0;
        self.fast_until = now + LATELY.as_nanos() as u64;
        for &Stuck { home, turn } in &stuck {
            self.homes[home as usize].helped = Some(turn);
        }
        match helper {
            Some(helper) if helper.id != me => {
                for Stuck { home, turn } in stuck.drain(..) {
                    helper.post(Message::Help { home, turn });
                }
            }
            _ => self.helper = Some((me, Look::default())),
        }
        stuck
    }

    /// Help that was to come does not.
    pub(crate) fn forget_help(&mut self) {
        self.helper = None;
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
