//! Writes `.arrows`: a stream of Arrow's IPC format with the columns of `.parquet`, in record batches.
//!
//! Readers take the end of the bytes for the end of the stream, so a stream truncated between two batches
//! would look complete. Each batch is therefore followed at once by the first four bytes of the next message,
//! or of the end. A run that ends before its last row then leaves a stream that ends within a message, which
//! readers report.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, BooleanArray, FixedSizeListArray, Float16Array, Float32Array, Int64Array, ListArray,
    RecordBatch, StringArray,
};
use arrow_buffer::OffsetBuffer;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{ArrowError, Field, SchemaRef};
use half::f16;

use super::destination::Destination;
use super::{Layout, OutputDtype, OutputError, OutputProblem, Row, RowWriter, schema};
use crate::files::StagedFiles;

/// Bytes of float32 values in a batch; the last record may exceed it.
const BATCH: usize = 1 << 20;
/// The beginning of every message.
const MARKER: [u8; 4] = [0xff; 4];

/// The writer of a stream in batches of [`BATCH`] bytes.
pub(super) struct Arrow {
    out: Destination,
    /// Encodes a message, which is then taken out of it.
    encoder: StreamWriter<Vec<u8>>,
    schema: SchemaRef,
    layout: Layout,
    batch: Batch,
}

/// The columns of the batch being filled.
#[derive(Default)]
struct Batch {
    rows: Vec<Row>,
    sources: Vec<String>,
    /// Number of values of each record.
    counts: Vec<usize>,
    /// The values, if the type is float32.
    single: Vec<f32>,
    /// The values as bytes, if the type is float16.
    half: Vec<u8>,
}

impl Arrow {
    /// Opens the stream and writes its schema. With several sources, a column `source` names the input.
    pub(super) fn create(target: &Path, layout: Layout) -> Result<Arrow, OutputError> {
        let out = Destination::create(target)?;
        let schema = Arc::new(schema::of(&layout));
        let encoder = StreamWriter::try_new(Vec::new(), &schema).map_err(|error| encode(&out, error))?;
        let mut arrow = Arrow { out, encoder, schema, layout, batch: Batch::default() };
        arrow.write_message(0, &MARKER)?;
        Ok(arrow)
    }

    /// Writes the last encoded message without its first `written` bytes, together with the beginning of the
    /// next one.
    fn write_message(&mut self, written: usize, next: &[u8]) -> Result<(), OutputError> {
        let mut message = std::mem::take(self.encoder.get_mut());
        assert!(message.starts_with(&MARKER), "a message of version 5 begins with its marker");
        message.extend_from_slice(next);
        // The reader of a pipe gets every finished batch.
        let written = self.out.write_all(&message[written..]).and_then(|()| self.out.flush());
        written.map_err(|error| self.out.failed(error))
    }

    fn close_batch(&mut self) -> Result<(), OutputError> {
        if self.batch.rows.is_empty() {
            return Ok(());
        }
        let batch = std::mem::take(&mut self.batch);
        let columns = batch.columns(&self.layout);
        let batch = columns.and_then(|columns| RecordBatch::try_new(Arc::clone(&self.schema), columns));
        let encoded = batch.and_then(|batch| self.encoder.write(&batch));
        encoded.map_err(|error| encode(&self.out, error))?;
        self.write_message(MARKER.len(), &MARKER)
    }
}

impl RowWriter for Arrow {
    fn write(&mut self, row: &Row, source: &str, values: &[f32]) -> Result<(), OutputError> {
        let batch = &mut self.batch;
        batch.rows.push(row.clone());
        batch.counts.push(values.len());
        if !self.layout.sources.is_empty() {
            batch.sources.push(source.to_owned());
        }
        match self.layout.dtype {
            OutputDtype::F32 => batch.single.extend_from_slice(values),
            dtype => dtype.encode(row, values, &mut batch.half)?,
        }
        if batch.single.len() * size_of::<f32>() + 2 * batch.half.len() >= BATCH {
            self.close_batch()?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>, _: u64) -> Result<Option<StagedFiles>, OutputError> {
        self.close_batch()?;
        let finished = self.encoder.finish();
        finished.map_err(|error| encode(&self.out, error))?;
        self.write_message(MARKER.len(), &[])?;
        Ok(self.out.finish()?.map(|main| StagedFiles { main, sides: Vec::new() }))
    }
}

impl Batch {
    /// Returns one array for each column of the schema.
    fn columns(self, layout: &Layout) -> Result<Vec<ArrayRef>, ArrowError> {
        let Batch { rows, sources, counts, single, half } = self;
        let numbers = |of: fn(&Row) -> i64| -> ArrayRef {
            Arc::new(Int64Array::from(rows.iter().map(of).collect::<Vec<_>>()))
        };
        let values: ArrayRef = match layout.dtype {
            OutputDtype::F32 => Arc::new(Float32Array::from(single)),
            _ => {
                let halves = half.as_chunks().0.iter().map(|bytes| f16::from_le_bytes(*bytes));
                Arc::new(Float16Array::from(halves.collect::<Vec<_>>()))
            }
        };
        let lists = FixedSizeListArray::try_new(schema::float(layout), schema::width(layout), values, None)?;
        let embeddings: ArrayRef = if layout.residues {
            let field = Arc::new(Field::new("element", lists.data_type().clone(), false));
            let offsets = OffsetBuffer::from_lengths(counts.iter().map(|count| count / layout.hidden));
            Arc::new(ListArray::try_new(field, offsets, Arc::new(lists), None)?)
        } else {
            Arc::new(lists)
        };
        let mut columns: Vec<ArrayRef> =
            vec![Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &*row.id)))];
        if !layout.sources.is_empty() {
            columns.push(Arc::new(StringArray::from(sources)));
        }
        columns.push(numbers(|row| row.length.cast_signed()));
        columns.push(Arc::new(BooleanArray::from(rows.iter().map(|row| row.truncated).collect::<Vec<_>>())));
        columns.extend([numbers(|row| row.unknown.into()), numbers(|row| row.gaps.into()), embeddings]);
        Ok(columns)
    }
}

/// Converts an error of the encoder while `out` was being written.
fn encode(out: &Destination, error: ArrowError) -> OutputError {
    OutputProblem::Encode { path: out.name().to_path_buf(), source: Box::new(error) }.into()
}
