//! `-k start`: leaving the terminal. The caller's shell gets its prompt back, with the right exit code, when the server
//! answers or has failed.

use crate::log;
use nix::unistd::{ForkResult, fork, setsid};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;

/// The server's side of the caller's wait.
pub(super) struct Detached {
    caller: OwnedFd,
}

/// The byte that says that the server answers; anything else is what is to be said about its failure.
const READY: u8 = 0;

/// Goes on in a process of its own session, whose standard streams lead nowhere or to the error log. The calling process
/// waits for word of [`Detached`] and ends.
pub(super) fn detach() -> io::Result<Detached> {
    let (answer, caller) = io::pipe()?;
    // SAFETY: no thread has been started.
    if let ForkResult::Parent { .. } = unsafe { fork() }? {
        drop(caller);
        std::process::exit(i32::from(!heard(answer)));
    }
    drop(answer);
    setsid()?;
    redirect()?;
    Ok(Detached {
        caller: caller.into(),
    })
}

/// The caller: whether the server answers. If it has failed, its words are passed on.
fn heard(mut answer: io::PipeReader) -> bool {
    let mut said = Vec::new();
    let mut piece = [0; 1024];
    loop {
        match answer.read(&mut piece) {
            Ok(n) if n > 0 => {
                if said.is_empty() && piece[0] == READY {
                    return true;
                }
                said.extend_from_slice(&piece[..n]);
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            _ => {
                let _ = io::stderr().write_all(&said);
                return false;
            }
        }
    }
}

impl Detached {
    /// The server answers.
    pub(super) fn ready(self) {
        let _ = rustix::io::write(&self.caller, &[READY]);
    }

    /// The server has failed.
    pub(super) fn failed(self, why: &io::Error) {
        let _ = rustix::io::write(&self.caller, format!("parkade: {why}\n").as_bytes());
    }
}

fn redirect() -> io::Result<()> {
    let null = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    match log::error::file() {
        Some(file) => rustix::stdio::dup2_stderr(file)?,
        None => rustix::stdio::dup2_stderr(&null)?,
    }
    Ok(())
}
