//! The tokens of waiting records, end to end in one vector.

use crate::batch::{PackedBatch, SequenceIndex};

/// The tokens of waiting records, end to end in one vector, in arrival order.
#[derive(Clone, Debug, Default)]
pub(super) struct TokenStore {
    tokens: Vec<u16>,
    /// Where each record begins in `tokens`, and after the last the end: `[n + 1]`, or empty.
    starts: Vec<usize>,
    /// Where each record came from, `[n]`; `None` once it is in a batch.
    index: Vec<Option<SequenceIndex>>,
}

impl TokenStore {
    pub(super) fn push(&mut self, tokens: &[u16], index: SequenceIndex) {
        self.starts.push(self.tokens.len());
        self.tokens.extend_from_slice(tokens);
        self.index.push(Some(index));
    }

    /// Lays the records `items` end to end; each goes once.
    pub(super) fn batch(&mut self, items: &[u32]) -> PackedBatch {
        let total = items.iter().map(|&item| self.range(item).len()).sum();
        let mut batch = PackedBatch::with_capacity(total, items.len());
        for &item in items {
            let index = self.index[item as usize].take().expect("a record stands in one batch");
            batch.push(&self.tokens[self.range(item)], index);
        }
        batch
    }

    /// Keeps the records `staying` (ascending), moved to the front; all others are in batches.
    pub(super) fn retain(&mut self, staying: &[u32]) {
        let mut end = 0;
        for (to, &item) in staying.iter().enumerate() {
            let range = self.range(item);
            let length = range.len();
            self.tokens.copy_within(range, end);
            self.starts[to] = end;
            self.index.swap(to, item as usize);
            end += length;
        }
        self.tokens.truncate(end);
        self.starts.truncate(staying.len());
        self.index.truncate(staying.len());
    }

    fn range(&self, item: u32) -> std::ops::Range<usize> {
        let item = item as usize;
        self.starts[item]..self.starts.get(item + 1).copied().unwrap_or(self.tokens.len())
    }
}
