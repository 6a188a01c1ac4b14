//! A System V semaphore (sysvipc(7)): the kernel undoes what a process that ends has done to it.

use super::trace::{self, Trace};
use super::{Complaint, Owner};
use crate::sys::semaphores;
use parkade::AcceptLock;
use std::io;
use std::path::PathBuf;

/// What tells a semaphore from every other one there has been.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Made {
    pub(super) id: libc::c_int,
    /// Seconds since the epoch.
    pub(super) changed: i64,
    /// The account that made it.
    pub(super) creator: u32,
}

/// What the kernel says of a semaphore that is private to its makers (`IPC_PRIVATE`); `None` if there is none.
pub(super) fn made(id: libc::c_int) -> Option<Made> {
    let set = stat(id).ok()?;
    (semaphores::key(&set.sem_perm) == libc::IPC_PRIVATE && set.sem_nsems == 1).then_some(Made {
        id,
        changed: set.sem_ctime,
        creator: set.sem_perm.cuid,
    })
}

fn stat(id: libc::c_int) -> io::Result<libc::semid_ds> {
    // SAFETY: zero bytes are a valid semid_ds.
    let mut set: libc::semid_ds = unsafe { std::mem::zeroed() };
    // SAFETY: IPC_STAT fills the one that it is given.
    match unsafe { libc::semctl(id, 0, libc::IPC_STAT, &raw mut set) } {
        0.. => Ok(set),
        _ => Err(io::Error::last_os_error()),
    }
}

pub(super) fn remove(id: libc::c_int) {
    // SAFETY: IPC_RMID takes no further argument.
    unsafe { libc::semctl(id, 0, libc::IPC_RMID) };
}

/// Of this process; dropping it removes the semaphore.
pub(super) struct Semaphore {
    id: libc::c_int,
    /// The supervisor.
    pid: u32,
    complaint: Complaint,
    trace: Option<Trace>,
}

impl Semaphore {
    /// `pid_file`, if there is one, says where the semaphore is noted.
    pub(super) fn new(owner: Option<Owner>, pid_file: Option<PathBuf>) -> io::Result<Self> {
        // SAFETY: semget touches no memory of ours.
        let id = unsafe { libc::semget(libc::IPC_PRIVATE, 1, libc::IPC_CREAT | 0o600) };
        if id < 0 {
            return Err(io::Error::last_os_error());
        }
        let mut made = Self {
            id,
            pid: std::process::id(),
            complaint: Complaint::new(),
            trace: None,
        };
        let value: libc::c_int = 1;
        // SAFETY: SETVAL takes an int (semctl(2)), and the set has a semaphore 0.
        if unsafe { libc::semctl(id, 0, semaphores::SETVAL, value) } < 0 {
            return Err(io::Error::last_os_error());
        }
        if let Some(owner) = owner {
            made.chown(owner)?;
        }
        made.trace = pid_file.and_then(|path| Trace::leave(trace::path(&path), id));
        Ok(made)
    }

    /// Lets the account that children run as use and remove it.
    fn chown(&self, owner: Owner) -> io::Result<()> {
        let mut set = stat(self.id)?;
        set.sem_perm.uid = owner.uid;
        set.sem_perm.gid = owner.gid;
        // SAFETY: IPC_SET reads owner and mode of the one that it is given.
        if unsafe { libc::semctl(self.id, 0, libc::IPC_SET, &raw mut set) } < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    fn add(&self, n: libc::c_short) -> io::Result<()> {
        let mut operation = libc::sembuf {
            sem_num: 0,
            sem_op: n,
            sem_flg: (libc::IPC_NOWAIT | semaphores::SEM_UNDO) as libc::c_short,
        };
        // SAFETY: one valid operation.
        match unsafe { libc::semop(self.id, &raw mut operation, 1) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Removes it if the supervisor, who would have, is dead.
    pub(super) fn leave(&self) {
        let parent = rustix::process::getppid().map(|p| p.as_raw_nonzero().get().unsigned_abs());
        if std::process::id() != self.pid && parent != Some(self.pid) {
            remove(self.id);
        }
    }
}

impl AcceptLock for Semaphore {
    fn try_lock(&self) -> bool {
        let Err(e) = self.add(-1) else { return true };
        match e.raw_os_error() {
            Some(libc::EAGAIN | libc::EINTR) => false,
            // Removed by a sibling that found the supervisor dead, or by hand: nobody takes turns any more.
            Some(libc::EIDRM | libc::EINVAL) => {
                self.complaint.say("the semaphore is gone", &e);
                true
            }
            _ => {
                self.complaint.say("semop", &e);
                false
            }
        }
    }

    fn unlock(&self) {
        let _ = self.add(1);
    }
}

impl Drop for Semaphore {
    fn drop(&mut self) {
        // A forked child inherits the value, not the semaphore and its file.
        if std::process::id() == self.pid {
            remove(self.id);
        } else {
            std::mem::forget(self.trace.take());
        }
    }
}
