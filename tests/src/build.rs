//! Building what a test starts, in the profile the test itself was built in.

use std::io;
use std::path::PathBuf;
use std::process::Command;

/// Builds `name` of `package` with `features` and says where it is; `kind` is `--bin` or `--example`.
pub(crate) fn program(
    package: &str,
    kind: &str,
    name: &str,
    features: &str,
) -> io::Result<PathBuf> {
    // target/PROFILE/deps/TEST, or target/PROFILE/PROGRAM
    let test = std::env::current_exe()?;
    let folder = test
        .ancestors()
        .skip(1)
        .find(|folder| !folder.ends_with("deps"))
        .ok_or_else(|| io::Error::other("the test is not in a target folder"))?;
    let profile = match folder.file_name().and_then(|n| n.to_str()) {
        Some("debug") | None => "dev",
        Some(other) => other,
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["build", "--quiet", "-p", package, kind, name])
        .args(["--profile", profile, "--features", features])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()?;
    if !output.status.success() {
        return Err(io::Error::other(format!(
            "building {name}: {}",
            String::from_utf8_lossy(&output.stderr)
        )));
    }
    Ok(match kind {
        "--example" => folder.join("examples").join(name),
        _ => folder.join(name),
    })
}
