//! Tasks: what a handle gives, where panics go, and that a runtime's end leaves nothing behind.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use parkade::time::sleep;
use parkade::{Runtime, Workers, spawn, spawn_blocking};
use std::cell::Cell;
use std::future::{Future, pending};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Poll, Wake, Waker};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(60);

fn runtime(reserves: usize) -> Runtime {
    Runtime::builder()
        .workers(Workers::Count(1))
        .reserves(reserves)
        .build()
        .unwrap()
}

fn run<F>(runtime: &Runtime, make: impl FnOnce() -> F + Send + 'static) -> F::Output
where
    F: Future + 'static,
    F::Output: Send + 'static,
{
    parkade::block_on(runtime.handle().spawn_on(0, make))
}

fn panics(runtime: &Runtime) -> u64 {
    runtime.handle().metrics().workers[0].panics
}

/// Counts itself when it is dropped, and where.
struct Flag {
    dropped: Arc<AtomicUsize>,
    at: ThreadId,
}

impl Flag {
    /// Must be dropped on the thread that makes it.
    fn new(dropped: &Arc<AtomicUsize>) -> Self {
        Self {
            dropped: dropped.clone(),
            at: thread::current().id(),
        }
    }
}

impl Drop for Flag {
    fn drop(&mut self) {
        if self.at == thread::current().id() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[test]
fn a_handle_gives_the_output_and_may_be_awaited_late_or_never() {
    let runtime = runtime(0);
    let ran = run(&runtime, || async {
        let ran = Rc::new(Cell::new(0));
        let count = |n| {
            let ran = ran.clone();
            async move {
                ran.set(ran.get() + n);
                n
            }
        };
        let (early, late) = (spawn(count(1)), spawn(count(10)));
        drop(spawn(count(100)));
        assert_eq!(early.await, 1);
        while !late.is_finished() {
            sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(late.await, 10);
        ran.get()
    });
    assert_eq!(ran, 111);
}

#[test]
fn an_aborted_task_is_dropped_and_runs_no_more() {
    let runtime = runtime(0);
    let dropped = Arc::new(AtomicUsize::new(0));
    let theirs = dropped.clone();
    run(&runtime, move || async move {
        let started = Rc::new(Cell::new(false));
        let task = {
            let (flag, started) = (Flag::new(&theirs), started.clone());
            spawn(async move {
                started.set(true);
                pending::<()>().await;
                drop(flag);
            })
        };
        while !started.get() {
            sleep(Duration::from_millis(1)).await;
        }
        task.abort();
        while theirs.load(Ordering::Relaxed) == 0 {
            sleep(Duration::from_millis(1)).await;
        }
    });
}

#[test]
fn a_panic_goes_on_in_whoever_awaits_the_task() {
    let runtime = runtime(0);
    let said = run(&runtime, || async {
        let mut task = std::pin::pin!(spawn(async { panic!("boo") }));
        std::future::poll_fn(
            |cx| match catch_unwind(AssertUnwindSafe(|| task.as_mut().poll(cx))) {
                Ok(Poll::Pending) => Poll::Pending,
                Ok(Poll::Ready(())) => panic!("it cannot be done"),
                Err(panic) => Poll::Ready(panic.downcast_ref::<&str>().map(|s| s.to_string())),
            },
        )
        .await
    });
    assert_eq!(said.as_deref(), Some("boo"));
    assert_eq!(panics(&runtime), 1);
}

#[test]
fn a_panic_nobody_awaits_is_counted_and_the_worker_goes_on() {
    let runtime = runtime(0);
    run(&runtime, || async {
        for _ in 0..10 {
            drop(spawn(async { panic!("boo") }));
            drop(spawn(async {
                sleep(Duration::from_millis(1)).await;
                panic!("boo")
            }));
        }
    });
    let end = Instant::now() + LONG;
    while panics(&runtime) < 20 {
        assert!(Instant::now() < end, "{}", panics(&runtime));
        thread::yield_now();
    }
    assert_eq!(runtime.block_on(async { 7 }), 7);
}

#[test]
fn a_panic_while_a_task_is_dropped_costs_that_task_only() {
    struct Sore;
    impl Drop for Sore {
        fn drop(&mut self) {
            panic!("ouch");
        }
    }
    let runtime = runtime(0);
    run(&runtime, || async {
        let sore = Sore;
        spawn(async move {
            let _sore = sore;
            pending::<()>().await
        })
        .abort();
        let sore = Sore;
        drop(spawn(async move { drop(sore) }));
        sleep(Duration::from_millis(10)).await;
    });
    assert_eq!(panics(&runtime), 2);
    assert_eq!(runtime.block_on(async { 7 }), 7);
}

#[test]
fn a_waker_that_panics_in_a_timer_costs_its_task_only() {
    struct Bomb(Arc<AtomicUsize>);
    impl Wake for Bomb {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
            panic!("a waker");
        }
    }
    let runtime = runtime(0);
    let woken = Arc::new(AtomicUsize::new(0));
    let theirs = woken.clone();
    run(&runtime, move || async move {
        let bomb = Waker::from(Arc::new(Bomb(theirs.clone())));
        let mut timer = std::pin::pin!(sleep(Duration::from_millis(5)));
        let mut cx = std::task::Context::from_waker(&bomb);
        assert!(timer.as_mut().poll(&mut cx).is_pending());
        while theirs.load(Ordering::Relaxed) == 0 {
            sleep(Duration::from_millis(1)).await;
        }
    });
    assert_eq!(runtime.block_on(async { 7 }), 7);
    assert_eq!(panics(&runtime), 1);
}

#[test]
fn blocking_work_hands_its_panic_to_whoever_awaits_it() {
    let runtime = runtime(1);
    let caught = catch_unwind(AssertUnwindSafe(|| {
        run(&runtime, || async {
            spawn_blocking(|| panic!("in blocking work")).await
        })
    }));
    assert!(caught.is_err());
    let fine = run(&runtime, || async { spawn_blocking(|| 7).await });
    assert_eq!(fine, 7, "the reserve goes on");
}

/// Whatever a task waits for, its future is dropped by its own thread when the runtime ends.
#[test]
fn a_runtimes_end_drops_its_tasks_on_their_thread() {
    let dropped = Arc::new(AtomicUsize::new(0));
    let (tx, rx) = mpsc::channel::<Waker>();
    let runtime = runtime(1);
    let theirs = dropped.clone();
    run(&runtime, move || async move {
        let flag = || Flag::new(&theirs);
        let f = flag();
        drop(spawn(async move {
            sleep(LONG).await;
            drop(f);
        }));
        let f = flag();
        drop(spawn(async move {
            pending::<()>().await;
            drop(f);
        }));
        // Blocking work that outlives the worker and wakes the task then.
        let f = flag();
        drop(spawn(async move {
            spawn_blocking(|| thread::sleep(Duration::from_millis(300))).await;
            drop(f);
        }));
        // A waker that another thread keeps for longer than the runtime lives.
        let f = flag();
        drop(spawn(async move {
            std::future::poll_fn(|cx| {
                tx.send(cx.waker().clone()).unwrap();
                Poll::<()>::Pending
            })
            .await;
            drop(f);
        }));
        // A task that holds another one's handle, and one that spawns when it is dropped.
        struct Again(Option<Flag>);
        impl Drop for Again {
            fn drop(&mut self) {
                let flag = self.0.take();
                drop(spawn(async move { drop(flag) }));
            }
        }
        let again = Again(Some(flag()));
        let inner = spawn(async move {
            let _again = again;
            pending::<()>().await
        });
        let f = flag();
        drop(spawn(async move {
            inner.await;
            drop(f);
        }));
        sleep(Duration::from_millis(10)).await;
    });
    let waker = rx.recv().unwrap();
    drop(runtime);
    assert_eq!(dropped.load(Ordering::Relaxed), 6);
    waker.wake();
}

#[test]
fn awaiting_a_task_of_an_ended_runtime_ends() {
    let runtime = runtime(0);
    let handle = runtime.handle();
    let before = handle.spawn_on(0, pending::<()>);
    handle.shutdown(Duration::ZERO);
    runtime.wait();
    let after = handle.spawn_on(0, || async {});
    for remote in [before, after] {
        let awaited = catch_unwind(AssertUnwindSafe(|| parkade::block_on(remote)));
        assert!(awaited.is_err(), "neither an answer nor a hang");
    }
}

#[test]
fn wakes_from_many_threads_are_all_seen() {
    let runtime = runtime(0);
    run(&runtime, || async {
        const EACH: usize = 2_000;
        let count = Arc::new(AtomicUsize::new(0));
        let mut started = false;
        let seen = count.clone();
        std::future::poll_fn(move |cx| {
            if !std::mem::replace(&mut started, true) {
                for _ in 0..4 {
                    let (count, waker) = (count.clone(), cx.waker().clone());
                    thread::spawn(move || {
                        for _ in 0..EACH {
                            count.fetch_add(1, Ordering::Relaxed);
                            waker.wake_by_ref();
                        }
                    });
                }
            }
            if seen.load(Ordering::Relaxed) == 4 * EACH {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    });
}
