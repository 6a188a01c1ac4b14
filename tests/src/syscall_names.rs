//! Names of the system calls a server may make. Others are shown by number.

macro_rules! names {
    ($number:expr; $($(#[$on:meta])? $constant:ident $name:literal,)*) => {
        match $number {
            $($(#[$on])? libc::$constant => Some($name),)*
            _ => None,
        }
    };
}

/// `epoll_wait` for 232 on x86-64, and so on; `syscall_N` for one not listed.
pub(crate) fn name(number: u64) -> String {
    let known = names!(number as libc::c_long;
        SYS_accept "accept", SYS_accept4 "accept4", SYS_bind "bind", SYS_brk "brk", SYS_clock_gettime "clock_gettime",
        SYS_clock_nanosleep "clock_nanosleep", SYS_clone "clone", SYS_clone3 "clone3", SYS_close "close",
        SYS_connect "connect", SYS_copy_file_range "copy_file_range", SYS_dup "dup", SYS_dup3 "dup3",
        SYS_epoll_create1 "epoll_create1", SYS_epoll_ctl "epoll_ctl", SYS_epoll_pwait "epoll_pwait",
        SYS_epoll_pwait2 "epoll_pwait2", SYS_eventfd2 "eventfd2", SYS_execve "execve", SYS_exit "exit",
        SYS_exit_group "exit_group", SYS_fcntl "fcntl", SYS_fstat "fstat", SYS_fsync "fsync", SYS_futex "futex",
        SYS_getdents64 "getdents64", SYS_getpeername "getpeername", SYS_getpid "getpid", SYS_getppid "getppid",
        SYS_getrandom "getrandom", SYS_getsockname "getsockname", SYS_getsockopt "getsockopt", SYS_gettid "gettid",
        SYS_io_uring_enter "io_uring_enter", SYS_ioctl "ioctl", SYS_kill "kill", SYS_listen "listen",
        SYS_lseek "lseek", SYS_madvise "madvise", SYS_mmap "mmap", SYS_mprotect "mprotect", SYS_mremap "mremap",
        SYS_munmap "munmap", SYS_nanosleep "nanosleep", SYS_openat "openat", SYS_openat2 "openat2",
        SYS_pipe2 "pipe2", SYS_ppoll "ppoll", SYS_prctl "prctl", SYS_pread64 "pread64", SYS_preadv "preadv",
        SYS_pwrite64 "pwrite64", SYS_read "read", SYS_readv "readv", SYS_recvfrom "recvfrom", SYS_recvmsg "recvmsg",
        SYS_rt_sigaction "rt_sigaction", SYS_rt_sigprocmask "rt_sigprocmask", SYS_rt_sigreturn "rt_sigreturn",
        SYS_rt_sigtimedwait "rt_sigtimedwait", SYS_restart_syscall "restart_syscall",
        SYS_sched_setaffinity "sched_setaffinity", SYS_sched_yield "sched_yield", SYS_sendfile "sendfile",
        SYS_sendmsg "sendmsg", SYS_sendto "sendto", SYS_setsockopt "setsockopt", SYS_shutdown "shutdown",
        SYS_signalfd4 "signalfd4", SYS_socket "socket", SYS_splice "splice", SYS_statx "statx",
        SYS_tgkill "tgkill", SYS_timerfd_create "timerfd_create", SYS_timerfd_settime "timerfd_settime",
        SYS_wait4 "wait4", SYS_waitid "waitid", SYS_write "write", SYS_writev "writev",
        SYS_newfstatat "newfstatat",
        #[cfg(target_arch = "x86_64")] SYS_epoll_wait "epoll_wait",
        #[cfg(target_arch = "x86_64")] SYS_poll "poll",
        #[cfg(target_arch = "x86_64")] SYS_open "open",
        #[cfg(target_arch = "x86_64")] SYS_stat "stat",
        #[cfg(target_arch = "x86_64")] SYS_fork "fork",
        #[cfg(target_arch = "x86_64")] SYS_vfork "vfork",
        #[cfg(target_arch = "x86_64")] SYS_dup2 "dup2",
        #[cfg(target_arch = "x86_64")] SYS_readlink "readlink",
    );
    known.map_or_else(|| format!("syscall_{number}"), str::to_owned)
}
