//! Letting others go first.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Ends this poll and asks for the next one at once: whatever else its worker has ready runs before, and the kernel is
/// asked for new events after at most 256 such jobs. For long computations inside a task or a burst. Cancel safe.
///
/// ```
/// use parkade::{Runtime, Workers, spawn, yield_now};
///
/// let runtime = Runtime::builder().workers(Workers::Count(1)).build()?;
/// let first = parkade::block_on(runtime.handle().spawn_on(0, || async {
///     let other = spawn(async { "the other one" });
///     yield_now().await;
///     assert!(other.is_finished());
///     other.await
/// }));
/// assert_eq!(first, "the other one");
/// # Ok::<(), parkade::Error>(())
/// ```
pub fn yield_now() -> Yield {
    Yield { yielded: false }
}

/// The future of [`yield_now`].
#[derive(Debug)]
pub struct Yield {
    yielded: bool,
}

impl Future for Yield {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
