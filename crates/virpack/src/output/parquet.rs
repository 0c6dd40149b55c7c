//! `.parquet`: a row a record, zstd, the embedding as a fixed-size list of float32.
//!
//! Written with the column writers of the `parquet` crate: the Arrow layer above them add three
//! quarters to the time its dependencies take to build (dev/output.md) and has nothing to do here, where
//! every list has one length and nothing is null.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, FloatType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::ColumnPath;

use super::arrow_schema::{self, ArrowType};
use super::aside::Aside;
use super::publish::Whole;
use super::{OutputError, Row, Table};

/// Bytes of embeddings in a row group, uncompressed: what the writer holds in memory.
const ROW_GROUP: usize = 16 << 20;
/// Values handed to the encoder at a time; a page closes at the first end of one beyond 1 MiB.
const BATCH: usize = 1 << 15;
/// Definition level of an element that is there: the list is (1), its element is (2).
const PRESENT: i16 = 2;

/// A `.parquet` file, being written: `hidden` values a row, row groups of [`ROW_GROUP`] bytes.
pub(super) struct Parquet {
    aside: Aside,
    out: SerializedFileWriter<File>,
    several_sources: bool,
    rows_per_group: usize,
    group: Group,
    definition: Vec<i16>,
    repetition: Vec<i16>,
}

/// The columns of the row group that is being filled.
#[derive(Default)]
struct Group {
    id: Vec<ByteArray>,
    length: Vec<i64>,
    truncated: Vec<bool>,
    source: Vec<ByteArray>,
    /// `[rows, hidden]`.
    embedding: Vec<f32>,
}

impl Parquet {
    /// Opens the file; with `several_sources` a column `source` names the input.
    pub(super) fn create(
        target: &Path,
        hidden: usize,
        several_sources: bool,
        metadata: &[(String, String)],
    ) -> Result<Parquet, OutputError> {
        let (aside, file) = Aside::create(target)?;
        let schema = parse_message_type(&message_type(several_sources)).map_err(failed(target))?;
        let properties = Arc::new(properties(hidden, several_sources, metadata));
        let out = SerializedFileWriter::new(file, Arc::new(schema), properties).map_err(failed(target))?;
        let rows_per_group = (ROW_GROUP / (hidden * size_of::<f32>())).max(1);
        let rows_per_batch = (BATCH / hidden).max(1);
        // Every list is full, so the levels of every batch are the same: level 0 begins a row.
        let repetition = (0..rows_per_batch * hidden).map(|i| i16::from(i % hidden != 0)).collect();
        let definition = vec![PRESENT; rows_per_batch * hidden];
        let group = Group::default();
        Ok(Parquet { aside, out, several_sources, rows_per_group, group, definition, repetition })
    }

    fn close_group(&mut self) -> Result<(), OutputError> {
        if self.group.id.is_empty() {
            return Ok(());
        }
        self.encode_group().map_err(failed(self.aside.target()))?;
        self.group.clear();
        Ok(())
    }

    fn encode_group(&mut self) -> Result<(), ParquetError> {
        let mut out = self.out.next_row_group()?;
        column::<ByteArrayType>(&mut out, &self.group.id)?;
        if self.several_sources {
            column::<ByteArrayType>(&mut out, &self.group.source)?;
        }
        column::<Int64Type>(&mut out, &self.group.length)?;
        column::<BoolType>(&mut out, &self.group.truncated)?;
        let mut lists = out.next_column()?.ok_or_else(too_few_columns)?;
        for values in self.group.embedding.chunks(self.definition.len()) {
            let levels = (&self.definition[..values.len()], &self.repetition[..values.len()]);
            lists.typed::<FloatType>().write_batch(values, Some(levels.0), Some(levels.1))?;
        }
        lists.close()?;
        out.close().map(|_| ())
    }
}

impl Table for Parquet {
    fn write(&mut self, row: &Row, source: &str, embedding: &[f32]) -> Result<(), OutputError> {
        let group = &mut self.group;
        group.id.push(ByteArray::from(&*row.id));
        group.length.push(i64::try_from(row.length).expect("no record has 2^63 residues"));
        group.truncated.push(row.truncated);
        if self.several_sources {
            group.source.push(ByteArray::from(source));
        }
        group.embedding.extend_from_slice(embedding);
        if group.id.len() == self.rows_per_group {
            self.close_group()?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<Whole, OutputError> {
        self.close_group()?;
        let Parquet { aside, out, .. } = *self;
        let file = out.into_inner().map_err(failed(aside.target()))?;
        file.sync_all().map_err(OutputError::write(aside.target()))?;
        Ok(Whole { main: aside, sides: Vec::new() })
    }
}

impl Group {
    /// Empties the columns and keeps their room.
    fn clear(&mut self) {
        self.id.clear();
        self.length.clear();
        self.truncated.clear();
        self.source.clear();
        self.embedding.clear();
    }
}

/// Writes a column without lists.
fn column<T: DataType>(
    out: &mut SerializedRowGroupWriter<'_, File>,
    values: &[T::T],
) -> Result<(), ParquetError> {
    let mut column = out.next_column()?.ok_or_else(too_few_columns)?;
    column.typed::<T>().write_batch(values, None, None)?;
    column.close()
}

fn too_few_columns() -> ParquetError {
    ParquetError::General("the schema has fewer columns than the writer".to_owned())
}

/// The schema as Parquet knows it. `length` is a signed number because many readers know no other.
fn message_type(several_sources: bool) -> String {
    let source = if several_sources { "REQUIRED BYTE_ARRAY source (UTF8);" } else { "" };
    format!(
        "message schema {{
            REQUIRED BYTE_ARRAY id (UTF8);
            {source}
            REQUIRED INT64 length;
            REQUIRED BOOLEAN truncated;
            REQUIRED group embedding (LIST) {{ REPEATED group list {{ OPTIONAL FLOAT element; }} }}
        }}"
    )
}

fn properties(hidden: usize, several_sources: bool, metadata: &[(String, String)]) -> WriterProperties {
    let hidden = i32::try_from(hidden).expect("a model is narrower than 2^31");
    let mut columns = vec![
        ("id", ArrowType::Utf8),
        ("source", ArrowType::Utf8),
        ("length", ArrowType::Int64),
        ("truncated", ArrowType::Bool),
        ("embedding", ArrowType::Float32List(hidden)),
    ];
    columns.retain(|(name, _)| several_sources || *name != "source");
    let version = ("virpack.version", env!("CARGO_PKG_VERSION"));
    let given = metadata.iter().map(|(key, value)| (&**key, &**value));
    let about: Vec<(&str, &str)> = [version].into_iter().chain(given).collect();
    let schema = arrow_schema::encode(&columns, &about);
    let pairs = [(arrow_schema::KEY, &*schema)].into_iter().chain(about);
    let pairs = pairs.map(|(key, value)| KeyValue::new(key.to_owned(), value.to_owned()));

    let embedding = ColumnPath::from(["embedding", "list", "element"].map(String::from).to_vec());
    WriterProperties::builder()
        .set_key_value_metadata(Some(pairs.collect()))
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_column_dictionary_enabled(ColumnPath::from("id"), false)
        .set_column_dictionary_enabled(embedding.clone(), false)
        // Floats of one magnitude share their upper bytes: split by byte, zstd finds them.
        .set_column_encoding(embedding.clone(), Encoding::BYTE_STREAM_SPLIT)
        .set_column_statistics_enabled(embedding, EnabledStatistics::None)
        // The page index would grow with the file, in memory, until the end.
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .set_write_batch_size(BATCH)
        .build()
}

/// Wraps what the encoder said while `path` was being written; what the system said stays what it is.
fn failed(path: &Path) -> impl Fn(ParquetError) -> OutputError {
    let path = path.to_path_buf();
    move |error| {
        let path = path.clone();
        match error {
            ParquetError::External(source) => match source.downcast::<std::io::Error>() {
                Ok(source) => OutputError::Write { path, source: *source },
                Err(source) => OutputError::Encode { path, source },
            },
            other => OutputError::Encode { path, source: Box::new(other) },
        }
    }
}
