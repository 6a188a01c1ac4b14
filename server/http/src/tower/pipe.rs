//! The way of a body from a connection, which stays on its worker, to a service, which may read it anywhere.
//!
//! The reader says that it wants a piece; whoever polls the service then reads one from the connection and puts it down.
//! Nothing is read ahead, so a service that does not read holds its client up. Each side may have to be woken by the
//! other: the feeder when the reader wants a piece while the service is not being polled, the reader when it has a waker
//! of its own.

use crate::request::{BodyError, Request};
use bytes::Bytes;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// What reader and feeder share.
#[derive(Debug)]
pub(super) struct Pipe(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    place: Place,
    /// Bytes that the reader has not had yet, if their number is known.
    left: Option<u64>,
    reader: Option<Waker>,
    feeder: Option<Waker>,
}

#[derive(Debug)]
enum Place {
    /// Nobody has asked.
    Idle,
    /// The reader waits.
    Wanted,
    Piece(Bytes),
    Failed(BodyError),
    End,
}

impl Pipe {
    /// One for a body of so many bytes, if that is known.
    pub(super) fn new(left: Option<u64>) -> Self {
        Self(Mutex::new(Inner {
            place: Place::Idle,
            left,
            reader: None,
            feeder: None,
        }))
    }

    /// Nothing that is done under the lock panics.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes still to come for the reader, if known.
    pub(super) fn left(&self) -> Option<u64> {
        self.lock().left
    }

    /// The reader's side: the next piece, `None` at the end.
    pub(super) fn poll_take(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        let mut inner = self.lock();
        match mem::replace(&mut inner.place, Place::Wanted) {
            Place::Piece(piece) => {
                inner.place = Place::Idle;
                inner.left = inner.left.map(|n| n.saturating_sub(piece.len() as u64));
                return Poll::Ready(Some(Ok(piece)));
            }
            Place::Failed(error) => {
                inner.place = Place::Failed(error);
                return Poll::Ready(Some(Err(error)));
            }
            Place::End => {
                inner.place = Place::End;
                return Poll::Ready(None);
            }
            Place::Idle | Place::Wanted => {}
        }
        match &mut inner.reader {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        let feeder = inner.feeder.take();
        drop(inner);
        if let Some(feeder) = feeder {
            feeder.wake();
        }
        Poll::Pending
    }

    /// The feeder's side: puts down what was wanted, and wakes the reader if that is somebody else than `me`.
    fn put(&self, what: Place, me: Option<&Waker>) {
        let mut inner = self.lock();
        if let Place::End = what {
            inner.left = Some(0);
        }
        inner.place = what;
        let reader = inner.reader.take();
        drop(inner);
        if let Some(reader) = reader
            && !me.is_some_and(|me| me.will_wake(&reader))
        {
            reader.wake();
        }
    }

    /// Whether the reader waits; if not, `me` is woken when it does.
    fn is_wanted(&self, me: &Waker) -> bool {
        let mut inner = self.lock();
        let wanted = matches!(inner.place, Place::Wanted);
        inner.feeder = (!wanted).then(|| me.clone());
        wanted
    }
}

/// Brings a body to its reader. When it goes, the reader gets no more.
pub(super) struct Feed {
    request: Request,
    pipe: Arc<Pipe>,
}

impl Feed {
    pub(super) fn new(request: Request, pipe: Arc<Pipe>) -> Self {
        Self { request, pipe }
    }

    /// Whether anybody may still ask for a piece.
    pub(super) fn is_wanted(&self) -> bool {
        let over = matches!(self.pipe.lock().place, Place::End | Place::Failed(_));
        !over && Arc::strong_count(&self.pipe) > 1
    }

    /// Polls the service, or the body it has answered with, and reads for it what it wants meanwhile.
    pub(super) fn turn<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        loop {
            // What it wants while it is polled is seen below, without a wake.
            self.pipe.lock().feeder = None;
            if let Poll::Ready(output) = poll(cx) {
                return Poll::Ready(output);
            }
            if !self.pipe.is_wanted(cx.waker()) {
                return Poll::Pending;
            }
            let what = match self.request.poll_chunk(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(Some(piece))) => Place::Piece(piece),
                Poll::Ready(Ok(None)) => Place::End,
                Poll::Ready(Err(error)) => Place::Failed(error),
            };
            self.pipe.put(what, Some(cx.waker()));
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        let over = matches!(self.pipe.lock().place, Place::End | Place::Failed(_));
        if !over {
            self.pipe.put(Place::Failed(BodyError::Closed), None);
        }
    }
}
