//! The servers that have a name: our own, the yardstick, and those of a Debian system, each with one worker, a long
//! keep-alive and no access log, because what is compared is the cost of a request.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::launch::Plan;

/// The small file, as large as the yardstick's body.
const FILE: &str = "hello.txt";
const BODY: &str = "Hello, World!";
const PATH: &str = "/hello.txt";

/// How to start `name` at `address`; `None` when it is no name. `children` and `more` lines are for our own server.
pub(crate) fn plan(
    name: &str,
    address: SocketAddr,
    children: usize,
    more: &str,
) -> io::Result<Option<Plan>> {
    // `parkade-file; LINE; LINE` has lines of its own.
    if let Some(("parkade-file", lines)) = name.split_once(';') {
        let lines = lines.replace(';', "\n");
        return plan(
            "parkade-file",
            address,
            children,
            &format!("{more}{lines}\n"),
        );
    }
    let own = std::env::current_exe()?;
    let at = address.to_string();
    let plan = match name {
        "reference" => Plan::new(own, words(&["reference", "--listen", &at])),
        "reference-uring" => Plan::new(own, words(&["reference", "--io-uring", "--listen", &at])),
        "reference-echo" => Plan {
            echo: true,
            ..Plan::new(own, words(&["reference", "--echo", "--listen", &at]))
        },
        "parkade-echo" => Plan {
            echo: true,
            ..Plan::new(own.with_file_name("examples").join("echo"), vec![at])
        },
        "parkade-hello" => Plan::new(own.with_file_name("examples").join("hello"), vec![at]),
        "parkade-file" => {
            let folder = folder()?;
            let conf = write(&folder, &parkade(folder.path(), address, children, more))?;
            from(own.with_file_name("parkade"), &["-f", &conf], folder, PATH)
        }
        "nginx" | "nginx-file" => {
            let (folder, program) = (folder()?, find("nginx", "nginx-light")?);
            let path = if name == "nginx" { "/" } else { PATH };
            let conf = write(&folder, &nginx(folder.path(), address))?;
            from(program, &["-c", &conf], folder, path)
        }
        "h2o" => {
            let (folder, program) = (folder()?, find("h2o", "h2o")?);
            let conf = write(&folder, &h2o(folder.path(), address))?;
            from(program, &["-c", &conf], folder, PATH)
        }
        "apache2" => {
            let (folder, program) = (folder()?, find("apache2", "apache2")?);
            let conf = write(&folder, &apache2(folder.path(), address))?;
            from(program, &["-DFOREGROUND", "-f", &conf], folder, PATH)
        }
        _ => return Ok(None),
    };
    Ok(Some(plan))
}

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|word| (*word).to_owned()).collect()
}

fn from(program: PathBuf, arguments: &[&str], folder: TempDir, path: &'static str) -> Plan {
    Plan {
        path,
        folder: Some(folder),
        ..Plan::new(program, words(arguments))
    }
}

/// Where a system keeps its servers is not always in an ordinary user's PATH.
fn find(program: &str, package: &str) -> io::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    std::env::split_paths(&path)
        .chain(system)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
        .ok_or_else(|| {
            io::Error::other(format!(
                "{program} is not installed (Debian: apt-get install {package})"
            ))
        })
}

/// A folder with the file, readable by whoever a server becomes, and one for its cores, where it may write.
fn folder() -> io::Result<TempDir> {
    let folder = tempfile::tempdir()?;
    let site = folder.path().join("site");
    fs::create_dir(&site)?;
    fs::write(site.join(FILE), BODY)?;
    let cores = folder.path().join("cores");
    fs::create_dir(&cores)?;
    for (path, mode) in [(folder.path(), 0o755), (&site, 0o755), (&cores, 0o777)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    }
    Ok(folder)
}

fn write(folder: &TempDir, text: &str) -> io::Result<String> {
    let file = folder.path().join("conf");
    fs::write(&file, text)?;
    Ok(file.to_string_lossy().into_owned())
}

/// `line` for a server that was started by root and has to become somebody else.
fn for_root(line: &str) -> &str {
    if rustix::process::geteuid().is_root() {
        line
    } else {
        ""
    }
}

fn parkade(folder: &Path, address: SocketAddr, children: usize, more: &str) -> String {
    let (at, user) = (folder.display(), for_root("User nobody"));
    format!(
        "ServerRoot {at}\nListen {address}\n{user}\nPidFile {at}/pid\nErrorLog {at}/error.log\n\
         StartServers {children}\nServerLimit {children}\nThreadsPerChild 1\nKeepAliveTimeout 300\n\
         MaxKeepAliveRequests 0\nDocumentRoot {at}/site\n<Directory {at}/site>\n  Require all granted\n</Directory>\n{more}"
    )
}

fn nginx(folder: &Path, address: SocketAddr) -> String {
    let (at, user) = (folder.display(), for_root("user nobody nogroup;"));
    format!(
        "{user}\ndaemon off;\nworker_processes 1;\nworker_rlimit_nofile 20000;\npid {at}/pid;\nerror_log {at}/error.log;\n\
         events {{ worker_connections 19500; }}\n\
         http {{\n  access_log off;\n  sendfile on;\n  tcp_nodelay on;\n  keepalive_timeout 300s;\n\
         keepalive_requests 1000000000;\n  keepalive_time 24h;\n  open_file_cache max=100 inactive=60s;\n\
         client_body_temp_path {at}/body;\n  proxy_temp_path {at}/proxy;\n  fastcgi_temp_path {at}/fastcgi;\n\
         uwsgi_temp_path {at}/uwsgi;\n  scgi_temp_path {at}/scgi;\n  default_type text/plain;\n\
         server {{\n    listen {address} backlog=4096;\n    root {at}/site;\n\
         location = / {{ return 200 \"{BODY}\"; }}\n  }}\n}}\n"
    )
}

fn h2o(folder: &Path, address: SocketAddr) -> String {
    let (at, user) = (folder.display(), for_root("user: nobody\n"));
    format!(
        "{user}num-threads: 1\nmax-connections: 19500\nhttp1-request-timeout: 300\n\
         listen:\n  host: {}\n  port: {}\nhosts:\n  default:\n    paths:\n      /:\nfile.dir: {at}/site\n",
        address.ip(),
        address.port()
    )
    .replace("\nfile.dir", "\n        file.dir")
}

fn apache2(folder: &Path, address: SocketAddr) -> String {
    let (at, user) = (folder.display(), for_root("User nobody\nGroup nogroup"));
    let modules = "/usr/lib/apache2/modules";
    format!(
        "LoadModule mpm_event_module {modules}/mod_mpm_event.so\nLoadModule authz_core_module {modules}/mod_authz_core.so\n\
         ServerRoot {at}\nServerName localhost\nListen {address}\n{user}\nPidFile {at}/pid\nErrorLog {at}/error.log\n\
         DefaultRuntimeDir {at}\nServerLimit 1\nStartServers 1\nThreadsPerChild 64\nThreadLimit 64\nMaxRequestWorkers 64\n\
         MinSpareThreads 1\nMaxSpareThreads 64\nAsyncRequestWorkerFactor 1000\nKeepAlive On\nKeepAliveTimeout 300\n\
         MaxKeepAliveRequests 0\nDocumentRoot {at}/site\n\
         <Directory />\n  AllowOverride None\n  Require all granted\n</Directory>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::{find, plan};

    #[test]
    fn a_missing_program_says_what_to_install() {
        let error = find("no-such-server", "a-package").unwrap_err().to_string();
        assert!(error.contains("apt-get install a-package"), "{error}");
    }

    #[test]
    fn only_names_are_names() {
        let address = ([127, 0, 0, 1], 1).into();
        assert!(plan("sleep {port}", address, 1, "").unwrap().is_none());
        assert!(plan("parkade-file", address, 4, "").unwrap().is_some());
        let with = "parkade-file; KeepAliveTimeout 7; Timeout 8";
        let plan = plan(with, address, 1, "").unwrap().unwrap();
        let folder = plan.folder.unwrap();
        let conf = folder.path().join("conf");
        let conf = std::fs::read_to_string(conf).unwrap();
        assert!(
            conf.ends_with("\n KeepAliveTimeout 7\n Timeout 8\n"),
            "{conf}"
        );
    }
}
