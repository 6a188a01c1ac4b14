//! Lines that did not reach their log: counted for all processes together, told once, and once more when it is over.

use crate::shared::Shared;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// All zero at first. Each field for itself: nothing is published by another.
struct Counts {
    /// Lines since the last one that was written.
    lines: AtomicU64,
    /// The last line that was written is not whole.
    torn: AtomicBool,
}

/// What every process that writes to one log knows of its losses.
pub(super) struct Losses(Shared<Counts>);

impl std::fmt::Debug for Losses {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Losses({:?})", self.counts().lines)
    }
}

impl Losses {
    pub(super) fn new() -> io::Result<Self> {
        Shared::new("parkade-log").map(Self)
    }

    fn counts(&self) -> &Counts {
        // SAFETY: the mapping lives as long as `self`, zeros are valid, and everybody uses it through this reference only.
        unsafe { &*self.0.as_ptr() }
    }

    /// So many lines are lost; true for the first after one that was written.
    pub(super) fn lose(&self, lines: u64) -> bool {
        self.counts().lines.fetch_add(lines.max(1), Relaxed) == 0
    }

    /// Something was written: how many lines are missing before it. They are told of once.
    pub(super) fn recover(&self) -> Option<u64> {
        let lines = &self.counts().lines;
        if lines.load(Relaxed) == 0 {
            return None;
        }
        Some(lines.swap(0, Relaxed)).filter(|lost| *lost > 0)
    }

    /// A line was written in part.
    pub(super) fn tear(&self) {
        self.counts().torn.store(true, Relaxed);
    }

    /// Whether the last line has to be ended first; whoever asks does that.
    pub(super) fn take_torn(&self) -> bool {
        let torn = &self.counts().torn;
        torn.load(Relaxed) && torn.swap(false, Relaxed)
    }
}
