//! A file that a second thread writes.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded};

/// Bytes that are written at once.
const BUFFER: usize = 256 << 10;
/// Buffers in the queue of the second thread.
const AHEAD: usize = 4;

/// A file whose bytes another thread writes, because copying them into the system's memory takes as long as
/// producing them.
///
/// The thread starts with the first full buffer, so that a small file has none. The error of a write is
/// returned by a later one, or at the latest by [`flush`](Write::flush). If it is dropped before that, the
/// rest is not written.
pub(crate) struct WriteBehind {
    buffer: Vec<u8>,
    file: Holder,
}

/// The holder of the file.
enum Holder {
    Here(File),
    Thread(WriterThread),
    /// A write has failed, and its error was returned.
    Lost,
}

/// The thread that holds the file.
struct WriterThread {
    full: Sender<Vec<u8>>,
    written: Receiver<Vec<u8>>,
    thread: JoinHandle<io::Result<File>>,
}

impl WriteBehind {
    /// Takes a file that is written at its current position.
    pub(crate) fn new(file: File) -> Self {
        WriteBehind { buffer: Vec::new(), file: Holder::Here(file) }
    }

    /// Returns the bytes that are not yet passed on. Call [`WriteBehind::added`] after appending to them.
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Passes the buffer on if it is full.
    pub(crate) fn added(&mut self) -> io::Result<()> {
        if self.buffer.len() < BUFFER { Ok(()) } else { self.hand_on() }
    }

    /// Returns the file, once everything is written to it.
    pub(crate) fn file(&mut self) -> io::Result<&mut File> {
        self.flush()?;
        match &mut self.file {
            Holder::Here(file) => Ok(file),
            _ => Err(lost()),
        }
    }

    fn hand_on(&mut self) -> io::Result<()> {
        if let Holder::Here(_) = self.file {
            self.file = match std::mem::replace(&mut self.file, Holder::Lost) {
                Holder::Here(file) => WriterThread::start(file).map_or_else(Holder::Here, Holder::Thread),
                other => other,
            };
        }
        match &mut self.file {
            Holder::Thread(writing) => {
                let next = writing.written.try_recv().unwrap_or_default();
                if writing.full.send(std::mem::replace(&mut self.buffer, next)).is_err() {
                    // The thread has ended with an error.
                    self.take_back()?;
                    return Err(lost());
                }
                Ok(())
            }
            // The system starts no thread.
            Holder::Here(file) => {
                let written = file.write_all(&self.buffer);
                self.end_of(written)
            }
            Holder::Lost => Err(lost()),
        }
    }

    /// Empties the buffer after it was `written`. Nothing may follow missing bytes.
    fn end_of(&mut self, written: io::Result<()>) -> io::Result<()> {
        self.buffer.clear();
        if written.is_err() {
            self.file = Holder::Lost;
        }
        written
    }

    /// Waits for the thread and takes the file from it.
    fn take_back(&mut self) -> io::Result<()> {
        match std::mem::replace(&mut self.file, Holder::Lost) {
            Holder::Thread(writing) => self.file = Holder::Here(writing.end()?),
            other => self.file = other,
        }
        Ok(())
    }
}

impl WriterThread {
    /// Starts the thread; returns the file if the system starts none.
    fn start(file: File) -> Result<WriterThread, File> {
        let (full, buffers) = bounded::<Vec<u8>>(AHEAD);
        let (used, written) = bounded(AHEAD);
        let Ok(second) = file.try_clone() else { return Err(file) };
        let mut own = second;
        let write = move || {
            for mut buffer in buffers {
                own.write_all(&buffer)?;
                buffer.clear();
                // If there are enough buffers, or this one has grown with a large row, it is dropped.
                if buffer.capacity() <= 2 * BUFFER {
                    let _ = used.try_send(buffer);
                }
            }
            Ok(own)
        };
        match std::thread::Builder::new().name("writing file".to_owned()).spawn(write) {
            Ok(thread) => Ok(WriterThread { full, written, thread }),
            Err(_) => Err(file),
        }
    }

    /// Waits until everything is written.
    fn end(self) -> io::Result<File> {
        drop(self.full);
        self.thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread that writes panicked")))
    }
}

impl Write for WriteBehind {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A large slice is passed on in pieces, so that no buffer grows with it.
        let most = BUFFER.saturating_sub(self.buffer.len()).max(1);
        let part = &bytes[..bytes.len().min(most)];
        self.buffer.extend_from_slice(part);
        self.added()?;
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.take_back()?;
        let Holder::Here(file) = &mut self.file else { return Err(lost()) };
        let written = file.write_all(&self.buffer);
        self.end_of(written)
    }
}

impl Seek for WriteBehind {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file()?.seek(to)
    }
}

impl Drop for WriteBehind {
    fn drop(&mut self) {
        // Its errors were returned, or the file is not needed.
        let _ = self.take_back();
    }
}

/// Returns the error of a file whose write has failed.
fn lost() -> io::Error {
    io::Error::other("an earlier write has failed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_any_sizes_are_written_in_order() {
        let mut expected = Vec::new();
        let mut out = WriteBehind::new(tempfile::tempfile().unwrap());
        for (i, size) in
            [0, 1, 7, BUFFER - 1, BUFFER, 3 * BUFFER + 5, 100, 2 * BUFFER].into_iter().enumerate()
        {
            let bytes = vec![i as u8; size];
            out.write_all(&bytes).unwrap();
            out.buffer().push(255);
            out.added().unwrap();
            expected.extend(bytes.into_iter().chain([255]));
        }
        assert!(matches!(out.file, Holder::Thread(_)));
        // The beginning is filled in, and writing continues at the end.
        out.seek(SeekFrom::Start(0)).unwrap();
        out.write_all(b"head").unwrap();
        expected[..4].copy_from_slice(b"head");
        out.seek(SeekFrom::End(0)).unwrap();
        out.write_all(b"tail").unwrap();
        expected.extend(b"tail");
        assert_eq!(contents(&mut out), expected);
    }

    #[test]
    fn a_small_file_has_no_thread() {
        let mut out = WriteBehind::new(tempfile::tempfile().unwrap());
        out.write_all(&[1; BUFFER - 1]).unwrap();
        assert!(matches!(out.file, Holder::Here(_)));
        assert_eq!(contents(&mut out), [1; BUFFER - 1]);
    }

    #[test]
    fn a_write_that_fails_is_reported_once_and_nothing_follows_it() {
        // A file that is open for reading only.
        let mut out = WriteBehind::new(File::open("/dev/null").unwrap());
        let end = (0..1_000).find_map(|_| out.write_all(&[0; BUFFER]).err()).unwrap();
        assert_eq!(end.kind(), File::open("/dev/null").unwrap().write_all(&[0]).unwrap_err().kind());
        assert_eq!(out.write_all(&[0; BUFFER]).unwrap_err().to_string(), lost().to_string());
        assert!(out.flush().is_err());
        // The same without a thread.
        let mut out = WriteBehind::new(File::open("/dev/null").unwrap());
        out.write_all(&[0]).unwrap();
        assert!(out.flush().is_err());
        out.write_all(&[0]).unwrap();
        assert_eq!(out.flush().unwrap_err().to_string(), lost().to_string());
    }

    #[test]
    fn a_large_slice_goes_in_buffers_of_one_size() {
        let mut out = WriteBehind::new(tempfile::tempfile().unwrap());
        assert_eq!(out.write(&vec![3; 5 * BUFFER]).unwrap(), BUFFER);
        out.write_all(&vec![3; 4 * BUFFER]).unwrap();
        assert!(out.buffer().capacity() <= 2 * BUFFER, "{}", out.buffer().capacity());
        assert_eq!(contents(&mut out), vec![3; 5 * BUFFER]);
    }

    fn contents(out: &mut WriteBehind) -> Vec<u8> {
        let (mut contents, file) = (Vec::new(), out.file().unwrap());
        file.rewind().unwrap();
        io::Read::read_to_end(file, &mut contents).unwrap();
        contents
    }
}
