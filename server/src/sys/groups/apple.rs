//! The groups of an account, by macOS's initgroups(3), which nix leaves out: the kernel keeps the first sixteen.

use nix::errno::Errno;
use nix::unistd::Gid;
use std::ffi::CStr;

/// From now on this process has the account's supplementary groups, and `group`.
pub(crate) fn take_on(name: &CStr, group: Gid) -> nix::Result<()> {
    // SAFETY: a string that ends with a zero.
    Errno::result(unsafe { libc::initgroups(name.as_ptr(), group.as_raw() as libc::c_int) })
        .map(drop)
}
