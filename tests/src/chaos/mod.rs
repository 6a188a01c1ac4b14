//! Chaos: clients of every kind against a server that is restarted, crashed, stopped, starved and misconfigured.
//!
//! One seed fixes the order of the events and what each client does. Each event first tells the ledger which clients
//! may suffer from it; whatever a client sees that the ledger does not excuse is a fault of the server. At the end
//! nothing may be left: no process, socket, lock, shared segment or file.

mod act;
mod client;
mod conversation;
mod ending;
mod event;
mod ledger;
mod options;
mod run;
mod site;
mod subject;

pub use options::{Fault, Options};
pub use run::run;
