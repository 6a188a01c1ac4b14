//! Signals as something to await. One process, so one test after the other.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use parkade::signal::{Signal, ctrl_c, signals, terminate};
use parkade::time::timeout;
use parkade::{Runtime, Workers, spawn, yield_now};
use rustix::process::{Signal as Raise, getpid, kill_process};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(50);

fn raise(signal: Raise) {
    kill_process(getpid(), signal).unwrap();
}

#[test]
fn signals_are_heard_by_all_who_await_them() {
    assert!(signals([Signal::User1]).is_err(), "not on a worker");
    let builder = Runtime::builder().workers(Workers::Count(1));
    let runtime = builder.build().unwrap();
    let talk = || async {
        let mut users = signals([Signal::User1, Signal::User2]).unwrap();
        let mut other = signals([Signal::User2]).unwrap();
        assert!(timeout(SHORT, users.next()).await.is_err());
        raise(Raise::USR2);
        assert_eq!(timeout(LONG, users.next()).await, Ok(Some(Signal::User2)));
        assert_eq!(timeout(LONG, other.next()).await, Ok(Some(Signal::User2)));
        raise(Raise::USR1);
        assert_eq!(timeout(LONG, users.next()).await, Ok(Some(Signal::User1)));
        assert!(timeout(SHORT, other.next()).await.is_err());
        // Many are heard at least once, and then there are none left.
        (0..1000).for_each(|_| raise(Raise::USR1));
        assert_eq!(timeout(LONG, users.next()).await, Ok(Some(Signal::User1)));
        while timeout(SHORT, users.next()).await.is_ok() {}
        // Whoever is gone is no hindrance to those who stay.
        drop(users);
        raise(Raise::USR2);
        assert_eq!(timeout(LONG, other.next()).await, Ok(Some(Signal::User2)));
        drop(other);
        raise(Raise::USR2);
        raise(Raise::USR1);

        let interrupted = spawn(ctrl_c());
        let told = spawn(terminate());
        yield_now().await;
        raise(Raise::INT);
        timeout(LONG, interrupted).await.unwrap().unwrap();
        assert_eq!(
            timeout(LONG, told).await.unwrap().unwrap(),
            Signal::Interrupt
        );
        let told = spawn(terminate());
        yield_now().await;
        raise(Raise::TERM);
        assert_eq!(
            timeout(LONG, told).await.unwrap().unwrap(),
            Signal::Terminate
        );
        let mut none = signals([]).unwrap();
        assert!(timeout(SHORT, none.next()).await.is_err());
    };
    parkade::block_on(runtime.handle().spawn_on(0, talk));
    assert_eq!(runtime.handle().connections(), 0, "no slot stays");

    // A shutdown ends the wait, so it need not wait in turn.
    let handle = runtime.handle();
    let waits = handle.spawn_on(0, || async {
        let mut told = signals([Signal::User1]).unwrap();
        told.next().await
    });
    while handle.connections() == 0 {
        std::thread::yield_now();
    }
    handle.shutdown(Duration::from_secs(3600));
    assert_eq!(parkade::block_on(waits), None);
    runtime.wait();
}
