//! A queue that keeps to the rules of kqueue's manual, over real descriptors of Linux.
//!
//! * A registration (a note) is known by descriptor and filter. `EV_ADD` of one that is there changes it and looks at its
//!   condition anew; other changes of one that is not there fail with ENOENT.
//! * A note whose condition comes to hold, or that something happens to while it holds, becomes active and goes to the end
//!   of the line. When it is taken out, its condition is looked at once more: what no longer holds is not reported.
//! * After its report a note without a flag stays active and goes to the end of the line; with `EV_CLEAR` it waits for
//!   something to happen, with `EV_DISPATCH` it is disabled, with `EV_ONESHOT` it is gone.
//! * A failed change, and each one with `EV_RECEIPT`, is an entry of the list if there is room, else the call's error. With
//!   such an entry in the list the call reports no events.
//! * close(2) ends a note.
//!
//! What a condition is, `probe` says. Linux tells nobody that something *happens* to a note whose condition holds, so
//! while there is such a note, a wait looks every millisecond.

pub(super) mod probe;

use super::Sys;
use super::event::{ADD, CLEAR, Change, DELETE, EOF, ERROR, Filter, Happened, RECEIPT};
use probe::{File, Seen};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;
use std::collections::{BTreeMap, VecDeque};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

/// Reports once, then is gone.
pub(super) const ONESHOT: u16 = 0x0010;
/// Reports once, then is disabled.
pub(super) const DISPATCH: u16 = 0x0080;
/// Ends what `DISPATCH` did.
pub(super) const ENABLE: u16 = 0x0004;

/// How often what poll(2) cannot wait for is looked at.
const GLANCE: Duration = Duration::from_millis(1);

type Key = (RawFd, Filter);

struct Note {
    token: u64,
    flags: u16,
    file: Option<File>,
    disabled: bool,
    active: bool,
    triggered: bool,
    /// What was there at the last look.
    seen: Seen,
}

#[derive(Default)]
struct Notes {
    all: BTreeMap<Key, Note>,
    /// Active notes, the next one first.
    line: VecDeque<Key>,
}

/// The queue.
pub(crate) struct Model {
    notes: Arc<Mutex<Notes>>,
    user_events: bool,
    /// Readable when a waiting thread has to look at the notes anew; also what another queue knows this one by.
    changed: OwnedFd,
}

/// Queues by descriptor, for those that are in other queues.
static QUEUES: Mutex<Vec<(RawFd, Weak<Mutex<Notes>>)>> = Mutex::new(Vec::new());

impl Model {
    pub(crate) fn new(user_events: bool) -> std::io::Result<Self> {
        let changed = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let notes = Arc::new(Mutex::default());
        let mut queues = QUEUES.lock().unwrap_or_else(PoisonError::into_inner);
        queues.retain(|(fd, notes)| *fd != changed.as_raw_fd() && notes.strong_count() > 0);
        queues.push((changed.as_raw_fd(), Arc::downgrade(&notes)));
        drop(queues);
        Ok(Self {
            notes,
            user_events,
            changed,
        })
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the changes; whether there was an entry for one of them.
    fn change(
        &self,
        changes: &[Change],
        room: &mut usize,
        each: &mut dyn FnMut(Happened),
    ) -> Result<bool, Errno> {
        let mut told = false;
        for change in changes {
            let failed = self.notes().change(change, self.user_events).err();
            if failed.is_none() && change.flags & RECEIPT == 0 {
                continue;
            }
            if *room == 0 {
                match failed {
                    Some(e) => return Err(e),
                    None => continue,
                }
            }
            *room -= 1;
            told = true;
            each(Happened {
                filter: change.filter,
                flags: ERROR,
                token: change.token,
                data: i64::from(failed.map_or(0, Errno::raw_os_error)),
            });
        }
        Ok(told)
    }

    /// Sleeps until a note may have become active.
    fn sleep(&self, sleepers: &[(RawFd, PollFlags)], glance: bool, left: Option<Duration>) {
        let left = match left {
            Some(left) if glance => Some(left.min(GLANCE)),
            None if glance => Some(GLANCE),
            left => left,
        };
        let timeout = left.map(|t| Timespec {
            tv_sec: t.as_secs() as i64,
            tv_nsec: i64::from(t.subsec_nanos()),
        });
        let mut polled = vec![PollFd::new(&self.changed, PollFlags::IN)];
        polled.extend(sleepers.iter().map(|&(fd, flags)| {
            // SAFETY: poll(2) does nothing to a descriptor. One that was closed meanwhile is reported as such.
            let fd = unsafe { BorrowedFd::borrow_raw(fd) };
            PollFd::from_borrowed_fd(fd, flags)
        }));
        let _ = poll(&mut polled, timeout.as_ref());
        let _ = rustix::io::read(&self.changed, &mut [0; 8]);
    }
}

impl Sys for Model {
    fn user_events(&self) -> bool {
        self.user_events
    }

    fn kevent(
        &self,
        changes: &[Change],
        mut room: usize,
        timeout: Option<Duration>,
        each: &mut dyn FnMut(Happened),
    ) -> Result<(), Errno> {
        let told = self.change(changes, &mut room, each)?;
        if !changes.is_empty() {
            let _ = rustix::io::write(&self.changed, &1u64.to_ne_bytes());
        }
        if told || room == 0 {
            return Ok(());
        }
        let end = timeout.map(|t| Instant::now() + t);
        loop {
            let mut notes = self.notes();
            notes.look();
            let happened = notes.take(room);
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            if !happened.is_empty() || left.is_some_and(|left| left.is_zero()) {
                drop(notes);
                happened.into_iter().for_each(each);
                return Ok(());
            }
            let (sleepers, glance) = notes.sleepers();
            drop(notes);
            self.sleep(&sleepers, glance, left);
        }
    }

    fn descriptor(&self) -> BorrowedFd<'_> {
        self.changed.as_fd()
    }
}

impl Notes {
    fn change(&mut self, change: &Change, user_events: bool) -> Result<(), Errno> {
        let key = (change.ident, change.filter);
        let file = match change.filter {
            Filter::User if !user_events => return Err(Errno::INVAL),
            Filter::User => None,
            // A descriptor that is closed has no notes.
            Filter::Read | Filter::Write => Some(File::of(change.ident)?),
        };
        if self.all.get(&key).is_some_and(|note| note.file != file) {
            self.remove(key);
        }
        if change.flags & DELETE != 0 {
            return if self.remove(key) {
                Ok(())
            } else {
                Err(Errno::NOENT)
            };
        }
        if change.flags & ADD != 0 {
            self.all.entry(key).or_insert_with(|| Note {
                token: 0,
                // Those of a note that is there stay.
                flags: change.flags & (CLEAR | ONESHOT | DISPATCH),
                file,
                disabled: false,
                active: false,
                triggered: false,
                seen: Seen::default(),
            });
        }
        let note = self.all.get_mut(&key).ok_or(Errno::NOENT)?;
        note.token = change.token;
        note.triggered |= change.trigger;
        if change.flags & (ADD | ENABLE) != 0 {
            note.disabled = false;
        }
        note.seen = probe::look(key, note.triggered);
        if note.seen.holds {
            self.activate(key);
        }
        Ok(())
    }

    fn remove(&mut self, key: Key) -> bool {
        self.line.retain(|k| *k != key);
        self.all.remove(&key).is_some()
    }

    fn activate(&mut self, key: Key) {
        if let Some(note) = self.all.get_mut(&key)
            && !std::mem::replace(&mut note.active, true)
        {
            self.line.push_back(key);
        }
    }

    /// Finds out what has happened since the last look, in the order of descriptors.
    fn look(&mut self) {
        let closed = |(key, note): (&Key, &Note)| {
            let closed = note.file.is_some() && File::of(key.0).ok() != note.file;
            closed.then_some(*key)
        };
        for key in self.all.iter().filter_map(closed).collect::<Vec<_>>() {
            self.remove(key);
        }
        let mut happened = Vec::new();
        for (key, note) in &mut self.all {
            let now = probe::look(*key, note.triggered);
            if now.is_news_after(&note.seen) {
                happened.push(*key);
            }
            note.seen = now;
        }
        for key in happened {
            self.activate(key);
        }
    }

    /// Takes out what is active, each note once.
    fn take(&mut self, room: usize) -> Vec<Happened> {
        let mut taken = Vec::new();
        for _ in 0..self.line.len() {
            if taken.len() == room {
                break;
            }
            let Some(key) = self.line.pop_front() else {
                break;
            };
            let Some(note) = self.all.get_mut(&key) else {
                continue;
            };
            if note.disabled {
                // It stays active, and in line for the day it is enabled.
                self.line.push_back(key);
                continue;
            }
            note.active = false;
            note.seen = probe::look(key, note.triggered);
            if !note.seen.holds {
                continue;
            }
            taken.push(Happened {
                filter: key.1,
                flags: if note.seen.ended { EOF } else { 0 },
                token: note.token,
                data: note.seen.amount,
            });
            if note.flags & ONESHOT != 0 {
                self.all.remove(&key);
            } else if note.flags & (CLEAR | DISPATCH) != 0 {
                note.disabled = note.flags & DISPATCH != 0;
                if note.flags & CLEAR != 0 {
                    note.triggered = false;
                }
            } else {
                self.activate(key);
            }
        }
        taken
    }

    /// What poll(2) can wait for, and whether there is something that it cannot.
    fn sleepers(&self) -> (Vec<(RawFd, PollFlags)>, bool) {
        let mut sleepers = Vec::new();
        let mut glance = false;
        for (&(fd, filter), note) in &self.all {
            match filter {
                Filter::User => {}
                _ if note.disabled => {}
                _ if note.seen.holds || queue(fd).is_some() => glance = true,
                Filter::Read => sleepers.push((fd, PollFlags::IN | PollFlags::RDHUP)),
                Filter::Write => sleepers.push((fd, PollFlags::OUT)),
            }
        }
        (sleepers, glance)
    }
}

/// The queue that a descriptor stands for.
fn queue(fd: RawFd) -> Option<Arc<Mutex<Notes>>> {
    let queues = QUEUES.lock().unwrap_or_else(PoisonError::into_inner);
    let found = queues.iter().find(|(queue, _)| *queue == fd)?;
    found.1.upgrade()
}

/// How many events wait in the queue that a descriptor stands for.
fn waiting_in(fd: RawFd) -> Option<usize> {
    let queue = queue(fd)?;
    // Queues may be in each other. Whose lock is taken is being looked at: it is asked again.
    let Ok(mut notes) = queue.try_lock() else {
        return Some(0);
    };
    notes.look();
    let notes = &*notes;
    let waits = |key: &&Key| {
        notes
            .all
            .get(key)
            .is_some_and(|n| !n.disabled && n.seen.holds)
    };
    Some(notes.line.iter().filter(waits).count())
}

#[cfg(test)]
mod tests;
