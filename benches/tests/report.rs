//! The page that `report` makes of results that were recorded once.
#![allow(
    clippy::unwrap_used,
    reason = "in a test binary a failure is the message; clippy.toml covers only test functions"
)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

/// Small runs of `throughput`, `compare`, `idle` and `wake`.
const RECORDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/results");

fn recorded() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in fs::read_dir(RECORDED).unwrap() {
        let path = file.unwrap().path();
        fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    folder
}

fn report(folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_parkade-bench"))
        .arg("report")
        .arg(folder)
        .output()
        .unwrap()
}

/// The page of what is in a folder.
fn page(folder: &Path) -> String {
    let output = report(folder);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    fs::read_to_string(folder.join("report.html")).unwrap()
}

#[test]
fn each_workload_has_its_drawings_its_machine_and_its_command() {
    let page = page(recorded().path());
    for expected in [
        "<h2 id=\"throughput\">",
        "<h2 id=\"idle\">",
        "<h2 id=\"wake\">",
        "<figcaption>CPU per request</figcaption>",
        "<figcaption>Latency</figcaption>",
        "<figcaption>Memory of a parked connection</figcaption>",
        "us of processor time",
        "p99.9",
        "kernel, both ends",
        "reference-uring",
        "AMD EPYC",
        "<pre>parkade-bench compare --a parkade-file",
        "reached: CPU per request, a / b",
    ] {
        assert!(page.contains(expected), "{expected} is missing");
    }
    // CPU and latency of throughput and wake, memory of idle.
    assert_eq!(page.matches("<svg ").count(), 5);
    assert_eq!(page.matches("</svg>").count(), 5);
}

#[test]
fn nothing_comes_from_elsewhere_and_nothing_runs() {
    let page = page(recorded().path());
    let page = page.to_ascii_lowercase();
    for forbidden in [
        "<script",
        "src=",
        "url(",
        "@import",
        "<link",
        "<img",
        "<iframe",
        "onload",
        "javascript:",
        "xlink",
        "href=\"h",
    ] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    assert!(page.contains("default-src 'none'"));
}

#[test]
fn what_stands_in_a_result_is_text_and_never_markup() {
    let folder = recorded();
    let evil = r#"<script>alert(1)</script>\" onload=x & more"#;
    let text = format!(
        r#"{{"workload":"{evil}","server":"{evil}","command":"{evil}","at":"{evil}",
            "machine":{{"{evil}":"{evil}"}},"server CPU us/request (schedstat)":5.0,"{evil}":1.0,
            "latency p50 us":1.0,"latency p99 us":{{"{evil}":1}},"latency p99.9 us":9.0,
            "user bytes/connection (slope)":56.0,
            "verdicts":[{{"of":"{evil}","reached":false,"value":2,"limit":1}}]}}"#
    );
    fs::write(folder.path().join("evil.json"), text).unwrap();
    let page = page(folder.path());
    assert!(!page.contains("<script"), "{page}");
    assert!(!page.contains("\" onload"), "{page}");
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    assert!(page.contains("&amp; more"));
    // Where a drawing says it, and where the table does.
    let svg = &page[page.rfind("<svg ").unwrap()..];
    assert!(!svg[..svg.find("</svg>").unwrap()].contains("<script"));
}

#[test]
fn a_file_that_is_no_result_is_named_and_left_out() {
    let folder = recorded();
    fs::write(folder.path().join("broken.json"), "{").unwrap();
    fs::write(folder.path().join("other.json"), r#"{"name":"x"}"#).unwrap();
    let output = report(folder.path());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert!(errors.contains("broken.json"), "{errors}");
    assert!(errors.contains("other.json"), "{errors}");
}

#[test]
fn a_folder_without_results_says_where_they_come_from() {
    let folder = tempfile::tempdir().unwrap();
    for folder in [folder.path(), &folder.path().join("missing")] {
        let output = report(folder);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{errors}");
        assert!(
            errors.contains("--json") || errors.contains("missing"),
            "{errors}"
        );
    }
}

#[test]
fn figures_that_are_zero_or_huge_can_be_drawn() {
    let folder = tempfile::tempdir().unwrap();
    for (name, figure) in [("zero", "0.0"), ("huge", "1e300"), ("less", "-5.0")] {
        let text = format!(
            r#"{{"workload":"w","server":"{name}","server CPU us/request (schedstat)":{figure},
                "of it user (by ticks)":{figure},"of it system (by ticks)":{figure},
                "user bytes/connection (slope)":{figure},"latency p50 us":{figure},"latency p99 us":{figure}}}"#
        );
        fs::write(folder.path().join(format!("{name}.json")), text).unwrap();
    }
    assert_eq!(page(folder.path()).matches("<svg ").count(), 3);
}
