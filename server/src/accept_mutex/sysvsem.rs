//! A System V semaphore (sysvipc(7)): the kernel undoes what a process that ends has done to it.

use super::{Complaint, Owner};
use parkade::AcceptLock;
use std::io;

/// Of this process; dropping it removes the semaphore.
pub(super) struct Semaphore {
    id: libc::c_int,
    /// The supervisor.
    pid: u32,
    complaint: Complaint,
}

impl Semaphore {
    pub(super) fn new(owner: Option<Owner>) -> io::Result<Self> {
        // SAFETY: semget touches no memory of ours.
        let id = unsafe { libc::semget(libc::IPC_PRIVATE, 1, libc::IPC_CREAT | 0o600) };
        if id < 0 {
            return Err(io::Error::last_os_error());
        }
        let made = Self {
            id,
            pid: std::process::id(),
            complaint: Complaint::new(),
        };
        let value: libc::c_int = 1;
        // SAFETY: SETVAL takes an int (semctl(2)), and the set has a semaphore 0.
        if unsafe { libc::semctl(id, 0, libc::SETVAL, value) } < 0 {
            return Err(io::Error::last_os_error());
        }
        if let Some(owner) = owner {
            made.chown(owner)?;
        }
        Ok(made)
    }

    /// Lets the account that children run as use and remove it.
    fn chown(&self, owner: Owner) -> io::Result<()> {
        // SAFETY: zero bytes are a valid semid_ds; IPC_STAT fills it and IPC_SET reads its owner and mode.
        unsafe {
            let mut set: libc::semid_ds = std::mem::zeroed();
            if libc::semctl(self.id, 0, libc::IPC_STAT, &raw mut set) < 0 {
                return Err(io::Error::last_os_error());
            }
            set.sem_perm.uid = owner.uid;
            set.sem_perm.gid = owner.gid;
            if libc::semctl(self.id, 0, libc::IPC_SET, &raw mut set) < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(())
    }

    fn add(&self, n: libc::c_short) -> io::Result<()> {
        let mut operation = libc::sembuf {
            sem_num: 0,
            sem_op: n,
            sem_flg: (libc::IPC_NOWAIT | libc::SEM_UNDO) as libc::c_short,
        };
        // SAFETY: one valid operation.
        match unsafe { libc::semop(self.id, &raw mut operation, 1) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    fn remove(&self) {
        // SAFETY: IPC_RMID takes no further argument.
        unsafe { libc::semctl(self.id, 0, libc::IPC_RMID) };
    }

    /// Removes it if the supervisor, who would have, is dead.
    pub(super) fn leave(&self) {
        let parent = rustix::process::getppid().map(|p| p.as_raw_nonzero().get().unsigned_abs());
        if std::process::id() != self.pid && parent != Some(self.pid) {
            self.remove();
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
        // A forked child inherits the value, not the semaphore.
        if std::process::id() == self.pid {
            self.remove();
        }
    }
}
