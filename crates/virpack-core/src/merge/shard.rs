//! Reads a shard.

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read, Seek, Take};
use std::path::{Path, PathBuf};

use sha2::Digest;

use super::MergeProblem;
use crate::files::HashingReader;
use crate::output::{
    ANY_SHARD_MAGIC, Entry, SHARD_END as END, SHARD_MAGIC as MAGIC, SHARD_SUM as SUM, ShardFacts,
};
use virpack_model::guarded;

const BUFFER: usize = 1 << 20;
/// The most bytes of facts: thousands of inputs fit.
const FACTS: u64 = 64 << 20;

/// A shard that is read from front to back.
pub(super) struct OpenShard {
    pub(super) path: PathBuf,
    pub(super) facts: ShardFacts,
    /// The file without the hash at its end.
    file: BufReader<HashingReader<Take<File>>>,
    /// Bytes of the remaining entries.
    left: u64,
}

impl OpenShard {
    /// Opens a shard and reads its facts.
    pub(super) fn open(path: &Path) -> Result<OpenShard, MergeProblem> {
        let read = |source| MergeProblem::Read { path: path.to_path_buf(), source };
        let damaged = || MergeProblem::Damaged { path: path.to_path_buf(), what: "it is cut short" };
        let mut file = guarded::open_linked(path).map_err(read)?;
        let mut start = [0; MAGIC.len() + 8];
        let is_whole = file.read_exact(&mut start).is_ok();
        if is_whole && start.starts_with(ANY_SHARD_MAGIC) && !start.starts_with(MAGIC) {
            return Err(MergeProblem::Version { path: path.to_path_buf() });
        }
        if !is_whole || !start.starts_with(MAGIC) {
            return Err(MergeProblem::NoShard { path: path.to_path_buf() });
        }
        let whole = file.metadata().map_err(read)?.len();
        file.rewind().map_err(read)?;
        let (_, length) = start.split_last_chunk().expect("the last eight bytes are a number");
        let length = u64::from_le_bytes(*length);
        let left = whole.checked_sub(END + start.len() as u64).and_then(|left| left.checked_sub(length));
        let left = left.filter(|_| length <= FACTS).ok_or_else(damaged)?;
        let summed = HashingReader::new(file.take(whole - SUM));
        let mut file = BufReader::with_capacity(BUFFER, summed);
        let mut facts = vec![0; start.len() + length as usize];
        file.read_exact(&mut facts).map_err(read)?;
        let facts = ShardFacts::of_json(&facts[start.len()..]).ok_or_else(damaged)?;
        Ok(OpenShard { path: path.to_path_buf(), facts, file, left })
    }

    /// Returns the entry of `record`, which is next; None at the end.
    pub(super) fn next(&mut self, record: u64) -> Result<Option<Entry>, MergeProblem> {
        let mut entries = (&mut self.file).take(self.left);
        let entry = Entry::read(&mut entries, self.facts.hidden);
        self.left = entries.limit();
        match entry {
            Ok(entry) if entry.as_ref().is_none_or(|entry| self.fits(entry, record)) => Ok(entry),
            Ok(_) => Err(self.damaged("an entry is not what stands in its place")),
            Err(error) if error.kind() == ErrorKind::Other => {
                Err(MergeProblem::Read { path: self.path.clone(), source: error })
            }
            Err(_) => Err(self.damaged("an entry is no entry")),
        }
    }

    /// Checks that the shard has ended, that the complete input has `records` records, and that the shard
    /// has not been changed.
    pub(super) fn finish(&mut self, records: u64) -> Result<(), MergeProblem> {
        let read = |source| MergeProblem::Read { path: self.path.clone(), source };
        if self.left > 0 {
            return Err(MergeProblem::Longer { path: self.path.clone(), records });
        }
        let (mut total, mut sum) = ([0; 8], [0; SUM as usize]);
        self.file.read_exact(&mut total).map_err(read)?;
        let summed = self.file.get_mut();
        let found = summed.sum.clone().finalize();
        summed.from.get_mut().read_exact(&mut sum).map_err(read)?;
        if found[..] != sum {
            return Err(self.damaged("its checksum is not the one it was written with"));
        }
        match u64::from_le_bytes(total) {
            total if total == records => Ok(()),
            total => Err(MergeProblem::Records { path: self.path.clone(), total, records }),
        }
    }

    /// Returns whether an entry can be that of `record`.
    fn fits(&self, entry: &Entry, record: u64) -> bool {
        let ShardFacts { hidden, residues, ref sources, .. } = self.facts;
        let (source, has_its_rows) = match entry {
            Entry::Row(row, values) if residues => (row.source, !values.is_empty()),
            Entry::Row(row, values) => (row.source, values.len() == hidden),
            Entry::Skipped(skipped) => (skipped.source, true),
        };
        entry.record() == record && has_its_rows && (source as usize) < sources.len()
    }

    fn damaged(&self, what: &'static str) -> MergeProblem {
        MergeProblem::Damaged { path: self.path.clone(), what }
    }
}
