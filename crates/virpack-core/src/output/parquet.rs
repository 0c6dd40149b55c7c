//! Writes `.parquet`: a row for each record, compressed with zstd. The embedding is a fixed-size list of
//! floats, or a list of such lists with a row for every residue.
//!
//! It uses the column writers of the `parquet` crate. The Arrow layer above them would take three quarters
//! more time to build (dev/output.md) and has little to do here, because inner lists have one length and
//! nothing is null. The metadata hold the Arrow types for readers (`schema.rs`).

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, FixedLenByteArrayType, FloatType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::ColumnPath;

use super::parquet_columns::{failed, required, too_few_columns};
use super::{Layout, OutputDtype, OutputError, Row, RowWriter, schema};
use crate::files::PendingFile;
use crate::files::StagedFiles;

/// Bytes of embeddings in a row group as uncompressed float32. The writer holds these in memory, and one
/// record more.
const ROW_GROUP: usize = 16 << 20;
/// Values passed to the encoder at once, unless a record has more. A page ends after the first batch beyond 1
/// MiB.
const BATCH: usize = 1 << 15;

/// The writer of a `.parquet` file, in row groups of [`ROW_GROUP`] bytes.
pub(super) struct Parquet {
    pending: PendingFile,
    out: SerializedFileWriter<File>,
    layout: Layout,
    group: UnwrittenGroup,
    levels: Levels,
}

/// The columns of the row group being filled.
#[derive(Default)]
struct UnwrittenGroup {
    rows: Vec<Row>,
    source: Vec<ByteArray>,
    /// Number of values of each row.
    counts: Vec<usize>,
    /// The values, if the file's type is float32.
    single: Vec<f32>,
    /// The values, if it is float16.
    half: Vec<u8>,
}

/// For each value of a batch: the lists that it begins, and how many of the lists around it exist.
#[derive(Default)]
struct Levels {
    repetition: Vec<i16>,
    definition: Vec<i16>,
}

impl Parquet {
    /// Opens the file. With several sources, a column `source` names the input.
    pub(super) fn create(target: &Path, layout: Layout) -> Result<Parquet, OutputError> {
        let (pending, file) = PendingFile::create(target)?;
        let schema = parse_message_type(&message_type(&layout)).map_err(failed(target))?;
        let properties = Arc::new(properties(&layout).map_err(failed(target))?);
        let out = SerializedFileWriter::new(file, Arc::new(schema), properties).map_err(failed(target))?;
        Ok(Parquet { pending, out, layout, group: UnwrittenGroup::default(), levels: Levels::default() })
    }

    fn close_group(&mut self) -> Result<(), OutputError> {
        if self.group.rows.is_empty() {
            return Ok(());
        }
        self.encode_group().map_err(failed(self.pending.target()))?;
        self.group.clear();
        Ok(())
    }

    fn encode_group(&mut self) -> Result<(), ParquetError> {
        let UnwrittenGroup { rows, source, counts, single, half } = &mut self.group;
        let mut out = self.out.next_row_group()?;
        let ids: Vec<_> = rows.iter().map(|row| ByteArray::from(&*row.id)).collect();
        required::<ByteArrayType>(&mut out, &ids)?;
        if !self.layout.sources.is_empty() {
            required::<ByteArrayType>(&mut out, source)?;
        }
        let lengths: Vec<_> = rows.iter().map(|row| row.length.cast_signed()).collect();
        required::<Int64Type>(&mut out, &lengths)?;
        let truncated: Vec<_> = rows.iter().map(|row| row.truncated).collect();
        required::<BoolType>(&mut out, &truncated)?;
        let counts_of = |of: fn(&Row) -> u32| rows.iter().map(|row| i64::from(of(row))).collect::<Vec<_>>();
        required::<Int64Type>(&mut out, &counts_of(|row| row.unknown))?;
        required::<Int64Type>(&mut out, &counts_of(|row| row.gaps))?;
        let mut lists = out.next_column()?.ok_or_else(too_few_columns)?;
        let half = Bytes::from(std::mem::take(half));
        let (mut rows, mut values) = (0, 0);
        while rows < counts.len() {
            rows += self.levels.of_batch(&self.layout, &counts[rows..]);
            let batch = values..values + self.levels.repetition.len();
            values = batch.end;
            let (definition, repetition) = (Some(&*self.levels.definition), Some(&*self.levels.repetition));
            if self.layout.dtype == OutputDtype::F32 {
                lists.typed::<FloatType>().write_batch(&single[batch], definition, repetition)?;
            } else {
                let batch: Vec<_> =
                    batch.map(|i| ByteArray::from(half.slice(2 * i..2 * i + 2)).into()).collect();
                lists.typed::<FixedLenByteArrayType>().write_batch(&batch, definition, repetition)?;
            }
        }
        lists.close()?;
        out.close().map(|_| ())
    }
}

impl RowWriter for Parquet {
    fn write(&mut self, row: &Row, source: &str, values: &[f32]) -> Result<(), OutputError> {
        let group = &mut self.group;
        group.rows.push(row.clone());
        group.counts.push(values.len());
        if !self.layout.sources.is_empty() {
            group.source.push(ByteArray::from(source));
        }
        match self.layout.dtype {
            OutputDtype::F32 => group.single.extend_from_slice(values),
            dtype => dtype.encode(row, values, &mut group.half)?,
        }
        if group.single.len() * size_of::<f32>() + group.half.len() >= ROW_GROUP {
            self.close_group()?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>, _: u64) -> Result<Option<StagedFiles>, OutputError> {
        self.close_group()?;
        let Parquet { pending, out, .. } = *self;
        let file = out.into_inner().map_err(failed(pending.target()))?;
        file.sync_all().map_err(OutputError::write(pending.target()))?;
        Ok(Some(StagedFiles { main: pending, sides: Vec::new() }))
    }
}

impl UnwrittenGroup {
    /// Empties the columns and keeps their memory.
    fn clear(&mut self) {
        self.rows.clear();
        self.source.clear();
        self.counts.clear();
        self.single.clear();
        self.half.clear();
    }
}

impl Levels {
    /// Fills in the levels of as many complete records as make [`BATCH`] values, at least one. Returns how
    /// many records.
    fn of_batch(&mut self, layout: &Layout, counts: &[usize]) -> usize {
        self.repetition.clear();
        // No list is empty and nothing is null: all levels of lists exist, and the value.
        let depth = if layout.residues { 2 } else { 1 };
        let mut records = 0;
        for &count in counts {
            if records > 0 && self.repetition.len() + count > BATCH {
                break;
            }
            let begins = self.repetition.len();
            self.repetition.extend((0..count).map(|i| if i % layout.hidden == 0 { 1 } else { depth }));
            self.repetition[begins] = 0;
            records += 1;
        }
        self.definition.resize(self.repetition.len(), depth + 1);
        records
    }
}

/// Returns the schema in Parquet's terms. Counts are signed numbers, because many readers know no others.
fn message_type(layout: &Layout) -> String {
    let source = if !layout.sources.is_empty() { "REQUIRED BYTE_ARRAY source (UTF8);" } else { "" };
    let value = match layout.dtype {
        OutputDtype::F32 => "OPTIONAL FLOAT element;",
        _ => "OPTIONAL FIXED_LEN_BYTE_ARRAY (2) element (FLOAT16);",
    };
    let row = format!("{{ REPEATED group list {{ {value} }} }}");
    let embedding = match layout.residues {
        true => format!("{{ REPEATED group list {{ REQUIRED group element (LIST) {row} }} }}"),
        false => row,
    };
    format!(
        "message schema {{
            REQUIRED BYTE_ARRAY id (UTF8);
            {source}
            REQUIRED INT64 length;
            REQUIRED BOOLEAN truncated;
            REQUIRED INT64 unknown;
            REQUIRED INT64 gaps;
            REQUIRED group embedding (LIST) {embedding}
        }}"
    )
}

fn properties(layout: &Layout) -> Result<WriterProperties, ParquetError> {
    let depth = if layout.residues { 2 } else { 1 };
    let lists = (0..depth).flat_map(|_| ["list", "element"]);
    let path: Vec<_> = ["embedding"].into_iter().chain(lists).map(String::from).collect();
    let embedding = ColumnPath::from(path);
    let schema = schema::for_parquet(layout).map_err(|error| ParquetError::External(Box::new(error)))?;
    let schema = (schema::KEY.to_owned(), schema);
    let pairs = [&schema].into_iter().chain(&layout.about);
    let pairs = pairs.map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
    let properties = WriterProperties::builder()
        .set_key_value_metadata(Some(pairs.collect()))
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_column_dictionary_enabled(ColumnPath::from("id"), false)
        .set_column_dictionary_enabled(embedding.clone(), false)
        // Floats of one magnitude share their upper bytes. Split by byte, they compress better.
        .set_column_encoding(embedding.clone(), Encoding::BYTE_STREAM_SPLIT)
        .set_column_statistics_enabled(embedding, EnabledStatistics::None)
        // The page index would grow with the file, in memory, until the end.
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .set_write_batch_size(BATCH)
        .build();
    Ok(properties)
}
