//! Logs that a program reads.
//!
//! Each program has a minder: a process of its own that holds the reading end, starts the program, starts it again when
//! it dies, and ends with it when the last writer is gone. So neither the supervisor nor its children have a part in it,
//! and lines that were written while the program was away are still in the pipe when it is back.

use crate::sys::ended::Ended;
use crate::sys::{descriptors, extras, signals};
use nix::sys::signal::{
    SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, sigaction, sigprocmask,
};
use nix::unistd::{ForkResult, setsid};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal as Word;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What may be on its way to the program.
const PIPE_BYTES: usize = 1 << 20;
/// A program that dies sooner is started again only then.
const PAUSE: Duration = Duration::from_secs(1);
/// What the program may still do when the last writer is gone.
const PATIENCE: Duration = Duration::from_secs(3);

/// Starts the program of `command` (through the shell if it begins with `$`) and gives the writing end, which does not
/// block. No thread may have been started.
pub(super) fn start(command: &str) -> io::Result<File> {
    let words = words(command)?;
    let (reader, writer) = io::pipe()?;
    let (reader, writer) = (OwnedFd::from(reader), OwnedFd::from(writer));
    // Only the writing end: the program expects to wait for its input.
    rustix::io::ioctl_fionbio(&writer, true)?;
    extras::enlarge(&writer, PIPE_BYTES);
    // SAFETY: there is no other thread, so the child may do whatever it likes.
    match unsafe { signals::fork() }? {
        ForkResult::Parent { .. } => Ok(File::from(writer)),
        ForkResult::Child => {
            drop(writer);
            let done = mind(reader, &words);
            std::process::exit(i32::from(done.is_err()));
        }
    }
}

/// The program and its arguments; `Err` if it cannot be started.
fn words(command: &str) -> io::Result<Vec<String>> {
    if let Some(script) = command.strip_prefix('$') {
        return Ok(vec!["/bin/sh".into(), "-c".into(), script.trim().into()]);
    }
    let mut words: Vec<String> = Vec::new();
    let mut quote = None;
    let mut inside = false;
    for c in command.chars() {
        match (c, quote) {
            (c, Some(q)) if c == q => quote = None,
            ('"' | '\'', None) => {
                quote = Some(c);
                if !inside {
                    words.push(String::new());
                }
                inside = true;
            }
            (c, None) if c.is_whitespace() => inside = false,
            (c, _) => {
                if !inside {
                    words.push(String::new());
                }
                inside = true;
                if let Some(word) = words.last_mut() {
                    word.push(c);
                }
            }
        }
    }
    let Some(program) = words.first() else {
        return Err(io::Error::new(
            ErrorKind::InvalidInput,
            "no program is named",
        ));
    };
    if program.contains('/') {
        let mode = std::fs::metadata(Path::new(program))?.permissions().mode();
        if mode & 0o111 == 0 {
            return Err(ErrorKind::PermissionDenied.into());
        }
    }
    Ok(words)
}

/// The life of a minder.
fn mind(reader: OwnedFd, words: &[String]) -> io::Result<()> {
    // The terminal's signals are for the server; the program ends by the end of its input.
    let _ = setsid();
    signals::forget();
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?;
    for signal in [Signal::SIGINT, Signal::SIGHUP, Signal::SIGPIPE] {
        let ignore = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
        // SAFETY: ignoring a signal runs no code of ours.
        unsafe { sigaction(signal, &ignore) }?;
    }
    rustix::stdio::dup2_stdin(&reader)?;
    drop(reader);
    // Everything but the standard streams belongs to the server: its listeners must not live on here.
    // SAFETY: no descriptor above 2 is used by this process after this call.
    unsafe { descriptors::close_from(3) };
    let input = rustix::stdio::stdin();
    let mut told = String::new();
    loop {
        let began = Instant::now();
        match begin(words) {
            Ok((child, ended)) => {
                told.clear();
                if watch(child, &ended, input)? {
                    return Ok(());
                }
            }
            Err(e) => {
                // Once, and whether or not there is room for it.
                let text = format!("parkade: log program {}: {e}\n", words.join(" "));
                if text != told {
                    let _ = io::stderr().write_all(text.as_bytes());
                    told = text;
                }
            }
        }
        if wait(&[], input, Some(PAUSE.saturating_sub(began.elapsed())))? {
            return Ok(());
        }
    }
}

fn begin(words: &[String]) -> io::Result<(Child, Ended)> {
    let (program, arguments) = words.split_first().ok_or(ErrorKind::InvalidInput)?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::inherit())
        .stdout(Stdio::null());
    Ended::start(&mut command)
}

/// Until the program ends (`false`) or the last writer is gone and the program with it (`true`).
fn watch(mut child: Child, ended: &Ended, input: BorrowedFd<'_>) -> io::Result<bool> {
    if !wait(&[ended.as_fd()], input, None)? {
        child.wait()?;
        return Ok(false);
    }
    // It reads what is left, and its end of file.
    let patience = Timespec {
        tv_sec: PATIENCE.as_secs() as i64,
        tv_nsec: 0,
    };
    for signal in [None, Some(Word::TERM), Some(Word::KILL)] {
        if let Some(signal) = signal {
            ended.signal(signal);
        }
        let mut fds = [PollFd::new(ended, PollFlags::IN)];
        if rustix::io::retry_on_intr(|| poll(&mut fds, Some(&patience)))? > 0 {
            break;
        }
    }
    child.wait()?;
    Ok(true)
}

/// Waits for one of `ends`, for the time, or for the last writer to go (`true`).
fn wait(
    ends: &[BorrowedFd<'_>],
    input: BorrowedFd<'_>,
    most: Option<Duration>,
) -> io::Result<bool> {
    let most = most.map(|d| Timespec {
        tv_sec: d.as_secs() as i64,
        tv_nsec: i64::from(d.subsec_nanos()),
    });
    // No event is asked for: that nobody can write any more is always told.
    let mut fds = vec![PollFd::from_borrowed_fd(input, PollFlags::empty())];
    fds.extend(
        ends.iter()
            .map(|e| PollFd::from_borrowed_fd(*e, PollFlags::IN)),
    );
    loop {
        match poll(&mut fds, most.as_ref()) {
            Ok(_) => return Ok(fds[0].revents().contains(PollFlags::HUP)),
            Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn commands_are_split_like_a_shell_would_without_being_one() {
        for (command, expected) in [
            ("cat -u x", vec!["cat", "-u", "x"]),
            ("cat  'a b' \"c'd\"e", vec!["cat", "a b", "c'de"]),
            ("$ cat > x", vec!["/bin/sh", "-c", "cat > x"]),
            ("cat ''", vec!["cat", ""]),
        ] {
            assert_eq!(
                words(command).ok(),
                Some(expected.iter().map(|s| (*s).to_owned()).collect()),
                "{command}"
            );
        }
        assert!(words("/no/such/program x").is_err());
        assert!(words("/etc/passwd").is_err(), "not executable");
        assert!(words("  ").is_err());
    }
}
