//! `-k start`: leaving the terminal. The caller's shell gets its prompt back, with the right exit code, when the server
//! answers or has failed.

use crate::log;
use nix::unistd::{ForkResult, fork, setsid};
use rustix::pipe::{PipeFlags, pipe_with};
use std::io;
use std::os::fd::OwnedFd;

/// The server's side of the caller's wait.
pub(super) struct Detached {
    caller: OwnedFd,
}

/// Goes on in a process of its own session. The calling process waits for [`Detached::ready`] and ends.
pub(super) fn detach() -> io::Result<Detached> {
    let (answer, caller) = pipe_with(PipeFlags::CLOEXEC)?;
    // SAFETY: no thread has been started.
    if let ForkResult::Parent { .. } = unsafe { fork() }? {
        drop(caller);
        let mut byte = [0];
        // The end without a word: the server has failed, and has said why.
        let served = matches!(rustix::io::read(&answer, &mut byte[..]), Ok(1));
        std::process::exit(i32::from(!served));
    }
    setsid()?;
    Ok(Detached { caller })
}

impl Detached {
    /// The server answers: standard streams go nowhere or to the error log, and the caller is told.
    pub(super) fn ready(self) {
        let redirected = redirect();
        if let Err(e) = redirected {
            let text = format!("standard streams could not be redirected: {e}");
            log::write("core", log::Level::Warn, &text);
        }
        let _ = rustix::io::write(&self.caller, b"r");
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
