//! Events that the program triggers itself.

use rustix::event::kqueue::{EventFilter, UserDefinedFlags, UserFlags};

pub(super) const AVAILABLE: bool = true;

/// The one event of its kind in a queue; `trigger` lets it happen.
pub(super) fn filter(trigger: bool) -> EventFilter {
    EventFilter::User {
        ident: 0,
        flags: match trigger {
            true => UserFlags::TRIGGER,
            false => UserFlags::empty(),
        },
        user_flags: UserDefinedFlags::new(0),
    }
}

pub(super) fn is(filter: &EventFilter) -> bool {
    matches!(filter, EventFilter::User { .. })
}
