//! Writes `.safetensors`: one tensor `embeddings`, or a tensor for each record. The table of records is
//! beside it.
//!
//! When a file is full, another one follows. Several files get an index, as in models on Hugging Face.

mod index;
mod shard;

use std::path::{Path, PathBuf};

use self::index::index;
pub(super) use self::index::{older, shard_path};
use self::shard::Shard;
use super::records::RecordTable;
use super::{Layout, OutputDtype, OutputError, Row, RowWriter};
use crate::files::PendingFile;
use crate::files::StagedFiles;

/// The writer of the table or the tensors.
pub(super) struct Safetensors {
    target: PathBuf,
    records: RecordTable,
    layout: Layout,
    shard_bytes: u64,
    rows: u64,
    closed: Vec<ClosedShard>,
    open: Shard,
    bytes: Vec<u8>,
}

/// A complete file.
struct ClosedShard {
    pending: PendingFile,
    /// Bytes of its tensors.
    bytes: u64,
    /// The first row of the output after this file.
    end: u64,
}

impl Safetensors {
    /// Opens the first file and the table of records.
    pub(super) fn create(target: &Path, layout: Layout, shard_bytes: u64) -> Result<Self, OutputError> {
        let records = RecordTable::create(target, &layout)?;
        let open = Shard::create(target, &layout)?;
        let (target, closed, bytes) = (target.to_path_buf(), Vec::new(), Vec::new());
        Ok(Safetensors { target, records, layout, shard_bytes, rows: 0, closed, open, bytes })
    }

    /// Begins another file. It is named once the number of files is known.
    fn next_shard(&mut self) -> Result<(), OutputError> {
        let number = self.closed.len() + 2;
        let next = Shard::create(&shard_path(&self.target, number, number), &self.layout)?;
        let full = std::mem::replace(&mut self.open, next);
        let closed = close(full, &self.layout, &self.closed, self.rows, &part(self.closed.len()))?;
        self.closed.push(closed);
        Ok(())
    }
}

impl RowWriter for Safetensors {
    fn write(&mut self, row: &Row, source: &str, values: &[f32]) -> Result<(), OutputError> {
        self.records.add(row, source)?;
        self.bytes.clear();
        self.layout.dtype.encode(row, values, &mut self.bytes)?;
        let bytes = self.bytes.len() as u64;
        let is_too_much = self.open.bytes() > 0 && self.open.bytes() + bytes > self.shard_bytes;
        if is_too_much || self.open.is_full() {
            self.next_shard()?;
        }
        if self.layout.residues {
            let rows = (values.len() / self.layout.hidden) as u64;
            self.open.tensor(&name(self.rows), &self.layout, rows, bytes);
        }
        self.rows += 1;
        self.open.write(&self.bytes)
    }

    fn finish(self: Box<Self>, _: u64) -> Result<Option<StagedFiles>, OutputError> {
        let Safetensors { target, records, layout, rows, mut closed, open, .. } = *self;
        let records = records.finish()?;
        let last = if closed.is_empty() { "embeddings".to_owned() } else { part(closed.len()) };
        let last = close(open, &layout, &closed, rows, &last)?;
        if closed.is_empty() {
            return Ok(Some(StagedFiles { main: last.pending, sides: records.into_iter().collect() }));
        }
        closed.push(last);
        let shards = closed.len();
        for (i, closed) in closed.iter_mut().enumerate() {
            closed.pending.rename(shard_path(&target, i + 1, shards));
        }
        let main = index(&target, &layout, &closed)?;
        let sides = closed.into_iter().map(|closed| closed.pending).chain(records).collect();
        Ok(Some(StagedFiles { main, sides }))
    }
}

/// Completes a file whose rows end before `end`. `table` names its tensor if it is part of a table.
fn close(
    mut shard: Shard,
    layout: &Layout,
    before: &[ClosedShard],
    end: u64,
    table: &str,
) -> Result<ClosedShard, OutputError> {
    let bytes = shard.bytes();
    if !layout.residues {
        let first = before.last().map_or(0, |closed| closed.end);
        shard.tensor(table, layout, end - first, bytes);
    }
    Ok(ClosedShard { pending: shard.finish()?, bytes, end })
}

/// Returns the name of the tensor of a row.
fn name(row: u64) -> String {
    format!("{row:012}")
}

/// Returns the name of the tensor of a table's part; `shard` counts from 0.
fn part(shard: usize) -> String {
    format!("embeddings.{:05}", shard + 1)
}
