//! Every command runs against the yardstick and reports what it should. Figures are not judged here.
#![allow(
    clippy::unwrap_used,
    reason = "in a test binary a failure is the message; clippy.toml covers only test functions"
)]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};

const BENCH: &str = env!("CARGO_BIN_EXE_parkade-bench");

struct Reference {
    child: Child,
    address: String,
}

impl Reference {
    fn start() -> Reference {
        let mut child = Command::new(BENCH)
            .args(["reference", "--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let address = line.split_whitespace().nth(2).unwrap().to_owned();
        assert!(line.trim().ends_with(&child.id().to_string()), "{line}");
        Reference { child, address }
    }

    fn load(&self, arguments: &[&str]) -> serde_json::Value {
        let folder = std::env::temp_dir().join(format!(
            "parkade-bench-{}-{}",
            std::process::id(),
            arguments[0]
        ));
        let output = Command::new(BENCH)
            .args(arguments)
            .args([
                "--url",
                &format!("http://{}/", self.address),
                "--pid",
                &self.child.id().to_string(),
                "--json",
            ])
            .arg(&folder)
            .output()
            .unwrap();
        let text = std::fs::read_to_string(&folder).unwrap_or_default();
        let _ = std::fs::remove_file(&folder);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        serde_json::from_str(&text).unwrap()
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn run(arguments: &[&str]) -> Output {
    Command::new(BENCH).args(arguments).output().unwrap()
}

#[test]
fn every_request_is_counted_at_depth_one_and_pipelined() {
    let server = Reference::start();
    let small = ["--connections", "4", "--rounds", "2", "--requests", "1600"];
    for depth in ["1", "16"] {
        let report = server.load(&[&["throughput", "--depth", depth], &small[..]].concat());
        assert_eq!(report["requests"], 3200);
        assert!(
            report["server CPU us/request (schedstat)"]
                .as_f64()
                .unwrap()
                > 0.0,
            "{report}"
        );
        assert!(report["latency p50 us"].as_f64().unwrap() > 0.0, "{report}");
    }
}

#[test]
fn wake_keeps_its_rate() {
    let server = Reference::start();
    let report = server.load(&[
        "wake",
        "--parked",
        "50",
        "--rate",
        "2000",
        "--requests",
        "400",
    ]);
    let rate = report["reached rate/s"].as_f64().unwrap();
    assert!((1000.0..=2100.0).contains(&rate), "{rate}");
}

#[test]
fn churn_opens_a_connection_for_each_request() {
    let server = Reference::start();
    let report = server.load(&["churn", "--connections", "8", "--requests", "300"]);
    assert_eq!(report["connections"], 300);
}

#[test]
fn idle_holds_connections_in_several_processes() {
    let server = Reference::start();
    let report = server.load(&["idle", "--low", "20", "--parked", "200", "--processes", "2"]);
    assert_eq!(report["client processes"], 2);
    assert!(
        report["user bytes/connection (slope)"].is_number(),
        "{report}"
    );
    assert!(
        report["idle 10 s: wake-ups"].as_u64().unwrap() < 10,
        "{report}"
    );
}

#[test]
fn compare_prints_a_ratio_with_its_interval() {
    let all = [
        "compare",
        "--a",
        "reference-echo",
        "--b",
        "reference",
        "--rounds",
        "2",
        "--requests",
        "1000",
    ];
    let output = run(&[&all[..], &["--limit", "1000"]].concat());
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        text.contains("ratio a/b") && text.contains("reached"),
        "{text}"
    );
}

#[test]
fn mistakes_are_explained() {
    for (arguments, expected) in [
        (&["throughput"][..], "needs --url and --pid"),
        (&["dance"], "no such command `dance`"),
        (&["throughput", "--depth", "0"], "out of its bounds"),
        (
            &["throughput", "--url", "ftp://x", "--pid", "1"],
            "expected http://",
        ),
        (&["compare", "--a", "sleep 1"], "needs {addr} or {port}"),
    ] {
        let output = run(arguments);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            !output.status.success() && text.contains(expected),
            "{arguments:?}: {text}"
        );
    }
}
