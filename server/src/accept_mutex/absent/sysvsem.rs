//! Where libc does not show System V semaphores (NetBSD): nobody can have one.

use super::Owner;
use parkade::AcceptLock;
use std::convert::Infallible;
use std::io;
use std::path::PathBuf;

/// What tells a semaphore from every other one there has been.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Made {
    pub(super) id: libc::c_int,
    pub(super) changed: i64,
    pub(super) creator: u32,
}

pub(super) fn made(_id: libc::c_int) -> Option<Made> {
    None
}

pub(super) fn remove(_id: libc::c_int) {}

/// There is none.
pub(super) struct Semaphore(Infallible);

impl Semaphore {
    pub(super) fn new(_owner: Option<Owner>, _pid_file: Option<PathBuf>) -> io::Result<Self> {
        Err(super::absent("flock, fcntl, posixsem"))
    }

    pub(super) fn leave(&self) {
        match self.0 {}
    }
}

impl AcceptLock for Semaphore {
    fn try_lock(&self) -> bool {
        match self.0 {}
    }

    fn unlock(&self) {
        match self.0 {}
    }
}
