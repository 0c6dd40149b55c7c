//! Reports when a mapped file loses its end: a line that names the file, instead of the system's "Bus error".
//!
//! Reading a page that a truncated file does not have any more raises SIGBUS, and there is nothing to read
//! instead. The handler reports it and ends the process; for any other address it leaves the signal to the
//! handler that was there before.

use std::ffi::{c_int, c_void};
use std::path::Path;
use std::ptr::null_mut;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, Ordering};

/// Most files that are watched at once; a model of more shards is read without.
const MOST: usize = 256;
/// Exit code for a fault of the input.
const EXIT: c_int = 1;

static WATCHED: [AtomicPtr<Watched>; MOST] = [const { AtomicPtr::new(null_mut()) }; MOST];
/// The action before ours; None where the handler could not be set.
static BEFORE: OnceLock<Option<libc::sigaction>> = OnceLock::new();

/// A mapped file; never freed, as a handler on another thread may be reading it.
struct Watched {
    start: usize,
    end: usize,
    message: String,
}

/// Watches a mapped file until it is dropped.
#[derive(Debug)]
pub(super) struct Watch(Option<usize>);

impl Watch {
    /// Watches a mapping of the file at `path`.
    pub(super) fn start(mapping: &[u8], path: &Path) -> Watch {
        BEFORE.get_or_init(install);
        let start = mapping.as_ptr().addr();
        let message = format!(
            "\nerror: {}: it became shorter while it was read\n\
             hint: another process has truncated it: copy or download it again, and run again\n",
            shown(path)
        );
        let watched = Box::into_raw(Box::new(Watched { start, end: start + mapping.len(), message }));
        let is_set = |slot: &AtomicPtr<Watched>| {
            slot.compare_exchange(null_mut(), watched, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        };
        Watch(WATCHED.iter().position(is_set))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(slot) = self.0 {
            WATCHED[slot].store(null_mut(), Ordering::Release);
        }
    }
}

/// Returns a path without control characters.
fn shown(path: &Path) -> String {
    let text = path.display().to_string();
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn install() -> Option<libc::sigaction> {
    // SAFETY: a zeroed `sigaction` is a valid one: no flags, an empty mask, the default action.
    let (mut ours, mut before) = unsafe { std::mem::zeroed::<(libc::sigaction, libc::sigaction)>() };
    ours.sa_sigaction = on_fault as *const () as libc::sighandler_t;
    // On the stack that std gives each thread for its own handler.
    ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: both pointers are to values that live through the call, and `on_fault` has the signature that SA_SIGINFO
    // asks for and calls only functions that a signal handler may call.
    let is_set = unsafe { libc::sigaction(libc::SIGBUS, &ours, &mut before) } == 0;
    is_set.then_some(before)
}

extern "C" fn on_fault(_: c_int, info: *mut libc::siginfo_t, _: *mut c_void) {
    // SAFETY: with SA_SIGINFO the system passes a valid `siginfo_t`, and for SIGBUS it has the address.
    let address = unsafe { (*info).si_addr() }.addr();
    for slot in &WATCHED {
        // SAFETY: what is in a slot was made by `Box::into_raw` and is never freed.
        let Some(watched) = (unsafe { slot.load(Ordering::Acquire).as_ref() }) else { continue };
        if (watched.start..watched.end).contains(&address) {
            // SAFETY: `write` and `_exit` are allowed in a signal handler, and the bytes are the message's own.
            unsafe {
                libc::write(libc::STDERR_FILENO, watched.message.as_ptr().cast(), watched.message.len());
                libc::_exit(EXIT);
            }
        }
    }
    match BEFORE.get() {
        // SAFETY: this is what the system gave for this signal. The access is made again, and faults under it.
        Some(Some(before)) => _ = unsafe { libc::sigaction(libc::SIGBUS, before, null_mut()) },
        // SAFETY: `_exit` is allowed in a signal handler.
        _ => unsafe { libc::_exit(128 + libc::SIGBUS) },
    }
}
