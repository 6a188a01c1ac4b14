//! What a result is worth little without: the machine, its kernel, the command and when it was given.

use std::fs;

use serde_json::{Map, Value};

/// The machine, in words: processor, cores, memory, kernel, system.
pub(crate) fn machine() -> Map<String, Value> {
    let mut facts = Map::new();
    let mut fact = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            facts.insert(name.to_owned(), value.into());
        }
    };
    let cpuinfo = read("/proc/cpuinfo");
    fact(
        "processor",
        after(&cpuinfo, "model name").or_else(|| Some(std::env::consts::ARCH.to_owned())),
    );
    // All of them: this process may be pinned to one.
    let cores = cpuinfo.lines().filter(|l| l.starts_with("processor"));
    fact("cores", Some(cores.count().max(1).to_string()));
    let hypervisor = after(&cpuinfo, "flags").is_some_and(|flags| {
        let mut flags = flags.split_whitespace();
        flags.any(|flag| flag == "hypervisor")
    });
    fact("virtual machine", hypervisor.then(|| "yes".to_owned()));
    let memory = after(&read("/proc/meminfo"), "MemTotal").and_then(|text| {
        let kib: f64 = text.split_whitespace().next()?.parse().ok()?;
        Some(format!("{:.1} GiB", kib / f64::from(1 << 20)))
    });
    fact("memory", memory);
    let kernel = |name| read(&format!("/proc/sys/kernel/{name}")).trim().to_owned();
    let (release, built) = (kernel("osrelease"), kernel("version"));
    fact(
        "kernel",
        (!release.is_empty()).then(|| format!("{release} ({built})")),
    );
    let system = read("/etc/os-release").lines().find_map(|line| {
        let name = line.strip_prefix("PRETTY_NAME=")?;
        Some(name.trim_matches('"').to_owned())
    });
    fact("system", system);
    facts
}

/// How this program was called, as a shell would take it again.
pub(crate) fn command() -> String {
    let words = std::env::args_os().skip(1);
    let words = words.map(|word| quoted(&word.to_string_lossy()));
    std::iter::once("parkade-bench".to_owned())
        .chain(words)
        .collect::<Vec<_>>()
        .join(" ")
}

/// The moment, in UTC and to the second.
pub(crate) fn now() -> String {
    jiff::Timestamp::now()
        .strftime("%Y-%m-%d %H:%M:%SZ")
        .to_string()
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// What stands behind `name` and a colon, the first time that a line begins with it.
fn after(text: &str, name: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        (found.trim() == name).then(|| value.trim().to_owned())
    })
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_a_shell_would_cut_them() {
        assert_eq!(quoted("--rounds"), "--rounds");
        assert_eq!(
            quoted("KeepAliveTimeout 5 # 'x'"),
            r"'KeepAliveTimeout 5 # '\''x'\'''"
        );
        assert_eq!(quoted(""), "''");
    }

    #[test]
    fn a_fact_stands_behind_its_name() {
        let text = "processor\t: 0\nmodel name\t: Some: Thing\n";
        assert_eq!(after(text, "model name").unwrap(), "Some: Thing");
        assert_eq!(after(text, "model"), None);
    }

    #[test]
    fn this_machine_has_a_kernel() {
        assert!(machine().contains_key("kernel"));
    }
}
