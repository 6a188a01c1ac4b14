//! Parked connections outlive the child that accepted them: a child that ends gives them to others (`giving`), which take
//! them (`taking`) and answer for them, message by message (`message`). The client notices nothing.

mod giving;
mod message;
mod taking;

pub(super) use giving::Giving;
pub(crate) use message::RECORDS;
pub(super) use taking::Taking;
