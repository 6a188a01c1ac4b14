//! Servers on other runtimes: binaries of the package beside this one, which is built apart, or never.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::launch::Plan;

/// Where the package is in the tree that this program was built from.
const PACKAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/rivals");
const PREFIX: &str = "rival-";
/// Those there are, without the prefix.
const NAMES: [&str; 10] = [
    "axum",
    "compio",
    "hyper",
    "hyper-flush",
    "mio",
    "monoio",
    "monoio-uring",
    "polling",
    "polling-oneshot",
    "smol",
];

/// A rival that is known and not there. Whoever asked for it goes on without.
#[derive(Debug)]
struct Missing {
    name: String,
    folder: PathBuf,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} is not in {} (cargo build --release --locked --manifest-path {PACKAGE}/Cargo.toml --target-dir \
             {PACKAGE}/target)",
            self.name,
            self.folder.display()
        )
    }
}

impl Error for Missing {}

/// Whether a server could not be started only because nobody has built it.
pub(crate) fn is_missing(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|e| e.is::<Missing>())
}

/// How to start `name`, from `folder` if one is given; `None` when it is not the name of a rival.
pub(crate) fn plan(
    name: &str,
    address: SocketAddr,
    workers: usize,
    folder: Option<&Path>,
) -> io::Result<Option<Plan>> {
    let Some(rest) = name.strip_prefix(PREFIX) else {
        return Ok(None);
    };
    // A command may begin like that.
    if rest.contains(char::is_whitespace) {
        return Ok(None);
    }
    if !NAMES.contains(&rest) {
        let all = NAMES.map(|known| format!("{PREFIX}{known}")).join(", ");
        return Err(io::Error::other(format!(
            "no such rival `{name}`; there are {all}"
        )));
    }
    let built = || Path::new(PACKAGE).join("target/release");
    let folder = folder.map_or_else(built, Path::to_owned);
    let program = folder.join(name);
    if !program.is_file() {
        let name = name.to_owned();
        return Err(io::Error::other(Missing { name, folder }));
    }
    let words = [
        "--address".to_owned(),
        address.to_string(),
        "--threads".to_owned(),
        workers.to_string(),
    ];
    Ok(Some(Plan::new(program, words.into())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn ask(name: &str, folder: Option<&Path>) -> io::Result<Option<Plan>> {
        plan(name, ([127, 0, 0, 1], 1).into(), 2, folder)
    }

    #[test]
    fn names_are_those_of_the_servers_in_the_package() {
        let mut found: Vec<_> = fs::read_dir(Path::new(PACKAGE).join("src/bin"))
            .unwrap()
            .filter_map(|entry| entry.unwrap().file_name().into_string().ok())
            .filter_map(|file| Some(file.strip_prefix(PREFIX)?.strip_suffix(".rs")?.to_owned()))
            .collect();
        found.sort();
        assert_eq!(found, NAMES);
    }

    #[test]
    fn one_that_is_built_is_started_with_its_threads() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("rival-mio");
        fs::write(&program, "").unwrap();
        let plan = ask("rival-mio", Some(folder.path())).unwrap().unwrap();
        assert_eq!(plan.program, program);
        let words = ["--address", "127.0.0.1:1", "--threads", "2"];
        assert_eq!(plan.arguments, words);
    }

    #[test]
    fn one_that_is_not_built_is_missing_and_says_how_to_build_it() {
        let folder = tempfile::tempdir().unwrap();
        let error = ask("rival-smol", Some(folder.path())).err().unwrap();
        assert!(is_missing(&error));
        let text = error.to_string();
        assert!(text.contains("cargo build --release"), "{text}");
        assert!(!text.contains('\n'), "{text}");
    }

    #[test]
    fn what_is_no_rival_is_left_to_others() {
        assert!(ask("nginx", None).unwrap().is_none());
        assert!(ask("rival-of-mine {port}", None).unwrap().is_none());
        let error = ask("rival-of-mine", None).err().unwrap();
        assert!(!is_missing(&error), "{error}");
    }
}
