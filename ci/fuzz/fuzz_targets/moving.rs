//! What children tell each other about connections: no message panics, and what is understood means the same when it is
//! written and read again.
#![no_main]

#[allow(dead_code)]
#[path = "../../../server/src/child/moving/message.rs"]
mod message;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Some((credit, refused)) = message::read_answer(data) {
        assert_eq!(message::answer(credit, refused.as_deref()), data);
    }
    let Some(all) = message::read(data) else { return };
    let mut batch = message::Batch::new();
    for moved in &all {
        batch.push(moved.listener, &moved.record);
    }
    let again = message::read(batch.bytes()).expect("what was written is understood");
    assert_eq!(again.len(), all.len());
    for (a, b) in all.iter().zip(&again) {
        assert_eq!(a.listener, b.listener);
        let (a, b) = (&a.record, &b.record);
        assert_eq!((a.peer, a.requests, a.silent), (b.peer, b.requests, b.silent));
        assert_eq!(a.deadline.to_millis(), b.deadline.to_millis());
        assert_eq!(a.carry.is_some(), b.carry.is_some());
        if let (Some(a), Some(b)) = (&a.carry, &b.carry) {
            assert_eq!((&a.bytes, a.tag), (&b.bytes, b.tag));
        }
    }
});
