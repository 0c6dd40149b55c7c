//! Standard input, which a process has but one of.

use parking_lot::Mutex;
use std::fs::File;
use std::io::{self, Read};

/// Standard input as a file, which distinguishes a redirected file from a pipe.
#[cfg(unix)]
pub(super) fn stdin_file() -> Option<File> {
    use std::os::fd::AsFd;
    std::io::stdin().as_fd().try_clone_to_owned().ok().map(File::from)
}

/// Elsewhere standard input counts as a pipe.
#[cfg(not(unix))]
pub(super) fn stdin_file() -> Option<File> {
    None
}

/// Bytes of standard input that are looked at.
const LOOK: u64 = 64 << 10;

/// What was looked at of standard input, which the process has but one of, and whether more may follow.
static LOOKED_AT: Mutex<Option<(Vec<u8>, bool)>> = Mutex::new(None);

/// Returns the first bytes of standard input, kept for [`stdin`], and whether more may follow.
pub(super) fn looked_at() -> io::Result<(Vec<u8>, bool)> {
    let mut kept = LOOKED_AT.lock();
    if kept.is_none() {
        let mut bytes = Vec::new();
        raw_stdin().take(LOOK).read_to_end(&mut bytes)?;
        let is_part = bytes.len() as u64 == LOOK;
        *kept = Some((bytes, is_part));
    }
    Ok(kept.clone().unwrap_or_default())
}

/// Standard input from its beginning.
pub(super) fn stdin() -> Box<dyn Read + Send> {
    let kept = LOOKED_AT.lock().take();
    match kept {
        Some((bytes, _)) => Box::new(io::Cursor::new(bytes).chain(raw_stdin())),
        None => raw_stdin(),
    }
}

fn raw_stdin() -> Box<dyn Read + Send> {
    match stdin_file() {
        Some(file) => Box::new(file),
        None => Box::new(io::stdin()),
    }
}
