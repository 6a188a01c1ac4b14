//! Parking: what an idle connection is, and who may touch it.
//!
//! `state` is the word that decides, `harvest` says who may take events from a worker's pollset, `batch` what it has taken, `bitmap` and
//! `slots` keep the slots where other threads can reach them, `wheel` holds their deadlines, `peer` an address in
//! sixteen bytes.

pub(crate) mod batch;
pub(crate) mod bitmap;
pub(crate) mod harvest;
pub(crate) mod peer;
pub(crate) mod slots;
pub(crate) mod state;
pub(crate) mod wheel;

#[cfg(all(test, loom))]
mod models;
#[cfg(all(test, not(loom)))]
mod moves;
