//! Several hosts behind one listener, each with limits of its own.

use crate::head::Head;
use crate::limits::Limits;
use parkade::{Conn, Keepalive};

/// Chooses what governs a request, once its head is known.
///
/// Until then, and for what is refused before, the limits of [`crate::Server::limits`] hold: those of the listener.
pub trait Hosts: Send + Sync + 'static {
    /// The number of the host a request is for; it must not block.
    fn choose(&self, head: &Head, conn: &Conn) -> u32;

    /// The limits of a host; `None` for the listener's. `head` and `head_pace` in it are not looked at.
    fn limits(&self, host: u32) -> Option<&Limits>;
}

/// What governs one request: the number of its host, and the limits.
#[derive(Clone, Copy)]
pub(crate) struct Governed<'a> {
    pub(crate) host: u32,
    pub(crate) limits: &'a Limits,
    /// That of the limits, as the runtime wants it.
    pub(crate) keep_alive: Keepalive,
}
