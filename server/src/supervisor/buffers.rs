//! SendBufferSize and ReceiveBufferSize of a listening socket, which what it accepts inherits.
//!
//! A size that is set turns the kernel's own tuning off for good, so a socket that outlives a restart would keep it when
//! the directive has gone. Linux takes that back by SO_BUF_LOCK (5.14; socket(7) does not have it yet): the size of a new
//! socket first, then the lock.

use rustix::net::sockopt;
use std::io;
use std::net::TcpListener;
use std::os::fd::AsRawFd;

/// `include/uapi/asm-generic/socket.h`; not in libc for every target.
const SO_BUF_LOCK: libc::c_int = 72;
const SEND_LOCKED: libc::c_int = 1;
const RECEIVE_LOCKED: libc::c_int = 2;

/// Sets the sizes, in bytes; 0 is the kernel's choice.
pub(super) fn set(socket: &TcpListener, send: u32, receive: u32) -> io::Result<()> {
    if send > 0 {
        sockopt::set_socket_send_buffer_size(socket, send as usize)?;
    }
    if receive > 0 {
        sockopt::set_socket_recv_buffer_size(socket, receive as usize)?;
    }
    let locked = locked(socket);
    let mut keep = locked;
    // The kernel doubles what it is told.
    if send == 0 && locked & SEND_LOCKED != 0 {
        if let Some(size) = default_of("tcp_wmem") {
            sockopt::set_socket_send_buffer_size(socket, size / 2)?;
        }
        keep &= !SEND_LOCKED;
    }
    if receive == 0 && locked & RECEIVE_LOCKED != 0 {
        if let Some(size) = default_of("tcp_rmem") {
            sockopt::set_socket_recv_buffer_size(socket, size / 2)?;
        }
        keep &= !RECEIVE_LOCKED;
    }
    if keep != locked {
        lock(socket, keep)?;
    }
    Ok(())
}

/// Which sizes are fixed; none on a kernel that does not say.
fn locked(socket: &TcpListener) -> libc::c_int {
    let mut value: libc::c_int = 0;
    let mut size = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: a valid descriptor, and an int with its length to write to.
    let done = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            SO_BUF_LOCK,
            (&raw mut value).cast(),
            &raw mut size,
        )
    };
    if done == 0 { value } else { 0 }
}

fn lock(socket: &TcpListener, which: libc::c_int) -> io::Result<()> {
    // SAFETY: a valid descriptor and an int of the length given.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            SO_BUF_LOCK,
            (&raw const which).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if done == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// A new socket's size in bytes: the second of three numbers (tcp(7)).
fn default_of(name: &str) -> Option<usize> {
    let text = std::fs::read_to_string(format!("/proc/sys/net/ipv4/{name}")).ok()?;
    text.split_ascii_whitespace().nth(1)?.parse().ok()
}
