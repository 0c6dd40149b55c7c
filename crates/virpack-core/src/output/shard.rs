//! Writes `.shard`: one machine's share of a run's rows, as the model's float32, for `virpack merge`.
//!
//! | bytes | what |
//! | --- | --- |
//! | 16 | `virpack shard 2` and a line end |
//! | 8 | bytes of the facts |
//! | … | the facts as JSON: what shapes the rows, which shard it is, what stands in the output |
//! | … | an entry a record of the shard (`output/entry.rs`), those without a row too, in input order |
//! | 8 | records of the whole input |
//! | 32 | SHA-256 of all before it |
//!
//! Entries need no index: a shard is written and read from beginning to end.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use sha2::{Digest, Sha256};
use virpack_seq::SkippedRecord;

use super::entry::encode;
use super::{OutputError, Row, RowWriter, Turn};
use crate::files::PendingFile;
use crate::files::StagedFiles;

/// The beginning of a shard.
pub(crate) const MAGIC: &[u8; 16] = b"virpack shard 2\n";
/// The beginning of a shard of any version.
pub(crate) const ANY_MAGIC: &[u8] = b"virpack shard ";
/// Bytes of the number of records and the hash at the end.
pub(crate) const END: u64 = 8 + SUM;
/// Bytes of the hash.
pub(crate) const SUM: u64 = 32;
const BUFFER: usize = 1 << 20;

/// The writer of a shard.
pub(super) struct ShardFile {
    pending: PendingFile,
    out: BufWriter<File>,
    sum: Sha256,
    hidden: usize,
    bytes: Vec<u8>,
}

impl ShardFile {
    /// Opens the file; `facts` is JSON.
    pub(super) fn create(target: &Path, hidden: usize, facts: &str) -> Result<ShardFile, OutputError> {
        let (pending, file) = PendingFile::create(target)?;
        let (out, sum) = (BufWriter::with_capacity(BUFFER, file), Sha256::new());
        let mut shard = ShardFile { pending, out, sum, hidden, bytes: Vec::new() };
        shard.bytes.extend_from_slice(MAGIC);
        shard.bytes.extend((facts.len() as u64).to_le_bytes());
        shard.bytes.extend_from_slice(facts.as_bytes());
        shard.write_bytes()?;
        Ok(shard)
    }

    fn entry(&mut self, turn: &Turn<'_>) -> Result<(), OutputError> {
        encode(turn, self.hidden, &mut self.bytes);
        self.write_bytes()
    }

    /// Writes and hashes what is in `bytes`.
    fn write_bytes(&mut self) -> Result<(), OutputError> {
        self.sum.update(&self.bytes);
        let written = self.out.write_all(&self.bytes);
        self.bytes.clear();
        written.map_err(OutputError::write(self.pending.target()))
    }
}

impl RowWriter for ShardFile {
    fn write(&mut self, row: &Row, _: &str, values: &[f32]) -> Result<(), OutputError> {
        self.entry(&Turn::Row(row, values))
    }

    fn skip(&mut self, skipped: &SkippedRecord) -> Result<bool, OutputError> {
        self.entry(&Turn::Skipped(skipped)).map(|()| true)
    }

    fn finish(mut self: Box<Self>, records: u64) -> Result<Option<StagedFiles>, OutputError> {
        self.bytes.extend(records.to_le_bytes());
        self.write_bytes()?;
        let ShardFile { pending, mut out, sum, .. } = *self;
        let failed = OutputError::write(pending.target());
        let written = out.write_all(&sum.finalize()).and_then(|()| out.flush());
        written.and_then(|()| out.get_ref().sync_all()).map_err(failed)?;
        Ok(Some(StagedFiles { main: pending, sides: Vec::new() }))
    }
}
