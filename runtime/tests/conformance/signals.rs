//! Interrupted system calls.

use std::sync::Once;

extern "C" fn nothing(_: libc::c_int) {}

/// Sends every other thread of this process a signal that only interrupts what it waits in.
pub(crate) fn interrupt() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        // SAFETY: all zeros is a valid sigaction (no SA_RESTART among its flags), and the handler does nothing.
        let done = unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = nothing as *const () as usize;
            libc::sigaction(libc::SIGURG, &raw const action, std::ptr::null_mut())
        };
        assert_eq!(done, 0);
    });
    let me = rustix::thread::gettid().as_raw_nonzero().get();
    for entry in std::fs::read_dir("/proc/self/task").unwrap() {
        let thread: i32 = entry
            .unwrap()
            .file_name()
            .to_string_lossy()
            .parse()
            .unwrap();
        if thread != me {
            // SAFETY: no memory is involved; a thread that has gone meanwhile is an error, which does not matter.
            unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, libc::SIGURG) };
        }
    }
}
