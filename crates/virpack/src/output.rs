//! Embeddings to a file: any order in, the order of the input out, nothing half-written.
//!
//! The format follows from the ending of the name:
//!
//! | ending | the file | beside it |
//! | --- | --- | --- |
//! | `.npy` | float32 `[n, hidden]`, C order | `STEM.ids.txt`: an id a line, UTF-8; with several inputs TAB and the input's name behind it |
//! | `.parquet` | columns `id`, `source` (with several inputs), `length`, `truncated`, `embedding` | |
//!
//! Records without an embedding stand in `STEM.skipped.tsv`, which exists only when there is one: columns
//! `record` (place over all inputs, from 0), `source`, `line` (of the header, from 1), `id`, `length`,
//! `reason`. In the text tables a TAB or line end inside a name is written `\t`, `\n`, `\r`.
//!
//! Everything is written under temporary names (`.emb.npy.tmp-PID`) in the output's directory and renamed
//! when it is whole, the side files first. A symbolic link under the asked name is replaced, not followed.
//!
//! To add a format: a file in `output/` that implements `Table`, and its ending in `Format`.

use std::io::ErrorKind;
use std::path::{Path, PathBuf, is_separator};
use std::sync::Arc;

use virpack_seq::{SequenceIndex, SkippedRecord};

mod arrow_schema;
mod aside;
mod error;
mod npy;
mod order;
mod parquet;
mod publish;
mod row_store;
mod single;
mod text_table;

pub use error::OutputError;
use order::{Order, Turn};
use publish::Whole;
pub(crate) use single::write_file;
use text_table::TextTable;

/// How an output is made.
#[derive(Clone, Debug)]
pub struct OutputOptions {
    /// Replace an output that exists, and the tables beside it.
    pub force: bool,
    /// The inputs by name, in the order of [`Row::source`]; with two or more the tables name the input.
    pub sources: Vec<String>,
    /// Facts about the run for formats that carry them (`.parquet`: key-value metadata), such as
    /// `("virpack.model", "esm2_t6_8M_UR50D")`; `virpack.version` is added.
    pub metadata: Vec<(String, String)>,
    /// Most bytes of embeddings that wait in memory for an earlier record; what goes beyond waits in a
    /// temporary file beside the output.
    pub reorder_bytes: usize,
}

impl Default for OutputOptions {
    /// One input without a name, nothing replaced, 64 MiB of waiting embeddings.
    fn default() -> Self {
        let sources = vec![String::new()];
        OutputOptions { force: false, sources, metadata: Vec::new(), reorder_bytes: 64 << 20 }
    }
}

/// What stands beside an embedding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The record's place over all inputs, from 0.
    pub record: u64,
    /// Which input the record stands in, from 0.
    pub source: u32,
    /// The record's full id.
    pub id: Arc<str>,
    /// Residues (or bases) in the whole record, before any cut.
    pub length: u64,
    /// Whether only its beginning was embedded.
    pub truncated: bool,
}

impl From<&SequenceIndex> for Row {
    /// The row of a record that is one sequence; the windows of a longer one must be joined before.
    fn from(index: &SequenceIndex) -> Row {
        let SequenceIndex { record, source, length, truncated, .. } = *index;
        Row { record, source, id: Arc::clone(&index.id), length, truncated }
    }
}

/// What a finished run has written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Written {
    /// Records with an embedding.
    pub rows: u64,
    /// Records with a reason instead.
    pub skipped: u64,
    /// Records of which only the beginning was embedded.
    pub truncated: u64,
    /// Every file written, the asked one first.
    pub files: Vec<PathBuf>,
    /// Bytes of the most embeddings that ever waited in memory.
    pub peak_waiting_memory: u64,
    /// Bytes of the most embeddings that ever waited on disk.
    pub peak_waiting_disk: u64,
}

/// A file format, by the ending of the name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Npy,
    Parquet,
}

/// One format's writer: rows come in the order of the input.
trait Table: Send {
    /// Writes a row; `embedding` is `[hidden]`, `source` the name of the row's input.
    fn write(&mut self, row: &Row, source: &str, embedding: &[f32]) -> Result<(), OutputError>;
    /// Makes the files whole on disk; they have no names yet.
    fn finish(self: Box<Self>) -> Result<Whole, OutputError>;
}

/// Embeddings on their way into a file; made by [`create`].
///
/// Dropped without [`finish`](EmbeddingWriter::finish), it leaves nothing behind.
pub struct EmbeddingWriter {
    hidden: usize,
    options: OutputOptions,
    path: PathBuf,
    skipped_path: PathBuf,
    order: Order,
    sink: Sink,
}

/// Where results go when their turn has come.
struct Sink {
    table: Box<dyn Table>,
    skipped: Option<TextTable>,
    written: Written,
}

/// Opens an output of embeddings of width `hidden` (at least 1) under a temporary name.
///
/// Everything about the destination is checked here, so that a run fails before it loads a model.
///
/// # Errors
///
/// When no format has the ending of `path`, when `path` is no regular file, when it or one of its side
/// files exists and `options.force` is not set, or when its directory is missing or cannot be written to.
///
/// # Panics
///
/// When `hidden` is 0.
///
/// # Examples
///
/// ```
/// use virpack::output::{self, OutputOptions, Row};
///
/// # let directory = tempfile::tempdir()?;
/// let path = directory.path().join("emb.npy");
/// let mut out = output::create(&path, 2, OutputOptions::default())?;
/// let row = |record, id: &str| Row { record, source: 0, id: id.into(), length: 9, truncated: false };
/// out.write(row(1, "second"), &[3.0, 4.0])?; // any order
/// out.write(row(0, "first"), &[1.0, 2.0])?;
/// assert_eq!(out.finish(2)?.rows, 2);
/// assert_eq!(std::fs::read_to_string(path.with_extension("ids.txt"))?, "first\nsecond\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn create(path: &Path, hidden: usize, options: OutputOptions) -> Result<EmbeddingWriter, OutputError> {
    assert!(hidden > 0, "an embedding has at least one value");
    check(path, options.force)?;
    let format = Format::of(path)?;
    let [ids, skipped_path] = [path.with_extension("ids.txt"), path.with_extension("skipped.tsv")];
    let several = options.sources.len() > 1;
    let table: Box<dyn Table> = match format {
        Format::Npy => Box::new(npy::Npy::create(path, &ids, hidden, several)?),
        Format::Parquet => Box::new(parquet::Parquet::create(path, hidden, several, &options.metadata)?),
    };
    let order = Order::new(hidden, options.reorder_bytes, path);
    let sink = Sink { table, skipped: None, written: Written::nothing() };
    Ok(EmbeddingWriter { hidden, options, path: path.to_path_buf(), skipped_path, order, sink })
}

/// Checks that [`create`] has a format for `path`, that the names it needs are free, unless `force` is set, and
/// that their directory is there; makes nothing.
///
/// # Errors
///
/// As [`create`], but for a directory that only turns out at the first write not to take files.
pub fn check(path: &Path, force: bool) -> Result<(), OutputError> {
    let format = Format::of(path)?;
    let [ids, skipped] = [path.with_extension("ids.txt"), path.with_extension("skipped.tsv")];
    let own_ids = (format == Format::Npy).then_some(&*ids);
    for file in [Some(path), own_ids, Some(&skipped)].into_iter().flatten() {
        check_free(file, force)?;
    }
    let directory = aside::directory_of(path);
    match directory.metadata() {
        Ok(_) => Ok(()),
        Err(source) => Err(OutputError::Directory { directory, source }),
    }
}

/// Removes the temporary files of every output that this process has begun and not finished, for a process that
/// is about to end without running destructors, such as one that was interrupted.
///
/// Afterwards no output can be begun or finished: whoever tries waits for ever. End the process.
pub fn abandon_all() {
    aside::abandon();
}

impl EmbeddingWriter {
    /// Takes the embedding, `[hidden]`, of one record; records may come in any order.
    ///
    /// # Errors
    ///
    /// When the embedding has another width, the record was delivered before or names an unknown input,
    /// or the file cannot be written.
    pub fn write(&mut self, row: impl Into<Row>, embedding: &[f32]) -> Result<(), OutputError> {
        let row = row.into();
        if embedding.len() != self.hidden {
            let (id, expected, given) = (row.id.to_string(), self.hidden, embedding.len());
            return Err(OutputError::Width { id, expected, given });
        }
        self.deliver(row.source, &row.id, Turn::Row(&row, embedding))
    }

    /// Takes a record that has no embedding, with the reason; records may come in any order.
    ///
    /// # Errors
    ///
    /// When the record was delivered before or names an unknown input, or the table cannot be written.
    pub fn skip(&mut self, skipped: &SkippedRecord) -> Result<(), OutputError> {
        self.deliver(skipped.source, &skipped.id, Turn::Skipped(skipped))
    }

    /// Gives the files their names, once each of the `records` records read has its row or its reason.
    ///
    /// # Errors
    ///
    /// When a record was never delivered, more were delivered than read, or a file cannot be written or
    /// renamed. Nothing then stands under the asked name; files that are whole are kept and named.
    pub fn finish(self, records: u64) -> Result<Written, OutputError> {
        self.order.finish(records)?;
        let Sink { table, skipped, mut written } = self.sink;
        let mut whole = table.finish()?;
        let mut stale = Vec::new();
        match skipped {
            Some(skipped) => whole.sides.push(skipped.finish()?),
            None => stale.push(self.skipped_path),
        }
        written.files = [&whole.main].into_iter().chain(&whole.sides).map(|f| f.target().into()).collect();
        (written.peak_waiting_memory, written.peak_waiting_disk) = self.order.peak_bytes();
        whole.publish(self.options.force, &stale)?;
        Ok(written)
    }

    /// The output as it was named.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn deliver(&mut self, source: u32, id: &str, turn: Turn<'_>) -> Result<(), OutputError> {
        let sources = &self.options.sources;
        if source as usize >= sources.len() {
            let (id, sources) = (id.to_owned(), sources.len());
            return Err(OutputError::UnknownSource { id, source_index: source, sources });
        }
        self.order.deliver(turn, |turn| match turn {
            Turn::Row(row, embedding) => self.sink.row(row, &sources[row.source as usize], embedding),
            Turn::Skipped(skipped) => {
                self.sink.skipped(skipped, &sources[skipped.source as usize], &self.skipped_path)
            }
        })
    }
}

impl Sink {
    fn row(&mut self, row: &Row, source: &str, embedding: &[f32]) -> Result<(), OutputError> {
        self.written.rows += 1;
        self.written.truncated += u64::from(row.truncated);
        self.table.write(row, source, embedding)
    }

    fn skipped(&mut self, skipped: &SkippedRecord, source: &str, path: &Path) -> Result<(), OutputError> {
        self.written.skipped += 1;
        let table = match &mut self.skipped {
            Some(table) => table,
            none => {
                let table = none.insert(TextTable::create(path)?);
                table.line(&["record", "source", "line", "id", "length", "reason"])?;
                table
            }
        };
        let [record, line, length] = [skipped.record, skipped.line, skipped.length].map(|n| n.to_string());
        table.line(&[&record, source, &line, &skipped.id, &length, skipped.reason.as_str()])
    }
}

impl Written {
    fn nothing() -> Written {
        let files = Vec::new();
        Written { rows: 0, skipped: 0, truncated: 0, files, peak_waiting_memory: 0, peak_waiting_disk: 0 }
    }
}

impl Format {
    const ALL: [(&str, Format); 2] = [("npy", Format::Npy), ("parquet", Format::Parquet)];

    /// The format that the ending of `path` asks for, in capitals too.
    fn of(path: &Path) -> Result<Format, OutputError> {
        if let Some(what) = special_name(path) {
            return Err(OutputError::NotAFile { path: path.to_path_buf(), what });
        }
        let ending = path.extension().map(|ending| ending.to_string_lossy().into_owned());
        let asked = ending.as_deref().unwrap_or_default();
        let known = Self::ALL.iter().find(|(name, _)| name.eq_ignore_ascii_case(asked));
        known.map(|(_, format)| *format).ok_or_else(|| {
            let supported = Self::ALL.map(|(name, _)| format!(".{name}")).join(", ");
            OutputError::UnknownFormat { path: path.to_path_buf(), ending, supported }
        })
    }
}

/// Refuses a name that is taken, unless `force`, and one that no rename can fill: a directory, a device.
pub(crate) fn check_free(path: &Path, force: bool) -> Result<(), OutputError> {
    let what = match path.metadata() {
        Ok(metadata) if metadata.is_dir() => Some("a directory"),
        Ok(metadata) if !metadata.is_file() => Some("a device or a pipe"),
        _ => special_name(path),
    };
    if let Some(what) = what {
        return Err(OutputError::NotAFile { path: path.to_path_buf(), what });
    }
    if force {
        return Ok(());
    }
    publish::absent(path).map_err(|source| match source.kind() {
        ErrorKind::AlreadyExists => OutputError::Exists { path: path.to_path_buf() },
        _ => OutputError::Directory { directory: aside::directory_of(path), source },
    })
}

/// What a name says of itself, whatever stands there: redirected, standard output passes for a file.
fn special_name(path: &Path) -> Option<&'static str> {
    let last = path.as_os_str().as_encoded_bytes().last();
    match last {
        _ if path == Path::new("-") => Some("standard output"),
        Some(&byte) if is_separator(byte.into()) => Some("the name of a directory"),
        _ if path.starts_with("/dev") || path.starts_with("/proc") => Some("in a file system of devices"),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
