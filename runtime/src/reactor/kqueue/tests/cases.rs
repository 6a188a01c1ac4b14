//! Single cases: what scripts cannot do, and answers that only a kernel gives.

use super::*;
use crate::reactor::STUCK;
use crate::reactor::kqueue::event::{EOF, ERROR};
use std::sync::Mutex;

/// A case each for what scripts cannot do.
fn each(case: impl Fn(&dyn Pollset)) {
    for (name, pollset) in all() {
        eprintln!("with {name}");
        case(&*pollset);
    }
}

#[test]
fn a_wake_ends_the_wait_of_another_thread_and_is_reported_once() {
    each(|pollset| {
        std::thread::scope(|s| {
            let waiter = s.spawn(|| waited(pollset, Some(LONG)));
            pollset.wake();
            assert_eq!(waiter.join().unwrap(), [(WAKE, IN)]);
        });
        for _ in 0..100_000 {
            pollset.wake();
        }
        assert_eq!(waited(pollset, AT_ONCE), [(WAKE, IN)]);
        assert_eq!(waited(pollset, AT_ONCE), []);
        pollset.wake();
        assert_eq!(waited(pollset, AT_ONCE), [(WAKE, IN)]);
    });
}

#[test]
fn a_registration_made_during_a_wait_is_reported_by_it() {
    each(|pollset| {
        let (near, mut far) = pair();
        far.write_all(b"early").unwrap();
        std::thread::scope(|s| {
            let waiter = s.spawn(|| waited(pollset, Some(LONG)));
            pollset.add(near.as_fd(), 7, Interest::Connection).unwrap();
            assert_eq!(waiter.join().unwrap(), [(7, IN)]);
        });
    });
}

#[test]
fn a_change_takes_no_event_out() {
    each(|pollset| {
        let (near, mut far) = pair();
        let (other, _peer) = pair();
        pollset.add(near.as_fd(), 7, Interest::Connection).unwrap();
        far.write_all(b"a").unwrap();
        await_that(|| rustix::io::ioctl_fionread(&near).unwrap() == 1);
        pollset.add(other.as_fd(), 8, Interest::Connection).unwrap();
        pollset.delete(other.as_fd()).unwrap();
        assert_eq!(waited(pollset, AT_ONCE), [(7, IN)]);
    });
}

#[test]
fn input_and_output_of_a_connection_are_one_event() {
    each(|pollset| {
        let (near, mut far) = pair();
        far.write_all(b"a").unwrap();
        drop(far);
        await_that(|| near.peek(&mut [0; 1]).is_ok());
        pollset.add(near.as_fd(), 7, Interest::Connection).unwrap();
        pollset
            .modify(near.as_fd(), 7, Interest::ConnectionOut)
            .unwrap();
        await_that(|| crate::sys::socket::readable(near.as_fd()));
        let told = waited(pollset, AT_ONCE);
        assert_eq!((told.len(), told[0].0), (1, 7));
        assert_eq!(told[0].1 & (IN | OUT), IN | OUT);
    });
}

#[test]
fn a_pollset_in_a_pollset_is_reported_while_events_wait_in_it() {
    for ((_, outer), (_, inner)) in all().into_iter().zip(all()) {
        let (near, mut far) = pair();
        inner.add(near.as_fd(), 7, Interest::Connection).unwrap();
        let theirs = inner.descriptor().unwrap();
        outer.add(theirs, STUCK, Interest::Pollset).unwrap();
        assert_eq!(waited(&*outer, AT_ONCE), []);
        far.write_all(b"a").unwrap();
        assert_eq!(waited(&*outer, Some(LONG)), [(STUCK, IN)]);
        assert_eq!(waited(&*outer, AT_ONCE), [(STUCK, IN)]);
        assert_eq!(inner.take().unwrap().map(|e| e.token), Some(7));
        assert_eq!(waited(&*outer, AT_ONCE), []);
        outer.delete(theirs).unwrap();
        far.write_all(b"b").unwrap();
        assert_eq!(waited(&*inner, Some(LONG)), [(7, IN)]);
        assert_eq!(waited(&*outer, AT_ONCE), []);
    }
}

#[test]
fn more_events_than_a_batch_come_in_several() {
    each(|pollset| {
        let mut pairs: Vec<_> = (0..BATCH as u64 + 10).map(|n| (n + 1, pair())).collect();
        for (token, (near, far)) in &mut pairs {
            pollset
                .add(near.as_fd(), *token, Interest::Connection)
                .unwrap();
            far.write_all(b"a").unwrap();
        }
        let mut told: Vec<_> = waited(pollset, Some(LONG));
        assert_eq!(told.len(), BATCH);
        told.extend(waited(pollset, Some(LONG)));
        told.sort_unstable();
        let all: Vec<_> = pairs.iter().map(|(token, _)| (*token, IN)).collect();
        assert_eq!(told, all);
    });
}

#[test]
fn deleting_what_is_not_there_is_an_error() {
    each(|pollset| {
        let (near, _far) = pair();
        let gone = |e: io::Error| e.raw_os_error() == Some(Errno::NOENT.raw_os_error());
        assert!(pollset.delete(near.as_fd()).is_err_and(gone));
        pollset.add(near.as_fd(), 7, Interest::Connection).unwrap();
        pollset.delete(near.as_fd()).unwrap();
        assert!(pollset.delete(near.as_fd()).is_err_and(gone));
    });
}

/// A kernel that answers as it is told.
#[derive(Default)]
struct Answers {
    changes: Mutex<Vec<(Filter, u16)>>,
    answers: Mutex<Vec<Result<Vec<Happened>, Errno>>>,
}

impl Sys for &Answers {
    fn user_events(&self) -> bool {
        true
    }

    fn kevent(
        &self,
        changes: &[Change],
        _: usize,
        _: Option<Duration>,
        each: &mut dyn FnMut(Happened),
    ) -> Result<(), Errno> {
        let mut all = self.changes.lock().unwrap();
        all.extend(changes.iter().map(|c| (c.filter, c.flags)));
        let answer = self.answers.lock().unwrap().pop();
        answer.unwrap_or(Ok(Vec::new()))?.into_iter().for_each(each);
        Ok(())
    }

    fn descriptor(&self) -> BorrowedFd<'_> {
        unreachable!("nobody asks")
    }
}

fn entry(filter: Filter, flags: u16, data: i64) -> Happened {
    Happened {
        filter,
        flags,
        token: 7,
        data,
    }
}

#[test]
fn a_change_that_fails_is_the_error_of_its_call_and_leaves_nothing_behind() {
    let kernel = Answers::default();
    let queue = Kqueue::over(&kernel).unwrap();
    let (near, _far) = pair();
    kernel.changes.lock().unwrap().clear();
    let refused = Ok(vec![
        entry(Filter::Read, ERROR, 0),
        entry(Filter::Write, ERROR, i64::from(Errno::NOMEM.raw_os_error())),
    ]);
    kernel.answers.lock().unwrap().push(refused);
    let added = queue.add(near.as_fd(), 7, Interest::ConnectionOut);
    let errno = added.unwrap_err().raw_os_error();
    assert_eq!(errno, Some(Errno::NOMEM.raw_os_error()));
    assert_eq!(
        *kernel.changes.lock().unwrap(),
        [
            (Filter::Read, ADD | CLEAR | RECEIPT),
            (Filter::Write, ADD | CLEAR | RECEIPT),
            (Filter::Read, DELETE | RECEIPT),
            (Filter::Write, DELETE | RECEIPT),
        ]
    );
}

#[test]
fn an_interrupted_call_is_no_error() {
    let kernel = Answers::default();
    let queue = Kqueue::over(&kernel).unwrap();
    let (near, _far) = pair();
    let interrupt = || kernel.answers.lock().unwrap().push(Err(Errno::INTR));
    interrupt();
    queue.add(near.as_fd(), 7, Interest::Connection).unwrap();
    interrupt();
    assert_eq!(waited(&queue, None), []);
    interrupt();
    assert_eq!(queue.take().unwrap(), None);
}

#[test]
fn the_end_of_our_own_output_is_not_the_peers_fin() {
    let kernel = Answers::default();
    let queue = Kqueue::over(&kernel).unwrap();
    let ended = entry(Filter::Write, EOF, 0);
    kernel.answers.lock().unwrap().push(Ok(vec![ended]));
    assert_eq!(waited(&queue, None), [(7, OUT)]);
}

#[test]
fn an_error_among_events_is_no_event() {
    let kernel = Answers::default();
    let queue = Kqueue::over(&kernel).unwrap();
    let error = entry(Filter::Read, ERROR, 1);
    kernel.answers.lock().unwrap().push(Ok(vec![error]));
    assert_eq!(waited(&queue, None), []);
}
