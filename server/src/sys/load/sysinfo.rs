//! How busy the machine is, by sysinfo(2).

/// Of the last 1, 5 and 15 minutes.
pub(crate) fn averages() -> [f64; 3] {
    // In 65536ths.
    rustix::system::sysinfo()
        .loads
        .map(|load| load as f64 / 65536.0)
}
