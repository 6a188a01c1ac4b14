//! What a start would fail at and a look can tell: folders that are missing, names of hosts that nobody knows. Nothing is
//! opened or made; what only opening tells, a start says itself.

use parkade_config::{Config, Diagnostic, LogTarget, Origin};
use std::io::ErrorKind;
use std::net::{IpAddr, ToSocketAddrs};
use std::path::Path;

/// Everything found, at its place in the configuration.
pub(crate) fn check(config: &Config) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for listen in &config.listens {
        let name = listen.host.as_deref().filter(|host| is_name(host));
        if let Some(host) = name
            && let Err(e) = (host, listen.port).to_socket_addrs()
        {
            let text = format!("Listen: {host} has no address: {e}");
            found.push(Diagnostic::error(text, listen.at.as_ref()));
        }
    }
    let hosts = config.virtual_hosts.iter().map(|host| &host.settings);
    for (i, host) in std::iter::once(&config.main).chain(hosts).enumerate() {
        let kind = if i == 0 { "main" } else { "virtual host" };
        if let Some(log) = &host.error_log {
            file(
                &log.value,
                &format!("{kind} error log"),
                log.at.as_ref(),
                &mut found,
            );
        }
        for log in &host.custom_logs {
            file(&log.value.target, "log file", log.at.as_ref(), &mut found);
        }
    }
    let own = [
        ("PidFile", &config.pid_file),
        ("ScoreBoardFile", &config.scoreboard_file),
    ];
    for (name, path) in own {
        if let Some(path) = path {
            folder(path, name, path.at.as_ref(), &mut found);
        }
    }
    found
}

/// Whether its addresses have to be looked up.
fn is_name(host: &str) -> bool {
    !host.contains(':') && host != "*" && host.parse::<IpAddr>().is_err()
}

fn file(log: &LogTarget, what: &str, at: Option<&Origin>, found: &mut Vec<Diagnostic>) {
    if let LogTarget::File(path) = log {
        folder(path, what, at, found);
    }
}

/// Says so if the folder of a file is not there. A virtual host has the main server's logs: said once.
fn folder(path: &Path, what: &str, at: Option<&Origin>, found: &mut Vec<Diagnostic>) {
    let Some(folder) = path.parent() else {
        return;
    };
    let why = match folder.metadata() {
        Ok(it) if it.is_dir() => return,
        Ok(_) => "it is no directory".to_owned(),
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            e.to_string()
        }
        // Who may not look may be somebody else than who starts the server.
        Err(_) => return,
    };
    if at.is_some() && found.iter().any(|d| d.at.as_ref() == at) {
        return;
    }
    let text = format!(
        "Cannot access directory '{}/' for {what}: {why}",
        folder.display()
    );
    let error = Diagnostic::error(text, at);
    found.push(error.with_help("make the directory, or name another place"));
}
