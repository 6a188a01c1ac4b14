//! Telling children to finish, and to whom their connections go.

use super::children::{Child, Children, Phase};
use crate::control::{self, Order};
use crate::log::{Level, write};
use nix::unistd::Pid;
use std::time::Duration;

/// A child gives its connections to at most so many others.
const TAKERS: usize = 8;

/// Tells the children named to finish within `grace`; their parked connections go to serving ones of `generation`.
pub(super) fn drain(
    children: &mut Children,
    leaving: &[Pid],
    generation: u32,
    grace: Option<Duration>,
) {
    let takes = |c: &&Child| {
        c.generation == generation && c.phase == Phase::Serving && !leaving.contains(&c.pid)
    };
    let takers: Vec<Pid> = children.iter().filter(takes).map(|c| c.pid).collect();
    for (n, from) in leaving.iter().enumerate() {
        // Each begins with another one, so that few takers are not all the same.
        for k in 0..takers.len().min(TAKERS) {
            let to = takers[(n + k) % takers.len()];
            introduce(children, *from, to);
        }
        if let Some(child) = children.iter_mut().find(|c| c.pid == *from) {
            child.drain(grace);
        }
    }
}

/// Children that serve since a moment ago take connections of all that are ending: those to whom these were introduced
/// before may end first. Says how many they are.
pub(super) fn introduce_newcomers(children: &mut Children, generation: u32) -> usize {
    let mut newcomers = Vec::new();
    for child in children.iter_mut() {
        let serves = child.generation == generation && child.phase == Phase::Serving;
        if serves && !std::mem::replace(&mut child.introduced, true) {
            newcomers.push(child.pid);
        }
    }
    let ends = |c: &&Child| matches!(c.phase, Phase::Draining(_)) && !c.silent;
    let ending: Vec<Pid> = children.iter().filter(ends).map(|c| c.pid).collect();
    for from in ending {
        for to in newcomers.iter().take(TAKERS) {
            introduce(children, from, *to);
        }
    }
    newcomers.len()
}

/// Makes a channel between two children.
fn introduce(children: &Children, from: Pid, to: Pid) {
    let ends = match control::channel() {
        Ok(ends) => ends,
        Err(e) => {
            let text = format!("child {from} cannot give its connections to {to}: {e}");
            return write("mpm_event", Level::Warn, &text);
        }
    };
    let find = |pid| children.iter().find(|c| c.pid == pid);
    if let (Some(from), Some(to)) = (find(from), find(to)) {
        to.tell(&Order::Take(ends.1));
        from.tell(&Order::Give(ends.0));
    }
}
