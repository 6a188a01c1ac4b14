//! Addresses that cannot be had, and who has them; sizes of buffers that a restart takes back.
#![allow(
    clippy::unwrap_used,
    reason = "in a test binary a failure is the message; clippy.toml covers only test functions"
)]

use parkade_tests::server::{Prepared, Server, signal};
use parkade_tests::{procfs, ready, sockets};
use std::fs;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);
const FILES: &[(&str, &[u8])] = &[("site/a.txt", b"x")];

fn configuration(more: &str) -> String {
    format!(
        "ServerRoot {{root}}\nListen {{listen}}\n{{user}}\nPidFile {{root}}/pid\nErrorLog {{root}}/error.log\n\
         DocumentRoot {{root}}/site\nStartServers 1\nThreadsPerChild 2\nMaxClients 4\n{more}\n"
    )
}

fn restart(server: &Server, from: &str, to: &str) {
    let path = server.root().join("parkade.conf");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{from} is not in {text}");
    fs::write(path, text.replace(from, to)).unwrap();
    signal(server.pid(), libc::SIGUSR1);
}

fn says(server: &Server, words: &str) {
    let log = || server.text("error.log");
    let found = ready::until("a line of the log", PATIENCE, || log().contains(words));
    assert!(found.is_ok(), "no `{words}` in {}", log());
}

#[test]
fn a_port_that_an_earlier_line_has_is_no_other_process_s() {
    let prepared = Prepared::new(&configuration(""), FILES).unwrap();
    let address = prepared.address();
    let line = format!("Listen 0.0.0.0:{}", address.port());
    let output = prepared.command().unwrap().args(["-c", &line]).output();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    let why = format!("Listen {address} before it has that port (Listen at -C/-c directives:1:8)");
    assert!(said.contains(&why), "{said}");
    assert!(!prepared.root().join("pid").exists());
}

#[test]
fn a_port_that_the_server_itself_has_is_no_other_process_s() {
    let server = Server::start(&configuration(""), FILES).unwrap();
    let address = server.address();
    let wild = format!("Listen 0.0.0.0:{}", address.port());
    restart(&server, &format!("Listen {address}"), &wild);
    says(&server, &format!("this server listens on {address} itself"));
    says(&server, "parkade.conf:2:8); the server goes on as before");
    assert_eq!(server.get("/a.txt").unwrap().status, 200);
}

#[test]
fn a_size_that_is_not_written_any_more_is_the_kernel_s_again() {
    let sizes = "SendBufferSize 65536\nReceiveBufferSize 49152\n";
    let buffers = |server: &Server| {
        let fd = procfs::sockets(server.pid(), server.address().port(), true).unwrap()[0];
        sockets::buffers(server.pid(), fd)
    };
    let never = Server::start(&configuration(""), FILES).unwrap();
    let server = Server::start(&configuration(sizes), FILES).unwrap();
    let (fresh, set) = match (buffers(&never), buffers(&server)) {
        (Ok(fresh), Ok(set)) => (fresh, set),
        (Err(e), _) | (_, Err(e)) => {
            eprintln!("skipped: this user may not look at another process's sockets ({e})");
            return;
        }
    };
    assert_ne!(set, fresh);
    restart(&server, sizes, "");
    says(&server, "SendBufferSize: 65536 before, now 0");
    says(&server, "generation 1");
    assert_eq!(buffers(&server).unwrap(), fresh);
    // And the kernel may tune what is accepted: the size is not fixed.
    let fd = procfs::sockets(server.pid(), server.address().port(), true).unwrap()[0];
    assert!(!sockets::sizes_are_fixed(server.pid(), fd).unwrap());
}
