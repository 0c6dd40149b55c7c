//! Tokenized sequences that one thread passes to another.

use crate::batch::SequenceIndex;
use crate::record::SkippedRecord;

/// Tokenized sequences end to end, with their origins. One allocation holds many records, because to pass
/// them on one by one would take longer than to tokenize them.
#[derive(Clone, Debug, Default)]
pub struct TokenSlab {
    tokens: Vec<u16>,
    ends: Vec<usize>,
    index: Vec<SequenceIndex>,
    /// Records without tokens.
    pub skipped: Vec<SkippedRecord>,
    /// Sums over the records of this slab.
    pub counts: LengthCounts,
    /// Tokens of a record before the record is cut into windows.
    pub(crate) scratch: Vec<u16>,
}

/// How the length policy treated the records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LengthCounts {
    /// Records seen.
    pub records: u64,
    /// Records truncated to the maximum length.
    pub truncated: u64,
    /// Records cut into windows.
    pub windowed: u64,
    /// Windows of these records.
    pub windows: u64,
    /// Records left out because they are too long.
    pub too_long: u64,
    /// Records left out because they are too short.
    pub too_short: u64,
    /// Records left out because they hold no letter.
    pub empty: u64,
    /// Letters outside the alphabet in what is packed. Letters in the overlap of windows count once.
    pub unknown: u64,
    /// Gap characters (`-`, `.`), counted in the same way.
    pub gaps: u64,
}

impl std::ops::AddAssign for LengthCounts {
    fn add_assign(&mut self, other: Self) {
        let LengthCounts { records, truncated, windowed, windows, too_long, too_short, empty, unknown, gaps } =
            other;
        self.records += records;
        self.truncated += truncated;
        self.windowed += windowed;
        self.windows += windows;
        self.too_long += too_long;
        self.too_short += too_short;
        self.empty += empty;
        self.unknown += unknown;
        self.gaps += gaps;
    }
}

impl TokenSlab {
    /// Returns the number of sequences in the slab.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Returns whether the slab is empty.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Returns the tokens in the slab, special tokens included.
    pub fn total_tokens(&self) -> usize {
        self.tokens.len()
    }

    /// Returns the buffer to which the tokens of a sequence are appended, before [`TokenSlab::close`].
    pub(crate) fn tokens(&mut self) -> &mut Vec<u16> {
        &mut self.tokens
    }

    /// Ends a sequence, which consists of the tokens appended since the last one.
    pub(crate) fn close(&mut self, index: SequenceIndex) {
        // All windows of a record carry the same counts.
        if index.window.number == 0 {
            self.counts.unknown += u64::from(index.unknown);
            self.counts.gaps += u64::from(index.gaps);
        }
        self.ends.push(self.tokens.len());
        self.index.push(index);
    }

    /// Returns the origins of the sequences, in order.
    pub(crate) fn index_mut(&mut self) -> &mut [SequenceIndex] {
        &mut self.index
    }

    /// Drains the sequences, in order: tokens, special tokens included, and their origins.
    pub fn drain(&mut self) -> impl Iterator<Item = (&[u16], SequenceIndex)> {
        let mut start = 0;
        let tokens = &self.tokens[..];
        self.ends.drain(..).zip(self.index.drain(..)).map(move |(end, index)| {
            let sequence = &tokens[start..end];
            start = end;
            (sequence, index)
        })
    }

    /// Adds `by` to the places of all records over all inputs, wrapping.
    pub(crate) fn move_records(&mut self, by: u64) {
        if by == 0 {
            return;
        }
        let numbers = self.index.iter_mut().map(|index| &mut index.number);
        let records = self.skipped.iter_mut().map(|skipped| &mut skipped.record);
        numbers.chain(records).for_each(|record| *record = record.wrapping_add(by));
    }

    /// Empties the slab. Keeps its memory, unless a very large record has enlarged it.
    pub fn clear(&mut self) {
        const KEPT: usize = 4 << 20;
        self.tokens.clear();
        self.tokens.shrink_to(KEPT);
        self.scratch.clear();
        self.scratch.shrink_to(KEPT);
        self.ends.clear();
        self.index.clear();
        self.skipped.clear();
        self.counts = LengthCounts::default();
    }
}
