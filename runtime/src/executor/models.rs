//! Models for loom of the flags between a worker and other threads.
#![allow(clippy::unwrap_used, reason = "for tests only")]

use super::flags::{Ended, Queued};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use loom::thread;

/// Wakes from two threads while the worker polls: each waker's datum is seen by a poll that is over, or by one that is
/// still to come because a message for it is under way.
#[test]
fn models_no_wake_of_a_burst_is_lost() {
    loom::model(|| {
        let queued = Arc::new(Queued::new());
        let sent = Arc::new(AtomicUsize::new(0));
        let data = Arc::new([AtomicBool::new(false), AtomicBool::new(false)]);
        let wake = |which: usize| {
            let (queued, sent, data) = (queued.clone(), sent.clone(), data.clone());
            thread::spawn(move || {
                // Relaxed: only the flag's swaps publish it, or the inbox, whose order is its own.
                data[which].store(true, Ordering::Relaxed);
                if queued.set() {
                    sent.fetch_add(1, Ordering::AcqRel);
                }
            })
        };
        let wakers = [wake(0), wake(1)];
        let mut seen = [false; 2];
        let poll = |seen: &mut [bool; 2]| {
            queued.clear();
            *seen = [0, 1].map(|i| data[i].load(Ordering::Relaxed));
        };
        let mut taken = 0;
        if sent.load(Ordering::Acquire) > taken {
            taken += 1;
            poll(&mut seen);
        }
        for waker in wakers {
            waker.join().unwrap();
        }
        if seen != [true; 2] {
            assert!(sent.load(Ordering::Acquire) > taken, "nobody polls again");
        }
    });
}

/// A message that is pushed while its worker ends is found by it, or its sender sees the end.
#[test]
fn models_no_message_is_left_with_an_ended_worker() {
    loom::model(|| {
        let ended = Arc::new(Ended::new());
        let inbox = Arc::new(AtomicBool::new(false));
        let sender = {
            let (ended, inbox) = (ended.clone(), inbox.clone());
            thread::spawn(move || {
                inbox.store(true, Ordering::Relaxed);
                ended.has_ended()
            })
        };
        ended.end();
        let found = inbox.load(Ordering::Relaxed);
        assert!(
            sender.join().unwrap() || found,
            "neither answered nor refused"
        );
    });
}
