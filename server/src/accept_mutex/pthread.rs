//! A process-shared, robust pthread mutex: if its holder dies, the next that tries gets it and makes it whole.

use super::Complaint;
use crate::shared::Shared;
use parkade::AcceptLock;
use std::io;

pub(super) struct Mutex {
    memory: Shared<libc::pthread_mutex_t>,
    complaint: Complaint,
}

/// pthread functions return their error.
fn checked(result: libc::c_int) -> io::Result<()> {
    match result {
        0 => Ok(()),
        e => Err(io::Error::from_raw_os_error(e)),
    }
}

impl Mutex {
    pub(super) fn new() -> io::Result<Self> {
        let memory = Shared::<libc::pthread_mutex_t>::new("parkade-accept-pthread")?;
        let mut attributes = std::mem::MaybeUninit::uninit();
        let attributes = attributes.as_mut_ptr();
        // SAFETY: the attributes are initialised before they are used and destroyed after; the mutex is ours alone yet, in
        // memory of its size and alignment.
        unsafe {
            checked(libc::pthread_mutexattr_init(attributes))?;
            let set = checked(libc::pthread_mutexattr_setpshared(
                attributes,
                libc::PTHREAD_PROCESS_SHARED,
            ))
            .and_then(|()| {
                checked(libc::pthread_mutexattr_setrobust(
                    attributes,
                    libc::PTHREAD_MUTEX_ROBUST,
                ))
            })
            .and_then(|()| checked(libc::pthread_mutex_init(memory.as_ptr(), attributes)));
            libc::pthread_mutexattr_destroy(attributes);
            set?;
        }
        Ok(Self {
            memory,
            complaint: Complaint::new(),
        })
    }
}

impl AcceptLock for Mutex {
    fn try_lock(&self) -> bool {
        let mutex = self.memory.as_ptr();
        // SAFETY: the mutex was initialised for use by any process, and lives as long as `self`.
        let tried = unsafe { libc::pthread_mutex_trylock(mutex) };
        match tried {
            0 => true,
            libc::EBUSY => false,
            libc::EOWNERDEAD => {
                // SAFETY: as above; we hold it, and there is nothing but the mutex to make whole.
                let whole = checked(unsafe { libc::pthread_mutex_consistent(mutex) });
                if let Err(e) = whole {
                    self.complaint.say("pthread_mutex_consistent", &e);
                }
                true
            }
            e => {
                let e = io::Error::from_raw_os_error(e);
                self.complaint.say("pthread_mutex_trylock", &e);
                false
            }
        }
    }

    fn unlock(&self) {
        // SAFETY: as above; this thread has locked it.
        unsafe { libc::pthread_mutex_unlock(self.memory.as_ptr()) };
    }
}
