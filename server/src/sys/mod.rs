//! What systems do differently: a room for each thing, with a file for each way.
//!
//! Built with `--cfg as_bsd`, Linux takes the ways of the others wherever it can, so that they are run too.

#[cfg_attr(all(target_os = "linux", not(as_bsd)), path = "bell/eventfd.rs")]
#[cfg_attr(not(all(target_os = "linux", not(as_bsd))), path = "bell/pipe.rs")]
pub(crate) mod bell;
pub(crate) mod descriptors;
#[cfg_attr(all(target_os = "linux", not(as_bsd)), path = "ended/pidfd.rs")]
#[cfg_attr(not(all(target_os = "linux", not(as_bsd))), path = "ended/sigchld.rs")]
pub(crate) mod ended;
#[cfg_attr(target_os = "linux", path = "extras/linux.rs")]
#[cfg_attr(not(target_os = "linux"), path = "extras/none.rs")]
pub(crate) mod extras;
#[cfg_attr(target_vendor = "apple", path = "groups/apple.rs")]
#[cfg_attr(not(target_vendor = "apple"), path = "groups/nix.rs")]
pub(crate) mod groups;
pub(crate) mod link;
#[cfg_attr(target_os = "linux", path = "load/sysinfo.rs")]
#[cfg_attr(not(target_os = "linux"), path = "load/getloadavg.rs")]
pub(crate) mod load;
#[cfg_attr(all(target_os = "linux", not(as_bsd)), path = "nowait/preadv2.rs")]
#[cfg_attr(not(all(target_os = "linux", not(as_bsd))), path = "nowait/never.rs")]
pub(crate) mod nowait;
#[cfg_attr(target_os = "linux", path = "peek/process_vm.rs")]
#[cfg_attr(not(target_os = "linux"), path = "peek/none.rs")]
pub(crate) mod peek;
#[cfg_attr(
    all(target_os = "linux", not(as_bsd)),
    path = "preallocate/fallocate.rs"
)]
#[cfg_attr(
    not(all(target_os = "linux", not(as_bsd))),
    path = "preallocate/zeroes.rs"
)]
pub(crate) mod preallocate;
pub(crate) mod resolve;
#[cfg_attr(target_os = "linux", path = "reuseport/linux.rs")]
#[cfg_attr(not(target_os = "linux"), path = "reuseport/none.rs")]
pub(crate) mod reuseport;
#[cfg(not(any(target_os = "netbsd", target_os = "openbsd")))]
#[cfg_attr(target_os = "linux", path = "semaphores/linux.rs")]
#[cfg_attr(target_os = "freebsd", path = "semaphores/freebsd.rs")]
#[cfg_attr(target_vendor = "apple", path = "semaphores/apple.rs")]
pub(crate) mod semaphores;
#[cfg_attr(all(target_os = "linux", not(as_bsd)), path = "shared/memfd.rs")]
#[cfg_attr(
    not(all(target_os = "linux", not(as_bsd))),
    path = "shared/anonymous.rs"
)]
pub(crate) mod shared;
pub(crate) mod signals;
#[cfg_attr(target_vendor = "apple", path = "sockets/fcntl.rs")]
#[cfg_attr(not(target_vendor = "apple"), path = "sockets/flags.rs")]
pub(crate) mod sockets;
#[cfg_attr(target_os = "linux", path = "thread/linux.rs")]
#[cfg_attr(not(target_os = "linux"), path = "thread/pthread.rs")]
pub(crate) mod thread;
