//! A pollset that reports what the test says, in the order it says it, and never sleeps.
#![allow(clippy::unwrap_used, clippy::panic, reason = "for tests only")]

use super::{BATCH, Event, Interest, Pollset, WAKE};
use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[derive(Default)]
struct Script {
    events: VecDeque<Event>,
    registered: HashMap<RawFd, (u64, Interest)>,
    /// Calls of add, modify and delete.
    controls: usize,
    /// How long the last wait would have slept.
    asked: Option<Duration>,
}

/// A handle on the script; the pollset itself is a clone of it.
#[derive(Clone, Default)]
pub(crate) struct Mock(Arc<Mutex<Script>>);

impl Mock {
    /// The next wait reports these.
    pub(crate) fn push(&self, events: impl IntoIterator<Item = Event>) {
        self.0.lock().unwrap().events.extend(events);
    }

    /// Tokens that are registered now.
    pub(crate) fn tokens(&self) -> Vec<u64> {
        let mut all: Vec<u64> = self
            .0
            .lock()
            .unwrap()
            .registered
            .values()
            .map(|r| r.0)
            .collect();
        all.sort_unstable();
        all
    }

    pub(crate) fn controls(&self) -> usize {
        self.0.lock().unwrap().controls
    }
}

impl Mock {
    /// The next wait would not sleep.
    pub(crate) fn waiting(&self) -> bool {
        !self.0.lock().unwrap().events.is_empty()
    }

    /// How long the last wait would have slept; `None` is for ever.
    pub(crate) fn asked(&self) -> Option<Duration> {
        self.0.lock().unwrap().asked
    }
}

impl Pollset for Mock {
    fn add(&self, fd: BorrowedFd<'_>, token: u64, interest: Interest) -> io::Result<()> {
        let mut script = self.0.lock().unwrap();
        script.controls += 1;
        script.registered.insert(fd.as_raw_fd(), (token, interest));
        Ok(())
    }

    fn modify(&self, fd: BorrowedFd<'_>, token: u64, interest: Interest) -> io::Result<()> {
        self.add(fd, token, interest)
    }

    fn delete(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        let mut script = self.0.lock().unwrap();
        script.controls += 1;
        script.registered.remove(&fd.as_raw_fd());
        Ok(())
    }

    fn wait(&self, events: &mut Vec<Event>, timeout: Option<Duration>) -> io::Result<()> {
        let mut script = self.0.lock().unwrap();
        script.asked = timeout;
        let n = script.events.len().min(BATCH);
        events.clear();
        events.extend(script.events.drain(..n));
        Ok(())
    }

    fn take(&self) -> io::Result<Option<Event>> {
        Ok(self.0.lock().unwrap().events.pop_front())
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn wake(&self) {
        self.push([Event {
            token: WAKE,
            edges: super::IN,
        }]);
    }
}
