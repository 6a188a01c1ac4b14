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
            self.child.id(),
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
fn beside_counts_the_parked_that_are_left() {
    let server = Reference::start();
    let small = ["--connections", "4", "--rounds", "2", "--requests", "400"];
    let report = server.load(
        &[
            &["beside", "--parked", "60", "--processes", "2"],
            &small[..],
        ]
        .concat(),
    );
    assert_eq!(report["parked connections lost"], 0);
    assert_eq!(report["verdicts"][0]["reached"], true);
}

#[test]
fn steady_asks_as_often_as_it_was_told() {
    let server = Reference::start();
    let url = format!("http://{}/", server.address);
    for vary in [&[][..], &["--vary"]] {
        let small = ["steady", "--server", &url, "--connections", "4"];
        let output = run(&[&small[..], &["--requests", "40"], vary].concat());
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("40"), "{text}");
    }
}

const TINY: [&str; 12] = [
    "compare",
    "--a",
    "reference-echo",
    "--connections",
    "4",
    "--requests",
    "64",
    "--parked",
    "20",
    "--rate",
    "2000",
    "--rounds",
];

/// Tracing may be forbidden, as in some containers; then calls cannot be judged.
fn may_trace() -> bool {
    let mut child = Command::new("sleep").arg("30").spawn().unwrap();
    let may = parkade_tests::syscalls::SyscallCounter::attach(child.id()).is_ok();
    child.kill().unwrap();
    child.wait().unwrap();
    may
}

#[test]
fn compare_knows_every_workload() {
    for workload in ["throughput", "pipelined", "wake", "churn", "beside"] {
        let output = run(&[&TINY[..], &["2", "--workload", workload]].concat());
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && text.contains("ratio a/b"),
            "{workload}: {text}{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[test]
fn a_missed_limit_is_said_and_shows_in_the_exit_code() {
    let file = std::env::temp_dir().join(format!("parkade-bench-{}-verdicts", std::process::id()));
    let calls = if may_trace() {
        &["--limit-calls", "0.5"][..]
    } else {
        &[]
    };
    let limits = [
        "--limit",
        "1000",
        "--limit-user",
        "100000",
        "--limit-p50",
        "-1000000",
        "--json",
    ];
    let output = Command::new(BENCH)
        .args(TINY)
        .arg("15")
        .args(calls)
        .args(limits)
        .arg(&file)
        .output()
        .unwrap();
    let report: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    let _ = std::fs::remove_file(&file);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(
        text.contains("reached: ") && text.contains("missed: "),
        "{text}"
    );
    let reached: Vec<_> = report["verdicts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v["reached"].as_bool().unwrap())
        .collect();
    assert_eq!(reached[..3], [true, true, false], "{text}");
    assert_eq!(reached.get(3), calls.first().map(|_| &false), "{text}");
}

/// Servers of the system: each that is installed is measured once, the others are named with what to install.
#[test]
fn peers_are_started_with_a_configuration_of_their_own() {
    for peer in [
        "nginx",
        "nginx-file",
        "h2o",
        "apache2",
        "lighttpd",
        "haproxy",
    ] {
        let output = run(&[
            "throughput",
            "--server",
            peer,
            "--connections",
            "2",
            "--requests",
            "20",
            "--rounds",
            "1",
        ]);
        let (text, errors) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        let missing = errors.contains("apt-get install");
        assert!(
            output.status.success() && text.contains("requests/s") || missing,
            "{peer}: {errors}"
        );
        if missing {
            eprintln!("skipped: {errors}");
        }
    }
}

/// Rivals are built apart, so most machines have none; then that is said in one line and nothing has failed.
#[test]
fn a_rival_is_measured_or_skipped() {
    let empty = tempfile::tempdir().unwrap();
    let little = ["--connections", "2", "--requests", "20", "--rounds", "1"];
    let what = ["throughput", "--server", "rival-mio"];
    let nowhere = ["--rivals", empty.path().to_str().unwrap()];
    let output = run(&[&what[..], &little, &nowhere].concat());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert!(errors.starts_with("skipped: rival-mio "), "{errors}");
    assert_eq!(errors.lines().count(), 1, "{errors}");
    assert!(output.stdout.is_empty());

    let output = run(&[&what[..], &little].concat());
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    let skipped = errors.starts_with("skipped: ");
    assert!(output.status.success(), "{errors}");
    assert!(skipped || text.contains("requests/s"), "{text}{errors}");
}

#[test]
fn idle_judges_several_children_of_our_own_server() {
    // Built beside the bench, where it looks for it.
    parkade_tests::server::binary().unwrap();
    let what = [
        "idle",
        "--server",
        "parkade-file",
        "--children",
        "2",
        "--low",
        "10",
        "--parked",
        "40",
    ];
    // Nothing can have been given back twice over.
    let limits = [
        "--limit-bytes",
        "1e9",
        "--limit-wakeups",
        "1e9",
        "--limit-given-back",
        "2",
    ];
    let output = run(&[&what[..], &limits].concat());
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(
        output.status.code(),
        Some(3),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    // The supervisor is one of them.
    let line = text.lines().find(|l| l.starts_with("server processes"));
    assert!(line.unwrap().ends_with(" 3"), "{text}");
    assert_eq!(text.matches("reached: ").count(), 2, "{text}");
    assert_eq!(text.matches("missed: ").count(), 1, "{text}");
}

#[test]
fn blocking_tells_what_the_others_notice() {
    // Built beside the bench, where it looks for it.
    parkade_tests::server::binary().unwrap();
    for (case, how) in [("one", "spin"), ("all", "block")] {
        let what = ["blocking", "--case", case, "--how", how];
        let little = [
            "--parked",
            "60",
            "--rate",
            "500",
            "--requests",
            "400",
            "--rounds",
            "1",
        ];
        let output = run(&[&what[..], &little, &["--limit-worst", "1e9"]].concat());
        let text = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        // Whether a round counts is for the machine to say; seven cannot.
        assert_eq!(output.status.code(), Some(3), "{text}{errors}");
        assert!(
            text.contains("p99 ms during, worst round"),
            "{text}{errors}"
        );
    }
}

#[test]
fn restart_counts_what_clients_notice_in_every_case() {
    // Built beside the bench, where it looks for it.
    parkade_tests::server::binary().unwrap();
    let small = ["restart", "--children", "2", "--rate", "200", "--case"];
    let load = ["--connections", "8", "--parked", "20", "--rounds"];
    for case in ["graceful", "hard", "recycle", "term"] {
        let output = run(&[&small[..], &[case], &load, &["2"]].concat());
        let text = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            text.contains("failed requests") && text.contains("verdict"),
            "{case}: {text}{errors}"
        );
        assert!(output.status.success(), "{case}: {text}{errors}");
    }
    let output = run(&[
        &small[..],
        &[
            "parked",
            "--low",
            "20",
            "--parked",
            "200",
            "--processes",
            "2",
        ],
    ]
    .concat());
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("all ask at the signal"), "{text}");
    let output = run(&[&small[..], &["kill", "--connections", "8", "--rounds", "2"]].concat());
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("another child serves"), "{text}");
    let output = run(&[
        "restart", "--case", "crash", "--parked", "20", "--rounds", "1",
    ]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("another child serves"), "{text}");
}

#[test]
fn results_are_compared_with_earlier_ones() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let old = file(
        "old",
        r#"{"workload":"wake","rounds":3,"latency p50 us":10.0,"requests/s":100.0}"#,
    );
    let same = file(
        "same",
        r#"{"workload":"wake","rounds":5,"latency p50 us":10.2,"requests/s":99.0}"#,
    );
    let worse = file(
        "worse",
        r#"{"workload":"wake","rounds":3,"latency p50 us":9.0,"requests/s":90.0}"#,
    );
    let other = file("other", r#"{"workload":"idle"}"#);
    let said = |new: &str| run(&["compare", &old, new]);
    let fine = said(&same);
    let text = String::from_utf8_lossy(&fine.stdout);
    assert_eq!(fine.status.code(), Some(0), "{text}");
    assert!(
        text.contains("10.0 -> 10.2  (1.020)") || text.contains("10 -> 10.2  (1.020)"),
        "{text}"
    );
    let missed = said(&worse);
    let text = String::from_utf8_lossy(&missed.stdout);
    assert_eq!(missed.status.code(), Some(3), "{text}");
    assert!(text.contains("(0.900)  worse"), "{text}");
    assert_eq!(said(&other).status.code(), Some(1));
    assert_eq!(run(&["compare", &old]).status.code(), Some(1));
}

#[test]
fn mistakes_are_explained() {
    for (arguments, expected) in [
        (&["throughput"][..], "needs --server"),
        (
            &["throughput", "--server", "http://127.0.0.1:1/"],
            "which process is it?",
        ),
        (
            &["throughput", "--server", "nginx", "--pid", "1"],
            "--pid goes with",
        ),
        (
            &["throughput", "--server", "rival-dance"],
            "no such rival `rival-dance`",
        ),
        (&["dance"], "no such command `dance`"),
        (&["restart", "--case", "dance"], "no such case `dance`"),
        (&["throughput", "--depth", "0"], "out of its bounds"),
        (
            &["throughput", "--url", "ftp://x", "--pid", "1"],
            "expected http://",
        ),
        (&["compare", "--a", "sleep 1"], "needs {addr} or {port}"),
        (
            &["compare", "--a", "false {port}"],
            "the server ended at once",
        ),
        (
            &[
                "compare",
                "--a",
                "reference",
                "--rounds",
                "3",
                "--limit",
                "1",
            ],
            "at least 15 rounds",
        ),
        (
            &[
                "compare",
                "--a",
                "reference",
                "--workload",
                "churn",
                "--limit-calls",
                "1",
            ],
            "warm connections",
        ),
    ] {
        let output = run(arguments);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            !output.status.success() && text.contains(expected),
            "{arguments:?}: {text}"
        );
    }
}
