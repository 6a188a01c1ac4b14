//! Taking connections from a child that ends.

use super::message::{self, Moved};
use crate::log::access::AccessLogs;
use crate::log::{Level, write};
use crate::site::Site;
use crate::sys::sockets;
use parkade::Handle;
use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendFlags, recvmsg, send,
};
use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// Descriptors of one message (unix(7): SCM_MAX_FD).
const MOST: usize = 253;
/// The longest message: records, and unfinished heads.
const BYTES: usize = 256 * 1024;
/// Connections that may be on their way from one giver.
const CREDIT: usize = 4 * MOST;
/// Descriptors kept for new connections, files and logs.
const KEPT: usize = 128;

struct Giver {
    socket: OwnedFd,
    /// How many it may still send.
    credit: usize,
    gone: bool,
}

/// What is taken, and from whom.
pub(in crate::child) struct Taking {
    givers: Vec<Giver>,
    site: Arc<Site>,
    logs: AccessLogs,
    /// Addresses and numbers of the listeners here, then of those that exist no more.
    listeners: Vec<(SocketAddr, u8)>,
    /// Descriptors this process may have.
    limit: usize,
    bytes: Vec<u8>,
}

impl Taking {
    pub(in crate::child) fn new(
        site: Arc<Site>,
        logs: AccessLogs,
        listeners: Vec<(SocketAddr, u8)>,
    ) -> Self {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        Self {
            givers: Vec::new(),
            site,
            logs,
            listeners,
            limit: limit.map_or(usize::MAX, |n| n as usize),
            bytes: Vec::new(),
        }
    }

    pub(in crate::child) fn add(&mut self, socket: OwnedFd, handle: &Handle) {
        self.givers.push(Giver {
            socket,
            credit: 0,
            gone: false,
        });
        let at = self.givers.len() - 1;
        self.allow(at, handle, None);
    }

    /// What is to be waited for.
    pub(in crate::child) fn waits(&self) -> impl Iterator<Item = (&OwnedFd, PollFlags)> {
        self.givers.iter().map(|g| (&g.socket, PollFlags::IN))
    }

    /// Takes what has come.
    pub(in crate::child) fn go_on(&mut self, handle: &Handle) {
        for at in 0..self.givers.len() {
            while !self.givers[at].gone && self.take(at, handle) {}
        }
        self.givers.retain(|g| !g.gone);
        if self.givers.is_empty() {
            self.bytes = Vec::new();
        }
    }

    /// Descriptors that are free and promised to nobody.
    fn free(&self, handle: &Handle) -> usize {
        let promised: usize = self.givers.iter().map(|g| g.credit).sum();
        let used = handle.connections() + promised + KEPT;
        self.limit.saturating_sub(used + self.limit / 50)
    }

    /// Says what may be sent, perhaps with an answer.
    fn allow(&mut self, at: usize, handle: &Handle, refused: Option<&[u16]>) {
        let free = self.free(handle);
        let giver = &mut self.givers[at];
        let more = CREDIT.saturating_sub(giver.credit).min(free);
        if more == 0 && refused.is_none() {
            return;
        }
        let answer = message::answer(more as u32, refused);
        let flags = sockets::SEND | SendFlags::DONTWAIT;
        match send(&giver.socket, &answer, flags) {
            Ok(_) => giver.credit += more,
            // It is dead: what it has sent is ours alone.
            Err(_) => giver.gone = true,
        }
    }

    /// Takes one message; whether there may be more.
    fn take(&mut self, at: usize, handle: &Handle) -> bool {
        self.bytes.resize(BYTES, 0);
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let flags = sockets::RECEIVE | RecvFlags::DONTWAIT;
        let mut pieces = [IoSliceMut::new(&mut self.bytes)];
        let got = match recvmsg(&self.givers[at].socket, &mut pieces, &mut ancillary, flags) {
            Ok(got) => got,
            Err(Errno::AGAIN) => return false,
            Err(Errno::INTR) => return true,
            Err(_) => {
                self.givers[at].gone = true;
                return false;
            }
        };
        let mut sockets = Vec::new();
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(fds) = message {
                sockets.extend(fds);
            }
        }
        sockets::received(&sockets);
        let cut = got
            .flags
            .intersects(ReturnFlags::CTRUNC | ReturnFlags::TRUNC);
        let moved =
            message::read(&self.bytes[..got.bytes]).filter(|all| all.len() == sockets.len());
        let (false, true, Some(moved)) = (cut, got.bytes > 0, moved) else {
            if got.bytes > 0 {
                let text = "connections from another child were not understood: they stay there";
                write("mpm_event", Level::Error, text);
            }
            // It keeps what is not answered for.
            self.givers[at].gone = true;
            return false;
        };
        self.adopt(at, handle, sockets, moved);
        true
    }

    /// Gives them slots, answers for them, and only then lets them be read.
    fn adopt(&mut self, at: usize, handle: &Handle, sockets: Vec<OwnedFd>, moved: Vec<Moved>) {
        let giver = &mut self.givers[at];
        giver.credit -= moved.len().min(giver.credit);
        let mut arriving = Vec::with_capacity(moved.len());
        let mut refused = Vec::new();
        for (n, (socket, mut moved)) in sockets.into_iter().zip(moved).enumerate() {
            let adopted = self.service(handle, moved.listener).and_then(|listener| {
                moved.record.listener = listener;
                handle.adopt(socket, moved.record).ok()
            });
            match adopted {
                Some(one) => arriving.push(one),
                None => refused.push(n as u16),
            }
        }
        self.allow(at, handle, Some(&refused));
        for one in arriving {
            if let Err(e) = one.start() {
                write(
                    "mpm_event",
                    Level::Error,
                    &format!("a connection was lost: {e}"),
                );
            }
        }
    }

    /// The number of a listener here. One that exists no more has its connections answered once, with a goodbye.
    fn service(&mut self, handle: &Handle, address: SocketAddr) -> Option<u8> {
        if let Some((_, id)) = self.listeners.iter().find(|(known, _)| *known == address) {
            return Some(*id);
        }
        let mut server = self.site.goodbye(address);
        if !self.logs.is_empty() {
            let logs = self.logs.clone();
            server = server.observe(move || logs.writer());
        }
        let id = handle.serve_adopted(server.service()).ok()?;
        self.listeners.push((address, id));
        Some(id)
    }
}
