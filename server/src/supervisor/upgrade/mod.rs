//! USR2: another program, or the same anew, takes the server over while it serves.
//!
//! The old supervisor starts the program at its own path with its own arguments, a channel and its listening sockets.
//! The new one opens whatever else its configuration asks for, starts its children and says that they serve. Only then
//! does the PidFile name it, and the old one gives it all parked connections, finishes what is in progress and ends.
//! Before that word nothing changes: a new server that ends, hangs or does not read this version's records is history.
//!
//! `words` is what they say to each other, `start` the old one's side until the new one is ready, `give` what it does
//! then, `heir` the new one's side.

mod give;
mod heir;
mod start;
mod words;

pub(crate) use heir::is_inherited;
pub(super) use heir::{Heir, inherit};
pub(super) use start::{Upgrade, program};
