//! Configurations: one worker unless told otherwise, a long keep-alive, no access log.

use std::net::SocketAddr;
use std::path::Path;

use super::{BODY, Site};
use crate::procfs;

/// Descriptors of a worker that are not connections.
const OTHERS: u64 = 500;
/// Apache's threads of a child.
const THREADS: usize = 64;

/// `line` for a server that was started by root and has to become somebody else.
fn for_root(line: &str) -> &str {
    if rustix::process::geteuid().is_root() {
        line
    } else {
        ""
    }
}

/// As many as this process may have, which the server inherits; and of them those for connections.
fn descriptors() -> (u64, u64) {
    let all = procfs::descriptor_limit().min(1 << 20);
    (all, all.saturating_sub(OTHERS).max(64))
}

pub(super) fn parkade(folder: &Path, address: SocketAddr, site: &Site<'_>) -> String {
    let (at, user) = (folder.display(), for_root("User nobody"));
    let Site {
        children,
        keepalive,
        more,
        ..
    } = site;
    format!(
        "ServerRoot {at}\nListen {address}\n{user}\nPidFile {at}/pid\nErrorLog {at}/error.log\n\
         StartServers {children}\nServerLimit {children}\nThreadsPerChild 1\nKeepAliveTimeout {keepalive}\n\
         MaxKeepAliveRequests 0\nDocumentRoot {at}/site\n<Directory {at}/site>\n  Require all granted\n</Directory>\n{more}"
    )
}

pub(super) fn nginx(folder: &Path, address: SocketAddr, site: &Site<'_>) -> String {
    let (at, user) = (folder.display(), for_root("user nobody nogroup;"));
    let (descriptors, connections) = descriptors();
    let Site {
        children,
        keepalive,
        ..
    } = site;
    format!(
        "{user}\ndaemon off;\nworker_processes {children};\nworker_rlimit_nofile {descriptors};\npid {at}/pid;\n\
         error_log {at}/error.log;\nevents {{ worker_connections {connections}; }}\n\
         http {{\n  access_log off;\n  sendfile on;\n  tcp_nodelay on;\n  keepalive_timeout {keepalive}s;\n\
         keepalive_requests 1000000000;\n  keepalive_time 24h;\n  open_file_cache max=100 inactive=60s;\n\
         client_body_temp_path {at}/body;\n  proxy_temp_path {at}/proxy;\n  fastcgi_temp_path {at}/fastcgi;\n\
         uwsgi_temp_path {at}/uwsgi;\n  scgi_temp_path {at}/scgi;\n  default_type text/plain;\n\
         server {{\n    listen {address} backlog=4096;\n    root {at}/site;\n\
         location = / {{ return 200 \"{BODY}\"; }}\n  }}\n}}\n"
    )
}

pub(super) fn h2o(folder: &Path, address: SocketAddr, site: &Site<'_>) -> String {
    let (at, user) = (folder.display(), for_root("user: nobody\n"));
    let (_, connections) = descriptors();
    // Its threads are what other servers' processes are.
    let Site {
        children,
        keepalive,
        ..
    } = site;
    let (ip, port) = (address.ip(), address.port());
    format!(
        "{user}num-threads: {children}\nmax-connections: {connections}\nhttp1-request-timeout: {keepalive}\n\
         listen:\n  host: {ip}\n  port: {port}\nhosts:\n  default:\n    paths:\n      /:\n"
    ) + &format!("        file.dir: {at}/site\n")
}

pub(super) fn apache2(folder: &Path, address: SocketAddr, site: &Site<'_>) -> String {
    let (at, user) = (folder.display(), for_root("User nobody\nGroup nogroup"));
    let modules = "/usr/lib/apache2/modules";
    let Site {
        children,
        keepalive,
        ..
    } = site;
    let workers = children * THREADS;
    // A restart needs room for the old children beside the new.
    let (limit, spare) = (children * 4, workers);
    format!(
        "LoadModule mpm_event_module {modules}/mod_mpm_event.so\nLoadModule authz_core_module {modules}/mod_authz_core.so\n\
         ServerRoot {at}\nServerName localhost\nListen {address}\n{user}\nPidFile {at}/pid\nErrorLog {at}/error.log\n\
         DefaultRuntimeDir {at}\nServerLimit {limit}\nStartServers {children}\nThreadsPerChild {THREADS}\n\
         ThreadLimit {THREADS}\nMaxRequestWorkers {workers}\nMinSpareThreads 1\nMaxSpareThreads {spare}\n\
         AsyncRequestWorkerFactor 1000\nKeepAlive On\nKeepAliveTimeout {keepalive}\nMaxKeepAliveRequests 0\n\
         DocumentRoot {at}/site\n<Directory />\n  AllowOverride None\n  Require all granted\n</Directory>\n"
    )
}

pub(super) fn lighttpd(folder: &Path, address: SocketAddr, site: &Site<'_>) -> String {
    let (at, user) = (
        folder.display(),
        for_root("server.username = \"nobody\"\nserver.groupname = \"nogroup\""),
    );
    let (descriptors, connections) = descriptors();
    let (ip, port, keepalive) = (address.ip(), address.port(), site.keepalive);
    // It opens its log when it has become somebody else: where that one may write.
    // One process without workers below it, as that is its usual form; 65,535 is the most that it takes.
    let workers = match site.children {
        1 => String::new(),
        n => format!("server.max-worker = {n}\n"),
    };
    format!(
        "server.bind = \"{ip}\"\nserver.port = {port}\n{user}\n{workers}server.document-root = \"{at}/site\"\n\
         server.errorlog = \"{at}/cores/error.log\"\nserver.max-fds = {descriptors}\nserver.max-connections = {connections}\n\
         server.listen-backlog = 4096\nserver.max-keep-alive-idle = {keepalive}\n\
         server.max-keep-alive-requests = 65535\nmimetype.assign = ( \".txt\" => \"text/plain\" )\n"
    )
}

/// Answers by itself, without a server behind it: so a connection takes one descriptor, where it reckons with two.
pub(super) fn haproxy(folder: &Path, address: SocketAddr, site: &Site<'_>) -> String {
    let (at, user) = (
        folder.display(),
        for_root("  user nobody\n  group nogroup\n"),
    );
    let (_, connections) = descriptors();
    let Site {
        children,
        keepalive,
        ..
    } = site;
    format!(
        "global\n{user}  no strict-limits\n  nbthread {children}\n  maxconn {connections}\n  pidfile {at}/pid\n\
         defaults\n  mode http\n  timeout client {keepalive}s\n  timeout http-keep-alive {keepalive}s\n\
         timeout http-request 60s\n  timeout connect 5s\n  timeout server 5s\n  option http-keep-alive\n\
         frontend bench\n  bind {address} backlog 4096\n  \
         http-request return status 200 content-type text/plain string \"{BODY}\"\n"
    )
}
