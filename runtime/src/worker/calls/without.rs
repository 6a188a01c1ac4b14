//! Where there is no ring: nobody can have one of these.

use super::{Accepted, Claimed};
use std::io;
use std::os::fd::BorrowedFd;

pub(crate) enum Batched {}

#[allow(clippy::unused_self, reason = "there is no such value")]
impl Batched {
    pub(crate) const TOGETHER: usize = 1;

    pub(super) fn new() -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn receive<'a>(&self, _count: usize, _socket: impl Fn(usize) -> BorrowedFd<'a>) {
        match *self {}
    }

    pub(crate) fn begin(&self, _claimed: Claimed, _at: usize) {
        match *self {}
    }

    pub(crate) fn begun(&self) {
        match *self {}
    }

    pub(crate) fn ahead(
        &self,
        _claimed: Claimed,
        _buf: &mut [u8],
    ) -> Option<(io::Result<usize>, usize)> {
        match *self {}
    }

    pub(crate) fn forget(&self, _claimed: Claimed) {
        match *self {}
    }

    pub(super) fn accept(
        &self,
        _listener: BorrowedFd<'_>,
        _most: usize,
        _results: &mut Vec<Accepted>,
    ) -> bool {
        match *self {}
    }

    pub(super) fn recv(&self, _fd: BorrowedFd<'_>, _buf: &mut [u8]) -> io::Result<usize> {
        match *self {}
    }

    pub(super) fn send(&self, _fd: BorrowedFd<'_>, _bytes: &[u8]) -> io::Result<usize> {
        match *self {}
    }

    pub(crate) fn send_all<'a>(
        &self,
        _count: usize,
        _answer: impl Fn(usize) -> (BorrowedFd<'a>, &'a [u8]),
        _results: &mut Vec<io::Result<usize>>,
    ) {
        match *self {}
    }
}
