//! The counting tools count what they should.
#![allow(
    clippy::unwrap_used,
    reason = "in a test binary a failure is the message; clippy.toml covers only test functions"
)]

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use parkade_tests::allocations::{self, CountingAllocator};
use parkade_tests::syscalls::SyscallCounter;
use parkade_tests::{procfs, ready};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const PATIENCE: Duration = Duration::from_secs(20);

/// `cat` makes one read and one write for each line it is sent.
fn cat() -> Child {
    Command::new("cat")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn say(child: &mut Child, times: usize) {
    for _ in 0..times {
        child.stdin.as_mut().unwrap().write_all(b"x").unwrap();
        let mut answer = [0];
        child
            .stdout
            .as_mut()
            .unwrap()
            .read_exact(&mut answer)
            .unwrap();
    }
}

/// Some containers forbid ptrace altogether; nothing can be counted there.
fn attach(pid: u32) -> Option<SyscallCounter> {
    match SyscallCounter::attach(pid) {
        Err(e) if e.kind() == std::io::ErrorKind::PermissionDenied => {
            eprintln!("skipped: ptrace is not allowed here: {e}");
            None
        }
        other => Some(other.unwrap()),
    }
}

#[test]
fn system_calls_of_another_process_are_counted_by_name() {
    let mut child = cat();
    say(&mut child, 1);
    if let Some(counter) = attach(child.id()) {
        say(&mut child, 1);
        counter.reset();
        say(&mut child, 100);
        let counts = counter.stop();
        // The last read is entered, or not yet, when counting ends.
        assert!((100..=101).contains(&counts["write"]), "{counts:?}");
        assert!((99..=101).contains(&counts["read"]), "{counts:?}");
        assert_eq!(counts.len(), 2, "{counts:?}");
    }
    say(&mut child, 3);
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_child_that_ended_while_traced_can_be_waited_for_afterwards() {
    let mut child = cat();
    say(&mut child, 1);
    let counter = attach(child.id());
    drop(child.stdin.take());
    let pid = child.id();
    ready::until("cat's end", PATIENCE, || !procfs::alive(pid)).unwrap();
    drop(counter);
    assert!(child.wait().unwrap().success());
}

#[test]
fn signals_reach_a_traced_process() {
    let mut child = cat();
    say(&mut child, 1);
    let counter = attach(child.id());
    let pid = child.id();
    let sent = Command::new("kill")
        .arg("-TERM")
        .arg(pid.to_string())
        .status()
        .unwrap();
    assert!(sent.success());
    ready::until("cat's end", PATIENCE, || !procfs::alive(pid)).unwrap();
    drop(counter);
    assert_eq!(
        std::os::unix::process::ExitStatusExt::signal(&child.wait().unwrap()),
        Some(15)
    );
}

#[test]
fn attaching_to_no_process_is_an_error() {
    assert!(SyscallCounter::attach(u32::MAX / 2).is_err());
}

#[test]
fn allocations_of_this_thread_are_counted() {
    let (none, sum) = allocations::during(|| std::hint::black_box(1) + 1);
    assert_eq!((none.count, none.bytes, sum), (0, 0, 2));
    let (some, vector) = allocations::during(|| Vec::<u8>::with_capacity(100));
    assert_eq!((some.count, some.bytes), (1, 100));
    drop(vector);
    let (other, ()) = allocations::during(|| {
        // Spawning allocates here; what the other thread allocates counts there.
        std::thread::scope(|scope| {
            scope.spawn(|| drop(std::hint::black_box(vec![0_u8; 1 << 20])));
        });
    });
    assert!(other.bytes < 1 << 20, "{other:?}");
}

#[test]
fn children_and_their_end_are_seen() {
    let mut child = cat();
    assert!(
        procfs::children(std::process::id())
            .unwrap()
            .contains(&child.id())
    );
    assert!(procfs::alive(child.id()));
    assert!(procfs::descriptors(child.id()).unwrap() >= 1);
    drop(child.stdin.take());
    ready::until("cat's end", PATIENCE, || !procfs::alive(child.id())).unwrap();
    child.wait().unwrap();
}

#[test]
fn waiting_for_nobody_times_out() {
    let address = ready::free_address().unwrap();
    let error = ready::listening(address, Duration::from_millis(30)).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
}
