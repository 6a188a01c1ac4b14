//! Where no pthread mutex outlives its holder (macOS, and NetBSD as far as libc shows it): nobody can have one.

use parkade::AcceptLock;
use std::io;

pub(super) enum Mutex {}

impl Mutex {
    pub(super) fn new() -> io::Result<Self> {
        Err(super::absent("flock, fcntl"))
    }
}

impl AcceptLock for Mutex {
    fn try_lock(&self) -> bool {
        match *self {}
    }

    fn unlock(&self) {
        match *self {}
    }
}
