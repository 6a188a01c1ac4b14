//! What is said between a child that gives connections away and one that takes them: whole messages over SOCK_SEQPACKET,
//! numbers in little-endian order.
//!
//! | giver to taker | bytes |
//! |---|---|
//! | "PKMV", version, number of records (u16 each) | 8 |
//! | for each: length of what follows (u32) | 4 |
//! | peer, listener's address (IPv6 or mapped), its port (u16) | 34 |
//! | flags (u16), requests so far, deadline, deadline and tag of what is unfinished (u32 each) | 18 |
//! | the unfinished head | the rest |
//!
//! Deadlines are moments of the monotonic clock in milliseconds, which all processes share. The descriptors come with the message, in the order of the records.
//!
//! | taker to giver | bytes |
//! |---|---|
//! | descriptors that may be sent beside those allowed before (u32) | 4 |
//! | records of the oldest unanswered message that were not taken (u16 each), behind 0xFFFF if this is an answer | 2 each |
//!
//! Everything is checked: a message that is not understood ends the channel, and each connection stays where it is.

use parkade::{Carry, Deadline, Record};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Changes with the layout.
const VERSION: u16 = 1;
/// The oldest layout that is read, and the one that is written and the newest that is read: a server that takes another
/// one's place gets records of that one's version.
pub(crate) const RECORDS: (u16, u16) = (1, VERSION);
const MAGIC: [u8; 4] = *b"PKMV";
const HEADER: usize = 8;
const FIXED: usize = 52;
/// Nothing has come from the peer yet; something is unfinished; that has a deadline of its own.
const SILENT: u16 = 1;
const CARRY: u16 = 2;
const DEADLINE: u16 = 4;
/// A message of the taker is an answer.
const ANSWER: u16 = 0xFFFF;

/// A record with the address of its listener instead of a number that another process does not know.
pub(super) struct Moved {
    pub(super) listener: SocketAddr,
    pub(super) record: Record,
}

/// Connections on their way.
pub(super) struct Batch(Vec<u8>);

impl Batch {
    pub(super) fn new() -> Self {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&0_u16.to_le_bytes());
        Self(bytes)
    }

    pub(super) fn push(&mut self, listener: SocketAddr, record: &Record) {
        let carry = record.carry.as_ref();
        let bytes = carry.map_or(&[][..], |c| &c.bytes);
        let until = carry.and_then(|c| c.deadline);
        let mut flags = 0;
        for (flag, set) in [
            (SILENT, record.silent),
            (CARRY, carry.is_some()),
            (DEADLINE, until.is_some()),
        ] {
            flags |= if set { flag } else { 0 };
        }
        let out = &mut self.0;
        out.extend_from_slice(&((FIXED + bytes.len()) as u32).to_le_bytes());
        out.extend_from_slice(&mapped(record.peer).octets());
        out.extend_from_slice(&mapped(listener.ip()).octets());
        out.extend_from_slice(&listener.port().to_le_bytes());
        out.extend_from_slice(&flags.to_le_bytes());
        for number in [
            record.requests,
            record.deadline.to_millis(),
            until.map_or(0, Deadline::to_millis),
            carry.map_or(0, |c| c.tag),
        ] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(bytes);
        let count = u16::from_le_bytes([out[6], out[7]]) + 1;
        out[6..HEADER].copy_from_slice(&count.to_le_bytes());
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

fn mapped(ip: IpAddr) -> Ipv6Addr {
    match ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
}

/// The records of a message; `None` if it is not understood.
pub(super) fn read(bytes: &[u8]) -> Option<Vec<Moved>> {
    let (header, mut rest) = bytes.split_at_checked(HEADER)?;
    let number = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
    let known = RECORDS.0..=RECORDS.1;
    if header[..4] != MAGIC || !known.contains(&number(4)) {
        return None;
    }
    let count = usize::from(number(6));
    let mut all = Vec::with_capacity(count);
    for _ in 0..count {
        let (length, behind) = rest.split_first_chunk::<4>()?;
        let length = u32::from_le_bytes(*length) as usize;
        let (record, behind) = behind.split_at_checked(length)?;
        all.push(one(record)?);
        rest = behind;
    }
    rest.is_empty().then_some(all)
}

fn one(bytes: &[u8]) -> Option<Moved> {
    let (peer, rest) = bytes.split_first_chunk::<16>()?;
    let (ip, rest) = rest.split_first_chunk::<16>()?;
    let (port, rest) = rest.split_first_chunk::<2>()?;
    let (flags, rest) = rest.split_first_chunk::<2>()?;
    let (numbers, bytes) = rest.split_first_chunk::<16>()?;
    let number = |n: usize| {
        let mut one = [0; 4];
        one.copy_from_slice(&numbers[4 * n..4 * n + 4]);
        u32::from_le_bytes(one)
    };
    let flags = u16::from_le_bytes(*flags);
    let host = |octets: &[u8; 16]| IpAddr::from(Ipv6Addr::from(*octets)).to_canonical();
    let until = (flags & DEADLINE != 0).then(|| Deadline::from_millis(number(2)));
    Some(Moved {
        listener: SocketAddr::new(host(ip), u16::from_le_bytes(*port)),
        record: Record {
            listener: 0,
            peer: host(peer),
            requests: number(0),
            deadline: Deadline::from_millis(number(1)),
            silent: flags & SILENT != 0,
            carry: (flags & CARRY != 0).then(|| Carry {
                bytes: bytes.to_vec(),
                deadline: until,
                tag: number(3),
            }),
        },
    })
}

/// Answers the oldest message, or (with `None`) only allows more.
pub(super) fn answer(credit: u32, refused: Option<&[u16]>) -> Vec<u8> {
    let mut out = credit.to_le_bytes().to_vec();
    if let Some(refused) = refused {
        let words = std::iter::once(&ANSWER).chain(refused);
        out.extend(words.flat_map(|word| word.to_le_bytes()));
    }
    out
}

/// The credit of a taker's message, and if it is an answer, what was not taken.
pub(super) fn read_answer(bytes: &[u8]) -> Option<(u32, Option<Vec<u16>>)> {
    let (credit, rest) = bytes.split_first_chunk::<4>()?;
    let (words, odd) = rest.as_chunks::<2>();
    let mut words = words.iter().map(|word| u16::from_le_bytes(*word));
    let refused = match words.next() {
        None => None,
        Some(ANSWER) => Some(words.collect()),
        Some(_) => return None,
    };
    odd.is_empty()
        .then_some((u32::from_le_bytes(*credit), refused))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;

    fn batch() -> Batch {
        let mut batch = Batch::new();
        for (n, peer) in ["127.0.0.1", "2001:db8::7"].into_iter().enumerate() {
            let carry = Carry {
                bytes: b"GET / HT".to_vec(),
                deadline: Some(Deadline::from_millis(9)),
                tag: 5,
            };
            let record = Record {
                listener: 3,
                peer: peer.parse().unwrap(),
                requests: 7,
                deadline: Deadline::from_millis(u32::MAX - 1),
                silent: n == 0,
                carry: (n == 1).then_some(carry),
            };
            batch.push("127.0.0.1:80".parse().unwrap(), &record);
        }
        batch
    }

    #[test]
    fn what_is_written_is_read() {
        let all = read(batch().bytes()).unwrap();
        assert_eq!(all.len(), 2);
        assert_eq!(all[0].listener.to_string(), "127.0.0.1:80");
        assert_eq!(all[0].record.peer.to_string(), "127.0.0.1");
        assert!(all[0].record.silent && all[0].record.carry.is_none());
        assert_eq!(all[1].record.peer.to_string(), "2001:db8::7");
        assert_eq!(all[1].record.deadline.to_millis(), u32::MAX - 1);
        assert!(all[1].record.requests == 7 && !all[1].record.silent);
        let carry = all[1].record.carry.as_ref().unwrap();
        assert_eq!((&carry.bytes[..], carry.tag), (&b"GET / HT"[..], 5));
        assert_eq!(carry.deadline.map(Deadline::to_millis), Some(9));
        assert!(read(Batch::new().bytes()).unwrap().is_empty());
    }

    #[test]
    fn what_is_cut_or_changed_is_refused_and_never_a_panic() {
        let whole = batch();
        let whole = whole.bytes();
        for end in 0..whole.len() {
            assert!(read(&whole[..end]).is_none(), "{end}");
        }
        for at in 0..whole.len() {
            let mut other = whole.to_vec();
            other[at] ^= 0xFF;
            let _ = read(&other);
        }
        assert!(read(&[whole, b"x"].concat()).is_none());
    }

    /// A message of version 1, recorded from a server that wrote it: two connections at 127.0.0.1:8080, one of them with
    /// the beginning of a head.
    const VERSION_1: &[u8] = b"PKMV\x01\x00\x02\x00\
        \x34\x00\x00\x00\
        \x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xc0\x00\x02\x01\
        \x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\x7f\x00\x00\x01\x90\x1f\
        \x01\x00\x00\x00\x00\x00\x10\x27\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\
        \x3c\x00\x00\x00\
        \x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x07\
        \x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\x7f\x00\x00\x01\x90\x1f\
        \x06\x00\x05\x00\x00\x00\x20\x4e\x00\x00\x30\x75\x00\x00\x02\x00\x00\x00\
        GET / HT";

    #[test]
    fn records_of_every_version_so_far_are_read() {
        let all = read(VERSION_1).unwrap();
        assert_eq!(all.len(), 2);
        assert!(
            all.iter()
                .all(|m| m.listener.to_string() == "127.0.0.1:8080")
        );
        let (first, second) = (&all[0].record, &all[1].record);
        assert_eq!(first.peer.to_string(), "192.0.2.1");
        assert_eq!((first.requests, first.deadline.to_millis()), (0, 10_000));
        assert!(first.silent && first.carry.is_none());
        assert_eq!(second.peer.to_string(), "2001:db8::7");
        assert_eq!((second.requests, second.deadline.to_millis()), (5, 20_000));
        let carry = second.carry.as_ref().unwrap();
        assert_eq!((&carry.bytes[..], carry.tag), (&b"GET / HT"[..], 2));
        assert_eq!(carry.deadline.map(Deadline::to_millis), Some(30_000));
        // Of versions that are not known here nothing is guessed.
        for version in [RECORDS.0 - 1, RECORDS.1 + 1] {
            let mut other = VERSION_1.to_vec();
            other[4..6].copy_from_slice(&version.to_le_bytes());
            assert!(read(&other).is_none(), "{version}");
        }
    }

    #[test]
    fn answers_are_read() {
        assert_eq!(read_answer(&answer(9, None)), Some((9, None)));
        assert_eq!(read_answer(&answer(0, Some(&[]))), Some((0, Some(vec![]))));
        let some = answer(1, Some(&[0, 252]));
        assert_eq!(read_answer(&some), Some((1, Some(vec![0, 252]))));
        for end in [0, 3, 5, 7] {
            assert_eq!(read_answer(&some[..end]), None);
        }
    }
}
