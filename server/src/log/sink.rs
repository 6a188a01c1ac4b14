//! Where lines go.

use super::piped;
use super::syslog::Syslog;
use parkade_config::LogTarget;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// A pipe takes so much at once without mixing it with what others write (pipe(7)).
const ATOMIC: usize = 4096;

/// An opened target. Clones of a process write to the same.
#[derive(Debug)]
pub(super) struct Sink {
    kind: Kind,
    /// What it is, for messages.
    name: String,
    /// Lines were lost and somebody was told.
    failed: AtomicBool,
}

#[derive(Debug)]
enum Kind {
    /// O_APPEND: a line is whole whoever else writes.
    File(File),
    Pipe(File),
    Syslog(Syslog),
}

impl Sink {
    /// Opens a file or syslog, or starts a program; as root, before privileges are dropped.
    pub(super) fn open(target: &LogTarget, what: &str) -> io::Result<Self> {
        let named = |name: &str, e: &io::Error| {
            io::Error::new(e.kind(), format!("could not open {what} {name}: {e}"))
        };
        let (name, kind) = match target {
            LogTarget::File(path) => {
                let name = path.display().to_string();
                let file = OpenOptions::new().append(true).create(true).open(path);
                let file = file.map_err(|e| named(&name, &e))?;
                (name, Kind::File(file))
            }
            LogTarget::Pipe(command) => {
                let name = format!("|{command}");
                let pipe = piped::start(command).map_err(|e| named(&name, &e))?;
                (name, Kind::Pipe(pipe))
            }
            LogTarget::Syslog(words) => {
                let syslog = Syslog::open(words.as_deref())?;
                ("syslog".to_owned(), Kind::Syslog(syslog))
            }
        };
        Ok(Self {
            kind,
            name,
            failed: AtomicBool::new(false),
        })
    }

    /// The file, if it is one.
    pub(super) fn file(&self) -> Option<&File> {
        match &self.kind {
            Kind::File(file) => Some(file),
            Kind::Pipe(_) | Kind::Syslog(_) => None,
        }
    }

    /// Writes whole lines. They may get lost (a full disk, a program that does not keep up): serving goes on. The first
    /// loss after a success is returned, so that it is told once.
    pub(super) fn write(&self, lines: &[u8], severity: u8) -> Option<String> {
        let done = match &self.kind {
            Kind::File(file) => (&*file).write_all(lines),
            Kind::Pipe(pipe) => write_pipe(pipe, lines),
            Kind::Syslog(syslog) => lines
                .split(|b| *b == b'\n')
                .filter(|l| !l.is_empty())
                .try_for_each(|line| syslog.send(severity, line)),
        };
        match done {
            Ok(()) => {
                if self.failed.load(Relaxed) {
                    self.failed.store(false, Relaxed);
                }
                None
            }
            Err(_) if self.failed.swap(true, Relaxed) => None,
            Err(e) => {
                let why = match e.kind() {
                    ErrorKind::WouldBlock => "the program does not keep up".to_owned(),
                    _ => e.to_string(),
                };
                Some(format!("log {}: lines are lost: {why}", self.name))
            }
        }
    }
}

/// In pieces that end with a line, where lines are short enough. Never waits for the program.
fn write_pipe(mut pipe: &File, mut lines: &[u8]) -> io::Result<()> {
    while !lines.is_empty() {
        let most = &lines[..lines.len().min(ATOMIC)];
        let end = match most.iter().rposition(|b| *b == b'\n') {
            Some(at) => at + 1,
            None => lines
                .iter()
                .position(|b| *b == b'\n')
                .map_or(lines.len(), |at| at + 1),
        };
        let (piece, rest) = lines.split_at(end);
        let n = pipe.write(piece)?;
        lines = if n == piece.len() { rest } else { &lines[n..] };
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_once_and_again_after_it_was_well() {
        let sink = |path: &str| Sink::open(&LogTarget::File(path.into()), "log").unwrap();
        if !std::path::Path::new("/dev/full").exists() {
            return eprintln!("skipped: there is no /dev/full");
        }
        let full = sink("/dev/full");
        let said = full.write(b"x\n", 6).unwrap();
        assert!(
            said.contains("/dev/full") && said.contains("lost"),
            "{said}"
        );
        assert_eq!(full.write(b"x\n", 6), None);
    }

    #[test]
    fn a_program_that_does_not_read_holds_nobody_up() {
        let flags = rustix::pipe::PipeFlags::NONBLOCK;
        let (reader, writer) = rustix::pipe::pipe_with(flags).unwrap();
        let writer = File::from(writer);
        let line = [&[b'x'; 999][..], b"\n"].concat().repeat(9);
        let mut written = 0;
        let refused = loop {
            match write_pipe(&writer, &line) {
                Ok(()) => written += 1,
                Err(e) => break e,
            }
        };
        assert_eq!(refused.kind(), ErrorKind::WouldBlock);
        assert!(written > 0);
        // What did arrive is made of whole lines.
        drop(writer);
        let mut got = Vec::new();
        io::Read::read_to_end(&mut File::from(reader), &mut got).unwrap();
        assert!(got.chunks(1000).all(|l| l.len() == 1000 && l[999] == b'\n'));
    }
}
