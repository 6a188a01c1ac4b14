//! The micro comparison runs to its end and says something of everyone.

use std::process::Command;

#[test]
fn every_runtime_has_a_figure_for_every_measure() {
    let output = Command::new(env!("CARGO_BIN_EXE_rival-micro"))
        .args(["--short", "--rounds", "2"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{errors}");
    for name in [
        "parkade ",
        "tokio current_thread",
        "tokio multi_thread",
        "smol",
        "monoio, epoll",
        "monoio, io_uring",
    ] {
        let rows = text.lines().filter(|l| l.trim_start().starts_with(name));
        assert_eq!(rows.count(), 4, "{name}: {text}");
    }
}
