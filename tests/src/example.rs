//! An example that is a server: built, started at a free address, ended with its test.

use std::io;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::{build, ready};

const PATIENCE: Duration = Duration::from_secs(20);

/// A running example. Dropping it kills it.
#[derive(Debug)]
pub struct Example {
    child: Child,
    address: SocketAddr,
}

impl Example {
    /// Starts example `name` of `package`, which takes its address as the first argument. Returns once it listens.
    ///
    /// # Errors
    /// The build failed, or nobody listened in time.
    pub fn start(package: &str, name: &str) -> io::Result<Example> {
        Example::start_with(package, name, "")
    }

    /// The same for one that needs `features` of its package.
    ///
    /// # Errors
    /// As [`Example::start`].
    pub fn start_with(package: &str, name: &str, features: &str) -> io::Result<Example> {
        let program = build::program(package, "--example", name, features)?;
        let address = ready::free_address()?;
        let child = Command::new(program)
            .arg(address.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()?;
        let example = Example { child, address };
        ready::listening(address, PATIENCE)?;
        Ok(example)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
