//! Server-wide directives.
use super::Apply;
use crate::diagnostic::{Diagnostic, Located};
use crate::limits::Asked;
use crate::tree::Word;
use crate::typed::{AcceptMutex, Account, Config, ReactorBackend};
use crate::values;

impl Apply<'_> {
    /// Carries out a server-wide directive; `false` if `name` is none.
    pub(super) fn server(
        &mut self,
        config: &mut Config,
        name: &'static str,
        args: &[Word],
    ) -> bool {
        let Some(word) = args.first() else {
            return false;
        };
        let at = || word.at.clone();
        match name {
            "AcceptFilter" => {
                let filter = args.get(1).unwrap_or(word);
                if !["none", "data", "httpready"]
                    .iter()
                    .any(|known| filter.text.eq_ignore_ascii_case(known))
                {
                    let text = format!(
                        "AcceptFilter \"{}\" is not known; available: none, data",
                        filter.text
                    );
                    self.error(text, filter);
                }
                let filter = filter.text.to_ascii_lowercase();
                config
                    .accept_filters
                    .push(Located::new((word.text.to_ascii_lowercase(), filter), at()));
            }
            "AcceptMutex" => match mechanism(&word.text) {
                Some(found) => config.accept_mutex = Located::new(found, at()),
                None => {
                    let text = format!("{} is an invalid mutex mechanism; {MECHANISMS}", word.text);
                    self.error(text, word);
                }
            },
            "Mutex" => self.mutex(config, args),
            "AsyncRequestWorkerFactor" => match word.text.parse::<f64>() {
                Ok(factor) if factor.is_finite() && factor > 0.0 => {
                    config.async_request_worker_factor = Some(Located::new(factor, at()));
                }
                _ => self.error("argument must be a positive number", word),
            },
            "CoreDumpDirectory" => {
                let path = self.path(word);
                if !self.source.exists(&path) {
                    self.error(
                        format!("CoreDumpDirectory {} does not exist", word.text),
                        word,
                    );
                } else if !self.source.is_dir(&path) {
                    self.error(
                        format!("CoreDumpDirectory {} is not a directory", word.text),
                        word,
                    );
                }
                config.core_dump_directory = Some(path);
            }
            "EnableExceptionHook" => self.set_flag(&mut config.enable_exception_hook, name, word),
            "ExtendedStatus" => config.extended_status = self.flag(name, word),
            "WakeCoalescing" => match values::coalescing(&word.text) {
                Some(bound) => config.wake_coalescing = Located::new(bound, at()),
                None => self.error(
                    "WakeCoalescing is Off, On (500us) or a time of 100us to 10ms".to_owned(),
                    word,
                ),
            },
            "User" => config.user = self.account(name, word),
            "Group" => config.group = self.account(name, word),
            "GracefulDrainTimeout" | "GracefulShutdownTimeout" | "TermDrainTimeout" => {
                match values::time(&word.text) {
                    Some(time) if name == "GracefulDrainTimeout" => {
                        config.graceful_drain_timeout = Some(Located::new(time, at()));
                    }
                    Some(time) if name == "TermDrainTimeout" => {
                        config.term_drain_timeout = Located::new(time, at());
                    }
                    Some(time) => config.graceful_shutdown_timeout = Located::new(time, at()),
                    None => self.error(format!("{name} has wrong format"), word),
                }
            }
            "Listen" => match values::listen(&word.text, args.get(1).map(|w| &*w.text)) {
                Ok(new)
                    if config
                        .listens
                        .iter()
                        .any(|l| l.host == new.host && l.port == new.port) =>
                {
                    self.error("Cannot define multiple Listeners on the same IP:port", word);
                }
                Ok(new) => config.listens.push(Located::new(new, at())),
                Err(text) => self.error(text, word),
            },
            "ListenCoresBucketsRatio" => {
                self.set_u32(&mut config.listen_cores_buckets_ratio, name, word, 0);
            }
            "ListenBacklog" => self.set_u32(&mut config.listen_backlog, name, word, 1),
            "MaxMemFree" => self.set_u32(&mut config.max_mem_free, name, word, 0),
            "ThreadStackSize" => {
                if let Some(n) = self.number(name, word, 0, MOST_STACK) {
                    let n = self.stack_size(n.unsigned_abs(), word);
                    config.thread_stack_size = Located::new(n, at());
                }
            }
            "SendBufferSize" | "ReceiveBufferSize" => {
                let slot = if name.starts_with('S') {
                    &mut config.send_buffer_size
                } else {
                    &mut config.receive_buffer_size
                };
                match values::number(&word.text) {
                    Some(1..512 | ..=-1) => {
                        self.error(
                            format!("{name} must be >= 512 bytes, or 0 for system default."),
                            word,
                        );
                    }
                    _ => self.set_u32(slot, name, word, 0),
                }
            }
            "LockFile" => config.lock_file = Some(self.path(word)),
            "PidFile" => config.pid_file = Some(self.path(word)),
            "ScoreBoardFile" => config.scoreboard_file = Some(self.path(word)),
            "TypesConfig" => config.types_config = Some(self.path(word)),
            "ServerRoot" => {
                let path = self.path(word);
                if !self.source.is_dir(&path) {
                    self.error("ServerRoot must be a valid directory", word);
                }
                config.server_root = path;
            }
            "ReactorBackend" => {
                let backend = match word.text.to_ascii_lowercase().as_str() {
                    "auto" => ReactorBackend::Auto,
                    "epoll" => ReactorBackend::Epoll,
                    "io_uring" => ReactorBackend::IoUring,
                    "kqueue" => ReactorBackend::Kqueue,
                    _ => {
                        self.error(
                            "ReactorBackend must be auto, epoll, io_uring or kqueue",
                            word,
                        );
                        return true;
                    }
                };
                config.reactor_backend = Located::new(backend, at());
            }
            _ => return self.limit(name, word),
        }
        true
    }

    fn limit(&mut self, name: &'static str, word: &Word) -> bool {
        let slot: fn(&mut Asked) -> &mut Option<i64> = match name {
            "StartServers" => |asked| &mut asked.start_servers,
            "ServerLimit" => |asked| &mut asked.server_limit,
            "ThreadLimit" => |asked| &mut asked.thread_limit,
            "ThreadsPerChild" => |asked| &mut asked.threads_per_child,
            "MaxClients" => |asked| &mut asked.max_clients,
            "MinSpareThreads" => |asked| &mut asked.min_spare_threads,
            "MaxSpareThreads" => |asked| &mut asked.max_spare_threads,
            "MaxRequestsPerChild" => |asked| &mut asked.max_requests_per_child,
            _ => return false,
        };
        // Values below 1 are corrected with a warning, as Apache does, except where they make no sense at all.
        let min = if name == "MaxRequestsPerChild" {
            0
        } else {
            i64::from(i32::MIN)
        };
        if let Some(n) = self.number(name, word, min, i64::from(i32::MAX)) {
            *slot(&mut self.asked) = Some(n);
            self.asked_at.push((name, word.clone()));
        }
        true
    }

    /// A stack on which every request would crash its child is corrected, as one that the system refuses is in Apache.
    fn stack_size(&mut self, bytes: u64, word: &Word) -> u64 {
        if bytes == 0 || bytes >= LEAST_STACK {
            return bytes;
        }
        let text = format!(
            "ThreadStackSize of {bytes} inappropriate, using default. The workers need at least {LEAST_STACK} bytes."
        );
        self.found.push(Diagnostic::warning(text, Some(&word.at)));
        0
    }

    /// `Mutex mechanism[:directory] [default|mpm-accept|other names] [OmitPID]`: only the accept lock is ours; the other
    /// names that Apache's modules give to theirs are known and mean nothing here.
    fn mutex(&mut self, config: &mut Config, args: &[Word]) {
        let Some((word, names)) = args.split_first() else {
            return;
        };
        let (kind, dir) = word
            .text
            .split_once(':')
            .map_or((&*word.text, None), |(kind, dir)| (kind, Some(dir)));
        let found = match kind.to_ascii_lowercase().as_str() {
            "no" => Some(AcceptMutex::Default),
            "file" => Some(AcceptMutex::Flock),
            "sem" => Some(AcceptMutex::PosixSem),
            other => mechanism(other),
        };
        let Some(found) = found else {
            let text = format!("Invalid Mutex argument {} ({MECHANISMS})", word.text);
            return self.error(text, word);
        };
        let is = |name: &Word, known: &str| name.text.eq_ignore_ascii_case(known);
        let names = names.iter().filter(|name| !is(name, "OmitPID"));
        let (mut ours, mut any, mut wrong) = (false, false, false);
        for name in names {
            any = true;
            ours |= MUTEXES[..OURS].iter().any(|known| is(name, known));
            if !MUTEXES.iter().any(|known| is(name, known)) {
                wrong = true;
                let text = format!("Mutex type {} is not valid", name.text);
                let known = format!("known here: {}", MUTEXES.join(", "));
                let error = Diagnostic::error(text, Some(&name.at));
                self.found.push(error.with_help(known));
            }
        }
        if wrong || any && !ours {
            return;
        }
        config.accept_mutex = Located::new(found, word.at.clone());
        if let Some(dir) = dir {
            let file = self.root.join(dir).join("accept.lock");
            config.lock_file = Some(Located::new(file, word.at.clone()));
        }
    }

    fn account(&mut self, name: &str, word: &Word) -> Option<Located<Account>> {
        let account = match word.text.strip_prefix('#') {
            Some(id) => id
                .parse()
                .ok()
                .filter(|id| *id != u32::MAX)
                .map(Account::Id),
            None => Some(Account::Name(word.text.clone())).filter(|_| !word.text.is_empty()),
        };
        let Some(account) = account else {
            self.error(
                format!("bad {} name {}", name.to_ascii_lowercase(), word.text),
                word,
            );
            return None;
        };
        if name == "User" && (account == Account::Id(0) || account == Account::Name("root".into()))
        {
            self.error("User root is refused: pages are never served as root", word);
        }
        Some(Located::new(account, word.at.clone()))
    }
}

/// No address space has room for more.
const MOST_STACK: i64 = 1 << 46;

/// Measured: an unoptimised worker answers with 96 KiB and not with 64.
const LEAST_STACK: u64 = 128 * 1024;

/// Names of locks: first those of the accept lock, then those of Apache's modules
/// (<https://httpd.apache.org/docs/2.4/mod/core.html#mutex>).
const MUTEXES: [&str; 13] = [
    "default",
    "mpm-accept",
    "authdigest-client",
    "authdigest-opaque",
    "authn-socache",
    "cache-socache",
    "ldap-cache",
    "proxy-balancer-shm",
    "rewrite-map",
    "ssl-cache",
    "ssl-stapling",
    "ssl-stapling-refresh",
    "watchdog-callback",
];
/// So many are the accept lock's.
const OURS: usize = 2;

const MECHANISMS: &str = "Valid mutexes: Default, flock, fcntl, posixsem, pthread, sysvsem";

fn mechanism(text: &str) -> Option<AcceptMutex> {
    Some(match text.to_ascii_lowercase().as_str() {
        "default" | "none" => AcceptMutex::Default,
        "flock" => AcceptMutex::Flock,
        "fcntl" => AcceptMutex::Fcntl,
        "posixsem" => AcceptMutex::PosixSem,
        "pthread" => AcceptMutex::Pthread,
        "sysvsem" => AcceptMutex::SysvSem,
        _ => return None,
    })
}
