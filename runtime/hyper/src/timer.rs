//! Time for hyper.
//!
//! hyper wants its timers `Send` and `Sync`; those of the runtime belong to their worker. So each waits in a task of its
//! worker, and what hyper holds is the moment, a flag and a waker. hyper moves the same timer again and again to a later
//! moment, with every request: that is a store, and the task looks at the moment when it wakes.

use parkade::JoinHandle;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// The clock and the timers of the worker it is used on.
///
/// # Panics
/// A timer that is waited for outside a worker does, as [`parkade::spawn`].
///
/// ```
/// use parkade_hyper::Timer;
/// use std::time::Duration;
///
/// let mut http = hyper::server::conn::http1::Builder::new();
/// http.timer(Timer::new()).header_read_timeout(Duration::from_secs(10));
/// ```
#[derive(Clone, Copy, Default, Debug)]
pub struct Timer(());

impl Timer {
    /// The one of whichever worker it is used on.
    #[must_use]
    pub fn new() -> Self {
        Self(())
    }
}

impl hyper::rt::Timer for Timer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn hyper::rt::Sleep>> {
        let now = Instant::now();
        // What no clock can say is far enough away.
        let until = now.checked_add(duration).unwrap_or(now + FAR);
        self.sleep_until(until)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn hyper::rt::Sleep>> {
        Box::pin(Sleep::new(deadline))
    }

    fn reset(&self, sleep: &mut Pin<Box<dyn hyper::rt::Sleep>>, deadline: Instant) {
        match sleep.as_mut().downcast_mut_pin::<Sleep>() {
            Some(mut own) => own.reset(deadline),
            None => *sleep = self.sleep_until(deadline),
        }
    }
}

/// A year.
const FAR: Duration = Duration::from_secs(365 * 86_400);

struct Sleep {
    shared: Arc<Mutex<Shared>>,
    /// Under a lock only to be `Sync`.
    task: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    until: Instant,
    waker: Option<Waker>,
}

/// Nothing that is done under these locks panics.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sleep {
    fn new(until: Instant) -> Self {
        let waker = None;
        Self {
            shared: Arc::new(Mutex::new(Shared { until, waker })),
            task: Mutex::new(None),
        }
    }

    fn reset(&mut self, until: Instant) {
        let before = std::mem::replace(&mut lock(&self.shared).until, until);
        // One that sleeps until later would miss it; the next poll begins another.
        if until < before {
            self.stop();
        }
    }

    fn stop(&mut self) {
        if let Some(task) = lock(&self.task).take() {
            task.abort();
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        {
            let mut shared = lock(&self.shared);
            if Instant::now() >= shared.until {
                return Poll::Ready(());
            }
            match &mut shared.waker {
                Some(waker) => waker.clone_from(cx.waker()),
                none => *none = Some(cx.waker().clone()),
            }
        }
        let mut task = lock(&self.task);
        if task.as_ref().is_none_or(JoinHandle::is_finished) {
            *task = Some(parkade::spawn(expire(self.shared.clone())));
        }
        Poll::Pending
    }
}

/// Wakes whoever waits when the moment has come, wherever it has been moved to meanwhile.
async fn expire(shared: Arc<Mutex<Shared>>) {
    loop {
        let left = lock(&shared)
            .until
            .saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        parkade::time::sleep(left).await;
    }
    let waker = lock(&shared).waker.take();
    if let Some(waker) = waker {
        waker.wake();
    }
}

impl hyper::rt::Sleep for Sleep {}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.stop();
    }
}
