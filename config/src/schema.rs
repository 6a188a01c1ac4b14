//! The one table of directives: parsing, `-L`, `-t` and the documentation read it.

/// Where a directive may stand (a set of bits).
pub type Contexts = u8;
/// Outside any section.
pub const SERVER: Contexts = 1;
/// In `<VirtualHost>`.
pub const VHOST: Contexts = 2;
/// In `<Directory>` and `<Files>`.
pub const DIR: Contexts = 4;
/// In `<Location>`.
pub const LOC: Contexts = 8;
const SV: Contexts = SERVER | VHOST;
const D: Contexts = DIR | LOC;
const ALL: Contexts = SV | D;

/// What a directive does today.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It takes effect.
    Effective,
    /// Checked in full; takes effect in a later version.
    ParsedOnly,
}

/// One row.
#[derive(Debug, Clone, Copy)]
pub struct Directive {
    /// Name as documented.
    pub name: &'static str,
    /// Other accepted names.
    pub aliases: &'static [&'static str],
    /// Fewest and most arguments.
    pub arity: (usize, usize),
    /// Where it may stand.
    pub contexts: Contexts,
    /// Default, as a user would write it; empty if none.
    pub default: &'static str,
    /// One sentence.
    pub help: &'static str,
    /// What it does today.
    pub status: Status,
}

impl Directive {
    /// The name as the table has it that somebody wrote: the directive's or an alias.
    pub(crate) fn spelling(&self, written: &str) -> &'static str {
        let mut aliases = self.aliases.iter();
        aliases
            .find(|alias| alias.eq_ignore_ascii_case(written))
            .unwrap_or(&self.name)
    }

    /// Contexts in words, for `-L`.
    pub fn contexts_text(&self) -> String {
        let names = [
            (SERVER, "server"),
            (VHOST, "virtual host"),
            (DIR, "directory"),
            (LOC, "location"),
        ];
        let names: Vec<&str> = names
            .iter()
            .filter(|(bit, _)| self.contexts & bit != 0)
            .map(|(_, n)| *n)
            .collect();
        names.join(", ")
    }
}

const ANY: usize = usize::MAX;
use Status::{Effective as E, ParsedOnly as P};

macro_rules! table {
    ($($name:literal $aliases:expr, $min:literal..$max:expr, $contexts:expr, $default:literal, $status:expr, $help:literal;)*) => {
        /// Every directive this server knows, sections included.
        pub const DIRECTIVES: &[Directive] = &[$(Directive { name: $name, aliases: &$aliases, arity: ($min, $max),
            contexts: $contexts, default: $default, help: $help, status: $status }),*];
    };
}

table! {
    "AcceptFilter" [], 2..2, SERVER, "http none", E, "a protocol and the kernel filter for it (none, data)";
    "AcceptMutex" [], 1..1, SERVER, "Default", E, "how children take turns accepting: Default, flock, fcntl, posixsem, pthread or sysvsem";
    "AddType" [], 2..ANY, ALL, "", E, "a MIME type followed by one or more file extensions";
    "AllowOverride" [], 1..ANY, DIR, "None", E, "None (files in directories are never read)";
    "AsyncRequestWorkerFactor" [], 1..1, SERVER, "", E, "how many more connections a child accepts for each idle thread, a positive number; no bound if not set";
    "CoreDumpDirectory" [], 1..1, SERVER, "", E, "the directory a crashing child changes to before dumping core";
    "CustomLog" [], 2..3, SV, "", E, "a file and a format string or nickname";
    "DirectoryIndex" [], 1..ANY, ALL, "index.html", E, "names tried for a directory, or disabled";
    "DocumentRoot" [], 1..1, SV, "", E, "the directory that the URL space is served from";
    "EnableExceptionHook" [], 1..1, SERVER, "Off", E, "On or Off: whether a crashing child writes a report";
    "EnableMMAP" [], 1..1, ALL, "On", E, "On or Off: whether small files may stay in memory between requests (files are never mapped)";
    "EnableSendfile" [], 1..1, ALL, "Off", E, "On or Off: whether the kernel copies files to the socket, or the server reads and sends them";
    "ErrorLog" [], 1..1, SV, "logs/error_log", E, "the file of the error log";
    "ExtendedStatus" [], 1..1, SERVER, "", E, "On or Off: whether the status page shows totals and requests; On where some SetHandler is server-status";
    "ForceType" [], 1..1, D, "", E, "a MIME type for all files here";
    "GracefulDrainTimeout" [], 1..1, SERVER, "300", E, "seconds a child that ends may take to finish its requests, 0 for no bound";
    "GracefulShutdownTimeout" [], 1..1, SERVER, "0", E, "seconds a graceful stop may take, 0 for no bound";
    "Group" [], 1..1, SERVER, "", E, "a group name or #gid that children run as";
    "HostnameLookups" [], 1..1, ALL, "Off", E, "Off";
    "KeepAlive" [], 1..1, SV, "On", E, "On or Off: whether connections stay open for further requests";
    "KeepAliveTimeout" [], 1..1, SV, "5", E, "how long an idle connection is kept, in seconds or with ms, s, min, h";
    "LimitRequestBody" [], 1..1, ALL, "1073741824", E, "the most bytes of a request body, 0 for no bound";
    "LimitRequestFields" [], 1..1, SV, "100", E, "the most fields of a request, 0 for no bound";
    "LimitRequestFieldSize" [], 1..1, SV, "8190", E, "the most bytes of one request field";
    "LimitRequestLine" [], 1..1, SV, "8190", E, "the most bytes of a request line";
    "Listen" [], 1..2, SERVER, "", E, "a port, or address:port, optionally followed by a protocol";
    "ListenBacklog" [], 1..1, SERVER, "511", E, "the most connections the kernel queues";
    "ListenCoresBucketsRatio" [], 1..1, SERVER, "0", E, "processor cores for each socket of an address, 0 for one socket in all";
    "LockFile" [], 1..1, SERVER, "", E, "the file used by AcceptMutex flock and fcntl";
    "LogFormat" [], 1..2, SV, "", E, "a log format and its nickname";
    "LogLevel" [], 1..ANY, SV, "warn", E, "the least severity logged, also module:level for one module";
    "MaxClients" ["MaxRequestWorkers"], 1..1, SERVER, "400", E, "the most requests served at once";
    "MaxKeepAliveRequests" [], 1..1, SV, "100", E, "the most requests of a connection, 0 for no bound";
    "MaxMemFree" [], 1..1, SERVER, "2048", E, "KiB of free buffers that each worker thread may keep, 0 for no bound";
    "MaxRequestsPerChild" ["MaxConnectionsPerChild"], 1..1, SERVER, "0", E, "connections after which a child is replaced, 0 for never";
    "MaxSpareThreads" [], 1..1, SERVER, "250", E, "the most idle threads";
    "MinSpareThreads" [], 1..1, SERVER, "75", E, "the fewest idle threads";
    "Mutex" [], 1..ANY, SERVER, "default", E, "a mechanism with an optional directory, and the locks it is for";
    "Options" [], 1..ANY, ALL, "FollowSymLinks", E, "FollowSymLinks, SymLinksIfOwnerMatch, Indexes, None, each with + or - or none with";
    "PidFile" [], 1..1, SERVER, "logs/httpd.pid", E, "the file holding the supervisor's process id";
    "ReactorBackend" [], 1..1, SERVER, "auto", E, "auto, epoll, io_uring or kqueue: which calls of the kernel serve connections";
    "ReceiveBufferSize" [], 1..1, SERVER, "0", E, "bytes of a socket's receive buffer, 0 for the kernel's choice";
    "RequestReadTimeout" [], 1..ANY, SV, "header=20-40,MinRate=500 body=20,MinRate=500", E, "header= and body= with times and MinRate";
    "Require" [], 1..ANY, D, "all granted", E, "all granted, all denied, ip ADDRESS..., or local";
    "ScoreBoardFile" [], 1..1, SERVER, "", E, "the file that the shared status memory is";
    "SendBufferSize" [], 1..1, SERVER, "0", E, "bytes of a socket's send buffer, 0 for the kernel's choice";
    "ServerAdmin" [], 1..1, SV, "", P, "the address shown in error pages";
    "ServerAlias" [], 1..ANY, VHOST, "", E, "other names of a virtual host";
    "ServerLimit" [], 1..1, SERVER, "16", E, "the most child processes";
    "ServerName" [], 1..1, SV, "", E, "the name and port of the server";
    "ServerRoot" [], 1..1, SERVER, "", E, "the directory relative paths start from";
    "SetHandler" [], 1..1, D, "none", E, "parkade-diagnostics, parkade-health, server-status or none";
    "StartServers" [], 1..1, SERVER, "3", E, "children forked at start";
    "TermDrainTimeout" [], 1..1, SERVER, "0", E, "seconds that requests in progress may take after a TERM; 0 cuts them";
    "ThreadLimit" [], 1..1, SERVER, "64", E, "the most ThreadsPerChild";
    "ThreadsPerChild" [], 1..1, SERVER, "25", E, "worker threads of a child";
    "ThreadStackSize" [], 1..1, SERVER, "0", E, "bytes of a worker thread's stack, 0 for the system's choice";
    "Timeout" [], 1..1, SV, "60", E, "seconds without progress after which a connection ends";
    "TypesConfig" [], 1..1, SERVER, "conf/mime.types", E, "the file of MIME types";
    "User" [], 1..1, SERVER, "", E, "a user name or #uid that children run as";
    "WakeCoalescing" [], 1..1, SERVER, "Off", E, "how long a request may wait for others, so that one wake-up does for several: Off, On (500us) or a time of 100us to 10ms";
    "<Directory" [], 1..1, SV, "", E, "settings for a directory and below";
    "<Files" [], 1..1, SV | DIR, "", E, "settings for files of a name";
    "<Location" [], 1..1, SV, "", E, "settings for a part of the URL space";
    "<RequireAll" [], 0..0, D, "", E, "all inside must hold";
    "<RequireAny" [], 0..0, D, "", E, "one inside must hold";
    "<RequireNone" [], 0..0, D, "", E, "none inside may hold";
    "<VirtualHost" [], 1..ANY, SERVER, "", E, "a server of its own for some addresses or names";
}

/// Handled while the tree is read, anywhere: name, fewest and most arguments, help. Known to "did you mean" and `-L`.
pub const IMMEDIATE: &[(&str, usize, usize, &str)] = &[
    (
        "Define",
        1,
        2,
        "a name for <IfDefine>, and the text that ${name} stands for",
    ),
    ("UnDefine", 1, 1, "a name that is no longer defined"),
    (
        "Include",
        1,
        1,
        "a file, a directory or a pattern whose directives stand here",
    ),
    (
        "IncludeOptional",
        1,
        1,
        "the same, and nothing if there is none",
    ),
    (
        "LoadModule",
        2,
        2,
        "a module's name and file; it must be one that is built in",
    ),
    ("Error", 1, 1, "refuses the configuration with this message"),
];

/// Sections handled while the tree is read, anywhere, with their help.
pub const IMMEDIATE_SECTIONS: &[(&str, &str)] = &[
    (
        "<IfDefine",
        "a name, or ! and a name: read if it is (not) defined",
    ),
    (
        "<IfModule",
        "a module, or ! and a module: read if it is (not) built in",
    ),
    (
        "<IfFile",
        "a file, or ! and a file: read if it does (not) exist",
    ),
];

/// Well-known directives of Apache that have no counterpart here: skipped with a warning.
pub const UNSUPPORTED: &[&str] = &[
    "Alias",
    "AddCharset",
    "AddDefaultCharset",
    "AddEncoding",
    "AddHandler",
    "AddLanguage",
    "AddOutputFilter",
    "AccessFileName",
    "AddIcon",
    "BrowserMatch",
    "DefaultIcon",
    "DirectorySlash",
    "ErrorDocument",
    "ExpiresActive",
    "ExpiresByType",
    "ExpiresDefault",
    "FileETag",
    "Header",
    "HttpProtocolOptions",
    "IndexOptions",
    "IndexIgnore",
    "LanguagePriority",
    "NameVirtualHost",
    "Protocols",
    "ProxyPass",
    "ProxyPassReverse",
    "ProxyRequests",
    "ReadmeName",
    "Redirect",
    "RedirectMatch",
    "RequestHeader",
    "RewriteCond",
    "RewriteEngine",
    "RewriteRule",
    "ScriptAlias",
    "ServerSignature",
    "ServerTokens",
    "SetEnvIf",
    "SetOutputFilter",
    "SSLCertificateFile",
    "SSLCertificateKeyFile",
    "SSLCipherSuite",
    "SSLEngine",
    "SSLProtocol",
    "TraceEnable",
    "TransferLog",
    "UseCanonicalName",
    "<DirectoryMatch",
    "<FilesMatch",
    "<If",
    "<Limit",
    "<LimitExcept",
    "<LocationMatch",
    "<Proxy",
];

/// Modules whose work is built in, by both of their names.
pub const MODULES: &[(&str, &str)] = &[
    ("core_module", "core.c"),
    ("so_module", "mod_so.c"),
    ("http_module", "http_core.c"),
    ("mpm_event_module", "event.c"),
    ("unixd_module", "mod_unixd.c"),
    ("mime_module", "mod_mime.c"),
    ("dir_module", "mod_dir.c"),
    ("authz_core_module", "mod_authz_core.c"),
    ("authz_host_module", "mod_authz_host.c"),
    ("log_config_module", "mod_log_config.c"),
    ("reqtimeout_module", "mod_reqtimeout.c"),
    ("status_module", "mod_status.c"),
];

/// Flags that take no notice of further words, as Apache's do; the others take exactly one.
pub(crate) const LENIENT_FLAGS: &[&str] = &[
    "EnableMMAP",
    "EnableSendfile",
    "ExtendedStatus",
    "KeepAlive",
];

/// Looks a directive up by name or alias, ignoring case; sections are named `<Name`.
pub fn find(name: &str) -> Option<&'static Directive> {
    DIRECTIVES.iter().find(|d| {
        d.name.eq_ignore_ascii_case(name)
            || d.aliases
                .iter()
                .any(|alias| alias.eq_ignore_ascii_case(name))
    })
}

/// Whether `<IfModule name>` holds.
pub fn has_module(name: &str) -> bool {
    MODULES
        .iter()
        .any(|(module, file)| name == *module || name == *file)
}

/// The known name nearest to `name`, if near enough to be meant.
pub fn nearest(name: &str) -> Option<&'static str> {
    let lower = name.to_ascii_lowercase();
    let names = DIRECTIVES
        .iter()
        .flat_map(|d| std::iter::once(&d.name).chain(d.aliases));
    let names = names
        .chain(IMMEDIATE.iter().map(|(n, ..)| n))
        .chain(IMMEDIATE_SECTIONS.iter().map(|(n, _)| n));
    let best = names
        .map(|n| (distance(&lower, &n.to_ascii_lowercase()), *n))
        .min()?;
    (best.0 <= 1 + name.len() / 5).then_some(best.1)
}

/// Levenshtein's distance, names cut at 64 bytes.
pub(crate) fn distance(a: &str, b: &str) -> usize {
    let b: Vec<u8> = b.bytes().take(64).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().take(64).enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let next = (diagonal + usize::from(x != *y))
                .min(row[j] + 1)
                .min(row[j + 1] + 1);
            diagonal = row[j + 1];
            row[j + 1] = next;
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_stands_once_and_in_order() {
        let names: Vec<String> = DIRECTIVES
            .iter()
            .map(|d| d.name.replace('<', "~").to_ascii_lowercase())
            .collect();
        assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
        for name in UNSUPPORTED {
            assert!(find(name).is_none(), "{name} is supported and unsupported");
        }
    }

    #[test]
    fn every_row_helps_and_says_where_it_may_stand() {
        for row in DIRECTIVES {
            assert!(
                !row.help.is_empty() && !row.contexts_text().is_empty(),
                "{}",
                row.name
            );
            assert!(row.arity.0 <= row.arity.1, "{}", row.name);
        }
    }

    #[test]
    fn slips_of_the_finger_find_the_name_and_nonsense_does_not() {
        let cases = [
            ("ThredsPerChild", Some("ThreadsPerChild")),
            ("maxrequestworker", Some("MaxRequestWorkers")),
            ("Lisen", Some("Listen")),
            ("<Directry", Some("<Directory")),
            ("Inclde", Some("Include")),
            ("Frobnicate", None),
        ];
        for (typed, meant) in cases {
            assert_eq!(nearest(typed), meant, "{typed}");
        }
    }
}
