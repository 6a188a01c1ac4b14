//! The PidFile: written whole or not at all, locked by the server that wrote it, removed at its end, and read by `-k`.
//!
//! The lock ends with the supervisor ([`crate::owned`]), so a number that is left behind is never mistaken for a server,
//! not even when another program has been given the same number since.

use crate::cli::Ask;
use crate::log::{Level, write};
use crate::owned::{OwnedFile, holder, is_gone};
use crate::settings::Settings;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A process that began so much later than its number was written is another one.
const TOLERANCE: Duration = Duration::from_secs(2);

/// A PidFile of this process; dropping it removes the file.
pub(crate) struct PidFile(OwnedFile);

/// What lies at a PidFile's path.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Found {
    Nothing,
    /// A server that lives.
    Server(Pid),
    /// Left behind by a process that is gone.
    Stale(String),
    /// The number of a program that is not this server, and its name.
    Foreign(Pid, String),
    /// Not a number at all.
    NoNumber,
    /// Something that may not be read.
    Hidden,
}

impl PidFile {
    /// Writes the file by way of a temporary one.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        let named = |e: io::Error| {
            io::Error::new(
                e.kind(),
                format!("could not create PidFile {}: {e}", path.display()),
            )
        };
        let make = || {
            let mut owned = OwnedFile::beside(path, 0o644)?;
            writeln!(owned.file(), "{}", std::process::id())?;
            owned.publish(path)?;
            Ok(owned)
        };
        make().map(Self).map_err(named)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // With `-X` this process has given up its privileges and may not remove it any more: it says nothing then.
        if self.0.remove().is_err() {
            let _ = self.0.file().set_len(0);
        }
    }
}

/// Looks at a PidFile. The supervisor must not do this to its own: closing it here would end the lock.
pub(crate) fn look(path: &Path) -> Found {
    // A pipe would be waited for, a device might act.
    let mut how = File::options();
    how.read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
    let file = match how.open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => return Found::Hidden,
        Err(_) => return Found::Nothing,
    };
    if !file.metadata().is_ok_and(|m| m.is_file()) {
        return Found::NoNumber;
    }
    if let Some(pid) = holder(&file) {
        return Found::Server(pid);
    }
    let text = io::read_to_string(&file).unwrap_or_default();
    let text = text.trim();
    if text.is_empty() {
        return Found::Stale(String::new());
    }
    let Ok(pid) = text.parse::<i32>() else {
        return Found::NoNumber;
    };
    let pid = Pid::from_raw(pid);
    let lives = pid.as_raw() > 1 && pid != Pid::this() && !is_gone(pid);
    let written = file.metadata().and_then(|m| m.modified());
    match (written, began(pid).filter(|_| lives)) {
        (Ok(written), Some(began)) if began <= written + TOLERANCE => {
            Found::Foreign(pid, name(pid))
        }
        _ => Found::Stale(text.to_owned()),
    }
}

/// When a process began (proc(5): `starttime` counts from boot).
fn began(pid: Pid) -> Option<SystemTime> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(") ")?;
    let ticks: u64 = rest.split(' ').nth(19)?.parse().ok()?;
    let boot = fs::read_to_string("/proc/stat").ok()?;
    let boot = boot.lines().find_map(|l| l.strip_prefix("btime "))?;
    let boot: u64 = boot.trim().parse().ok()?;
    let second = rustix::param::clock_ticks_per_second().max(1);
    Some(UNIX_EPOCH + Duration::from_secs(boot) + Duration::from_millis(ticks * 1000 / second))
}

fn name(pid: Pid) -> String {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    name.trim().to_owned()
}

/// Whether a server may start with this PidFile: `Err` if the path belongs to somebody else.
pub(crate) fn may_write(path: &Path, found: &Found) -> io::Result<()> {
    let shown = path.display();
    let why = match found {
        // An empty one is what `-X` leaves behind that may not remove it.
        Found::Nothing => return Ok(()),
        Found::Stale(text) if text.is_empty() => return Ok(()),
        Found::Stale(text) => {
            let text = format!(
                "PidFile {shown} (pid {text}) overwritten: unclean shutdown of the server before?"
            );
            write("core", Level::Warn, &text);
            return Ok(());
        }
        Found::Hidden => format!("PidFile {shown} may not be read: permission denied"),
        Found::Server(pid) => format!("PidFile {shown}: the server with pid {pid} is running"),
        Found::Foreign(pid, name) => format!(
            "PidFile {shown} names process {pid} ({name}), which is not this server: choose another PidFile, or remove \
             the file if it is left over"
        ),
        Found::NoNumber => format!(
            "PidFile {shown} exists and holds no process id: remove it, or choose another PidFile"
        ),
    };
    Err(io::Error::new(io::ErrorKind::AlreadyExists, why))
}

/// `-k` with a word for the server that runs. `false`: there is none, and the word was one to start it.
pub(crate) fn signal(settings: &Settings, ask: Ask) -> io::Result<bool> {
    let Some(path) = settings.pid_path() else {
        return Err(io::Error::other(
            "-k needs a configuration file (-f) whose PidFile names the server",
        ));
    };
    let signal = match ask {
        Ask::Stop => Signal::SIGTERM,
        Ask::GracefulStop => Signal::SIGWINCH,
        Ask::Restart => Signal::SIGHUP,
        Ask::Graceful => Signal::SIGUSR1,
    };
    let starts = matches!(ask, Ask::Restart | Ask::Graceful);
    match look(path) {
        Found::Server(pid) => {
            kill(pid, signal)
                .map_err(|e| io::Error::other(format!("signalling process {pid}: {e}")))?;
            Ok(true)
        }
        Found::Stale(_) | Found::Nothing if starts => Ok(false),
        Found::Stale(text) if !text.is_empty() => {
            println!("parkade (pid {text}?) not running");
            Ok(true)
        }
        Found::Stale(_) | Found::Nothing => {
            println!("parkade (no pid file) not running");
            Ok(true)
        }
        found @ (Found::Foreign(..) | Found::NoNumber | Found::Hidden) => {
            may_write(path, &found)?;
            Ok(true)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_at_the_path_is_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pid");
        assert_eq!(look(&path), Found::Nothing);
        fs::write(&path, "no number\n").unwrap();
        assert_eq!(look(&path), Found::NoNumber);
        let mut other = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let pid = Pid::from_raw(other.id() as i32);
        fs::write(&path, format!("{pid}\n")).unwrap();
        // Between fork and exec it still has our name.
        assert!(matches!(look(&path), Found::Foreign(found, _) if found == pid));
        // Written long before that process began: the number was given out again.
        let file = File::options().write(true).open(&path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(60))
            .unwrap();
        assert_eq!(look(&path), Found::Stale(pid.to_string()));
        fs::write(&path, format!("{pid}\n")).unwrap();
        other.kill().unwrap();
        // Dead, though nobody has waited for it yet.
        let stat = || fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        while !stat().contains(") Z ") {
            std::thread::yield_now();
        }
        assert_eq!(look(&path), Found::Stale(pid.to_string()));
        other.wait().unwrap();
        assert_eq!(look(&path), Found::Stale(pid.to_string()));
    }

    #[test]
    fn what_is_no_file_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pid");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(look(&path), Found::NoNumber);
        assert_eq!(look(folder.path()), Found::NoNumber);
    }

    #[test]
    fn a_file_that_has_been_replaced_is_not_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pid");
        let ours = PidFile::create(&path).unwrap();
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            format!("{}\n", std::process::id())
        );
        fs::remove_file(&path).unwrap();
        fs::write(&path, "1\n").unwrap();
        drop(ours);
        assert!(path.exists());
        fs::remove_file(&path).unwrap();
        drop(PidFile::create(&path).unwrap());
        assert!(!path.exists());
    }
}
