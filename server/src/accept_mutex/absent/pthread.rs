//! Where no pthread mutex outlives its holder (macOS, and NetBSD as far as libc shows it): nobody can have one.

use parkade::AcceptLock;
use std::convert::Infallible;
use std::io;

/// There is none.
pub(super) struct Mutex(Infallible);

impl Mutex {
    pub(super) fn new() -> io::Result<Self> {
        Err(super::absent("flock, fcntl"))
    }
}

impl AcceptLock for Mutex {
    fn try_lock(&self) -> bool {
        match self.0 {}
    }

    fn unlock(&self) {
        match self.0 {}
    }
}
