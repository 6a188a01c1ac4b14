//! What other threads hand to a worker.

use super::handed::Handed;
use async_task::Runnable;
use crossbeam_queue::SegQueue;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// One message to a worker.
pub(crate) enum Message {
    /// A spawned task is ready.
    Run(Runnable),
    /// A burst of listener `service` in `cell` was woken.
    Burst { service: u8, cell: u32 },
    /// The waiter `waiter` awaits an edge or a deadline that came.
    Waiter(u32),
    /// Another thread has linked a connection that is due earlier than what this worker knew of.
    Due,
    /// Help a home that is stuck in its turn.
    Help { home: u16, turn: u64 },
    /// A home has more to do in its turn than it can.
    Steal { home: u16, turn: u64 },
    /// Start a burst on a parked connection that was claimed.
    Start(Handed),
    /// Linger with a parked connection that was claimed, and then close it.
    SeeOff(Handed),
    /// Make a future here.
    Spawn(Box<dyn FnOnce() + Send>),
    /// Accept from this listener.
    Listen { id: u8, listener: Arc<OwnedFd> },
}

/// Many producers, one worker. The queue's own release and acquire publish the message.
#[derive(Default)]
pub(crate) struct Inbox(SegQueue<Message>);

impl Inbox {
    pub(crate) fn push(&self, message: Message) {
        self.0.push(message);
    }

    pub(crate) fn pop(&self) -> Option<Message> {
        self.0.pop()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
