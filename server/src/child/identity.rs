//! Who a child is, and what it may use.

use crate::log::{Level, write};
use crate::settings::Identity;
use crate::sys::groups;
use nix::unistd::{Uid, setgid, setuid};
use std::ffi::CString;
use std::io;

/// Group, supplementary groups, user, in this order; verified, because a server that believes it is harmless is not.
pub(super) fn drop_privileges(identity: &Identity) -> io::Result<()> {
    let failed = |what: &str, e: nix::Error| {
        io::Error::new(io::Error::from(e).kind(), format!("{what}: {e}"))
    };
    let name = CString::new(identity.user.name.as_str())?;
    setgid(identity.gid).map_err(|e| failed("setgid", e))?;
    groups::take_on(&name, identity.gid).map_err(|e| failed("initgroups", e))?;
    setuid(identity.user.uid).map_err(|e| failed("setuid", e))?;
    if setuid(Uid::from_raw(0)).is_ok() || Uid::effective().is_root() {
        return Err(io::Error::other(
            "privileges could be regained after setuid",
        ));
    }
    Ok(())
}

/// As many open files as the hard limit lets us.
pub(super) fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let now = getrlimit(Resource::Nofile);
    if setrlimit(
        Resource::Nofile,
        Rlimit {
            current: now.maximum,
            maximum: now.maximum,
        },
    )
    .is_err()
    {
        write(
            "core",
            Level::Warn,
            "the limit of open files could not be raised",
        );
    }
}
