//! Servers to measure: started here, or already running.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::target::Target;

/// A server under test. One that was started here ends with this value.
pub(crate) struct Server {
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) pid: u32,
    child: Option<Child>,
}

impl Server {
    /// `what` is `reference`, `reference-echo`, `parkade-echo` and `parkade-hello` (the examples of
    /// the runtime and of its HTTP, built beside this binary), `URL@PID` of a running server, or a
    /// command in which `{addr}` or `{port}` stands for where to listen; put `echo:` before a
    /// command whose server sends the request back.
    pub(crate) fn start(what: &str) -> io::Result<Server> {
        if let Some((url, pid)) = what.rsplit_once('@').filter(|(url, _)| url.contains("://")) {
            let pid = pid
                .parse()
                .map_err(|e| io::Error::other(format!("{what}: process id: {e}")))?;
            return Ok(Server {
                name: url.to_owned(),
                url: url.to_owned(),
                pid,
                child: None,
            });
        }
        let address = free_address()?;
        let own = std::env::current_exe()?;
        let (echo, program, arguments): (bool, PathBuf, Vec<String>) = match what {
            "reference" => (
                false,
                own,
                vec!["reference".into(), "--listen".into(), address.to_string()],
            ),
            "reference-echo" => (
                true,
                own,
                vec![
                    "reference".into(),
                    "--echo".into(),
                    "--listen".into(),
                    address.to_string(),
                ],
            ),
            "parkade-echo" => (
                true,
                own.with_file_name("examples").join("echo"),
                vec![address.to_string()],
            ),
            "parkade-hello" => (
                false,
                own.with_file_name("examples").join("hello"),
                vec![address.to_string()],
            ),
            command => {
                let (echo, command) = command
                    .strip_prefix("echo:")
                    .map_or((false, command), |rest| (true, rest));
                let filled = command
                    .replace("{addr}", &address.to_string())
                    .replace("{port}", &address.port().to_string());
                let mut words = filled.split_whitespace().map(str::to_owned);
                let program = words
                    .next()
                    .ok_or_else(|| io::Error::other("an empty server command"))?;
                if filled == command {
                    return Err(io::Error::other(format!(
                        "`{command}`: needs {{addr}} or {{port}} somewhere"
                    )));
                }
                (echo, program.into(), words.collect())
            }
        };
        let child = Command::new(&program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .map_err(|e| {
                io::Error::new(e.kind(), format!("starting {}: {e}", program.display()))
            })?;
        let url = format!("{}://{address}/", if echo { "echo" } else { "http" });
        let server = Server {
            name: what.to_owned(),
            url,
            pid: child.id(),
            child: Some(child),
        };
        Target::wait_for(address)?;
        Ok(server)
    }
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
