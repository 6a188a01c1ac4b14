//! What a file looked like: if nothing of it has changed, the file has not.

use rustix::fs::Stat;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A clock of the file system may stand still for so long: what was changed so recently may be changed again without
/// anybody being able to tell.
const RACY: Duration = Duration::from_millis(50);

/// Size, identity and times. The time of the last change of the inode is in it, so a change of permissions counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Stamp {
    pub(super) size: u64,
    device: u64,
    inode: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl From<&Stat> for Stamp {
    #[allow(
        clippy::unnecessary_cast,
        reason = "the types differ between platforms"
    )]
    fn from(s: &Stat) -> Self {
        Self {
            size: u64::try_from(s.st_size).unwrap_or(0),
            device: s.st_dev as u64,
            inode: s.st_ino as u64,
            modified: (s.st_mtime as i64, s.st_mtime_nsec as i64),
            changed: (s.st_ctime as i64, s.st_ctime_nsec as i64),
        }
    }
}

impl Stamp {
    /// Of what stands at a path now.
    pub(super) fn of(path: &Path) -> Option<Self> {
        rustix::fs::stat(path).ok().as_ref().map(Self::from)
    }

    /// Whole seconds of the last modification.
    pub(super) fn seconds(&self) -> u64 {
        u64::try_from(self.modified.0).unwrap_or(0)
    }

    /// Size and microseconds, as Apache writes them.
    pub(super) fn etag(&self) -> String {
        let micros = self.modified.0.wrapping_mul(1_000_000) + self.modified.1 / 1000;
        format!("\"{:x}-{micros:x}\"", self.size)
    }

    /// Whether a further change would be seen in the stamp.
    pub(super) fn is_settled(&self) -> bool {
        let changed = u64::try_from(self.changed.0).unwrap_or(0);
        let changed = UNIX_EPOCH
            + Duration::from_secs(changed)
            + Duration::from_nanos(u64::try_from(self.changed.1).unwrap_or(0));
        SystemTime::now()
            .duration_since(changed)
            .is_ok_and(|age| age > RACY)
    }
}
