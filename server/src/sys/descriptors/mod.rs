//! Closing what a process has inherited and must not keep.

#[cfg_attr(target_os = "linux", path = "close_range.rs")]
#[cfg_attr(target_vendor = "apple", path = "dev_fd.rs")]
#[cfg_attr(
    not(any(target_os = "linux", target_vendor = "apple")),
    path = "closefrom.rs"
)]
mod kind;
#[cfg(any(target_os = "linux", target_vendor = "apple"))]
mod listed;

pub(crate) use kind::close_from;
