//! A POSIX semaphore of one token in shared memory (sem_overview(7)), and how a token is replaced that died with its holder.
//!
//! The kernel knows nothing of who holds a semaphore. So a worker says in its child's record that it claims, before it
//! tries, and that it has done, after it failed or gave the token back ([`Claims`]). The supervisor, having reaped a
//! child, puts a token back if none is there and nobody alive claims or holds one. That is decided between two looks at
//! all records that show the same: whoever holds a token or may get one at the moment of the count has begun a claim
//! and not ended it, and that either shows in the first look or makes the second differ. Claims and the semaphore are
//! kept in order by fences: a claim that the second look did not see has not tried before the count was read.

use super::Complaint;
use crate::scoreboard::{Board, Claims};
use crate::shared::Shared;
use parkade::AcceptLock;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

pub(super) struct Semaphore(Shared<libc::sem_t>);

impl Semaphore {
    pub(super) fn new() -> io::Result<Self> {
        let memory = Shared::<libc::sem_t>::new("parkade-accept-posixsem")?;
        // SAFETY: the memory is ours alone yet, of the size and alignment of a semaphore.
        match unsafe { libc::sem_init(memory.as_ptr(), 1, 1) } {
            0 => Ok(Self(memory)),
            _ => Err(io::Error::last_os_error()),
        }
    }

    fn try_take(&self) -> io::Result<()> {
        // SAFETY: the semaphore was initialised for use by any process, and lives as long as `self`.
        match unsafe { libc::sem_trywait(self.0.as_ptr()) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    fn put(&self) {
        // SAFETY: as above.
        unsafe { libc::sem_post(self.0.as_ptr()) };
    }

    fn count(&self) -> i32 {
        let mut count = 1;
        // SAFETY: as above.
        unsafe { libc::sem_getvalue(self.0.as_ptr(), &raw mut count) };
        count
    }

    /// Puts a token back if it is missing. Whether that cannot be told yet.
    pub(super) fn recover<'a>(
        &self,
        living: impl Iterator<Item = (&'a Board, usize)> + Clone,
    ) -> bool {
        let look = || {
            let claims = living.clone().filter_map(|(board, at)| board.child(at));
            claims.map(|child| child.claims.look()).collect::<Vec<_>>()
        };
        if self.count() > 0 {
            return false;
        }
        let first = look();
        if first.iter().any(|claims| claims.any()) {
            return true;
        }
        fence(Ordering::SeqCst);
        let missing = self.count() <= 0;
        fence(Ordering::SeqCst);
        if look() != first {
            return true;
        }
        if missing {
            self.put();
        }
        false
    }
}

/// A child's part.
pub(super) struct Turns {
    semaphore: Arc<Semaphore>,
    board: Arc<Board>,
    record: usize,
    complaint: Complaint,
}

impl Turns {
    pub(super) fn new(semaphore: Arc<Semaphore>, board: Arc<Board>, record: usize) -> Self {
        Self {
            semaphore,
            board,
            record,
            complaint: Complaint::new(),
        }
    }

    fn claims(&self) -> Option<&Claims> {
        self.board.child(self.record).map(|child| &child.claims)
    }
}

impl AcceptLock for Turns {
    fn try_lock(&self) -> bool {
        let Some(claims) = self.claims() else {
            return false;
        };
        claims.begin();
        let Err(e) = self.semaphore.try_take() else {
            return true;
        };
        claims.end();
        if !matches!(e.raw_os_error(), Some(libc::EAGAIN | libc::EINTR)) {
            self.complaint.say("sem_trywait", &e);
        }
        false
    }

    fn unlock(&self) {
        self.semaphore.put();
        if let Some(claims) = self.claims() {
            claims.end();
        }
    }
}
