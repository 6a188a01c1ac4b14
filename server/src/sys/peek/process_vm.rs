//! Memory of this process that may not be there, by process_vm_readv(2).

/// Reads as many words as there is room for from an address, or none.
pub(crate) fn peek(from: usize, to: &mut [usize]) -> bool {
    let bytes = size_of_val(to);
    let local = libc::iovec {
        iov_base: to.as_mut_ptr().cast(),
        iov_len: bytes,
    };
    let remote = libc::iovec {
        iov_base: from as *mut libc::c_void,
        iov_len: bytes,
    };
    // SAFETY: the kernel writes into `to`, whose every bit pattern is valid, and checks the other address itself.
    let read = unsafe { libc::process_vm_readv(libc::getpid(), &local, 1, &remote, 1, 0) };
    usize::try_from(read).is_ok_and(|read| read == bytes)
}
