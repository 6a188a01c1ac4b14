//! The border to the kernel and to raw memory that is not readiness: mappings, clocks, sockets.

pub(crate) mod clock;
pub(crate) mod mapping;
pub(crate) mod socket;
