//! What each mechanism promises, between real processes where that matters.

use super::posixsem::{Semaphore, Turns};
use super::*;
use crate::scoreboard::{Size, State};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, fork};
use std::sync::atomic::AtomicU32;

const ALL: [Mechanism; 5] = [
    Mechanism::Flock,
    Mechanism::Fcntl,
    Mechanism::PosixSem,
    Mechanism::Pthread,
    Mechanism::SysvSem,
];

fn mutex(mechanism: Mechanism, folder: &std::path::Path) -> AcceptMutex {
    let file = || Arc::new(LockFile::create(folder.join("accept.lock"), None).unwrap());
    let kind = match mechanism {
        Mechanism::Fcntl => Kind::Fcntl(file()),
        Mechanism::PosixSem => Kind::PosixSem(Arc::new(Semaphore::new().unwrap())),
        Mechanism::Pthread => Kind::Pthread(Arc::new(pthread::Mutex::new().unwrap())),
        Mechanism::SysvSem => Kind::SysvSem(Arc::new(sysvsem::Semaphore::new(None, None).unwrap())),
        Mechanism::Flock | Mechanism::Default => Kind::Flock(file()),
    };
    AcceptMutex { kind, owner: None }
}

fn board(children: usize) -> Arc<Board> {
    let size = Size {
        children,
        workers: 1,
        ..Size::default()
    };
    let board = Arc::new(Board::new(size, 0, None).unwrap());
    for _ in 0..children {
        let at = board.claim(1, 0).unwrap();
        board.child(at).unwrap().set_state(State::Serving);
    }
    board
}

/// Runs something in a process of its own, to its exit code.
fn elsewhere(run: impl FnOnce() -> bool) -> bool {
    // SAFETY: the child uses only what was made for it before and ends without running anything else of ours.
    match unsafe { fork() }.unwrap() {
        ForkResult::Child => {
            let code = i32::from(run());
            // SAFETY: ends the process at once.
            unsafe { libc::_exit(code) }
        }
        ForkResult::Parent { child } => {
            let status = waitpid(child, None).unwrap();
            matches!(status, nix::sys::wait::WaitStatus::Exited(_, 1))
        }
    }
}

#[test]
fn nobody_gets_what_another_worker_or_process_has() {
    let folder = tempfile::tempdir().unwrap();
    for mechanism in ALL {
        let (mutex, board) = (mutex(mechanism, folder.path()), board(2));
        let mine = mutex.enter(&board, 0).unwrap();
        let theirs = || mutex.enter(&board, 1).unwrap();
        let other_worker = |lock: &Lock| {
            let lock = lock.clone();
            std::thread::spawn(move || lock.try_lock()).join().unwrap()
        };
        assert!(mine.try_lock(), "{mechanism:?}");
        assert!(!other_worker(&mine), "{mechanism:?}: of the same child");
        assert!(!elsewhere(|| theirs().try_lock()), "{mechanism:?}");
        mine.unlock();
        let turn = || {
            let lock = theirs();
            let got = lock.try_lock();
            lock.unlock();
            got
        };
        assert!(elsewhere(turn), "{mechanism:?}: it was given back");
        assert!(mine.try_lock(), "{mechanism:?}: and again");
        mine.unlock();
    }
}

#[test]
fn what_a_dead_process_held_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    for mechanism in ALL {
        let (mutex, board) = (mutex(mechanism, folder.path()), board(2));
        assert!(elsewhere(|| mutex.enter(&board, 1).unwrap().try_lock()));
        board.release(1);
        assert!(!mutex.recover([(&*board, 0)].into_iter()));
        let mine = mutex.enter(&board, 0).unwrap();
        assert!(mine.try_lock(), "{mechanism:?}");
        mine.unlock();
    }
}

#[test]
fn a_token_is_put_back_only_if_nobody_alive_may_have_it() {
    let (semaphore, board) = (Arc::new(Semaphore::new().unwrap()), board(3));
    let turns = |at| Turns::new(semaphore.clone(), board.clone(), at);
    let living = [(&*board, 0), (&*board, 1)];
    let recover = || semaphore.recover(living.into_iter());
    assert!(!recover(), "nothing is missing");
    assert!(turns(0).try_lock());
    assert!(recover() && recover(), "a living child has it");
    assert!(!turns(1).try_lock(), "none was put there beside it");
    turns(0).unlock();
    assert!(!recover());
    // The third dies with the token; while the first claims, it might be the one that has it.
    assert!(turns(2).try_lock());
    board.release(2);
    let claims = &board.child(0).unwrap().claims;
    claims.begin();
    assert!(recover());
    assert!(!turns(1).try_lock());
    claims.end();
    assert!(!recover(), "now it is known");
    assert!(turns(1).try_lock());
    assert!(!turns(0).try_lock(), "one token, not two");
}

#[test]
fn there_is_never_more_than_one_token_however_often_it_is_looked_for() {
    let (semaphore, board) = (Arc::new(Semaphore::new().unwrap()), board(3));
    let inside = AtomicU32::new(0);
    let end = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for at in 0..3 {
            let turns = Turns::new(semaphore.clone(), board.clone(), at);
            let (inside, end) = (&inside, &end);
            scope.spawn(move || {
                while !end.load(Relaxed) {
                    if turns.try_lock() {
                        assert_eq!(inside.fetch_add(1, Relaxed), 0, "two are inside");
                        inside.fetch_sub(1, Relaxed);
                        turns.unlock();
                    }
                }
            });
        }
        let until = std::time::Instant::now() + std::time::Duration::from_millis(500);
        while std::time::Instant::now() < until {
            semaphore.recover((0..3).map(|at| (&*board, at)));
        }
        end.store(true, Relaxed);
    });
}

#[test]
fn a_lock_file_that_a_dead_supervisor_left_is_removed_and_others_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let gone = {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        child.id()
    };
    let dead = format!("accept.lock.{gone}");
    let living = format!("accept.lock.{}", nix::unistd::getppid());
    for name in [&dead, &living, "accept.lock.txt", "accept.lock"] {
        std::fs::write(at(name), "").unwrap();
    }
    let file = LockFile::create(at("accept.lock"), None).unwrap();
    assert!(!at(&dead).exists());
    for name in [&living, "accept.lock.txt", "accept.lock"] {
        assert!(at(name).exists(), "{name}");
    }
    let ours = at(&format!("accept.lock.{}", std::process::id()));
    assert!(ours.exists());
    drop(file);
    assert!(!ours.exists());
}
