//! Examples: built, started, ended with their test.

use std::io::{self, BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::{build, ready};

const PATIENCE: Duration = Duration::from_secs(20);

/// A running example that is a server. Dropping it kills it.
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

    /// Waits for its end.
    ///
    /// # Errors
    /// `TimedOut` if it goes on for longer than that.
    pub fn wait(&mut self, most: Duration) -> io::Result<ExitStatus> {
        wait(&mut self.child, most)
    }
}

/// A running example that says something. Dropping it kills it.
#[derive(Debug)]
pub struct Speaking {
    child: Child,
    output: BufReader<ChildStdout>,
}

/// Starts example `name` of `package` with these arguments.
///
/// # Errors
/// The build failed, or the program cannot be started.
pub fn run(package: &str, name: &str, arguments: &[&str]) -> io::Result<Speaking> {
    let program = build::program(package, "--example", name, "")?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let output = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
    Ok(Speaking {
        child,
        output: BufReader::new(output),
    })
}

impl Speaking {
    /// The next line that it says, empty at its end.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        // What could not be read is missing in what is compared.
        let _ = self.output.read_line(&mut line);
        line
    }

    /// Everything that it says up to its end.
    pub fn rest(&mut self) -> String {
        let mut rest = String::new();
        let _ = self.output.read_to_string(&mut rest);
        rest
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// `TimedOut` if it goes on for longer than that.
    pub fn wait(&mut self, most: Duration) -> io::Result<ExitStatus> {
        wait(&mut self.child, most)
    }
}

fn wait(child: &mut Child, most: Duration) -> io::Result<ExitStatus> {
    let end = Instant::now() + most;
    loop {
        match child.try_wait()? {
            Some(status) => return Ok(status),
            None if Instant::now() > end => return Err(io::ErrorKind::TimedOut.into()),
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

impl Drop for Speaking {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
