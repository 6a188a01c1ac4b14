//! What the rivals share, so that only the runtime differs: the command line, listeners, the answer, and where a
//! request ends.
//!
//! Each `src/bin/rival-NAME.rs` is a hello server on one runtime. `answer` and `heads` say what is said, `dialogue`
//! says it over a non-blocking socket, `threads` is a listener and a thread for each worker, `on_*` is what two
//! binaries of one runtime share. None of them is a server for anything but measurements: requests have no bodies.

pub mod answer;
pub mod command;
pub mod dialogue;
pub mod heads;
pub mod on_hyper;
pub mod on_monoio;
pub mod on_polling;
pub mod on_tokio;
pub mod threads;
