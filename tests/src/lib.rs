//! Whole-system tests of Parkade and the tools they need.
//!
//! `syscalls` counts another process's system calls from outside, `allocations` counts a test
//! binary's own heap use, `procfs` reads what /proc says about a process,
//! `sockets` what the kernel says about its sockets, and `ready` waits, always bounded, for ports and conditions. `server` runs the real server, `example` an
//! example that serves, and `client` talks to them. `clock` sets a server's clock back. `descriptors` says how many files a test may open.
//! `chaos` is a run in which everything goes wrong, and what must hold all the same.
//!
//! What looks at a server from outside does so by /proc, ptrace and namespaces: those tools are there on Linux only.

#[cfg(target_os = "linux")]
pub mod allocations;
mod build;
#[cfg_attr(not(target_os = "linux"), path = "chaos/elsewhere.rs")]
pub mod chaos;
pub mod client;
#[cfg(target_os = "linux")]
pub mod clock;
pub mod descriptors;
pub mod example;
#[cfg(target_os = "linux")]
pub mod procfs;
pub mod ready;
#[cfg(target_os = "linux")]
pub mod server;
#[cfg(target_os = "linux")]
pub mod sockets;
#[cfg(target_os = "linux")]
mod syscall_names;
#[cfg(target_os = "linux")]
pub mod syscalls;
