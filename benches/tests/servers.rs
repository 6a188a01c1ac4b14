//! The servers that the bench starts are as they were asked for.
#![allow(
    clippy::unwrap_used,
    reason = "in a test binary a failure is the message; clippy.toml covers only test functions"
)]

use std::process::{Command, Output};

const LITTLE: [&str; 6] = ["--connections", "2", "--requests", "64", "--rounds", "1"];

fn throughput(server: &str, more: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_parkade-bench"))
        .args(["throughput", "--server", server])
        .args(LITTLE)
        .args(more)
        .output()
        .unwrap()
}

/// Every byte that comes is counted by the client, so an answer cut short or mixed up with another is an error.
#[test]
fn large_bodies_come_whole_one_by_one_and_pipelined() {
    parkade_tests::server::binary().unwrap();
    for server in [
        "reference",
        "reference-uring",
        "parkade-file",
        "nginx-file",
        "apache2",
        "lighttpd",
        "h2o",
    ] {
        for depth in ["1", "16"] {
            let output = throughput(server, &["--body", "262144", "--depth", depth]);
            let errors = String::from_utf8_lossy(&output.stderr);
            let missing = errors.contains("apt-get install");
            assert!(
                output.status.success() || missing,
                "{server} {depth}: {errors}"
            );
        }
    }
    for server in ["haproxy", "nginx", "reference-echo"] {
        let output = throughput(server, &["--body", "65536"]);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(errors.contains("no body of a size"), "{server}: {errors}");
    }
}

#[test]
fn our_own_are_started_with_the_backend_behind_their_name() {
    parkade_tests::server::binary().unwrap();
    for backend in ["epoll", "epoll-oneshot", "io_uring"] {
        let output = throughput(&format!("parkade-file+{backend}"), &[]);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{backend}: {errors}");
    }
}
