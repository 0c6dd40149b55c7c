//! The decompressed bytes of one input.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::ops::Range;
use std::sync::Arc;

use liblzma::stream::Stream;
use virpack_store::Object;

use super::ReadProgress;
use super::checksum::InputHasher;
use super::file_state::{FileState, Open, WatchedFile};
use super::gzip::{BgzfEnds, Gzip};
use super::members::MemberNotes;
use super::stdin::{stdin, stdin_file};
use super::text_range::{TextOf, TextRange};
use crate::error::{Change, InputError, SeqError};
use crate::input::Input;

/// Most bytes that a decoder takes: `xz -9` needs 67 MB, and `zstd -d` takes a window of 2^27 bytes
/// at most unless asked.
pub(super) const DECODER_MEMORY: u64 = 256_000_000;

/// The largest window of zstd, as a power of 2, within that.
const ZSTD_WINDOW: u32 = 27;

/// Bytes asked of the system at once, for a decoder.
pub(super) const READ_SIZE: usize = 256 << 10;

/// Which part of an input is read, and what is noted of it.
#[derive(Default)]
pub(super) struct Span {
    /// Its bytes as they are on disk.
    pub(super) bytes: Range<u64>,
    /// Of BGZF, the part of the blocks' text; None: all of it.
    pub(super) text: Option<TextRange>,
    /// Of gzip, where its members are noted.
    pub(super) notes: MemberNotes,
}

/// One input's decompressed bytes.
pub(super) struct Source {
    reader: Box<dyn Read + Send>,
    /// The compression, `None` for plain text.
    pub(super) codec: Option<&'static str>,
    /// Whether bytes come when they come.
    pub(super) is_pipe: bool,
    /// Whether the file continues after the part that is read.
    pub(super) ends_inside: bool,
    /// Of gzip, what is missing of BGZF.
    ends: Option<Arc<BgzfEnds>>,
    /// None for what is not a file with a name.
    watched: Option<WatchedFile>,
    number: u32,
    progress: Arc<ReadProgress>,
    /// Bytes that were read of the inputs before it.
    pub(super) begun: u64,
}

impl Source {
    /// Opens an input and finds out its compression from its first bytes.
    pub(super) fn open(input: &Input, number: u32, progress: Arc<ReadProgress>) -> Result<Source, SeqError> {
        let cannot_open = |source| input.cannot_open(source);
        let file = match input {
            Input::Stdin => stdin_file(),
            Input::Path(path) => Some(File::open(path).map_err(cannot_open)?),
            Input::Object(url) => {
                let object = Object::open(url).map_err(|error| cannot_open(error.into_io()))?;
                let span = Span { bytes: 0..object.state().bytes, ..Span::default() };
                return Source::open_object(input, object, number, span, progress, |reader| reader);
            }
        };
        let file = file.map(Arc::new);
        let is_pipe = file.as_ref().and_then(|file| file.metadata().ok()).is_none_or(|m| !m.is_file());
        let mut watched = None;
        let inner: Box<dyn Read + Send> = match (input, file) {
            (Input::Path(path), Some(file)) => {
                if let Some(begun) = progress.states.begun(number) {
                    let open = WatchedFile::new(Open::File(Arc::clone(&file)), begun, input.clone());
                    if let Some(change) = open.change() {
                        return Err(InputError::Changed { path: path.clone(), change }.into());
                    }
                    watched = Some(open);
                }
                Box::new(file)
            }
            _ => stdin(),
        };
        let source = Source::from_read(inner, number, is_pipe, progress).map_err(cannot_open)?;
        Ok(Source { watched, ..source })
    }

    /// Opens a part of a file. What comes of its bytes goes through `tap` first.
    ///
    /// # Errors
    ///
    /// What keeps the file from being opened; that it has changed.
    pub(super) fn open_range(
        input: &Input,
        number: u32,
        span: Span,
        progress: Arc<ReadProgress>,
        tap: impl FnOnce(Box<dyn Read + Send>) -> Box<dyn Read + Send>,
    ) -> Result<Source, SeqError> {
        let cannot_open = |source| input.cannot_open(source);
        if let Input::Object(url) = input {
            let object = Object::open(url).map_err(|error| cannot_open(error.into_io()))?;
            return Source::open_object(input, object, number, span, progress, tap);
        }
        let (path, bytes) = (input.path(), span.bytes.clone());
        let file = Arc::new(File::open(path).map_err(cannot_open)?);
        let mut watched = None;
        let mut ends_inside = false;
        if let Some(begun) = progress.states.begun(number) {
            let open = WatchedFile::new(Open::File(Arc::clone(&file)), begun, input.clone());
            if let Some(change) = open.change() {
                return Err(InputError::Changed { path: path.to_owned(), change }.into());
            }
            ends_inside = bytes.end < begun.bytes;
            watched = Some(open.expecting(bytes.end - bytes.start));
        }
        (&*file).seek(SeekFrom::Start(bytes.start)).map_err(cannot_open)?;
        let inner: Box<dyn Read + Send> = Box::new(file.take(bytes.end - bytes.start));
        let source = Source::of(tap(inner), number, false, span, progress).map_err(cannot_open)?;
        Ok(Source { watched, ends_inside, ..source })
    }

    /// Opens a part of an object, in the same way.
    fn open_object(
        input: &Input,
        object: Object,
        number: u32,
        span: Span,
        progress: Arc<ReadProgress>,
        tap: impl FnOnce(Box<dyn Read + Send>) -> Box<dyn Read + Send>,
    ) -> Result<Source, SeqError> {
        let now = FileState::of_object(object.state());
        let begun = progress.states.begun(number).unwrap_or(now);
        if let Some(change) = begun.change_to(&now) {
            return Err(InputError::Changed { path: input.path().into(), change }.into());
        }
        let (cannot_open, bytes) = (|source| input.cannot_open(source), span.bytes.clone());
        let inner = Box::new(object.reader(bytes.clone()).map_err(cannot_open)?);
        let watched = WatchedFile::new(Open::Object(object), begun, input.clone());
        let source = Source::of(tap(inner), number, false, span, progress).map_err(cannot_open)?;
        let watched = Some(watched.expecting(bytes.end - bytes.start));
        Ok(Source { watched, ends_inside: bytes.end < begun.bytes, ..source })
    }

    /// Finds out the compression of what `inner` gives from its first bytes.
    pub(super) fn from_read(
        inner: Box<dyn Read + Send>,
        number: u32,
        is_pipe: bool,
        progress: Arc<ReadProgress>,
    ) -> io::Result<Source> {
        Source::of(inner, number, is_pipe, Span::default(), progress)
    }

    /// The same for a part of an input.
    fn of(
        inner: Box<dyn Read + Send>,
        number: u32,
        is_pipe: bool,
        span: Span,
        progress: Arc<ReadProgress>,
    ) -> io::Result<Source> {
        let hasher = progress.checksums.as_ref().map(|_| InputHasher::new(number));
        let begun = progress.bytes();
        let mut raw = CountingReader { inner, progress: Arc::clone(&progress), hasher };
        let mut magic = Vec::with_capacity(6);
        // An error here comes again at the next read, where it is reported with its place.
        let first = raw.by_ref().take(6).read_to_end(&mut magic);
        let codec = codec(&magic);
        let mut ends = None;
        let raw = io::Cursor::new(magic).chain(FailFirst(first.err())).chain(raw);
        let reader: Box<dyn Read + Send> = match codec {
            None => Box::new(raw),
            Some("gzip") => {
                let raw = BufReader::with_capacity(READ_SIZE, raw);
                let gzip = Gzip::new(raw, span.bytes.start, span.notes);
                ends = Some(gzip.ends());
                match &span.text {
                    Some(text) => Box::new(TextOf::new(gzip, text)),
                    None => Box::new(gzip),
                }
            }
            Some(codec) => decoder(codec, BufReader::with_capacity(READ_SIZE, raw))?,
        };
        Ok(Source {
            reader,
            codec,
            is_pipe,
            ends_inside: false,
            ends,
            watched: None,
            number,
            progress,
            begun,
        })
    }

    /// Returns what has happened to the file since the run began.
    pub(super) fn change(&self) -> Option<Change> {
        self.watched.as_ref()?.change()
    }

    /// Returns the same, at its end.
    pub(super) fn change_at_end(&self) -> Option<Change> {
        let read = self.progress.bytes() - self.begun;
        self.watched.as_ref()?.change_at_end(read, self.number, &self.progress.states)
    }

    /// Returns whether the file ends as BGZF must, if it is BGZF and read to its end: by an empty block.
    pub(super) fn has_its_end(&self) -> bool {
        self.ends_inside || self.ends.as_ref().is_none_or(|ends| !ends.is_missing())
    }

    /// Returns whether plain gzip follows BGZF that does not end so.
    pub(super) fn missed_an_end(&self) -> bool {
        self.ends.as_ref().is_some_and(|ends| ends.was_missing())
    }
}

impl Read for Source {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.reader.read(buf)
    }

    fn read_to_end(&mut self, buf: &mut Vec<u8>) -> io::Result<usize> {
        self.reader.read_to_end(buf)
    }
}

/// Returns the compression that a file's first bytes tell.
fn codec(magic: &[u8]) -> Option<&'static str> {
    match magic {
        [0x1F, 0x8B, ..] => Some("gzip"),
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => Some("bzip2"),
        [0xFD, b'7', b'z', b'X', b'Z', 0] => Some("xz"),
        // A zstd frame, or one to be skipped before it (pzstd, seekable zstd).
        [0x28, 0xB5, 0x2F, 0xFD, ..] | [0x50..=0x5F, 0x2A, 0x4D, 0x18, ..] => Some("zstd"),
        _ => None,
    }
}

/// Returns the decoder of a compression; each reads on over the members of a file put together from
/// several.
fn decoder(codec: &str, raw: impl io::BufRead + Send + 'static) -> io::Result<Box<dyn Read + Send>> {
    Ok(match codec {
        "bzip2" => Box::new(bzip2::bufread::MultiBzDecoder::new(raw)),
        "xz" => {
            let stream = Stream::new_stream_decoder(DECODER_MEMORY, liblzma::stream::CONCATENATED)?;
            Box::new(liblzma::bufread::XzDecoder::new_stream(raw, stream))
        }
        _ => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(raw)?;
            decoder.window_log_max(ZSTD_WINDOW)?;
            Box::new(decoder)
        }
    })
}

/// Returns whether a decoder failed because it would take more than [`DECODER_MEMORY`].
pub(super) fn needs_memory(error: &io::Error) -> bool {
    let Some(inner) = error.get_ref() else { return false };
    match inner.downcast_ref::<liblzma::stream::Error>() {
        Some(error) => *error == liblzma::stream::Error::MemLimit,
        // zstd gives its error's name alone.
        None => inner.to_string() == "Frame requires too much memory for decoding",
    }
}

/// Counts the bytes that come from the system.
struct CountingReader {
    inner: Box<dyn Read + Send>,
    progress: Arc<ReadProgress>,
    /// Until the end.
    hasher: Option<InputHasher>,
}

impl Read for CountingReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let bytes = self.inner.read(buf)?;
        self.progress.add_bytes(bytes as u64);
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&buf[..bytes]);
            if bytes == 0
                && !buf.is_empty()
                && let (Some(done), Some(checksums)) = (self.hasher.take(), &self.progress.checksums)
            {
                checksums.add(done.finish());
            }
        }
        Ok(bytes)
    }
}

/// Gives an error once, if there is one, and then ends.
struct FailFirst(Option<io::Error>);

impl Read for FailFirst {
    fn read(&mut self, _buf: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}
