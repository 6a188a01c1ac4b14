//! Closing descriptors that a directory lists.

/// Closes every descriptor from `first` on.
///
/// # Safety
/// Nobody uses any of them after this call.
pub(super) unsafe fn close_from(first: libc::c_int, directory: &str) {
    let Ok(all) = std::fs::read_dir(directory) else {
        return;
    };
    let open: Vec<libc::c_int> = all
        .flatten()
        .filter_map(|e| e.file_name().to_str()?.parse().ok())
        .filter(|fd| *fd >= first)
        .collect();
    for fd in open {
        // SAFETY: the caller's; closing one that is closed already fails without harm.
        unsafe { libc::close(fd) };
    }
}
