//! The border to the kernel and to raw memory that is not readiness: mappings, clocks, sockets, the heap.
//!
//! What systems do differently is a small room with a file for each way. Built with `--cfg as_bsd`, Linux takes the ways
//! of the others wherever it can, so that they are run too.

#[cfg_attr(
    any(target_os = "linux", target_os = "freebsd"),
    path = "affinity/sched.rs"
)]
#[cfg_attr(
    not(any(target_os = "linux", target_os = "freebsd")),
    path = "affinity/none.rs"
)]
pub(crate) mod affinity;
pub(crate) mod clock;
pub(crate) mod datagram;
pub(crate) mod descriptor;
#[cfg_attr(any(target_vendor = "apple", as_bsd), path = "fresh/fcntl.rs")]
#[cfg_attr(not(any(target_vendor = "apple", as_bsd)), path = "fresh/flags.rs")]
mod fresh;
pub(crate) mod heap;
pub(crate) mod mapping;
#[cfg_attr(all(target_os = "linux", not(as_bsd)), path = "nowait/preadv2.rs")]
#[cfg_attr(not(all(target_os = "linux", not(as_bsd))), path = "nowait/never.rs")]
pub(crate) mod nowait;
#[cfg_attr(all(target_os = "linux", not(as_bsd)), path = "pages/linux.rs")]
#[cfg_attr(not(all(target_os = "linux", not(as_bsd))), path = "pages/anew.rs")]
mod pages;
#[cfg_attr(all(target_os = "linux", not(as_bsd)), path = "sendfile/linux.rs")]
#[cfg_attr(
    any(target_os = "freebsd", target_os = "dragonfly"),
    path = "sendfile/freebsd.rs"
)]
#[cfg_attr(target_vendor = "apple", path = "sendfile/apple.rs")]
#[cfg_attr(
    any(target_os = "netbsd", target_os = "openbsd", as_bsd),
    path = "sendfile/copy.rs"
)]
mod sendfile;
pub(crate) mod slice;
pub(crate) mod socket;
pub(crate) mod unix;
pub(crate) mod vectored;
