//! The typed result: what the server reads. Every value knows where it was written.
use crate::diagnostic::{Diagnostic, Located, Origin};
use crate::limits::Limits;
use crate::values::Cidr;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// A whole configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// Base of relative paths.
    pub server_root: Located<PathBuf>,
    /// Listening addresses, in file order.
    pub listens: Vec<Located<Listen>>,
    /// `ListenBacklog`.
    pub listen_backlog: Located<u32>,
    /// `ListenCoresBucketsRatio`; 0 is one socket for each address.
    pub listen_cores_buckets_ratio: Located<u32>,
    /// `User`, unresolved.
    pub user: Option<Located<Account>>,
    /// `Group`, unresolved.
    pub group: Option<Located<Account>>,
    /// `PidFile`, absolute; `None` only in the built-in configuration.
    pub pid_file: Option<Located<PathBuf>>,
    /// Processes, threads and slots after all corrections.
    pub limits: Limits,
    /// `SendBufferSize`; 0 is the kernel's choice.
    pub send_buffer_size: Located<u32>,
    /// `ReceiveBufferSize`; 0 is the kernel's choice.
    pub receive_buffer_size: Located<u32>,
    /// `AcceptFilter` lines as (protocol, filter); none means filter `none`.
    pub accept_filters: Vec<Located<(String, String)>>,
    /// `AcceptMutex`, or `Mutex` for the accept lock.
    pub accept_mutex: Located<AcceptMutex>,
    /// `LockFile`, absolute.
    pub lock_file: Option<Located<PathBuf>>,
    /// `ScoreBoardFile`, absolute.
    pub scoreboard_file: Option<Located<PathBuf>>,
    /// `CoreDumpDirectory`, absolute.
    pub core_dump_directory: Option<Located<PathBuf>>,
    /// `EnableExceptionHook`.
    pub enable_exception_hook: Located<bool>,
    /// `MaxMemFree` in KiB for each worker; 0 is unlimited.
    pub max_mem_free: Located<u32>,
    /// `ThreadStackSize` in bytes; 0 is the system's default. Children that are started later have it.
    pub thread_stack_size: Located<u64>,
    /// `AsyncRequestWorkerFactor`, if set.
    pub async_request_worker_factor: Option<Located<f64>>,
    /// `GracefulShutdownTimeout`; zero is without end.
    pub graceful_shutdown_timeout: Located<Duration>,
    /// `TermDrainTimeout`; zero: TERM ends everything at once.
    pub term_drain_timeout: Located<Duration>,
    /// `GracefulDrainTimeout`, if set.
    pub graceful_drain_timeout: Option<Located<Duration>>,
    /// `ReactorBackend`.
    pub reactor_backend: Located<ReactorBackend>,
    /// `WakeCoalescing`: how long a request may be kept waiting for others; zero is off.
    pub wake_coalescing: Located<Duration>,
    /// `ExtendedStatus`, if set; see [`Config::extended_status`].
    pub extended_status: Option<Located<bool>>,
    /// `TypesConfig`, absolute.
    pub types_config: Option<Located<PathBuf>>,
    /// The main server.
    pub main: HostSettings,
    /// `<VirtualHost>`s in file order, with everything inherited from the main server.
    pub virtual_hosts: Vec<VirtualHost>,
    /// Names given by `Define` or `-D`, in order.
    pub defines: Vec<String>,
    /// Every file that was read, in the order of reading.
    pub files: Vec<ReadFile>,
    /// Corrections made by the arithmetic of limits.
    pub notes: Vec<Diagnostic>,
}

impl Config {
    /// Whether requests are noted, for the status page and for reports of crashes: `ExtendedStatus`, and without it
    /// whether there are such a page or such reports.
    #[must_use]
    pub fn extended_status(&self) -> bool {
        match &self.extended_status {
            Some(said) => said.value,
            None if self.enable_exception_hook.value => true,
            None => {
                let hosts = self.virtual_hosts.iter().map(|h| &h.settings);
                let mut all = std::iter::once(&self.main).chain(hosts);
                all.any(|h| shows_status(&h.base) || h.sections.iter().any(Section::shows_status))
            }
        }
    }
}

fn shows_status(settings: &DirSettings) -> bool {
    let handler = settings.handler.as_ref();
    handler.is_some_and(|h| h.value == Handler::ServerStatus)
}

/// Settings that a virtual host may have for itself.
#[derive(Debug, Clone)]
pub struct HostSettings {
    /// `ServerName` without scheme, possibly with a port.
    pub server_name: Option<Located<String>>,
    /// `ServerAlias`, with `*` and `?`.
    pub server_aliases: Vec<Located<String>>,
    /// `ServerAdmin`.
    pub server_admin: Option<Located<String>>,
    /// `DocumentRoot`, absolute.
    pub document_root: Option<Located<PathBuf>>,
    /// `Timeout`.
    pub timeout: Located<Duration>,
    /// `KeepAlive`.
    pub keep_alive: Located<bool>,
    /// `KeepAliveTimeout`.
    pub keep_alive_timeout: Located<Duration>,
    /// `MaxKeepAliveRequests`; 0 is without end.
    pub max_keep_alive_requests: Located<u32>,
    /// `RequestReadTimeout`.
    pub request_read_timeout: Located<RequestReadTimeout>,
    /// `LimitRequestLine` in bytes.
    pub limit_request_line: Located<u32>,
    /// `LimitRequestFieldSize` in bytes.
    pub limit_request_field_size: Located<u32>,
    /// `LimitRequestFields`; 0 is without end.
    pub limit_request_fields: Located<u32>,
    /// `ErrorLog`; `None` is standard error (built-in configuration), in a virtual host the main server's.
    pub error_log: Option<Located<LogTarget>>,
    /// `LogLevel`.
    pub log_level: Located<LogLevel>,
    /// `LogLevel module:level`, the module as its messages name it (without `mod_`, `.c` and `_module`).
    pub module_log_levels: Vec<(String, LogLevel)>,
    /// `LogFormat`, as (nickname, format); `common` and `combined` are always there, a virtual host has the main server's.
    pub log_formats: Vec<(String, Located<String>)>,
    /// `CustomLog`.
    pub custom_logs: Vec<Located<CustomLog>>,
    /// Per-directory settings written outside any section.
    pub base: DirSettings,
    /// `<Directory>`, `<Location>`, `<Files>` in file order.
    pub sections: Vec<Section>,
}

/// A `<VirtualHost>`.
#[derive(Debug, Clone)]
pub struct VirtualHost {
    /// Its addresses; host `*` matches all, port `None` matches all.
    pub addresses: Vec<Located<(String, Option<u16>)>>,
    /// Where its opening line stands.
    pub at: Origin,
    /// Its settings, the main server's where it says nothing; `sections` holds only its own.
    pub settings: HostSettings,
}

/// Kind and argument of a section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SectionKind {
    /// `<Directory>`: a path or a pattern whose wildcards stop at `/`.
    Directory(String),
    /// `<Location>`: a URL path prefix.
    Location(String),
    /// `<Files>`: a base name or pattern.
    Files(String),
}

/// A section with per-directory settings.
#[derive(Debug, Clone)]
pub struct Section {
    /// What it applies to.
    pub kind: SectionKind,
    /// Where its opening line stands.
    pub at: Origin,
    /// Its settings.
    pub settings: DirSettings,
    /// `<Files>` inside `<Directory>`.
    pub children: Vec<Section>,
}

impl Section {
    fn shows_status(&self) -> bool {
        shows_status(&self.settings) || self.children.iter().any(Self::shows_status)
    }
}

/// Settings that a section may have; `None` leaves what is inherited.
#[derive(Debug, Clone, Default)]
pub struct DirSettings {
    /// `Require` lines, several of them joined by "any".
    pub require: Option<Located<Require>>,
    /// `Options`.
    pub options: Option<Located<OptionsChange>>,
    /// `SetHandler`.
    pub handler: Option<Located<Handler>>,
    /// `DirectoryIndex`; empty for `disabled`.
    pub directory_index: Option<Located<Vec<String>>>,
    /// `AddType` as (extension without dot, lower case; type).
    pub add_types: Vec<(String, String)>,
    /// `ForceType`.
    pub force_type: Option<Located<String>>,
    /// `LimitRequestBody`; 0 is without end.
    pub limit_request_body: Option<Located<u64>>,
    /// `EnableSendfile`.
    pub enable_sendfile: Option<Located<bool>>,
    /// `EnableMMAP`.
    pub enable_mmap: Option<Located<bool>>,
}

/// A listening address; the host is resolved by the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// Host or address without brackets; `None` for every address.
    pub host: Option<String>,
    /// Port.
    pub port: u16,
    /// Protocol, lower case; `https` for 443, else `http`, unless given.
    pub protocol: String,
}

/// A user or group, unresolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Account {
    /// By name.
    Name(String),
    /// `#id`.
    Id(u32),
}

/// `AcceptMutex`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are Apache's mechanism names")]
pub enum AcceptMutex {
    /// No lock: the kernel hands out connections.
    Default,
    Flock,
    Fcntl,
    PosixSem,
    Pthread,
    SysvSem,
}

/// `ReactorBackend`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the kernel's")]
pub enum ReactorBackend {
    Auto,
    Epoll,
    IoUring,
    Kqueue,
}

/// One phase of `RequestReadTimeout`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RangeTimeout {
    /// First allowance; zero switches the phase off.
    pub initial: Duration,
    /// Upper bound when data keeps coming; `None` is without bound.
    pub max: Option<Duration>,
    /// Bytes that buy one more second; `None` if data buys nothing.
    pub min_rate: Option<u32>,
}

/// `RequestReadTimeout`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestReadTimeout {
    /// TLS handshake.
    pub handshake: RangeTimeout,
    /// Request line and fields.
    pub header: RangeTimeout,
    /// Request body.
    pub body: RangeTimeout,
}

/// Where a log goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogTarget {
    /// A file, absolute.
    File(PathBuf),
    /// A program reading the log.
    Pipe(String),
    /// syslog with an optional facility.
    Syslog(Option<String>),
}

/// `CustomLog`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomLog {
    /// Where it goes.
    pub target: LogTarget,
    /// The format itself, nickname resolved, and where it is written.
    pub format: Located<String>,
}

/// A file that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadFile {
    /// Its path, as it was opened.
    pub path: PathBuf,
    /// How many files include it, one in the other.
    pub depth: usize,
    /// Line of the Include that names it; `None` for the file of `-f`.
    pub line: Option<u32>,
}

/// `LogLevel`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names are syslog's")]
pub enum LogLevel {
    Emerg,
    Alert,
    Crit,
    Error,
    Warn,
    Notice,
    Info,
    Debug,
    /// 1 to 8.
    Trace(u8),
}

impl LogLevel {
    /// The level of a name as written in `LogLevel`.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "emerg" => Self::Emerg,
            "alert" => Self::Alert,
            "crit" => Self::Crit,
            "error" => Self::Error,
            "warn" => Self::Warn,
            "notice" => Self::Notice,
            "info" => Self::Info,
            "debug" => Self::Debug,
            other => match other.strip_prefix("trace").and_then(|n| n.parse().ok()) {
                Some(n @ 1..=8) => Self::Trace(n),
                _ => return None,
            },
        })
    }
}

/// Effective options of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// Symbolic links are followed.
    pub follow_sym_links: bool,
    /// They are followed if link and target have the same owner.
    pub sym_links_if_owner_match: bool,
    /// Directory listings (not provided yet).
    pub indexes: bool,
}

/// What an `Options` line does to the inherited options.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OptionsChange {
    /// Without signs: start from nothing.
    pub absolute: bool,
    /// Switched on.
    pub on: Options,
    /// Switched off.
    pub off: Options,
}

impl OptionsChange {
    /// The options after this line.
    pub const fn apply(&self, base: Options) -> Options {
        if self.absolute {
            return self.on;
        }
        let (on, off) = (self.on, self.off);
        Options {
            follow_sym_links: (base.follow_sym_links || on.follow_sym_links)
                && !off.follow_sym_links,
            sym_links_if_owner_match: (base.sym_links_if_owner_match
                || on.sym_links_if_owner_match)
                && !off.sym_links_if_owner_match,
            indexes: (base.indexes || on.indexes) && !off.indexes,
        }
    }
}

/// `SetHandler`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handler {
    /// `none`: back to files.
    None,
    /// `server-status`.
    ServerStatus,
    /// `parkade-health`.
    Health,
    /// `parkade-diagnostics`.
    Diagnostics,
}

/// Who may have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Require {
    /// `all granted`
    Granted,
    /// `all denied`
    Denied,
    /// `local`
    Local,
    /// `ip ...`
    Ip(Vec<Cidr>),
    /// `not ...`
    Not(Box<Require>),
    /// `<RequireAny>`
    Any(Vec<Require>),
    /// `<RequireAll>`
    All(Vec<Require>),
    /// `<RequireNone>`
    None(Vec<Require>),
}

impl Require {
    /// Whether a client at `client`, connected to our address `server`, is let in.
    pub fn permits(&self, client: IpAddr, server: Option<IpAddr>) -> bool {
        let client = client.to_canonical();
        match self {
            Self::Granted => true,
            Self::Denied => false,
            Self::Local => {
                client.is_loopback() || server.is_some_and(|own| own.to_canonical() == client)
            }
            Self::Ip(nets) => nets.iter().any(|net| net.contains(client)),
            Self::Not(inner) => !inner.permits(client, server),
            Self::Any(all) => all.iter().any(|one| one.permits(client, server)),
            Self::All(all) => all.iter().all(|one| one.permits(client, server)),
            Self::None(all) => !all.iter().any(|one| one.permits(client, server)),
        }
    }
    /// Whether it names addresses (`ip` or `local`) on every way in.
    pub fn is_by_address(&self) -> bool {
        match self {
            Self::Local | Self::Ip(_) | Self::Denied => true,
            Self::Granted | Self::Not(_) | Self::None(_) => false,
            Self::Any(all) => all.iter().all(Self::is_by_address),
            Self::All(all) => all.iter().any(Self::is_by_address),
        }
    }
}
