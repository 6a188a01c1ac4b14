//! fcntl(2) with F_SETLK: the lock belongs to a process, so the descriptor that was inherited will do.
//!
//! Workers of one child are one process and would all get the lock, so a flag decides among them. Closing any descriptor
//! of the file would end the lock: this one stays open as long as the child lives.

use super::Complaint;
use super::file::LockFile;
use parkade::AcceptLock;
use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::io::Errno;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub(super) struct Fcntl {
    file: Arc<LockFile>,
    /// A worker of this process has it, or tries. The acquire of who sets it pairs with the release of who had it.
    taken: AtomicBool,
    complaint: Complaint,
}

impl Fcntl {
    pub(super) fn new(file: Arc<LockFile>) -> Self {
        Self {
            file,
            taken: AtomicBool::new(false),
            complaint: Complaint::new(),
        }
    }
}

impl AcceptLock for Fcntl {
    fn try_lock(&self) -> bool {
        if self.taken.swap(true, Ordering::Acquire) {
            return false;
        }
        let locked = fcntl_lock(&self.file.file, FlockOperation::NonBlockingLockExclusive);
        if let Err(e) = locked {
            self.taken.store(false, Ordering::Release);
            if e != Errno::AGAIN && e != Errno::ACCESS && e != Errno::INTR {
                self.complaint.say("fcntl", &e.into());
            }
        }
        locked.is_ok()
    }

    fn unlock(&self) {
        let _ = fcntl_lock(&self.file.file, FlockOperation::NonBlockingUnlock);
        self.taken.store(false, Ordering::Release);
    }
}
