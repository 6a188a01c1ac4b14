//! What the children of one generation are made from.

use super::buckets;
use super::listeners::{self, Listener};
use crate::accept_mutex::AcceptMutex;
use crate::child;
use crate::crash;
use crate::log::access::AccessLogs;
use crate::scoreboard::{Board, BoardFile, Holder, Size};
use crate::settings::Settings;
use nix::unistd::Pid;
use std::fs::File;
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
    /// The file that the scoreboard is.
    pub(super) file: Option<BoardFile>,
    /// What the children take turns by.
    pub(super) mutex: Option<Arc<AcceptMutex>>,
}

/// What serves until a plan does.
pub(super) enum Before<'a> {
    Nothing,
    Plan(&'a Plan),
    /// Another server, by its supervisor.
    Server(Pid),
}

impl<'a> Before<'a> {
    fn plan(&self) -> Option<&'a Plan> {
        match self {
            Self::Plan(plan) => Some(plan),
            _ => None,
        }
    }

    fn scoreboard(&self) -> Holder<'a> {
        match self {
            Self::Plan(plan) => plan.file.as_ref().map_or(Holder::Nobody, Holder::Own),
            Self::Server(pid) => Holder::Server(*pid),
            Self::Nothing => Holder::Nobody,
        }
    }
}

impl Plan {
    /// With a scoreboard for so many children as the settings allow, or for one, after the plan that serves. The
    /// scoreboard's file has its name only when it is published; until then that of `before` keeps it.
    pub(super) fn new(
        settings: Settings,
        listeners: Vec<Listener>,
        logs: AccessLogs,
        one_process: bool,
        before: &Before<'_>,
        board: impl FnOnce(Size, Option<&File>) -> io::Result<Board>,
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
            workers: child::places(limits.threads_per_child),
            slots: limits.slots_per_child as usize,
            extended: settings.config.extended_status(),
        };
        let path = settings.config.scoreboard_file.as_ref();
        let file = path
            .map(|p| BoardFile::beside(p, &before.scoreboard()))
            .transpose()?;
        let board = board(size, file.as_ref().map(BoardFile::file)).map_err(|e| {
            let named = path.map_or(String::new(), |p| {
                format!(" (ScoreBoardFile {})", p.display())
            });
            io::Error::new(
                e.kind(),
                format!("could not make the scoreboard{named}: {e}"),
            )
        })?;
        let mutex = AcceptMutex::make(
            &settings,
            before.plan().and_then(|b| b.mutex.as_ref()),
            matches!(before, Before::Nothing),
        )?;
        board.header().planned.store(planned, Relaxed);
        let buckets = buckets::wanted(&settings.config, one_process);
        board.header().buckets.store(buckets as u32, Relaxed);
        Ok(Self {
            settings,
            listeners,
            logs,
            board: Arc::new(board),
            file,
            mutex,
        })
    }

    /// Gives the scoreboard's file its name.
    pub(super) fn publish(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), BoardFile::publish)
    }

    /// A child's life; gives its exit code.
    pub(super) fn serve(&mut self, record: usize, control: &std::os::fd::OwnedFd) -> i32 {
        self.file = None;
        let place = child::Place {
            board: self.board.clone(),
            record,
        };
        let bucket = record % self.board.buckets();
        let sockets = listeners::sockets(&mut self.listeners, bucket);
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
        self.file = None;
        self.mutex = None;
    }

    /// Children at the start: one for each bucket at least.
    pub(super) fn start_servers(&self) -> usize {
        let limits = &self.settings.config.limits;
        (limits.start_servers.min(limits.children) as usize).max(self.board.buckets())
    }
}
