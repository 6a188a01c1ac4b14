//! How busy the machine is, by getloadavg(3).

/// Of the last 1, 5 and 15 minutes; zeroes where the system does not say.
pub(crate) fn averages() -> [f64; 3] {
    let mut loads = [0.0; 3];
    // SAFETY: it writes at most three numbers.
    unsafe { libc::getloadavg(loads.as_mut_ptr(), 3) };
    loads
}
