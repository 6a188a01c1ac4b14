//! What is left behind when a signal such as SEGV ends a process: a core in the right directory, and of a child a report.
//!
//! `handler` catches the signal, `fault` says what the kernel tells of it, `report` writes `crash.<pid>.txt`, `trace`
//! finds the addresses in it, and `out` formats. What runs behind the signal is async-signal-safe: it takes no lock,
//! allocates nothing, uses what was prepared here, and asks the kernel for the rest.

mod fault;
mod handler;
mod out;
mod report;
mod trace;

use crate::child::Place;
use crate::log::{Level, write};
use crate::settings::Settings;
use crate::sys::extras;
use rustix::fs::{Access, access};
use rustix::process::{Resource, getrlimit};
use std::ffi::CString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Where a dying process changes to: `CoreDumpDirectory`, else ServerRoot. The built-in configuration has neither and
/// writes nowhere.
pub(crate) fn directory(settings: &Settings) -> Option<&Path> {
    let config = &settings.config;
    let given = config.core_dump_directory.as_ref().map(|d| &*d.value);
    given.or((!settings.builtin).then_some(&*config.server_root.value))
}

/// Where reports go: `CoreDumpDirectory`, else the logs.
fn reports(settings: &Settings) -> PathBuf {
    let config = &settings.config;
    match &config.core_dump_directory {
        Some(given) => given.value.clone(),
        None => config.server_root.value.join("logs"),
    }
}

/// Catches fatal signals in this process and those it forks. To be called again when the configuration has changed.
///
/// # Errors
/// The system refuses.
pub(crate) fn watch(settings: &Settings) -> io::Result<()> {
    let to = directory(settings).map(|d| CString::new(d.as_os_str().as_bytes()));
    handler::change_to(to.transpose()?);
    handler::install()
}

/// From now on a dying process says so on the channel to its supervisor first.
pub(crate) fn tell(control: &OwnedFd) -> io::Result<()> {
    // For the life of the process: it ends with the channel open.
    let control: &'static OwnedFd = Box::leak(Box::new(control.try_clone()?));
    handler::tell(control);
    Ok(())
}

/// Says so if the directory for cores will stay empty.
pub(crate) fn warn_of_limit(settings: &Settings) {
    if settings.config.core_dump_directory.is_some() && getrlimit(Resource::Core).current == Some(0)
    {
        let text = "CoreDumpDirectory: the limit of core files is 0, so there will be none; \
                    raise it where the server is started (ulimit -c unlimited)";
        write("core", Level::Warn, text);
    }
}

/// A process that has given up root: with `CoreDumpDirectory` the kernel may dump it all the same.
fn dumpable(settings: &Settings) {
    if settings.identity.is_none() || settings.config.core_dump_directory.is_none() {
        return;
    }
    if let Err(e) = extras::make_dumpable() {
        let text = format!("CoreDumpDirectory: children cannot be made dumpable: {e}");
        write("core", Level::Warn, &text);
    }
}

/// A process that is now whom it will serve as, perhaps with other settings than its supervisor's. With
/// `EnableExceptionHook` a report of a child is written from now on; the only process writes none.
///
/// # Errors
/// The system refuses.
pub(crate) fn enter(settings: &Settings, place: &Place, child: bool) -> io::Result<()> {
    watch(settings)?;
    dumpable(settings);
    let hook = child && *settings.config.enable_exception_hook;
    let given = settings.config.core_dump_directory.is_some();
    let folder = reports(settings);
    if hook || given {
        may_write(&folder, hook, given, place);
    }
    if hook {
        let file = folder.join(format!("crash.{}.txt", std::process::id()));
        let file = CString::new(file.as_os_str().as_bytes())?;
        report::enable(file, place.board.clone(), place.record);
    }
    Ok(())
}

/// Says so in good time (and once) if the children's user could not leave anything in `folder`.
fn may_write(folder: &Path, hook: bool, given: bool, place: &Place) {
    if place.record != 0 {
        return;
    }
    if let Err(e) = access(folder, Access::WRITE_OK | Access::EXEC_OK) {
        let (name, what) = match (given, hook) {
            (true, true) => ("CoreDumpDirectory", "cores and reports"),
            (true, false) => ("CoreDumpDirectory", "cores"),
            (false, _) => ("EnableExceptionHook", "reports"),
        };
        let text = format!(
            "{name}: children cannot write their {what} to {}: {e}; name a CoreDumpDirectory that their User may write to",
            folder.display()
        );
        write("core", Level::Warn, &text);
    }
}
