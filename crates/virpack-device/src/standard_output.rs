//! Whether the process began with a standard output that takes nothing: closed (`>&-`), or opened for reading
//! only (`1<file`), to which Rust's standard library writes without an error.
//!
//! Rust's runtime opens `/dev/null` in place of a closed descriptor before `main`, so that every later write
//! succeeds and its bytes are lost. This descriptor cannot be told from one that the caller has opened: that
//! of Python's `subprocess.DEVNULL` has the same file and the same flags. On Linux the dynamic linker, or
//! the C library of a static program, calls the functions of `.init_array` before the runtime, and one of
//! them looks.

use std::sync::atomic::{AtomicBool, Ordering};

static WAS_CLOSED: AtomicBool = AtomicBool::new(false);

#[cfg(target_os = "linux")]
#[used]
// SAFETY: the section is a list of functions of this type, and this one is sound before `main`: it makes one
// system call and stores to a static that needs no initialization.
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = {
    extern "C" fn look() {
        // SAFETY: the call takes no pointer, and changes nothing.
        let flags = unsafe { libc::fcntl(libc::STDOUT_FILENO, libc::F_GETFL) };
        let is_closed = flags == -1 || flags & libc::O_ACCMODE == libc::O_RDONLY;
        WAS_CLOSED.store(is_closed, Ordering::Relaxed);
    }
    look
};

/// Returns whether standard output was closed, or open for reading only, when the process began, or when it
/// loaded this library. What
/// is written to it is then lost without an error. On other systems than Linux this is unknown, and false.
///
/// ```
/// assert!(!virpack_device::stdout_was_closed());
/// ```
#[must_use]
pub fn stdout_was_closed() -> bool {
    WAS_CLOSED.load(Ordering::Relaxed)
}
