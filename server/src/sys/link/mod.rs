//! What a symbolic link says, and whose it is; never by a name that could mean something else by then.

#[cfg_attr(all(target_os = "linux", not(as_bsd)), path = "path.rs")]
#[cfg_attr(not(all(target_os = "linux", not(as_bsd))), path = "stat.rs")]
mod kind;

pub(crate) use kind::{STEP, read};

/// A symbolic link.
pub(crate) struct Link {
    pub(crate) owner: u32,
    pub(crate) target: std::ffi::CString,
}
