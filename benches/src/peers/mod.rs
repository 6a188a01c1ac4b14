//! The servers that have a name: our own, the yardstick, and those of a Debian system.
//!
//! Each has one worker, a long keep-alive and no access log, because what is compared is the cost of a request.
//! `templates` are their configurations.

mod templates;

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::launch::Plan;

/// The small file, as large as the yardstick's body.
const FILE: &str = "hello.txt";
const BODY: &str = "Hello, World!";
const PATH: &str = "/hello.txt";
/// The large one.
const LARGE: &str = "large.bin";
/// What chooses the backend of our own programs.
const BACKEND: &str = "PARKADE_BACKEND";

/// What a server that is started here is to be like.
pub(crate) struct Site<'a> {
    /// Processes, or threads where a server has only these.
    pub(crate) children: usize,
    /// Seconds that an idle connection is kept.
    pub(crate) keepalive: u64,
    /// Bytes of the body that is asked for; 0 is the small one.
    pub(crate) body: usize,
    /// More lines for the configuration of our own server.
    pub(crate) more: &'a str,
}

/// How to start `name` at `address`; `None` when it is no name.
pub(crate) fn plan(name: &str, address: SocketAddr, site: &Site<'_>) -> io::Result<Option<Plan>> {
    // `parkade-file; LINE; LINE` has lines of its own.
    if let Some((plain, lines)) = name.split_once(';')
        && plain.split('+').next() == Some("parkade-file")
    {
        let lines = lines.replace(';', "\n");
        let more = &format!("{}{lines}\n", site.more);
        return plan(plain, address, &Site { more, ..*site });
    }
    let (plain, backend) = match name.split_once('+') {
        Some((plain, backend)) if is_own(plain) => (plain, Some(backend)),
        _ => (name, None),
    };
    let Some(mut plan) = named(plain, address, site)? else {
        return Ok(None);
    };
    if let Some(backend) = backend {
        plan.environment = Some((BACKEND, backend.to_owned()));
    }
    Ok(Some(plan))
}

/// Whether it closes connections that are idle for too long; the yardstick does not, nor do servers on other runtimes.
/// One that was started by somebody else does.
pub(crate) fn has_deadlines(name: &str) -> bool {
    let name = name.split('+').next().unwrap_or(name);
    let known = matches!(
        name,
        "parkade-file" | "nginx" | "nginx-file" | "h2o" | "apache2" | "lighttpd" | "haproxy"
    );
    known || name.contains("://")
}

/// The signal for a graceful restart after which all its processes are new ones.
pub(crate) fn graceful(name: &str) -> io::Result<Signal> {
    match name.split('+').next().unwrap_or(name) {
        "parkade-file" | "apache2" => Ok(Signal::USR1),
        "nginx" | "nginx-file" => Ok(Signal::HUP),
        _ => Err(io::Error::new(
            io::ErrorKind::Unsupported,
            format!("no graceful restart of {name} that this program knows of"),
        )),
    }
}

/// Whether a backend may be named behind it.
fn is_own(name: &str) -> bool {
    matches!(name, "parkade-file" | "parkade-hello" | "parkade-echo")
}

fn named(name: &str, address: SocketAddr, site: &Site<'_>) -> io::Result<Option<Plan>> {
    let own = std::env::current_exe()?;
    let at = address.to_string();
    let small = |what: &str| match site.body {
        0 => Ok(()),
        _ => Err(no_body(what)),
    };
    let reference = |more: &[&str]| {
        let body = site.body.to_string();
        let all = [&["reference", "--listen", &at, "--body", &body], more].concat();
        Plan::new(own.clone(), words(&all))
    };
    let path = if site.body > 0 { "/large.bin" } else { PATH };
    let plan = match name {
        "reference" => reference(&[]),
        "reference-uring" => reference(&["--io-uring"]),
        "reference-echo" => {
            small(name)?;
            Plan {
                echo: true,
                ..reference(&["--echo"])
            }
        }
        "parkade-echo" | "parkade-hello" => {
            small(name)?;
            let example = name.trim_start_matches("parkade-");
            Plan {
                echo: example == "echo",
                ..Plan::new(own.with_file_name("examples").join(example), vec![at])
            }
        }
        "parkade-file" => {
            let folder = folder(site.body)?;
            let conf = write(&folder, &templates::parkade(folder.path(), address, site))?;
            from(own.with_file_name("parkade"), &["-f", &conf], folder, path)
        }
        "nginx" | "nginx-file" => {
            let (folder, program) = (folder(site.body)?, find("nginx", "nginx-light")?);
            let path = if name == "nginx" {
                small(name)?;
                "/"
            } else {
                path
            };
            let conf = write(&folder, &templates::nginx(folder.path(), address, site))?;
            from(program, &["-c", &conf], folder, path)
        }
        "h2o" => {
            let (folder, program) = (folder(site.body)?, find("h2o", "h2o")?);
            let conf = write(&folder, &templates::h2o(folder.path(), address, site))?;
            from(program, &["-c", &conf], folder, path)
        }
        "apache2" => {
            let (folder, program) = (folder(site.body)?, find("apache2", "apache2")?);
            let conf = write(&folder, &templates::apache2(folder.path(), address, site))?;
            from(program, &["-DFOREGROUND", "-f", &conf], folder, path)
        }
        "lighttpd" => {
            let (folder, program) = (folder(site.body)?, find("lighttpd", "lighttpd")?);
            let conf = write(&folder, &templates::lighttpd(folder.path(), address, site))?;
            from(program, &["-D", "-f", &conf], folder, path)
        }
        "haproxy" => {
            small(name)?;
            let (folder, program) = (folder(0)?, find("haproxy", "haproxy")?);
            let conf = write(&folder, &templates::haproxy(folder.path(), address, site))?;
            from(program, &["-W", "-db", "-f", &conf], folder, "/")
        }
        _ => return Ok(None),
    };
    Ok(Some(plan))
}

/// Why a server cannot take part where a body is to be large.
pub(crate) fn no_body(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::Unsupported,
        format!("{what} has no body of a size of one's choice"),
    )
}

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|word| (*word).to_owned()).collect()
}

fn from(program: PathBuf, arguments: &[&str], folder: TempDir, path: &'static str) -> Plan {
    Plan {
        path,
        folder: Some(folder),
        ..Plan::new(program, words(arguments))
    }
}

/// Where a system keeps its servers is not always in an ordinary user's PATH.
fn find(program: &str, package: &str) -> io::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    std::env::split_paths(&path)
        .chain(system)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
        .ok_or_else(|| {
            io::Error::other(format!(
                "{program} is not installed (Debian: apt-get install {package})"
            ))
        })
}

/// A folder with the files, readable by whoever a server becomes, and one for its cores (and lighttpd's log), where it may write.
fn folder(large: usize) -> io::Result<TempDir> {
    let folder = tempfile::tempdir()?;
    let site = folder.path().join("site");
    fs::create_dir(&site)?;
    fs::write(site.join(FILE), BODY)?;
    if large > 0 {
        fs::write(site.join(LARGE), vec![b'x'; large])?;
    }
    let cores = folder.path().join("cores");
    fs::create_dir(&cores)?;
    for (path, mode) in [(folder.path(), 0o755), (&site, 0o755), (&cores, 0o777)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    }
    Ok(folder)
}

fn write(folder: &TempDir, text: &str) -> io::Result<String> {
    let file = folder.path().join("conf");
    fs::write(&file, text)?;
    Ok(file.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::{Site, find, plan};
    use crate::launch::Plan;

    #[test]
    fn a_missing_program_says_what_to_install() {
        let error = find("no-such-server", "a-package").unwrap_err().to_string();
        assert!(error.contains("apt-get install a-package"), "{error}");
    }

    const SITE: Site<'static> = Site {
        children: 4,
        keepalive: 5,
        body: 0,
        more: "",
    };

    fn planned(name: &str) -> Option<Plan> {
        plan(name, ([127, 0, 0, 1], 1).into(), &SITE).unwrap()
    }

    #[test]
    fn only_names_are_names() {
        assert!(planned("sleep {port}").is_none());
        assert!(planned("parkade-file").is_some());
        assert!(planned("nginx+io_uring").is_none());
    }

    #[test]
    fn a_backend_stands_behind_the_name_of_our_own() {
        let plan = planned("parkade-hello+io_uring").unwrap();
        let expected = ("PARKADE_BACKEND", "io_uring".to_owned());
        assert_eq!(plan.environment, Some(expected));
    }

    #[test]
    fn lines_of_its_own_stand_behind_our_server() {
        let plan = planned("parkade-file; KeepAliveTimeout 7; Timeout 8").unwrap();
        let folder = plan.folder.unwrap();
        let conf = std::fs::read_to_string(folder.path().join("conf")).unwrap();
        assert!(
            conf.ends_with("\n KeepAliveTimeout 7\n Timeout 8\n"),
            "{conf}"
        );
    }

    #[test]
    fn one_that_cannot_send_a_large_body_says_so() {
        let site = Site { body: 9, ..SITE };
        let error = plan("parkade-hello", ([127, 0, 0, 1], 1).into(), &site);
        assert!(error.err().unwrap().to_string().contains("no body"));
    }
}
