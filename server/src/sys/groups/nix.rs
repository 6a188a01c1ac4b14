//! The groups of an account, by initgroups(3).

use nix::unistd::Gid;
use std::ffi::CStr;

/// From now on this process has the account's supplementary groups, and `group`.
pub(crate) fn take_on(name: &CStr, group: Gid) -> nix::Result<()> {
    nix::unistd::initgroups(name, group)
}
