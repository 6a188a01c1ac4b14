//! What the children of one generation are made from.

use super::listeners::{self, Listener};
use crate::accept_mutex::AcceptMutex;
use crate::child;
use crate::crash;
use crate::log::access::AccessLogs;
use crate::scoreboard::{Board, Size};
use crate::settings::Settings;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// Records for children that end while others have taken their place.
const SPARE_RECORDS: usize = 16;

/// Settings, and everything opened for them.
pub(super) struct Plan {
    pub(super) settings: Settings,
    pub(super) listeners: Vec<Listener>,
    pub(super) logs: AccessLogs,
    pub(super) board: Arc<Board>,
    /// What the children take turns by.
    pub(super) mutex: Option<Arc<AcceptMutex>>,
}

impl Plan {
    /// With a scoreboard for so many children as the settings allow, or for one. `before` is the accept mutex of the
    /// generation that serves.
    pub(super) fn new(
        settings: Settings,
        listeners: Vec<Listener>,
        logs: AccessLogs,
        one_process: bool,
        before: Option<&Arc<AcceptMutex>>,
        board: impl FnOnce(Size) -> io::Result<Board>,
    ) -> io::Result<Self> {
        crash::warn_of_limit(&settings);
        let limits = &settings.config.limits;
        let (children, planned) = match one_process {
            true => (1, 1),
            false => (
                limits.server_limit.max(limits.children) as usize * 2 + SPARE_RECORDS,
                limits.children,
            ),
        };
        let size = Size {
            children,
            workers: child::homes(limits.threads_per_child),
            slots: limits.slots_per_child as usize,
            extended: settings.config.extended_status(),
        };
        let board = board(size)
            .map_err(|e| io::Error::new(e.kind(), format!("could not make the scoreboard: {e}")))?;
        let mutex = AcceptMutex::make(&settings, before)?;
        board.header().planned.store(planned, Relaxed);
        Ok(Self {
            settings,
            listeners,
            logs,
            board: Arc::new(board),
            mutex,
        })
    }

    /// A child's life; gives its exit code.
    pub(super) fn serve(&mut self, record: usize, control: &std::os::fd::OwnedFd) -> i32 {
        let place = child::Place {
            board: self.board.clone(),
            record,
        };
        let sockets = listeners::sockets(&mut self.listeners);
        let turns = self.mutex.as_deref();
        let served = child::serve(
            &self.settings,
            sockets,
            &self.logs,
            place,
            turns,
            Some(control),
        );
        if let Some(mutex) = turns {
            mutex.leave();
        }
        served.map_or_else(|e| child::exit_code(&e), |()| 0)
    }

    /// Lets go of what belongs to this generation: another one's child must not hold it.
    pub(super) fn leave(&mut self) {
        self.listeners.clear();
        self.logs = AccessLogs::none();
        self.mutex = None;
    }

    /// Children at the start.
    pub(super) fn start_servers(&self) -> usize {
        let limits = &self.settings.config.limits;
        limits.start_servers.min(limits.children).max(1) as usize
    }
}
