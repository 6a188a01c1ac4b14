//! Where lines go.

use super::losses::Losses;
use super::piped;
use super::syslog::Syslog;
use parkade_config::LogTarget;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};

/// A pipe takes so much at once without mixing it with what others write (pipe(7)).
const ATOMIC: usize = 4096;

/// An opened target. Clones of a process write to the same.
#[derive(Debug)]
pub(super) struct Sink {
    kind: Kind,
    /// What it is, for messages.
    name: String,
    losses: Losses,
}

/// What somebody should hear of a log, as it is written nowhere else.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum News {
    /// The first lines are lost.
    Losing(String),
    /// So many were, and it is over.
    Over(String),
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
            losses: Losses::new()?,
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
    /// loss after a success is told, whichever process has it, and the first success after that.
    pub(super) fn write(&self, lines: &[u8], severity: u8) -> Option<News> {
        let done = match &self.kind {
            Kind::File(file) => self.write_file(file, lines),
            Kind::Pipe(pipe) => write_pipe(pipe, lines),
            Kind::Syslog(syslog) => {
                let mut sent = 0;
                let mut all = lines.split_inclusive(|b| *b == b'\n');
                all.try_for_each(|line| {
                    let text = line.strip_suffix(b"\n").unwrap_or(line);
                    if !text.is_empty() {
                        let lost = |e| (&lines[sent..], e);
                        syslog.send(severity, text).map_err(lost)?;
                    }
                    sent += line.len();
                    Ok(())
                })
            }
        };
        match done {
            Ok(()) => self.losses.recover().map(|lost| {
                let name = &self.name;
                News::Over(format!("log {name}: written again; {lost} lines were lost"))
            }),
            Err((lost, e)) => {
                let count = lost.iter().filter(|b| **b == b'\n').count();
                let first = self.losses.lose(count as u64);
                let why = match e.kind() {
                    ErrorKind::WouldBlock => "the program does not keep up".to_owned(),
                    _ => e.to_string(),
                };
                let name = &self.name;
                first.then(|| News::Losing(format!("log {name}: lines are lost: {why}")))
            }
        }
    }

    /// What is lost of `lines`, and why. A line that a full disk has cut short is ended by the next that fits.
    fn write_file<'a>(
        &self,
        mut file: &File,
        lines: &'a [u8],
    ) -> Result<(), (&'a [u8], io::Error)> {
        if self.losses.take_torn() && !matches!(file.write(b"\n"), Ok(1)) {
            self.losses.tear();
        }
        let mut rest = lines;
        while !rest.is_empty() {
            match file.write(rest) {
                Ok(0) => return Err((rest, ErrorKind::WriteZero.into())),
                Ok(n) => rest = &rest[n..],
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => {
                    let written = lines.len() - rest.len();
                    if written > 0 && lines[written - 1] != b'\n' {
                        self.losses.tear();
                    }
                    return Err((rest, e));
                }
            }
        }
        Ok(())
    }
}

/// In pieces that end with a line, where lines are short enough. Never waits for the program.
fn write_pipe<'a>(mut pipe: &File, mut lines: &'a [u8]) -> Result<(), (&'a [u8], io::Error)> {
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
        let n = pipe.write(piece).map_err(|e| (lines, e))?;
        lines = if n == piece.len() { rest } else { &lines[n..] };
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a test")]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_once_and_again_after_it_was_well() {
        let sink = |path: &str| Sink::open(&LogTarget::File(path.into()), "log").unwrap();
        if !std::path::Path::new("/dev/full").exists() {
            return eprintln!("skipped: there is no /dev/full");
        }
        let full = sink("/dev/full");
        let Some(News::Losing(said)) = full.write(b"x\n", 6) else {
            panic!("nothing is said");
        };
        assert!(
            said.contains("/dev/full") && said.contains("lost"),
            "{said}"
        );
        assert_eq!(full.write(b"y\nz\n", 6), None);
        // All processes together: the count is not this one's alone.
        assert_eq!(full.losses.recover(), Some(3));
        assert_eq!(full.losses.recover(), None);
    }

    /// What fits of a line stands before a mark of its end, not before another line.
    #[test]
    fn a_line_that_was_cut_short_is_ended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let sink = Sink::open(&LogTarget::File(path.clone()), "log").unwrap();
        std::fs::write(&path, b"half of a li").unwrap();
        sink.losses.tear();
        assert!(sink.losses.lose(2));
        let Some(News::Over(said)) = sink.write(b"whole\n", 6) else {
            panic!("nothing is said");
        };
        assert!(said.ends_with("2 lines were lost"), "{said}");
        assert_eq!(std::fs::read(&path).unwrap(), b"half of a li\nwhole\n");
    }

    #[test]
    fn a_program_that_does_not_read_holds_nobody_up() {
        let (reader, writer) = std::io::pipe().unwrap();
        rustix::io::ioctl_fionbio(&writer, true).unwrap();
        let writer = File::from(std::os::fd::OwnedFd::from(writer));
        let line = [&[b'x'; 999][..], b"\n"].concat().repeat(9);
        let mut written = 0;
        let refused = loop {
            match write_pipe(&writer, &line) {
                Ok(()) => written += 1,
                Err((_, e)) => break e,
            }
        };
        assert_eq!(refused.kind(), ErrorKind::WouldBlock);
        assert!(written > 0);
        // What did arrive is made of whole lines.
        drop(writer);
        let mut got = Vec::new();
        io::Read::read_to_end(&mut &reader, &mut got).unwrap();
        assert!(got.chunks(1000).all(|l| l.len() == 1000 && l[999] == b'\n'));
    }
}
