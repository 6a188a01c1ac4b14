//! The border to the kernel and to raw memory that is not readiness: mappings, clocks, sockets, the heap, what a thread has used.

pub(crate) mod clock;
pub(crate) mod heap;
pub(crate) mod mapping;
pub(crate) mod slice;
pub(crate) mod socket;
pub(crate) mod usage;
