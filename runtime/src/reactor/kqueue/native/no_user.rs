//! Where there are no events of the program's own: nobody asks for one.

use rustix::event::kqueue::EventFilter;

pub(super) const AVAILABLE: bool = false;

pub(super) fn filter(_trigger: bool) -> EventFilter {
    // No descriptor: a kernel that is asked all the same says EBADF.
    EventFilter::Read(-1)
}

pub(super) fn is(_filter: &EventFilter) -> bool {
    false
}
