//! Whole-system tests of Parkade and the tools they need.
//!
//! `syscalls` counts another process's system calls from outside, `allocations` counts a test
//! binary's own heap use, `procfs` reads what /proc says about a process, and `ready` waits,
//! always bounded, for ports and conditions. `server` runs the real server and `client` talks to it.

pub mod allocations;
pub mod client;
pub mod procfs;
pub mod ready;
pub mod server;
mod syscall_names;
pub mod syscalls;
