//! What the kernel has counted for the calling thread.

/// Of one thread, since it began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// Nanoseconds on a processor, as exact as getrusage(2) has them.
    pub(crate) busy_ns: u64,
    /// How often it gave up its processor because it had to wait.
    pub(crate) waits: u64,
}

/// getrusage(2), `RUSAGE_THREAD`.
pub(crate) fn of_this_thread() -> Option<Usage> {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the kernel writes a whole `rusage` or, if it should fail, nothing, and all zeros are one.
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr());
        usage.assume_init()
    };
    let micros = |t: libc::timeval| t.tv_sec as u64 * 1_000_000 + t.tv_usec as u64;
    Some(Usage {
        busy_ns: 1_000 * (micros(usage.ru_utime) + micros(usage.ru_stime)),
        waits: usage.ru_nvcsw as u64,
    })
}

#[cfg(all(test, not(loom)))]
#[allow(clippy::unwrap_used, reason = "for tests only")]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn sleeping_is_a_wait_and_spinning_is_not_idle() {
        let before = of_this_thread().unwrap();
        std::thread::sleep(Duration::from_millis(2));
        let slept = of_this_thread().unwrap();
        assert!(slept.waits > before.waits);
        let spun = loop {
            let now = Instant::now();
            while now.elapsed() < Duration::from_millis(5) {}
            let spun = of_this_thread().unwrap();
            if spun.busy_ns - slept.busy_ns >= 5_000_000 {
                break spun;
            }
        };
        assert!(spun.busy_ns > slept.busy_ns);
    }
}
