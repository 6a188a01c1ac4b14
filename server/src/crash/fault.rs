//! What the kernel tells of a fatal signal.

use libc::{c_int, siginfo_t, ucontext_t};

/// An access so near to the stack pointer faults only when the stack has ended there. Compiled Rust touches a frame page
/// by page; foreign code may reach further at once.
const NEAR: usize = 64 << 10;

/// One fatal signal.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fault {
    pub(super) signal: c_int,
    /// The kernel's reason (above zero), or how it was sent.
    pub(super) code: c_int,
    pub(super) origin: Origin,
    /// Program counter and stack pointer.
    pub(super) registers: Option<(usize, usize)>,
}

/// Where a signal came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Origin {
    /// An instruction, because of what is at this address.
    Address(usize),
    /// A process of this user.
    Sent { pid: i32, uid: u32 },
}

impl Fault {
    pub(super) fn new(signal: c_int, info: &siginfo_t, context: &ucontext_t) -> Self {
        let origin = if info.si_code > 0 {
            // SAFETY: a positive code is the kernel's own, and these signals then carry an address.
            Origin::Address(unsafe { info.si_addr() } as usize)
        } else {
            // SAFETY: with any other code the sender is there.
            let (pid, uid) = unsafe { (info.si_pid(), info.si_uid()) };
            Origin::Sent { pid, uid }
        };
        Self {
            signal,
            code: info.si_code,
            origin,
            registers: registers(context),
        }
    }

    /// The signal's name.
    pub(super) fn name(&self) -> &'static str {
        nix::sys::signal::Signal::try_from(self.signal).map_or("unknown", |s| s.as_str())
    }

    /// The thread's stack was too small.
    pub(super) fn is_stack_overflow(&self) -> bool {
        let faulted = matches!(self.signal, libc::SIGSEGV | libc::SIGBUS);
        match (self.origin, self.registers) {
            (Origin::Address(at), Some((_, sp))) => faulted && at.abs_diff(sp) <= NEAR,
            _ => false,
        }
    }
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn registers(context: &ucontext_t) -> Option<(usize, usize)> {
    let all = &context.uc_mcontext.gregs;
    Some((
        all[libc::REG_RIP as usize] as usize,
        all[libc::REG_RSP as usize] as usize,
    ))
}

#[cfg(all(target_os = "linux", target_arch = "aarch64"))]
fn registers(context: &ucontext_t) -> Option<(usize, usize)> {
    let all = &context.uc_mcontext;
    Some((all.pc as usize, all.sp as usize))
}

#[cfg(not(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
fn registers(_context: &ucontext_t) -> Option<(usize, usize)> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_fault_beside_the_stack_pointer_is_an_overflow() {
        let sp = 0x7f00_0000_0000;
        let cases = [
            (libc::SIGSEGV, Origin::Address(sp - 8), true),
            (libc::SIGSEGV, Origin::Address(sp + 100), true),
            (libc::SIGBUS, Origin::Address(sp - NEAR), true),
            (libc::SIGSEGV, Origin::Address(sp - NEAR - 1), false),
            (libc::SIGSEGV, Origin::Address(0), false),
            (libc::SIGFPE, Origin::Address(sp), false),
            (libc::SIGSEGV, Origin::Sent { pid: 1, uid: 0 }, false),
        ];
        for (signal, origin, is) in cases {
            let fault = Fault {
                signal,
                code: 1,
                origin,
                registers: Some((0x40_0000, sp)),
            };
            assert_eq!(fault.is_stack_overflow(), is, "{fault:?}");
        }
    }
}
