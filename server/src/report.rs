//! What `-S`, `-M`, `-l` and `-L` say: Apache's shapes, our names.

use crate::accept_mutex;
use crate::settings::{Identity, Settings};
use nix::unistd::Group;
use parkade_config::{Config, LogTarget, VirtualHost, dump, schema};
use std::fmt::{Display, Write as _};

/// The text that the `DUMP_` names among `defines` ask for, in a fixed order.
pub(crate) fn dumps(settings: &Settings, defines: &[String]) -> String {
    let wanted = |name: &str| defines.iter().any(|d| d == name);
    let mut text = String::new();
    if wanted("DUMP_VHOSTS") {
        text += &virtual_hosts(&settings.config.virtual_hosts);
    }
    if wanted("DUMP_RUN_CFG") {
        text += &run_settings(settings);
    }
    if wanted("DUMP_MODULES") {
        text += &loaded();
    }
    if wanted("DUMP_INCLUDES") {
        text += &files(&settings.config);
    }
    if wanted("DUMP_CONFIG") {
        text += &dump::text(&settings.config);
    }
    text
}

/// `DUMP_INCLUDES`: every file, behind the line that includes it, indented by its depth.
fn files(config: &Config) -> String {
    let mut text = "Included configuration files:\n".to_owned();
    for file in &config.files {
        let line = file.line.map_or("*".to_owned(), |line| line.to_string());
        let indent = 2 * (file.depth + 1);
        let _ = writeln!(text, "{:indent$}({line}) {}", "", file.path.display());
    }
    text
}

/// `-M`.
fn loaded() -> String {
    let lines = schema::MODULES
        .iter()
        .map(|(module, _)| format!(" {module} (static)\n"));
    "Loaded Modules:\n".to_owned() + &lines.collect::<String>()
}

/// `-l`.
pub(crate) fn compiled_in() -> String {
    let lines = schema::MODULES
        .iter()
        .map(|(_, file)| format!("  {file}\n"));
    "Compiled in modules:\n".to_owned() + &lines.collect::<String>()
}

/// `-L`.
pub(crate) fn directives() -> String {
    let mut text = String::new();
    let closed = |name: &str| format!("{name}{}", if name.starts_with('<') { ">" } else { "" });
    for row in schema::DIRECTIVES {
        let _ = writeln!(text, "{}", closed(row.name));
        let _ = writeln!(text, "\t{}", row.help);
        let _ = writeln!(text, "\tAllowed in: {}", row.contexts_text());
        if !row.default.is_empty() {
            let _ = writeln!(text, "\tDefault: {}", row.default);
        }
        if !row.aliases.is_empty() {
            let _ = writeln!(text, "\tAlso: {}", row.aliases.join(", "));
        }
        if row.status == schema::Status::ParsedOnly {
            text += "\tTakes effect in a later version\n";
        }
    }
    let immediate = schema::IMMEDIATE
        .iter()
        .map(|(name, _, _, help)| (name, help));
    let sections = schema::IMMEDIATE_SECTIONS.iter().map(|(n, help)| (n, help));
    for (name, help) in immediate.chain(sections) {
        let _ = writeln!(text, "{}\n\t{help}\n\tAllowed in: all", closed(name));
    }
    text
}

/// `DUMP_VHOSTS`: each address once, with the hosts that have it in file order.
fn virtual_hosts(hosts: &[VirtualHost]) -> String {
    type Hosts<'a> = Vec<&'a VirtualHost>;
    let mut addresses: Vec<(&(String, Option<u16>), Hosts<'_>)> = Vec::new();
    for host in hosts {
        for address in &host.addresses {
            match addresses.iter_mut().find(|(a, _)| **a == address.value) {
                // One host may name an address twice.
                Some((_, all)) if all.last().is_some_and(|l| std::ptr::eq(*l, host)) => {}
                Some((_, all)) => all.push(host),
                None => addresses.push((&address.value, vec![host])),
            }
        }
    }
    let mut text = "VirtualHost configuration:\n".to_owned();
    for ((ip, port), hosts) in addresses {
        let port = port.map_or("*".to_owned(), |p| p.to_string());
        let address = if ip.contains(':') {
            format!("[{ip}]:{port}")
        } else {
            format!("{ip}:{port}")
        };
        let _ = match &hosts[..] {
            [only] => writeln!(text, "{address:<22} {}", host_line(only)),
            all => writeln!(
                text,
                "{address:<22} is a NameVirtualHost\n         default server {}",
                host_line(all[0])
            ),
        };
        if hosts.len() > 1 {
            for host in hosts {
                let line = host_line(host);
                let _ = writeln!(text, "         port {port} namevhost {line}");
                aliases(&mut text, host);
            }
        }
    }
    text
}

fn host_line(host: &VirtualHost) -> String {
    let name = host.settings.server_name.as_ref();
    let name = name.map_or("(no ServerName)", |n| n.value.as_str());
    format!("{name} ({}:{})", host.at.file, host.at.line)
}

fn aliases(text: &mut String, host: &VirtualHost) {
    for alias in &host.settings.server_aliases {
        let wild = if alias.contains(['*', '?']) {
            "wild "
        } else {
            ""
        };
        let _ = writeln!(text, "                 {wild}alias {}", alias.value);
    }
}

/// `DUMP_RUN_CFG`: what a run is made of, after all corrections.
fn run_settings(settings: &Settings) -> String {
    let config = &settings.config;
    let mut text = String::new();
    quoted(&mut text, "ServerRoot", config.server_root.display());
    if let Some(root) = &config.main.document_root {
        quoted(&mut text, "Main DocumentRoot", root.display());
    }
    if let Some(log) = &config.main.error_log {
        quoted(&mut text, "Main ErrorLog", target(&log.value));
    }
    let _ = writeln!(text, "Mutex default: {}", mutex(config));
    if let Some(path) = &config.pid_file {
        quoted(&mut text, "PidFile", path.display());
    }
    for name in &config.defines {
        let _ = writeln!(text, "Define: {name}");
    }
    if let Some(Identity { user, gid }) = &settings.named {
        let unused = if settings.identity.is_none() {
            " not_used"
        } else {
            ""
        };
        let _ = writeln!(
            text,
            "User: name=\"{}\" id={}{unused}",
            user.name,
            user.uid.as_raw()
        );
        let group = Group::from_gid(*gid).ok().flatten();
        let group = group.map_or_else(|| format!("#{gid}"), |g| g.name);
        let _ = writeln!(text, "Group: name=\"{group}\" id={}{unused}", gid.as_raw());
    }
    let limits = &config.limits;
    for (name, value) in [
        ("StartServers", limits.start_servers),
        ("ServerLimit", limits.server_limit),
        ("ThreadLimit", limits.thread_limit),
        ("ThreadsPerChild", limits.threads_per_child),
        ("MaxClients", limits.max_clients),
        ("MinSpareThreads", limits.min_spare_threads),
        ("MaxSpareThreads", limits.max_spare_threads),
        ("MaxRequestsPerChild", limits.max_requests_per_child),
        ("Request slots per child", limits.slots_per_child),
    ] {
        let _ = writeln!(text, "{name}: {value}");
    }
    text
}

fn quoted(text: &mut String, name: &str, value: impl Display) {
    let _ = writeln!(text, "{name}: \"{value}\"");
}

fn target(log: &LogTarget) -> String {
    match log {
        LogTarget::File(path) => path.display().to_string(),
        LogTarget::Pipe(program) => format!("|{program}"),
        LogTarget::Syslog(None) => "syslog".to_owned(),
        LogTarget::Syslog(Some(facility)) => format!("syslog:{facility}"),
    }
}

fn mutex(config: &Config) -> String {
    let mechanism = accept_mutex::name(*config.accept_mutex);
    let dir = match config.lock_file.as_ref().and_then(|f| f.parent()) {
        Some(dir) => dir.to_owned(),
        None => config.server_root.join("logs"),
    };
    format!("dir=\"{}/\" mechanism={mechanism}", dir.display())
}
