//! flock(2): the lock belongs to an open file, so each child opens the LockFile itself.
//!
//! Workers of one child share that open file and would all get the lock, so a flag decides among them.

use super::Complaint;
use super::file::LockFile;
use parkade::AcceptLock;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

pub(super) struct Flock {
    file: File,
    /// A worker of this process has it, or tries. The acquire of who sets it pairs with the release of who had it.
    taken: AtomicBool,
    complaint: Complaint,
}

impl Flock {
    pub(super) fn open(file: &LockFile) -> io::Result<Self> {
        Ok(Self {
            file: file.reopen()?,
            taken: AtomicBool::new(false),
            complaint: Complaint::new(),
        })
    }
}

impl AcceptLock for Flock {
    fn try_lock(&self) -> bool {
        if self.taken.swap(true, Ordering::Acquire) {
            return false;
        }
        let locked = flock(&self.file, FlockOperation::NonBlockingLockExclusive);
        if let Err(e) = locked {
            self.taken.store(false, Ordering::Release);
            if e != Errno::WOULDBLOCK && e != Errno::INTR {
                self.complaint.say("flock", &e.into());
            }
        }
        locked.is_ok()
    }

    fn unlock(&self) {
        let _ = flock(&self.file, FlockOperation::NonBlockingUnlock);
        self.taken.store(false, Ordering::Release);
    }
}
