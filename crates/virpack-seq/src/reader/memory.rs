//! Records that are in memory, read as those of a file are.

use super::ReadProgress;
use super::blocks::{BLOCK_SIZE, Block, Content};
use crate::record::Record;

/// Records in memory, cut into blocks as a file is.
pub(super) struct MemoryBlocks {
    records: Box<dyn Iterator<Item = Record> + Send>,
    /// The number of the next record, from 1.
    number: u64,
}

impl MemoryBlocks {
    pub(super) fn new(records: impl Iterator<Item = Record> + Send + 'static) -> Self {
        MemoryBlocks { records: Box::new(records), number: 1 }
    }

    /// Returns the next block; `None` at the end.
    pub(super) fn next(&mut self, progress: &ReadProgress) -> Option<Block> {
        let (mut records, mut bytes) = (Vec::new(), 0);
        while bytes < BLOCK_SIZE
            && let Some(record) = self.records.next()
        {
            // An empty record takes memory too.
            bytes += size_of::<Record>() + record.id.len() + record.sequence.len();
            progress.add_bytes((record.id.len() + record.sequence.len()) as u64);
            records.push(record);
        }
        let line = self.number;
        self.number += records.len() as u64;
        (!records.is_empty()).then_some(Block {
            content: Content::Records(records),
            source: 0,
            line,
            offset: 0,
        })
    }
}

/// The records of a block, one by one.
pub(super) struct MemoryReader {
    records: std::vec::IntoIter<Record>,
    /// The number of the next record, from 1.
    number: u64,
}

impl MemoryReader {
    pub(super) fn new(records: Vec<Record>, number: u64) -> Self {
        MemoryReader { records: records.into_iter(), number }
    }

    /// Puts the next record's header and place into `record` and gives its letters; `None` at the end of the
    /// block.
    pub(super) fn read(&mut self, record: &mut Record) -> Option<Vec<u8>> {
        let Record { id, description, sequence, .. } = self.records.next()?;
        (record.id, record.description, record.line) = (id, description, self.number);
        self.number += 1;
        Some(sequence)
    }
}
