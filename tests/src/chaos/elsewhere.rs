//! Elsewhere than on Linux there is no such run: it needs /proc, namespaces and limits of other processes.

use std::io;

/// None: see [`Options::parse`].
#[derive(Debug)]
pub enum Options {}

impl Options {
    /// Says so.
    ///
    /// # Errors
    /// Always.
    pub fn parse(_words: impl Iterator<Item = String>) -> Result<Options, String> {
        Err("runs on Linux only".to_owned())
    }
}

/// Never called.
///
/// # Errors
/// None.
pub fn run(options: &Options) -> io::Result<bool> {
    match *options {}
}
