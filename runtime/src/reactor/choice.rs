//! Which backend a runtime works with.

use super::system;

/// How a runtime waits for its connections and talks to the kernel.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Backend {
    /// What the environment's `PARKADE_BACKEND` names (`epoll`, `epoll-oneshot`, `io_uring` or `kqueue`), or what was
    /// measured to be best on this kind of kernel: on Linux epoll, see benches/RESULTS.md, elsewhere kqueue.
    #[default]
    Auto,
    /// epoll(7), and a system call for each receive and each send.
    Epoll,
    /// Readiness from epoll(7); receives and sends through io_uring(7), those of many connections in one system call. A
    /// kernel that has no io_uring or does not allow it gives one warning and [`Backend::Epoll`].
    IoUring,
    /// epoll(7) with `EPOLLONESHOT`: every rest asks the kernel anew. For measurements of what registering once is worth.
    EpollOneShot,
    /// kqueue(2), on the BSDs and macOS, and a system call for each receive and each send.
    Kqueue,
}

impl std::fmt::Display for Backend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Backend::Auto => "auto",
            Backend::Epoll => "epoll",
            Backend::IoUring => "io_uring",
            Backend::EpollOneShot => "epoll-oneshot",
            Backend::Kqueue => "kqueue",
        })
    }
}

/// Overrides [`Backend::Auto`].
const VARIABLE: &str = "PARKADE_BACKEND";

impl Backend {
    /// What is worked with, and why.
    pub(crate) fn resolve(self) -> (Backend, &'static str) {
        let (named, why) = match self {
            Backend::Auto => match std::env::var(VARIABLE).as_deref() {
                Ok("io_uring") => (Backend::IoUring, "by PARKADE_BACKEND"),
                Ok("epoll") => (Backend::Epoll, "by PARKADE_BACKEND"),
                Ok("epoll-oneshot") => (Backend::EpollOneShot, "by PARKADE_BACKEND"),
                Ok("kqueue") => (Backend::Kqueue, "by PARKADE_BACKEND"),
                Ok(_) => (system::BEST, "PARKADE_BACKEND names no backend"),
                Err(_) => (system::BEST, "measured to be the best here"),
            },
            named => (named, "as configured"),
        };
        match system::has(named) {
            true => (named, why),
            false => (system::BEST, "this system does not have what was named"),
        }
    }
}
