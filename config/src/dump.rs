//! The configuration in force as text, each value with its origin: what `-D DUMP_CONFIG` shows.
use crate::diagnostic::{Located, Origin};
use crate::typed::{Account, Config, HostSettings, LogTarget, ReactorBackend};
use std::fmt::{Display, Write as _};
use std::time::Duration;

struct Out {
    text: String,
    indent: &'static str,
}

impl Out {
    fn line(&mut self, name: &str, value: impl Display, at: Option<&Origin>) {
        let line = format!("{}{name} {value}", self.indent);
        let origin = at.map_or_else(|| "default".to_owned(), Origin::to_string);
        // Writing into a String cannot fail.
        let _ = writeln!(self.text, "{line:<48} # {origin}");
    }

    fn value<T: Display>(&mut self, name: &str, value: &Located<T>) {
        self.line(name, &value.value, value.at.as_ref());
    }

    fn shown<T>(&mut self, name: &str, value: &Located<T>, show: impl Fn(&T) -> String) {
        self.line(name, show(&value.value), value.at.as_ref());
    }

    fn path(&mut self, name: &str, value: Option<&Located<std::path::PathBuf>>) {
        if let Some(value) = value {
            self.shown(name, value, |path| path.display().to_string());
        }
    }
}

fn time(value: &Duration) -> String {
    if value.subsec_millis() == 0 {
        value.as_secs().to_string()
    } else {
        format!("{}ms", value.as_millis())
    }
}

fn backend(value: &ReactorBackend) -> String {
    match value {
        ReactorBackend::Auto => "auto",
        ReactorBackend::Epoll => "epoll",
        ReactorBackend::IoUring => "io_uring",
        ReactorBackend::Kqueue => "kqueue",
    }
    .to_owned()
}

fn nap(value: &Duration) -> String {
    match value.as_micros() {
        0 => "Off".to_owned(),
        us => format!("{us}us"),
    }
}

fn flag(value: &bool) -> String {
    if *value { "On" } else { "Off" }.to_owned()
}

fn account(value: &Account) -> String {
    match value {
        Account::Name(name) => name.clone(),
        Account::Id(id) => format!("#{id}"),
    }
}

fn target(value: &LogTarget) -> String {
    match value {
        LogTarget::File(path) => path.display().to_string(),
        LogTarget::Pipe(program) => format!("\"|{program}\""),
        LogTarget::Syslog(None) => "syslog".to_owned(),
        LogTarget::Syslog(Some(facility)) => format!("syslog:{facility}"),
    }
}

/// One line for each value in force, `Name value # file:line:column` or `# default`.
///
/// ```
/// let text = parkade_config::dump::text(&parkade_config::Config::builtin(2));
/// assert!(text.contains("Listen 127.0.0.1:8080"));
/// ```
pub fn text(config: &Config) -> String {
    let mut out = Out {
        text: String::new(),
        indent: "",
    };
    out.path("ServerRoot", Some(&config.server_root));
    for listen in &config.listens {
        out.shown("Listen", listen, |listen| {
            let port = listen.port;
            let address = match &listen.host {
                Some(host) if host.contains(':') => format!("[{host}]:{port}"),
                Some(host) => format!("{host}:{port}"),
                None => port.to_string(),
            };
            format!("{address} {}", listen.protocol)
        });
    }
    out.value("ListenBacklog", &config.listen_backlog);
    let ratio = &config.listen_cores_buckets_ratio;
    out.value("ListenCoresBucketsRatio", ratio);
    for (name, value) in [("User", &config.user), ("Group", &config.group)] {
        if let Some(value) = value {
            out.shown(name, value, account);
        }
    }
    out.path("PidFile", config.pid_file.as_ref());
    limits(&mut out, config);
    out.value("SendBufferSize", &config.send_buffer_size);
    out.value("ReceiveBufferSize", &config.receive_buffer_size);
    for filter in &config.accept_filters {
        out.shown("AcceptFilter", filter, |(protocol, filter)| {
            format!("{protocol} {filter}")
        });
    }
    if let Some(factor) = &config.async_request_worker_factor {
        out.value("AsyncRequestWorkerFactor", factor);
    }
    out.value("MaxMemFree", &config.max_mem_free);
    out.value("ThreadStackSize", &config.thread_stack_size);
    out.shown("EnableExceptionHook", &config.enable_exception_hook, flag);
    let said = config.extended_status.as_ref().and_then(|e| e.at.as_ref());
    out.line("ExtendedStatus", flag(&config.extended_status()), said);
    out.path("LockFile", config.lock_file.as_ref());
    out.path("ScoreBoardFile", config.scoreboard_file.as_ref());
    out.path("CoreDumpDirectory", config.core_dump_directory.as_ref());
    out.path("TypesConfig", config.types_config.as_ref());
    if let Some(drain) = &config.graceful_drain_timeout {
        out.shown("GracefulDrainTimeout", drain, time);
    }
    let graceful = &config.graceful_shutdown_timeout;
    out.shown("GracefulShutdownTimeout", graceful, time);
    out.shown("TermDrainTimeout", &config.term_drain_timeout, time);
    out.shown("ReactorBackend", &config.reactor_backend, backend);
    out.shown("WakeCoalescing", &config.wake_coalescing, nap);
    host(&mut out, &config.main);
    for virtual_host in &config.virtual_hosts {
        let addresses: Vec<String> = virtual_host
            .addresses
            .iter()
            .map(|a| match a.value.1 {
                Some(port) => format!("{}:{port}", a.value.0),
                None => a.value.0.clone(),
            })
            .collect();
        let opening = format!("{}>", addresses.join(" "));
        out.line("<VirtualHost", opening, Some(&virtual_host.at));
        out.indent = "    ";
        host(&mut out, &virtual_host.settings);
        out.indent = "";
        out.text.push_str("</VirtualHost>\n");
    }
    out.text
}

/// The corrected numbers; a correction has its own line among the notes.
fn limits(out: &mut Out, config: &Config) {
    let limits = &config.limits;
    let rows = [
        ("StartServers", limits.start_servers),
        ("ServerLimit", limits.server_limit),
        ("ThreadLimit", limits.thread_limit),
        ("ThreadsPerChild", limits.threads_per_child),
        ("MaxClients", limits.max_clients),
        ("MinSpareThreads", limits.min_spare_threads),
        ("MaxSpareThreads", limits.max_spare_threads),
        ("MaxRequestsPerChild", limits.max_requests_per_child),
    ];
    for (name, value) in rows {
        let _ = writeln!(out.text, "{:<48} # in force", format!("{name} {value}"));
    }
    let slots = format!("# request slots per child: {}", limits.slots_per_child);
    let _ = writeln!(out.text, "{slots}");
    for note in &config.notes {
        let _ = writeln!(out.text, "# {}", note.message);
    }
}

fn host(out: &mut Out, host: &HostSettings) {
    if let Some(name) = &host.server_name {
        out.value("ServerName", name);
    }
    for alias in &host.server_aliases {
        out.value("ServerAlias", alias);
    }
    out.path("DocumentRoot", host.document_root.as_ref());
    out.shown("Timeout", &host.timeout, time);
    out.shown("KeepAlive", &host.keep_alive, flag);
    out.shown("KeepAliveTimeout", &host.keep_alive_timeout, time);
    out.value("MaxKeepAliveRequests", &host.max_keep_alive_requests);
    out.value("LimitRequestLine", &host.limit_request_line);
    out.value("LimitRequestFieldSize", &host.limit_request_field_size);
    out.value("LimitRequestFields", &host.limit_request_fields);
    if let Some(log) = &host.error_log {
        out.shown("ErrorLog", log, target);
    }
    out.shown("LogLevel", &host.log_level, |level| {
        format!("{level:?}")
            .to_ascii_lowercase()
            .replace(['(', ')'], "")
    });
    for log in &host.custom_logs {
        out.shown("CustomLog", log, |log| {
            let format = log.format.replace('\\', "\\\\").replace('"', "\\\"");
            format!("{} \"{format}\"", target(&log.target))
        });
    }
}
