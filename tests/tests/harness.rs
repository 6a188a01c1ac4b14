//! The harness starts the real server, talks to it and leaves nothing behind.
#![allow(
    clippy::unwrap_used,
    reason = "in a test binary a failure is the message; clippy.toml covers only test functions"
)]

use parkade_tests::procfs;
use parkade_tests::server::Server;

const CONFIGURATION: &str = "ServerRoot {root}
Listen {listen}
{user}
PidFile {root}/pid
ErrorLog {root}/error.log
StartServers 1
DocumentRoot {root}/htdocs
<Directory {root}/htdocs>
    Require all granted
</Directory>
";

#[test]
fn a_file_is_served_and_every_process_ends_with_the_harness() {
    let mut server = Server::start(CONFIGURATION, &[("htdocs/a.txt", b"Hello, World!")]).unwrap();
    let response = server.get("/a.txt").unwrap();
    assert_eq!(
        (response.status, response.body.as_slice()),
        (200, &b"Hello, World!"[..])
    );
    let children = server.children().unwrap();
    assert_eq!(children.len(), 1);
    assert!(server.stop().unwrap().success(), "{}", server.stderr());
    assert!(children.iter().all(|pid| !procfs::alive(*pid)));
}

#[test]
fn a_server_that_does_not_start_says_why() {
    let error = Server::start("Listen {listen}\nNoSuchDirective on\n", &[]).unwrap_err();
    assert!(error.to_string().contains("NoSuchDirective"), "{error}");
}
