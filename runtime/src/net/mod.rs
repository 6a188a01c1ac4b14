//! Connections as a service sees them, and what the runtime does with them between bursts.
//!
//! `service` is the border to protocols, `conn` the handle a burst holds, `next` what a burst says at its end;
//! `claim` is how whoever owns a slot reads and waits, `idle` the soft way to wait for the next request;
//! tasks have sockets that `registered` puts into slots too: `stream` and `listener` are what all kinds can (`family` says
//! what differs), `tcp` and `unix` how each is made, `udp` datagrams, `foreign` whatever other crates have;
//! `output` and `linger` drive responses and closes that outlive their burst, as plain data (`written` hears how it went); `accept` lets
//! connections in, `turns` by turns with other processes; `parked` wakes, shows and ends parked connections from
//! outside; `moving` gives them away to other processes and takes in theirs.

pub(crate) mod accept;
pub(crate) mod claim;
pub(crate) mod conn;
pub(crate) mod family;
pub(crate) mod foreign;
pub(crate) mod idle;
pub(crate) mod linger;
pub(crate) mod listener;
pub(crate) mod moving;
pub(crate) mod next;
pub(crate) mod output;
pub(crate) mod parked;
mod registered;
mod resident;
pub(crate) mod service;
pub(crate) mod stream;
pub(crate) mod tcp;
pub(crate) mod turns;
pub(crate) mod udp;
pub(crate) mod unix;
pub(crate) mod written;
