//! Opening a path within bounds that the kernel keeps.

#[cfg_attr(all(target_os = "linux", not(as_bsd)), path = "openat2.rs")]
#[cfg_attr(not(all(target_os = "linux", not(as_bsd))), path = "none.rs")]
mod kind;

pub(crate) use kind::open;

/// What bounds a path (openat2(2)).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct How {
    /// It never leads out, in between either.
    pub(crate) beneath: bool,
    /// It meets no symbolic link.
    pub(crate) no_links: bool,
    /// It meets none of the links of /proc that are none.
    pub(crate) no_magic: bool,
    /// It is in memory: EAGAIN otherwise.
    pub(crate) cached: bool,
}
