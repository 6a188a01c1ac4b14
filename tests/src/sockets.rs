//! What the kernel says about another process's socket.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// The buffers of a socket in bytes, as getsockopt gives them: the kernel doubles what it was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Buffers {
    /// `SO_RCVBUF`.
    pub receive: i32,
    /// `SO_SNDBUF`.
    pub send: i32,
}

/// Those of descriptor `fd` of a process.
///
/// # Errors
/// The process may not be looked at, or has no such socket.
pub fn buffers(pid: u32, fd: u32) -> io::Result<Buffers> {
    let socket = borrow(pid, fd)?;
    Ok(Buffers {
        receive: option(&socket, libc::SO_RCVBUF)?,
        send: option(&socket, libc::SO_SNDBUF)?,
    })
}

/// Whether a buffer of descriptor `fd` of a process has a size that was set (`SO_BUF_LOCK`).
///
/// # Errors
/// The process may not be looked at, has no such socket, or the kernel is older than Linux 5.14.
pub fn sizes_are_fixed(pid: u32, fd: u32) -> io::Result<bool> {
    const SO_BUF_LOCK: i32 = 72;
    Ok(option(&borrow(pid, fd)?, SO_BUF_LOCK)? != 0)
}

/// Whether descriptor `fd` of a process shares its address with others (`SO_REUSEPORT`).
///
/// # Errors
/// The process may not be looked at, or has no such socket.
pub fn shares_its_port(pid: u32, fd: u32) -> io::Result<bool> {
    Ok(option(&borrow(pid, fd)?, libc::SO_REUSEPORT)? != 0)
}

/// A descriptor of our own for the same socket (pidfd_getfd(2)).
fn borrow(pid: u32, fd: u32) -> io::Result<OwnedFd> {
    // SAFETY: pidfd_open touches no memory.
    let process = owned(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?;
    let number = process.as_raw_fd();
    // SAFETY: nor does pidfd_getfd.
    owned(unsafe { libc::syscall(libc::SYS_pidfd_getfd, number, fd, 0) })
}

fn owned(result: libc::c_long) -> io::Result<OwnedFd> {
    match i32::try_from(result) {
        // SAFETY: the call has just made this descriptor, and nobody else knows it.
        Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(io::Error::last_os_error()),
    }
}

fn option(socket: &OwnedFd, name: i32) -> io::Result<i32> {
    let mut value: i32 = 0;
    let mut size = size_of::<i32>() as libc::socklen_t;
    // SAFETY: a value of the size that is given with it.
    let failed = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            name,
            (&raw mut value).cast(),
            &raw mut size,
        )
    };
    match failed {
        0 => Ok(value),
        _ => Err(io::Error::last_os_error()),
    }
}
