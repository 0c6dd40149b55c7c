//! Writes finished work into parts. Threads write it as it arrives, each into its own open part, and another
//! thread completes parts. So neither the device nor the caller, which writes the output, waits for a disk.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};
use sha2::{Digest, Sha256};
use virpack_seq::reader::hex;
use virpack_seq::{IndexSet, ReadProgress, ThreadError};

use super::manifest::{Manifest, Part};
use super::part_entry::{Entries, EntryHead};
use super::{CheckpointOptions, RunId};
use crate::Error;
use crate::files::{PendingFile, sync_directory};
use crate::output::OutputError;

/// Results in the queue to be written.
const AHEAD: usize = 1;
/// Parts in the queue to be completed. A killed run loses these and the open ones.
const CLOSING: usize = 4;
const BUFFER: usize = 1 << 20;
/// The shortest time after which an old part is tried again, if [`CLOSING`] parts are being completed.
const RETRY: Duration = Duration::from_millis(100);
const WRITING: &str = "writing parts";

/// The log of finished work, which survives a kill of the run.
///
/// Dropped without [`Log::close`], it keeps the closed parts and loses the open ones.
pub(crate) struct Log {
    to: Option<Sender<Message>>,
    /// Number of threads that write.
    writers: NonZeroUsize,
    /// The threads that write, and the one that lists; `None` once they have ended.
    threads: Option<Threads>,
    signals: Arc<Signals>,
}

/// Signals between the threads and the caller.
#[derive(Default)]
struct Signals {
    /// Whether open parts are kept when nothing more comes.
    keep_open: AtomicBool,
    /// Whether a writing thread has ended.
    ended: AtomicBool,
}

struct Threads {
    writers: Vec<JoinHandle<Result<(), Error>>>,
    closer: JoinHandle<Result<Listing, Error>>,
}

enum Message {
    Finished(Box<dyn Entries>),
    /// All results that are computed and not finished. They replace the previous ones.
    UnderWay(Box<dyn Entries>),
}

/// The settings of a log's threads.
pub(super) struct Logging {
    pub(super) folder: PathBuf,
    pub(super) run: RunId,
    pub(super) options: CheckpointOptions,
    /// Numbers that are already in parts.
    pub(super) done: Arc<IndexSet>,
    /// The number of the next part.
    pub(super) next: AtomicU64,
    /// Threads that write: one hashes and writes some 600,000 rows of 320 values per second.
    pub(super) writers: NonZeroUsize,
    /// The inputs, while they are read.
    pub(super) reading: Arc<ReadProgress>,
}

/// Makes the first manifest, once its contents are known.
pub(super) type MakeManifest = Box<dyn FnOnce() -> Result<Manifest, Error> + Send>;

/// A part that has all its entries and is not on disk yet.
struct WrittenPart {
    pending: PendingFile,
    file: File,
    part: Part,
    is_under_way: bool,
}

impl Log {
    /// Starts the threads. `begin` returns the manifest that parts are added to, and may take a while.
    pub(super) fn start(logging: Logging, begin: MakeManifest) -> Result<Log, Error> {
        let (to, from) = bounded(AHEAD);
        let (close, closing) = unbounded();
        let (give, places) = bounded(CLOSING);
        (0..CLOSING).for_each(|_| _ = give.try_send(Room));
        let (folder, reading) = (logging.folder.clone(), Arc::clone(&logging.reading));
        let closer = spawn("closing parts", move || make_whole(&closing, &give, &folder, begin, &reading))?;
        let count = logging.writers;
        let (logging, signals) = (Arc::new(logging), Arc::new(Signals::default()));
        let writers = (0..count.get()).map(|_| {
            let (logging, close, from) = (Arc::clone(&logging), close.clone(), from.clone());
            let (places, signals) = (places.clone(), Arc::clone(&signals));
            let writing =
                LogWriter { logging, open: None, due: None, close, places, under_way: None, signals };
            spawn(WRITING, move || writing.run(&from).map_err(Error::from))
        });
        let writers = writers.collect::<Result<_, _>>()?;
        Ok(Log { to: Some(to), writers: count, threads: Some(Threads { writers, closer }), signals })
    }

    /// Adds results.
    pub(crate) fn keep(&mut self, finished: Box<dyn Entries>) -> Result<(), Error> {
        self.send(Message::Finished(finished))
    }

    /// Replaces the computed but unfinished results, and closes the open part.
    ///
    /// # Panics
    ///
    /// Panics if several threads write: what they have finished could be listed later than this.
    pub(crate) fn keep_under_way(&mut self, entries: Box<dyn Entries>) -> Result<(), Error> {
        assert_eq!(self.writers, NonZeroUsize::MIN, "one thread writes what is computed and not finished");
        self.send(Message::UnderWay(entries))
    }

    /// Completes the open parts, and waits until all parts are complete.
    pub(crate) fn close(self) -> Result<Manifest, Error> {
        self.signals.keep_open.store(true, Ordering::Release);
        self.drop_open()
    }

    /// Completes the open parts and waits only for them. Without any, it does not wait for the checksums of
    /// the inputs, which the list of parts begins with.
    pub(crate) fn keep_open(mut self) -> Result<(), Error> {
        self.signals.keep_open.store(true, Ordering::Release);
        self.end().map(drop)
    }

    /// Drops the open parts, unless they are kept, and waits until the others are complete.
    pub(crate) fn drop_open(mut self) -> Result<Manifest, Error> {
        self.end()?.manifest().cloned()
    }

    fn end(&mut self) -> Result<Listing, Error> {
        self.to = None;
        let Threads { writers, closer } = self.threads.take().ok_or_else(panicked)?;
        let written: Vec<_> = writers.into_iter().map(join).collect();
        // It ends when its queue does. Its error is the cause of the others' errors.
        let listing = join(closer)?;
        written.into_iter().collect::<Result<(), Error>>()?;
        Ok(listing)
    }

    fn send(&mut self, message: Message) -> Result<(), Error> {
        match &self.to {
            // If one has failed, the others would continue without it.
            Some(to) if !self.signals.ended.load(Ordering::Acquire) && to.send(message).is_ok() => Ok(()),
            _ => self.end().and(Err(panicked())),
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        // The run has failed: the log's own errors come too late.
        let _ = self.end();
    }
}

/// Returns the error of a writing thread that left nothing, not even its panic.
fn panicked() -> Error {
    ThreadError::Panicked { thread: WRITING, message: None }.into()
}

fn spawn<T: Send + 'static>(
    thread: &'static str,
    body: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, Error> {
    let named = std::thread::Builder::new().name(thread.to_owned());
    named.spawn(body).map_err(|source| ThreadError::NotStarted { thread, source }.into())
}

fn join<T>(thread: JoinHandle<Result<T, Error>>) -> Result<T, Error> {
    thread.join().unwrap_or_else(|panic| Err(ThreadError::panicked(WRITING, &*panic).into()))
}

/// A thread that writes.
struct LogWriter {
    logging: Arc<Logging>,
    open: Option<OpenPart>,
    /// The time at which the open part is old enough to be closed.
    due: Option<Instant>,
    close: Sender<WrittenPart>,
    /// A part is closed only with one of these, so that no thread waits for a disk, or for the inputs'
    /// checksums, which are known before the first part is listed.
    places: Receiver<Room>,
    /// What is under way, until there is room for it and the open part.
    under_way: Option<Box<dyn Entries>>,
    signals: Arc<Signals>,
}

/// Room for a part among those that are made whole.
struct Room;

/// The part that entries go into.
struct OpenPart {
    pending: PendingFile,
    out: BufWriter<File>,
    sum: Sha256,
    number: u64,
    entries: u64,
    bytes: u64,
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        self.signals.ended.store(true, Ordering::Release);
    }
}

impl LogWriter {
    fn run(mut self, from: &Receiver<Message>) -> Result<(), OutputError> {
        loop {
            let message = match self.due {
                Some(due) => from.recv_deadline(due),
                None => from.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            let goes_on = match message {
                Ok(Message::Finished(finished)) => {
                    self.write(&*finished)?;
                    let is_full = |open: &OpenPart| open.entries >= self.logging.options.records;
                    // A disk that is slow makes parts larger, and not the run slower.
                    !self.open.as_ref().is_some_and(is_full) || self.close_part_if_room()?
                }
                Ok(Message::UnderWay(entries)) => {
                    self.under_way = Some(entries);
                    true
                }
                Err(RecvTimeoutError::Timeout) => self.close_part_if_room()?,
                Err(RecvTimeoutError::Disconnected) => {
                    let is_kept = self.signals.keep_open.load(Ordering::Acquire);
                    return if is_kept { self.write_under_way().map(drop) } else { Ok(()) };
                }
            };
            if !goes_on || !self.write_under_way_if_room()? {
                return Ok(());
            }
        }
    }

    fn write(&mut self, finished: &dyn Entries) -> Result<(), OutputError> {
        finished.each(&mut |number, bytes| {
            // A batch is computed as a whole, also where some of it was done.
            if self.logging.done.contains(number) {
                return Ok(());
            }
            let open = match &mut self.open {
                Some(open) => open,
                none => {
                    self.due = Instant::now().checked_add(self.logging.options.every);
                    none.insert(OpenPart::create(&self.logging)?)
                }
            };
            open.entry(number, bytes)
        })
    }

    /// Hands on the open part and what is under way if there is room for both, or else tries again later.
    fn write_under_way_if_room(&mut self) -> Result<bool, OutputError> {
        if self.under_way.is_none() {
            return Ok(true);
        }
        // No other thread takes these places.
        if self.places.len() >= 2 {
            return self.write_under_way();
        }
        self.due = Some(Instant::now() + RETRY);
        Ok(true)
    }

    /// Hands on the open part, and then what is under way, once there is room for them; false where the other
    /// thread takes no more.
    fn write_under_way(&mut self) -> Result<bool, OutputError> {
        if !self.close_part()? {
            return Ok(false);
        }
        let Some(entries) = self.under_way.take() else { return Ok(true) };
        let Ok(place) = self.places.recv() else { return Ok(false) };
        let mut open = OpenPart::create(&self.logging)?;
        entries.each(&mut |number, bytes| open.entry(number, bytes))?;
        self.hand_on(open.finish(true)?, place)
    }

    /// Hands the open part on if there is room for it, or else tries again later; false where the other
    /// thread takes no more.
    fn close_part_if_room(&mut self) -> Result<bool, OutputError> {
        match self.places.try_recv() {
            Ok(place) => self.close_part_in(place),
            Err(error) => {
                self.due = Some(Instant::now() + RETRY);
                Ok(!error.is_disconnected())
            }
        }
    }

    /// Hands the open part on once there is room for it; false where the other thread takes no more, and will
    /// say why.
    fn close_part(&mut self) -> Result<bool, OutputError> {
        if self.open.is_none() {
            return Ok(true);
        }
        let Ok(place) = self.places.recv() else { return Ok(false) };
        self.close_part_in(place)
    }

    fn close_part_in(&mut self, place: Room) -> Result<bool, OutputError> {
        self.due = None;
        let Some(open) = self.open.take() else { return Ok(true) };
        self.hand_on(open.finish(false)?, place)
    }

    fn hand_on(&self, part: WrittenPart, _place: Room) -> Result<bool, OutputError> {
        Ok(self.close.send(part).is_ok())
    }
}

impl OpenPart {
    fn create(logging: &Logging) -> Result<OpenPart, OutputError> {
        let number = logging.next.fetch_add(1, Ordering::Relaxed);
        let (pending, file) = PendingFile::create(&Part::path(&logging.folder, number))?;
        let (out, sum) = (BufWriter::with_capacity(BUFFER, file), Sha256::new());
        let mut open = OpenPart { pending, out, sum, number, entries: 0, bytes: 0 };
        open.write(&logging.run.head())?;
        Ok(open)
    }

    fn entry(&mut self, number: u64, bytes: &[u8]) -> Result<(), OutputError> {
        self.entries += 1;
        self.write(&EntryHead { number, bytes: bytes.len() as u64 }.encode())?;
        self.write(bytes)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), OutputError> {
        self.sum.update(bytes);
        self.bytes += bytes.len() as u64;
        self.out.write_all(bytes).map_err(OutputError::write(self.pending.target()))
    }

    fn finish(self, is_under_way: bool) -> Result<WrittenPart, OutputError> {
        let OpenPart { pending, out, sum, number, entries, bytes } = self;
        let file = out.into_inner().map_err(|error| error.into_error());
        let file = file.map_err(OutputError::write(pending.target()))?;
        let part = Part { number, entries, bytes, sha256: hex(&sum.finalize()) };
        Ok(WrittenPart { pending, file, part, is_under_way })
    }
}

impl WrittenPart {
    fn make_whole(mut self) -> io::Result<Part> {
        self.file.sync_all()?;
        self.pending.publish()?;
        Ok(self.part)
    }
}

/// The list of parts, which begins with the first of them: until then no thread waits for it.
struct Listing {
    begin: Option<MakeManifest>,
    manifest: Option<Manifest>,
}

impl Listing {
    fn manifest(&mut self) -> Result<&mut Manifest, Error> {
        if let Some(begin) = self.begin.take() {
            self.manifest = Some(begin()?);
        }
        self.manifest.as_mut().ok_or_else(panicked)
    }
}

/// The thread that makes parts whole and lists them: all those that wait together, and none once an input has changed,
/// as what is in them may be of what was not hashed.
fn make_whole(
    closing: &Receiver<WrittenPart>,
    places: &Sender<Room>,
    folder: &Path,
    begin: MakeManifest,
    reading: &ReadProgress,
) -> Result<Listing, Error> {
    let mut listing = Listing { begin: Some(begin), manifest: None };
    while let Ok(first) = closing.recv() {
        let manifest = listing.manifest()?;
        let mut replaced = Vec::new();
        // Those that wait now. While one is synced the next arrives, and the manifest must not wait for ever.
        let waiting = closing.len();
        for written in std::iter::once(first).chain(closing.try_iter().take(waiting)) {
            // Its place is free: as many as there are places may wait beside it.
            let _ = places.try_send(Room);
            let (failed, is_under_way) = (OutputError::write(written.pending.target()), written.is_under_way);
            let part = written.make_whole().map_err(failed)?;
            match is_under_way {
                true => replaced.extend(manifest.under_way.replace(part)),
                false => manifest.parts.push(part),
            }
        }
        // A part has its name before the manifest speaks of it, and its file until the manifest does not.
        sync_directory(folder);
        reading.check_unchanged(false)?;
        manifest.write(folder)?;
        for Part { number, .. } in replaced {
            // Where that fails it goes with the folder.
            let _ = std::fs::remove_file(Part::path(folder, number));
        }
    }
    Ok(listing)
}

#[cfg(test)]
mod tests;
