//! Tells the program when it was built: `SOURCE_DATE_EPOCH` where the build is to be reproducible.
#![allow(clippy::print_stdout, reason = "this is how a build script speaks")]

use std::time::{SystemTime, UNIX_EPOCH};

fn main() {
    let said = std::env::var("SOURCE_DATE_EPOCH").ok();
    let now = || {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        now.map_or(0, |d| d.as_secs()).to_string()
    };
    let built = said
        .filter(|s| s.parse::<u64>().is_ok())
        .unwrap_or_else(now);
    println!("cargo::rustc-env=PARKADE_BUILT={built}");
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    println!("cargo::rerun-if-changed=src");
}
