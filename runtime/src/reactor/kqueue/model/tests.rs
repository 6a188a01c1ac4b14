use super::*;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

const AT_ONCE: Option<Duration> = Some(Duration::ZERO);
/// For what must come; a wait that takes it all has failed.
const LONG: Option<Duration> = Some(Duration::from_secs(10));

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (near, listener.accept().unwrap().0)
}

fn on(fd: &impl AsRawFd, filter: Filter, flags: u16) -> Change {
    Change {
        ident: fd.as_raw_fd(),
        filter,
        flags,
        token: 7,
        trigger: false,
    }
}

fn call(
    model: &Model,
    changes: &[Change],
    room: usize,
    timeout: Option<Duration>,
) -> Result<Vec<Happened>, Errno> {
    let mut all = Vec::new();
    model.kevent(changes, room, timeout, &mut |h| all.push(h))?;
    Ok(all)
}

fn tokens(model: &Model) -> Vec<u64> {
    let all = call(model, &[], 8, AT_ONCE).unwrap();
    all.iter().map(|h| h.token).collect()
}

#[test]
fn without_a_flag_a_note_is_reported_while_its_condition_holds() {
    let (model, (mut near, mut far)) = (Model::new(true).unwrap(), pair());
    call(&model, &[on(&near, Filter::Read, ADD)], 0, AT_ONCE).unwrap();
    assert_eq!(tokens(&model), []);
    far.write_all(b"ab").unwrap();
    let told = call(&model, &[], 8, LONG).unwrap();
    assert_eq!((told[0].data, told[0].flags), (2, 0));
    assert_eq!(tokens(&model), [7]);
    near.read_exact(&mut [0; 2]).unwrap();
    assert_eq!(tokens(&model), []);
}

#[test]
fn a_cleared_note_waits_for_something_new() {
    let (model, (mut near, mut far)) = (Model::new(true).unwrap(), pair());
    call(&model, &[on(&near, Filter::Read, ADD | CLEAR)], 0, AT_ONCE).unwrap();
    far.write_all(b"ab").unwrap();
    assert_eq!(call(&model, &[], 8, LONG).unwrap().len(), 1);
    assert_eq!(tokens(&model), []);
    near.read_exact(&mut [0; 1]).unwrap();
    assert_eq!(tokens(&model), [], "reading is nothing new");
    near.read_exact(&mut [0; 1]).unwrap();
    far.write_all(b"cd").unwrap();
    assert_eq!(
        call(&model, &[], 8, LONG).unwrap().len(),
        1,
        "as many bytes as before"
    );
    far.write_all(b"e").unwrap();
    assert_eq!(
        call(&model, &[], 8, LONG).unwrap().len(),
        1,
        "nobody has read the others"
    );
}

#[test]
fn what_no_longer_holds_is_not_reported() {
    let (model, (mut near, mut far)) = (Model::new(true).unwrap(), pair());
    far.write_all(b"a").unwrap();
    near.peek(&mut [0; 1]).unwrap();
    call(&model, &[on(&near, Filter::Read, ADD | CLEAR)], 0, AT_ONCE).unwrap();
    near.read_exact(&mut [0; 1]).unwrap();
    assert_eq!(tokens(&model), []);
}

#[test]
fn adding_again_changes_the_note_and_looks_anew() {
    let (model, (near, mut far)) = (Model::new(true).unwrap(), pair());
    let add = on(&near, Filter::Read, ADD | CLEAR);
    call(&model, &[add], 0, AT_ONCE).unwrap();
    far.write_all(b"a").unwrap();
    assert_eq!(call(&model, &[], 8, LONG).unwrap().len(), 1);
    call(&model, &[Change { token: 8, ..add }], 0, AT_ONCE).unwrap();
    assert_eq!(tokens(&model), [8]);
    assert_eq!(tokens(&model), []);
}

#[test]
fn a_oneshot_is_gone_after_its_report_and_a_dispatched_note_is_disabled() {
    let (model, (near, mut far)) = (Model::new(true).unwrap(), pair());
    far.write_all(b"a").unwrap();
    near.peek(&mut [0; 1]).unwrap();
    call(
        &model,
        &[on(&near, Filter::Read, ADD | ONESHOT)],
        0,
        AT_ONCE,
    )
    .unwrap();
    assert_eq!(tokens(&model), [7]);
    let enable = on(&near, Filter::Read, ENABLE);
    assert_eq!(call(&model, &[enable], 0, AT_ONCE), Err(Errno::NOENT));

    call(
        &model,
        &[on(&near, Filter::Read, ADD | DISPATCH)],
        0,
        AT_ONCE,
    )
    .unwrap();
    assert_eq!(tokens(&model), [7]);
    assert_eq!(tokens(&model), []);
    call(&model, &[enable], 0, AT_ONCE).unwrap();
    assert_eq!(tokens(&model), [7]);
}

#[test]
fn the_end_of_input_comes_with_what_is_left_to_read() {
    let (model, (near, mut far)) = (Model::new(true).unwrap(), pair());
    call(&model, &[on(&near, Filter::Read, ADD | CLEAR)], 0, AT_ONCE).unwrap();
    far.write_all(b"abc").unwrap();
    assert_eq!(call(&model, &[], 8, LONG).unwrap()[0].flags, 0);
    drop(far);
    let told = call(&model, &[], 8, LONG).unwrap();
    assert_eq!((told[0].data, told[0].flags), (3, EOF));
    assert_eq!(tokens(&model), []);
}

#[test]
fn a_failed_change_takes_room_in_the_list_or_fails_the_call() {
    let (model, (near, mut far)) = (Model::new(true).unwrap(), pair());
    far.write_all(b"a").unwrap();
    near.peek(&mut [0; 1]).unwrap();
    let delete = on(&near, Filter::Write, DELETE);
    let add = on(&near, Filter::Read, ADD | CLEAR);
    let noent = i64::from(Errno::NOENT.raw_os_error());

    let told = call(&model, &[delete, add], 8, LONG).unwrap();
    assert_eq!(told.len(), 1, "no events beside an error");
    assert_eq!((told[0].flags, told[0].data), (ERROR, noent));
    assert_eq!(tokens(&model), [7], "the change behind it was made");

    let receipt = Change {
        flags: DELETE | RECEIPT,
        ..add
    };
    let told = call(&model, &[receipt, delete], 1, LONG);
    assert_eq!(told, Err(Errno::NOENT), "the list was full");
    assert_eq!(
        call(
            &model,
            &[Change {
                flags: DELETE,
                ..add
            }],
            1,
            AT_ONCE
        )
        .unwrap()[0]
            .data,
        noent
    );
}

#[test]
fn a_receipt_takes_no_events_out() {
    let (model, (near, mut far)) = (Model::new(true).unwrap(), pair());
    let add = on(&near, Filter::Read, ADD | CLEAR | RECEIPT);
    assert_eq!(call(&model, &[add], 1, LONG).unwrap()[0].data, 0);
    far.write_all(b"a").unwrap();
    near.peek(&mut [0; 1]).unwrap();
    let told = call(
        &model,
        &[on(&near, Filter::Write, ADD | CLEAR | RECEIPT)],
        8,
        LONG,
    )
    .unwrap();
    assert_eq!((told.len(), told[0].flags), (1, ERROR));
    assert_eq!(tokens(&model), [7, 7]);
}

#[test]
fn closing_a_descriptor_ends_its_notes_also_if_its_number_is_used_again() {
    let (model, (near, mut far)) = (Model::new(true).unwrap(), pair());
    call(&model, &[on(&near, Filter::Read, ADD)], 0, AT_ONCE).unwrap();
    far.write_all(b"a").unwrap();
    assert_eq!(call(&model, &[], 8, LONG).unwrap().len(), 1);
    let fd = near.as_raw_fd();
    drop(near);
    let mut others = Vec::new();
    while others.len() < 16
        && others
            .iter()
            .all(|(near, _): &(TcpStream, _)| near.as_raw_fd() != fd)
    {
        others.push(pair());
    }
    for (_, far) in &mut others {
        far.write_all(b"b").unwrap();
    }
    assert_eq!(tokens(&model), []);
}

#[test]
fn each_note_is_reported_once_before_any_is_reported_again() {
    let model = Model::new(true).unwrap();
    let mut pairs: Vec<_> = (0..3).map(|_| pair()).collect();
    for (n, (near, far)) in pairs.iter_mut().enumerate() {
        far.write_all(b"a").unwrap();
        near.peek(&mut [0; 1]).unwrap();
        let add = Change {
            token: n as u64,
            ..on(near, Filter::Read, ADD)
        };
        call(&model, &[add], 0, AT_ONCE).unwrap();
    }
    let next = || call(&model, &[], 1, AT_ONCE).unwrap()[0].token;
    assert_eq!([next(), next(), next(), next()], [0, 1, 2, 0]);
}

#[test]
fn a_triggered_event_is_one_however_often() {
    let model = Model::new(true).unwrap();
    let user = Change {
        ident: 0,
        trigger: false,
        ..on(&model.changed, Filter::User, ADD | CLEAR)
    };
    call(&model, &[user], 0, AT_ONCE).unwrap();
    assert_eq!(tokens(&model), []);
    let trigger = Change {
        flags: 0,
        trigger: true,
        ..user
    };
    call(&model, &[trigger, trigger], 0, AT_ONCE).unwrap();
    assert_eq!(tokens(&model), [7]);
    assert_eq!(tokens(&model), []);
    let without = Model::new(false).unwrap();
    assert_eq!(call(&without, &[user], 0, AT_ONCE), Err(Errno::INVAL));
}
