//! The old supervisor's last act: its children give their connections to those of the new server and end.

use super::words::{self, ToOld};
use crate::control::{self, Order};
use crate::log::{Level, write};
use crate::supervisor::children::Phase;
use crate::supervisor::watch::{Supervisor, Wish};
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// A child gives its connections to at most so many others.
const TAKERS: u32 = 8;

impl Supervisor {
    /// Everything goes to the new server; ends when the last child has ended.
    pub(in crate::supervisor) fn give_way(&mut self) -> io::Result<()> {
        let Some(upgrade) = self.upgrade.take() else {
            return Ok(());
        };
        let text = format!("upgrade: pid {} serves and takes over", upgrade.pid);
        write("mpm_event", Level::Notice, &text);
        self.notifier.main_pid(upgrade.pid);
        // Its files have their names by now.
        self.pid_file = None;
        self.current.listeners.clear();
        self.wanted = 0;
        let mut channel = Some(upgrade.channel);
        for _ in 0..TAKERS {
            self.introduce_to(&mut channel);
        }
        let grace = self.drain_timeout();
        for child in self.children.iter_mut() {
            if !matches!(child.phase, Phase::Draining(_)) {
                child.drain(grace);
            }
        }
        while !self.children.is_empty() {
            let due = [self.children.next_overdue(), self.children.next_recovery()];
            let due = due.into_iter().flatten().min();
            self.children.sleep(&self.signals, channel.as_ref(), due)?;
            while let Some(wish) = self.next_wish()? {
                if let Wish::Stop(name) = wish {
                    let text = format!("caught {name}, shutting down");
                    write("mpm_event", Level::Notice, &text);
                    return self.stop();
                }
            }
            while let Some(open) = &channel {
                match words::hear_new(open) {
                    Ok(ToOld::Newcomer) => self.introduce_to(&mut channel),
                    Ok(ToOld::Ready { .. }) => {}
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                    // It has died; its children take what they have been introduced to.
                    Err(_) => channel = None,
                }
            }
            self.children.listen();
            self.reap();
            self.children.end_overdue();
        }
        Ok(())
    }

    /// Gives each child a way to one more child of the new server.
    fn introduce_to(&self, channel: &mut Option<OwnedFd>) {
        let Some(open) = channel else { return };
        for child in self.children.iter().filter(|c| !c.silent) {
            let introduced = control::channel().and_then(|(give, take)| {
                words::take(open, take.as_fd())?;
                child.tell(&Order::Give(give));
                Ok(())
            });
            if let Err(e) = introduced {
                let text = format!("child {} cannot give its connections away: {e}", child.pid);
                write("mpm_event", Level::Warn, &text);
            }
        }
    }
}
