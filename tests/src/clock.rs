//! A clock that steps back for one server alone.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A server whose command was given this sees its wall clock an hour behind while a file exists.
#[derive(Debug, Clone)]
pub struct Clock {
    shim: PathBuf,
    /// Its existence sets the clock back.
    pub back: PathBuf,
}

impl Clock {
    /// Compiles what it needs into `folder`; `None`, and a line that says so, without a C compiler.
    ///
    /// # Errors
    /// The folder cannot be written, or the compiler's complaint.
    pub fn new(folder: &Path) -> io::Result<Option<Clock>> {
        let (source, shim) = (folder.join("clock.c"), folder.join("clock.so"));
        fs::write(&source, include_str!("backward_clock.c"))?;
        let mut cc = Command::new("cc");
        let cc = cc.args(["-shared", "-fPIC", "-O1", "-o"]);
        match cc.args([&shim, &source]).arg("-ldl").output() {
            Ok(output) if output.status.success() => Ok(Some(Clock {
                shim,
                back: folder.join("back"),
            })),
            Ok(output) => Err(io::Error::other(
                String::from_utf8_lossy(&output.stderr).into_owned(),
            )),
            Err(e) => {
                eprintln!("skipped: no C compiler ({e})");
                Ok(None)
            }
        }
    }

    /// Lets what this command starts live by the clock.
    pub fn rule(&self, command: &mut Command) {
        command
            .env("LD_PRELOAD", &self.shim)
            .env("BACKWARD_CLOCK", &self.back);
    }
}
