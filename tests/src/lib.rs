//! Whole-system tests of Parkade and the tools they need.
//!
//! `syscalls` counts another process's system calls from outside, `allocations` counts a test
//! binary's own heap use, `procfs` reads what /proc says about a process,
//! `sockets` what the kernel says about its sockets, and `ready` waits, always bounded, for ports and conditions. `server` runs the real server, `example` an
//! example that serves, and `client` talks to them. `clock` sets a server's clock back. `descriptors` says how many files a test may open.
//! `chaos` is a run in which everything goes wrong, and what must hold all the same.

pub mod allocations;
mod build;
pub mod chaos;
pub mod client;
pub mod clock;
pub mod descriptors;
pub mod example;
pub mod procfs;
pub mod ready;
pub mod server;
pub mod sockets;
mod syscall_names;
pub mod syscalls;
