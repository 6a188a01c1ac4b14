//! Servers to measure: started here, or already running.

use std::ffi::OsString;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::options::Options;
use crate::peers;
use crate::rivals;
use crate::target::Target;

/// A server under test. One that was started here ends with this value.
pub(crate) struct Server {
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) pid: u32,
    child: Option<Child>,
    /// Its configuration and its files.
    folder: Option<TempDir>,
}

/// What is started.
pub(crate) struct Plan {
    pub(crate) program: std::path::PathBuf,
    pub(crate) arguments: Vec<String>,
    /// What is asked for.
    pub(crate) path: &'static str,
    pub(crate) echo: bool,
    pub(crate) environment: Option<(&'static str, String)>,
    pub(crate) folder: Option<TempDir>,
}

impl Plan {
    pub(crate) fn new(program: impl Into<std::path::PathBuf>, arguments: Vec<String>) -> Plan {
        Plan {
            program: program.into(),
            arguments,
            path: "/",
            echo: false,
            environment: None,
            folder: None,
        }
    }
}

impl Server {
    /// Of one that was started here.
    pub(crate) fn folder(&self) -> Option<&Path> {
        self.folder.as_ref().map(TempDir::path)
    }

    /// One that runs already.
    pub(crate) fn running(url: &str, pid: u32) -> Server {
        Server {
            name: url.to_owned(),
            url: url.to_owned(),
            pid,
            child: None,
            folder: None,
        }
    }

    /// `what` is a SERVER of the help text. Put `echo:` before a command whose server sends the request back.
    pub(crate) fn start(what: &str, options: &Options) -> io::Result<Server> {
        if let Some((url, pid)) = what.rsplit_once('@').filter(|(url, _)| url.contains("://")) {
            let pid = pid
                .parse()
                .map_err(|e| io::Error::other(format!("{what}: process id: {e}")))?;
            return Ok(Server::running(url, pid));
        }
        if what.contains("://") {
            return Err(io::Error::other(format!(
                "{what}: which process is it? Give --pid PID, or URL@PID"
            )));
        }
        let address = free_address()?;
        let rival = rivals::plan(what, address, options.workers, options.rivals.as_deref())?;
        let named = match rival {
            Some(_) if options.body > 0 => return Err(peers::no_body(what)),
            Some(plan) => Some(plan),
            None => peers::plan(what, address, &options.site())?,
        };
        let plan = named.map_or_else(|| command(what, address), Ok)?;
        let mut words: Vec<_> = options
            .under
            .split_whitespace()
            .map(OsString::from)
            .collect();
        words.push(plan.program.clone().into());
        let child = Command::new(&words[0])
            .args(&words[1..])
            .args(plan.arguments)
            .envs(plan.environment)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .map_err(|e| {
                let program = words[0].display();
                io::Error::new(e.kind(), format!("starting {program}: {e}"))
            })?;
        let scheme = if plan.echo { "echo" } else { "http" };
        let mut server = Server {
            name: what.to_owned(),
            url: format!("{scheme}://{address}{}", plan.path),
            pid: child.id(),
            child: Some(child),
            folder: plan.folder,
        };
        Target::wait_for(address, &mut || match &mut server.child {
            Some(child) => Ok(child.try_wait()?.map(|status| status.to_string())),
            None => Ok(None),
        })?;
        Ok(server)
    }
}

/// A command line with the address in it.
fn command(what: &str, address: SocketAddr) -> io::Result<Plan> {
    let (echo, command) = what
        .strip_prefix("echo:")
        .map_or((false, what), |rest| (true, rest));
    let filled = command
        .replace("{addr}", &address.to_string())
        .replace("{port}", &address.port().to_string());
    if filled == command {
        return Err(io::Error::other(format!(
            "`{command}`: no known server, and a command needs {{addr}} or {{port}} somewhere"
        )));
    }
    let mut words = filled.split_whitespace().map(str::to_owned);
    let program = words
        .next()
        .ok_or_else(|| io::Error::other("an empty server command"))?;
    Ok(Plan {
        echo,
        ..Plan::new(program, words.collect())
    })
}

impl Drop for Server {
    fn drop(&mut self) {
        let Some(child) = &mut self.child else { return };
        if let Some(pid) = Pid::from_raw(child.id() as i32) {
            let _ = kill_process(pid, Signal::TERM);
        }
        let end = Instant::now() + Duration::from_secs(5);
        while Instant::now() < end {
            if !matches!(child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// A loopback address nobody listens on at this moment.
fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}
