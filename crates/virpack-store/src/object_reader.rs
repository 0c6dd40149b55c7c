//! Reads the bytes of an object ahead, on a thread.

use std::io::{self, Read};
use std::ops::Range;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use bytes::{Buf, Bytes};

use crate::error::StoreError;

/// Bytes of a request: 160 MB/s if each takes 50 ms.
const AT_ONCE: u64 = 8 << 20;

/// Answers that wait, beside the one in transfer and the one that is being read.
const AHEAD: usize = 1;

/// The bytes of an object.
#[derive(Debug)]
pub struct ObjectReader {
    from: Receiver<Result<Bytes, StoreError>>,
    current: Bytes,
    /// Bytes that have not arrived yet.
    missing: u64,
}

impl ObjectReader {
    /// Reads a range of bytes with `get`, which returns a piece of them.
    pub(crate) fn start(
        bytes: Range<u64>,
        get: impl Fn(Range<u64>) -> Result<Bytes, StoreError> + Send + 'static,
    ) -> io::Result<Self> {
        let (to, from) = sync_channel(AHEAD);
        let missing = bytes.end.saturating_sub(bytes.start);
        if missing > 0 {
            let fetch = move || fetch(bytes, get, &to);
            std::thread::Builder::new().name("object".to_owned()).spawn(fetch)?;
        }
        Ok(ObjectReader { from, current: Bytes::new(), missing })
    }
}

/// Sends the bytes, in pieces, until the receiver is gone.
fn fetch(
    bytes: Range<u64>,
    get: impl Fn(Range<u64>) -> Result<Bytes, StoreError>,
    to: &SyncSender<Result<Bytes, StoreError>>,
) {
    let mut next = bytes.start;
    while next < bytes.end {
        let end = bytes.end.min(next + AT_ONCE);
        let piece = get(next..end);
        let failed = piece.is_err();
        if to.send(piece).is_err() || failed {
            return;
        }
        next = end;
    }
}

impl Read for ObjectReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        while self.current.is_empty() {
            if self.missing == 0 {
                return Ok(0);
            }
            let piece = self
                .from
                .recv()
                .map_err(|_| io::Error::other("the thread that reads the object has ended"))?;
            self.current = piece.map_err(StoreError::into_io)?;
            self.missing = self.missing.saturating_sub(self.current.len() as u64);
        }
        let bytes = buf.len().min(self.current.len());
        self.current.copy_to_slice(&mut buf[..bytes]);
        Ok(bytes)
    }
}
