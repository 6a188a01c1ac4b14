//! The `Date` field, formatted once a second.

use std::cell::Cell;
use std::time::{Duration, SystemTime};

/// An IMF-fixdate that is renewed when the second changes.
pub(crate) struct DateCache {
    second: Cell<u64>,
    text: Cell<[u8; 29]>,
}

impl Default for DateCache {
    fn default() -> Self {
        Self {
            second: Cell::new(u64::MAX),
            text: Cell::new([b' '; 29]),
        }
    }
}

impl DateCache {
    /// The date of `second` after the epoch.
    pub(crate) fn at(&self, second: u64) -> [u8; 29] {
        if self.second.get() != second {
            let mut text = [b' '; 29];
            let date =
                httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(second));
            for (to, from) in text.iter_mut().zip(date.bytes()) {
                *to = from;
            }
            self.text.set(text);
            self.second.set(second);
        }
        self.text.get()
    }
}
