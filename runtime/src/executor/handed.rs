//! A connection that one thread has claimed and another one is to go on with.

use super::inbox::Message;
use crate::worker::Home;
use std::sync::Arc;

/// A claimed connection on its way to a worker. One that never arrives, as the worker has ended, is closed.
pub(crate) struct Handed {
    /// Where its slot is; nothing once it has arrived.
    home: Option<Arc<Home>>,
    index: u32,
    generation: u32,
}

impl Handed {
    /// The caller has claimed the slot.
    pub(crate) fn new(home: &Arc<Home>, index: u32, generation: u32) -> Self {
        Self {
            home: Some(home.clone()),
            index,
            generation,
        }
    }

    /// It has arrived: its home, index and generation.
    pub(crate) fn take(mut self) -> Option<(Arc<Home>, u32, u32)> {
        let home = self.home.take()?;
        Some((home, self.index, self.generation))
    }

    /// Sends it to a worker.
    pub(crate) fn send(self, to: &Home, message: impl FnOnce(Self) -> Message) {
        to.post(message(self));
        // Nobody may be there to take it any more. Whoever empties the inbox then drops what is in it.
        if to.ended.has_ended() {
            while let Some(message) = to.inbox.pop() {
                drop(message);
            }
        }
    }
}

impl Drop for Handed {
    fn drop(&mut self) {
        if let Some(home) = self.home.take() {
            home.close(self.index);
        }
    }
}
