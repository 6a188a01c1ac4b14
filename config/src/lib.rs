//! Reads Apache-style configuration with diagnostics that point at the character.
//!
//! Text goes one way: [`source`] gives files, `lex` cuts logical lines into words that remember where they
//! stood, [`tree`] nests them and carries out the immediate directives (Include, Define, If...), [`schema`]
//! is the one table of directives, `apply` turns the tree into the typed [`Config`], and [`limits`] does the
//! arithmetic of processes and threads; [`dump`] shows the result,
//! `changes` what another one changes. Problems are collected as [`Diagnostic`]s, never thrown at the first.
#![forbid(unsafe_code)]

mod apply;
mod changes;
pub mod diagnostic;
pub mod dump;
mod lex;
pub mod limits;
mod load;
pub mod schema;
pub mod source;
pub mod tree;
mod typed;
pub mod values;

pub use changes::changes;
pub use diagnostic::{Diagnostic, Located, Origin, Severity};
pub use load::{LoadOptions, load};
pub use source::{MemorySource, Source, StdSource};
pub use typed::*;
