//! Writes embeddings to a file: accepts records in any order, writes them in input order, leaves no
//! incomplete file.
//!
//! The extension of the name selects the format:
//!
//! | ending | the file | beside it |
//! | --- | --- | --- |
//! | `.npy` | `[n, hidden]`, C order, float32 or float16 | the table of records |
//! | `.parquet` | columns `id`, `source` (with several inputs), `length`, `truncated`, `unknown`, `gaps`, `embedding` | |
//! | `.arrows` | a stream of Arrow's IPC format with the columns of `.parquet` | |
//! | `.safetensors` | a tensor `embeddings`, `[n, hidden]` | the table of records |
//! | `.h5` | datasets `embeddings`, `[n, hidden]`, `ids`, `lengths`, `truncated`, `unknown`, `gaps`, `sources` and `source` (with several inputs) | |
//!
//! `OUT.run.json` (`emb.npy.run.json`) is a JSON object with the report of the run and, under `metadata`, the
//! facts that the file itself also holds if its format can ([`OutputOptions::metadata`]).
//!
//! The table of records is `OUT.records.tsv` (`emb.npy.records.tsv`): a header, then one line for each row of
//! the file. Its columns are `row` (from 0), `id`, `source` (with several inputs), `length` (of the complete
//! record), `truncated` (`True` if only its beginning was embedded), `unknown` (letters that the model does
//! not know) and `gaps` (`-` and `.`). The last two count embedded letters. Ids may repeat; `row` identifies
//! a record.
//!
//! `OUT.report.html` is a page about the rows, written if a run of `embed` is asked for it.
//!
//! The name `-` is standard output. An `.npy` is kept in an unnamed file in `TMPDIR` until the number of rows
//! is known. A stream of Arrow's IPC format is written in batches, each when it is full. virpack then writes
//! no table and no `run.json`.
//!
//! With a row for every residue ([`OutputOptions::residues`]) each record has a table `[residues, hidden]`: a
//! list of lists in `.parquet` and `.arrows`, a tensor in `.safetensors`, a group in `.h5` (`records/NUMBER`,
//! with a dataset `embeddings`). The name of a tensor or group is the record's row in the file, with twelve
//! digits (`000000000042`), which is its row in the table of records. Ids would not serve: they may repeat,
//! be very long and hold any letter, and the names in use would have to be remembered.
//!
//! `.safetensors` is divided into `STEM-00001-of-00003.safetensors` and so on beyond 5 GB, or when the tables
//! of some 10,000 records fill the megabyte of a header. The index is `STEM.safetensors.index.json`, as in
//! models on Hugging Face. A divided table has a tensor `embeddings.00001` in the first file, and so on.
//!
//! Records without an embedding are listed in `OUT.skipped.tsv`, which exists only if there is one. Its
//! columns are `record` (number over all inputs, from 0), `source`, `line` (of the header, from 1), `id`,
//! `length` and `reason`. In text tables a control character in a name is escaped (`\t`, `\n`, `\r`, `\x01`,
//! `\u2028`), and a cell with `"` is quoted, as in CSV, so that every reader sees one line for each row.
//!
//! Everything is written under temporary names (`.emb.npy.tmp-PID`) in the output's directory. Complete files
//! are renamed, the side files first. A symbolic link with the output's name is replaced, not followed.
//!
//! To add a format: a file in `output/` that implements `Table`, and its extension in [`OutputFormat`].

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Map;
use virpack_seq::{Shard, SkipReason, SkippedRecord};

use crate::files::{StagedFiles, cleanup};
use crate::options::setters;
pub use crate::row::Row;

pub(crate) mod about;
mod arrow;
mod complete;
mod destination;
mod entry;
mod error;
mod facts;
mod format;
mod h5;
mod names;
mod noted;
mod npy;
mod number_hash;
mod order;
mod page;
mod parquet;
pub(crate) mod parquet_columns;
mod part;
mod part_rows;
mod records;
mod row_store;
mod safetensors;
mod schema;
mod shard;
mod single;
mod text_file;
mod text_table;
mod values;

pub(crate) use complete::CompleteOutput;
#[doc(hidden)]
pub(crate) use destination::is_object;
pub use destination::is_stdout;
pub(crate) use entry::{Entry, encode};
pub(crate) use error::OutputProblem;
pub use error::{OutputError, OutputErrorKind};
pub(crate) use facts::ShardFacts;
pub use format::OutputFormat;
use names::beside;
pub(crate) use names::{check, check_all, check_apart_from_models, check_stdout_apart, names, report_path};
#[doc(hidden)]
pub use names::{check_apart, check_free};
pub(crate) use noted::{DuplicateFinder, count};
pub use noted::{Note, NotedRecords, RepeatedIds};
pub(crate) use order::{EarlierRows, Order, Turn};
use page::PageOfRows;
pub(crate) use part::PartWriter;
pub(crate) use part_rows::PartRows;
pub(crate) use shard::{
    ANY_MAGIC as ANY_SHARD_MAGIC, END as SHARD_END, MAGIC as SHARD_MAGIC, SUM as SHARD_SUM,
};
#[doc(hidden)]
pub use single::write_file;
pub(crate) use text_file::TextFile;
pub(crate) use text_table::{TextTable, cell};
pub use values::OutputDtype;

/// The options of an output.
///
/// ```
/// use virpack_core::output::{OutputDtype, OutputFormat, OutputOptions};
///
/// let options = OutputOptions::default().format(OutputFormat::H5).dtype(OutputDtype::F16).residues(true);
/// let options = options.sources(vec!["a.fa".into(), "b.fa".into()]);
/// let options = options.metadata(vec![("virpack.model".into(), "mine".into())]);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OutputOptions {
    pub(crate) force: bool,
    pub(crate) format: Option<OutputFormat>,
    pub(crate) dtype: OutputDtype,
    pub(crate) residues: bool,
    pub(crate) sources: Vec<String>,
    pub(crate) metadata: Vec<(String, String)>,
    /// The facts in a `.shard`, which select the records; `None`: all records, and another format.
    pub(crate) shard: Option<ShardFacts>,
    /// Whether to write a page about the rows.
    pub(crate) page: bool,
    pub(crate) reorder_bytes: usize,
    /// Most bytes of values in one `.safetensors` file, unless a single record has more.
    pub(crate) shard_bytes: u64,
}

impl Default for OutputOptions {
    /// One float32 row for each record, one input without a name, nothing replaced, 64 MiB of waiting
    /// embeddings, files of at most 5 GB.
    fn default() -> Self {
        OutputOptions {
            force: false,
            format: None,
            dtype: OutputDtype::F32,
            residues: false,
            sources: vec![String::new()],
            metadata: Vec::new(),
            shard: None,
            page: false,
            reorder_bytes: 64 << 20,
            shard_bytes: 5_000_000_000,
        }
    }
}

/// The summary of a finished output.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutputSummary {
    /// Records with an embedding.
    pub rows: u64,
    /// Records with a reason instead of an embedding.
    pub skipped: u64,
    /// The id of the first skipped record, and the reason.
    pub first_skipped: Option<(Arc<str>, SkipReason)>,
    /// Records of which only the beginning was embedded.
    pub truncated: NotedRecords,
    /// Records with letters that the model does not know, and the number of these letters.
    pub unknown: NotedRecords,
    /// Records with gap characters, and the number of these.
    pub gaps: NotedRecords,
    /// Ids that occur more than once.
    pub repeated: RepeatedIds,
    /// Every file written, the output itself first.
    pub files: Vec<PathBuf>,
    /// The most bytes of embeddings that waited in memory at once.
    pub peak_waiting_memory: u64,
    /// The most bytes of embeddings that waited on disk at once.
    pub peak_waiting_disk: u64,
}

/// What every format needs to know about the rows.
#[derive(Clone, Debug, Default)]
struct Layout {
    hidden: usize,
    dtype: OutputDtype,
    /// Whether a record has `[residues, hidden]` values instead of `[hidden]`.
    residues: bool,
    /// The inputs, if there are several: each row then names its own.
    sources: Vec<String>,
    /// Facts about the run.
    about: Vec<(String, String)>,
}

/// The writer of a format. It gets rows in input order.
trait RowWriter: Send {
    /// Writes a record; `values` is `[hidden]`, or `[residues, hidden]`, `source` the name of the record's
    /// input.
    fn write(&mut self, row: &Row, source: &str, values: &[f32]) -> Result<(), OutputError>;
    /// Writes a record without a row and returns true, if the format has a place for it.
    fn skip(&mut self, _: &SkippedRecord) -> Result<bool, OutputError> {
        Ok(false)
    }
    /// Completes the files on disk, after `records` records were read. They are not renamed yet. Returns
    /// `None` for standard output.
    fn finish(self: Box<Self>, records: u64) -> Result<Option<StagedFiles>, OutputError>;
}

/// Writes embeddings to a file; returned by [`create`].
///
/// Dropped without [`finish`](EmbeddingWriter::finish), it leaves nothing behind.
pub struct EmbeddingWriter {
    hidden: usize,
    options: OutputOptions,
    path: PathBuf,
    /// `None` for standard output, which has no side files.
    skipped_path: Option<PathBuf>,
    format: OutputFormat,
    order: Order,
    sink: Sink,
}

/// Receives results in input order.
struct Sink {
    table: Box<dyn RowWriter>,
    skipped: Option<TextTable>,
    ids: DuplicateFinder,
    page: Option<PageOfRows>,
    written: OutputSummary,
}

/// Opens an output of embeddings of width `hidden` (at least 1) under a temporary name.
///
/// Checks everything about the destination, so that a run fails before it loads a model.
///
/// # Errors
///
/// Returns an error if no format has the extension of `path`, if `path` is not a regular file, if it or a
/// side file exists without `options.force`, and if its directory is missing or not writable.
///
/// # Panics
///
/// Panics if `hidden` is 0.
///
/// # Examples
///
/// ```
/// use virpack_core::output::{self, OutputOptions, Row};
///
/// # let directory = tempfile::tempdir()?;
/// let path = directory.path().join("emb.npy");
/// let mut out = output::create(&path, 2, OutputOptions::default())?;
/// let row = |record, id: &str| Row { record, source: 0, id: id.into(), length: 9, truncated: false, unknown: 0, gaps: 0 };
/// out.write(row(1, "second"), &[3.0, 4.0])?; // any order
/// out.write(row(0, "first"), &[1.0, 2.0])?;
/// assert_eq!(out.finish(2)?.rows, 2);
/// let records = std::fs::read_to_string(directory.path().join("emb.npy.records.tsv"))?;
/// let expected = "row\tid\tlength\ttruncated\tunknown\tgaps\n0\tfirst\t9\tFalse\t0\t0\n1\tsecond\t9\tFalse\t0\t0\n";
/// assert_eq!(records, expected);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn create(path: &Path, hidden: usize, options: OutputOptions) -> Result<EmbeddingWriter, OutputError> {
    assert!(hidden > 0, "an embedding has at least one value");
    let format = check(path, &options, &[])?;
    let layout = Layout::new(hidden, &options);
    let table: Box<dyn RowWriter> = match format {
        OutputFormat::Npy => Box::new(npy::Npy::create(path, layout)?),
        OutputFormat::Parquet => Box::new(parquet::Parquet::create(path, layout)?),
        OutputFormat::Arrow => Box::new(arrow::Arrow::create(path, layout)?),
        OutputFormat::Safetensors => {
            Box::new(safetensors::Safetensors::create(path, layout, options.shard_bytes)?)
        }
        OutputFormat::H5 => Box::new(h5::H5::create(path, layout)?),
        OutputFormat::Shard => {
            let facts = options.shard.as_ref().ok_or_else(|| OutputProblem::NoShard(path.into()))?;
            Box::new(shard::ShardFile::create(path, hidden, &facts.to_json())?)
        }
    };
    let shard = options.shard.as_ref().map_or(Shard::ALL, |facts| facts.shard);
    let order = Order::new(hidden, options.reorder_bytes, path, shard);
    let sink = Sink {
        table,
        skipped: None,
        ids: DuplicateFinder::default(),
        page: options.page.then(|| PageOfRows::new(hidden)),
        written: OutputSummary::default(),
    };
    let skipped_path = (!is_stdout(path)).then(|| beside(path, "skipped.tsv"));
    let path = path.to_path_buf();
    Ok(EmbeddingWriter { hidden, options, path, skipped_path, format, order, sink })
}

/// Removes the temporary files of every output that this process has begun and not finished. It is for a
/// process that is about to end without running destructors, such as an interrupted one.
///
/// Afterwards no output can be begun or finished: a thread that tries waits forever. End the process.
#[doc(hidden)]
pub fn abandon_all() {
    cleanup::abandon();
}

impl EmbeddingWriter {
    /// Takes the embedding of one record: `[hidden]`, or `[residues, hidden]` with a row for every residue.
    /// Records may come in any order.
    ///
    /// # Errors
    ///
    /// Returns an error if the embedding has another width, if the record was delivered before or names an
    /// unknown input, if a value is too large for the file's type, or if the file cannot be written.
    pub fn write(&mut self, row: impl Into<Row>, embedding: &[f32]) -> Result<(), OutputError> {
        self.write_row(&row.into(), embedding)
    }

    /// [`EmbeddingWriter::write`] for a borrowed row.
    pub(crate) fn write_row(&mut self, row: &Row, embedding: &[f32]) -> Result<(), OutputError> {
        let fits = match self.options.residues {
            true => !embedding.is_empty() && embedding.len().is_multiple_of(self.hidden),
            false => embedding.len() == self.hidden,
        };
        if !fits {
            let (id, expected, given) = (row.id.to_string(), self.hidden, embedding.len());
            return Err(OutputProblem::Width { id, expected, given }.into());
        }
        self.deliver(row.source, &row.id, Turn::Row(row, embedding))
    }

    /// Takes a record without an embedding, and the reason. Records may come in any order.
    ///
    /// ```
    /// use virpack_core::output::{self, OutputOptions};
    /// use virpack_core::seq::{SkipReason, SkippedRecord};
    ///
    /// # let directory = tempfile::tempdir()?;
    /// let mut out = output::create(&directory.path().join("emb.npy"), 2, OutputOptions::default())?;
    /// let (id, reason) = ("short".into(), SkipReason::TooShort);
    /// out.skip(&SkippedRecord { record: 0, source: 0, line: 1, id, length: 3, reason })?;
    /// assert_eq!(out.finish(1)?.skipped, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if the record was delivered before or names an unknown input, or if the table cannot
    /// be written.
    pub fn skip(&mut self, skipped: &SkippedRecord) -> Result<(), OutputError> {
        self.deliver(skipped.source, &skipped.id, Turn::Skipped(skipped))
    }

    /// Renames the files into place, once each of the `records` records read has its row or its reason. The
    /// only facts in `OUT.run.json` are then those of [`OutputOptions::metadata`].
    ///
    /// # Errors
    ///
    /// Returns an error if a record was never delivered, if more were delivered than read, or if a file
    /// cannot be written or renamed.
    pub fn finish(self, records: u64) -> Result<OutputSummary, OutputError> {
        self.complete(records)?.publish(&Map::new())
    }

    /// Completes the files on disk, once each of the `records` records read has its row or its reason. They
    /// are not renamed yet.
    ///
    /// # Errors
    ///
    /// Returns an error if a record was never delivered, if more were delivered than read, or if a file
    /// cannot be written.
    pub(crate) fn complete(mut self, records: u64) -> Result<CompleteOutput, OutputError> {
        let sources = &self.options.sources;
        self.order.rest(|turn| self.sink.turn(turn, sources, self.skipped_path.as_deref()))?;
        self.order.finish(records)?;
        let Sink { table, skipped, ids, page, mut written } = self.sink;
        written.repeated = ids.repeated();
        let mut whole = table.finish(records)?;
        if let Some(whole) = &mut whole {
            whole.sides.extend(skipped.map(TextTable::finish).transpose()?.flatten());
            let files = [&whole.main].into_iter().chain(&whole.sides);
            written.files = files.map(|file| file.target().into()).collect();
        }
        (written.peak_waiting_memory, written.peak_waiting_disk) = self.order.peak_bytes();
        let EmbeddingWriter { path, format, options, .. } = self;
        Ok(CompleteOutput { whole, written, page, path, format, options })
    }

    fn deliver(&mut self, source: u32, id: &str, turn: Turn<'_>) -> Result<(), OutputError> {
        let sources = &self.options.sources;
        if source as usize >= sources.len() {
            let (id, sources) = (id.to_owned(), sources.len());
            return Err(OutputProblem::UnknownSource { id, source_index: source, sources }.into());
        }
        self.order.deliver(turn, |turn| self.sink.turn(turn, sources, self.skipped_path.as_deref()))
    }

    /// Takes the records of an earlier run in their turn. A record that is delivered too is ignored.
    pub(crate) fn go_on_from(&mut self, earlier: impl EarlierRows + 'static) {
        self.order.go_on_from(Box::new(earlier));
    }
}

impl OutputOptions {
    setters! {
        /// Replaces an existing output and its side files.
        force: bool,
        /// Sets the format; `None`: by the extension of the name.
        format: impl Into<Option<OutputFormat>>,
        /// Sets the type of the values.
        dtype: OutputDtype,
        /// Sets whether each record has a table of rows, `[residues, hidden]`, instead of one row.
        residues: bool,
        /// Names the inputs, in the order of [`Row::source`]. With two or more, the tables have a column for
        /// the input.
        sources: Vec<String>,
        /// Sets facts about the run, such as `("virpack.model", "esm2_t6_8M_UR50D")`; `virpack.version` is
        /// added.
        metadata: Vec<(String, String)>,
        /// Sets the most bytes of embeddings that wait in memory for an earlier record. More than that waits
        /// in a temporary file in the output's directory.
        reorder_bytes: usize,
    }

    /// Returns the facts that every file holds about its run.
    fn about(&self) -> Vec<(String, String)> {
        let version = ("virpack.version".to_owned(), env!("CARGO_PKG_VERSION").to_owned());
        [version].into_iter().chain(self.metadata.clone()).collect()
    }
}

impl Layout {
    fn new(hidden: usize, options: &OutputOptions) -> Layout {
        Layout {
            hidden,
            dtype: options.dtype,
            residues: options.residues,
            sources: if options.sources.len() > 1 { options.sources.clone() } else { Vec::new() },
            about: options.about(),
        }
    }
}

impl Sink {
    fn turn(
        &mut self,
        turn: Turn<'_>,
        sources: &[String],
        skipped: Option<&Path>,
    ) -> Result<(), OutputError> {
        match turn {
            Turn::Row(row, embedding) => self.row(row, &sources[row.source as usize], embedding),
            Turn::Skipped(record) => self.skipped(record, &sources[record.source as usize], skipped),
        }
    }

    fn row(&mut self, row: &Row, source: &str, values: &[f32]) -> Result<(), OutputError> {
        let OutputSummary { rows, truncated, unknown, gaps, .. } = &mut self.written;
        *rows += 1;
        truncated.add(row, Note::Truncated);
        unknown.add(row, Note::Unknown);
        gaps.add(row, Note::Gaps);
        self.ids.add(&row.id);
        if let Some(page) = &mut self.page {
            page.add(row, values);
        }
        self.table.write(row, source, values)
    }

    fn skipped(
        &mut self,
        skipped: &SkippedRecord,
        source: &str,
        path: Option<&Path>,
    ) -> Result<(), OutputError> {
        self.written.skipped += 1;
        let first = || (Arc::clone(&skipped.id), skipped.reason);
        self.written.first_skipped.get_or_insert_with(first);
        self.ids.add(&skipped.id);
        if self.table.skip(skipped)? {
            return Ok(());
        }
        let Some(path) = path else { return Ok(()) };
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

#[cfg(test)]
mod tests;
