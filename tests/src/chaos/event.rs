//! What may happen to the server.

use fastrand::Rng;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    /// USR1.
    Graceful,
    /// Three times USR1, close upon each other.
    Storm,
    /// HUP: requests in progress are cut.
    Restart,
    /// Another configuration, then USR1.
    GoodEdit,
    /// A configuration with an error, then USR1 or HUP.
    BadEdit,
    /// SIGKILL to a child.
    KillChild,
    /// TERM to a child: it drains and is replaced.
    EndChild,
    /// STOP, and after a while CONT, to a child.
    PauseChild,
    /// The same to the supervisor.
    PauseSupervisor,
    /// SIGKILL to the supervisor, then a new start.
    KillSupervisor,
    /// A child can open hardly any more descriptors for a while.
    Descriptors,
    /// A child can map hardly any more memory for a while.
    Memory,
    /// The disk with the logs is full for a while.
    FullDisk,
    /// The wall clock steps back an hour, and later forward again.
    Clock,
    /// USR2: the same program anew takes over.
    Upgrade,
}

use Event::*;

/// How often each happens, in parts of the sum.
const WEIGHTS: [(Event, u32); 15] = [
    (Graceful, 20),
    (Storm, 4),
    (Restart, 5),
    (GoodEdit, 12),
    (BadEdit, 10),
    (KillChild, 20),
    (EndChild, 12),
    (PauseChild, 14),
    (PauseSupervisor, 6),
    (KillSupervisor, 1),
    (Descriptors, 5),
    (Memory, 2),
    (FullDisk, 5),
    (Clock, 4),
    (Upgrade, 6),
];

impl Event {
    pub(super) fn choose(rng: &mut Rng) -> Event {
        let mut left = rng.u32(..WEIGHTS.iter().map(|(_, w)| w).sum::<u32>());
        for (event, weight) in WEIGHTS {
            if left < weight {
                return event;
            }
            left -= weight;
        }
        Graceful
    }
}
