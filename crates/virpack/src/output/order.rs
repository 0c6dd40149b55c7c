//! Results in any order in, results in the order of the input out.

use std::collections::HashMap;
use std::path::Path;

use virpack_seq::SkippedRecord;

use super::row_store::{RowStore, Slots};
use super::{OutputError, Row};

/// Holds what comes early until everything before it has come.
pub(super) struct Order {
    next: u64,
    waiting: HashMap<u64, Waiting>,
    store: RowStore,
}

/// What waits for its turn.
enum Waiting {
    Row(Row, Slots),
    Skipped(SkippedRecord),
}

/// What became of a record: its turn has come.
pub(super) enum Turn<'a> {
    /// It has an embedding, `[hidden]`, or a row a residue, `[n, hidden]`.
    Row(&'a Row, &'a [f32]),
    /// It has none, and why.
    Skipped(&'a SkippedRecord),
}

impl Order {
    /// Starts at record 0; at most `bytes` bytes of waiting embeddings are held in memory.
    pub(super) fn new(hidden: usize, bytes: usize, output: &Path) -> Order {
        Order { next: 0, waiting: HashMap::new(), store: RowStore::new(hidden, bytes, output) }
    }

    /// Takes one result and hands on, in order, all those whose turn has come.
    pub(super) fn deliver(
        &mut self,
        turn: Turn<'_>,
        mut hand_on: impl FnMut(Turn<'_>) -> Result<(), OutputError>,
    ) -> Result<(), OutputError> {
        let (record, id) = match &turn {
            Turn::Row(row, _) => (row.record, &row.id),
            Turn::Skipped(skipped) => (skipped.record, &skipped.id),
        };
        if record < self.next || self.waiting.contains_key(&record) {
            return Err(OutputError::Duplicate { record, id: id.to_string() });
        }
        if record > self.next {
            let waiting = match turn {
                Turn::Row(row, embedding) => Waiting::Row(row.clone(), self.store.put(embedding)?),
                Turn::Skipped(skipped) => Waiting::Skipped(skipped.clone()),
            };
            self.waiting.insert(record, waiting);
            return Ok(());
        }
        hand_on(turn)?;
        self.next += 1;
        while let Some(waiting) = self.waiting.remove(&self.next) {
            match waiting {
                Waiting::Row(row, slots) => hand_on(Turn::Row(&row, self.store.take(slots)?))?,
                Waiting::Skipped(skipped) => hand_on(Turn::Skipped(&skipped))?,
            }
            self.next += 1;
        }
        Ok(())
    }

    /// Checks that each of `records` records was handed on, and no other.
    pub(super) fn finish(&self, records: u64) -> Result<(), OutputError> {
        if self.next < records {
            let delivered =
                self.next + self.waiting.keys().filter(|&&record| record < records).count() as u64;
            return Err(OutputError::Missing { record: self.next, delivered, expected: records });
        }
        // Record numbers begin at 0: any number handed on or waiting from `records` on is one too many.
        let surplus = if self.next > records { Some(records) } else { self.waiting.keys().min().copied() };
        match surplus {
            Some(record) => Err(OutputError::Surplus { record, expected: records }),
            None => Ok(()),
        }
    }

    /// Bytes of the most embeddings that ever waited at once, in memory and on disk.
    pub(super) fn peak_bytes(&self) -> (u64, u64) {
        self.store.peak_bytes()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use virpack_seq::SkipReason;

    use super::*;

    fn row(record: u64) -> Row {
        Row { record, source: 0, id: Arc::from(format!("r{record}")), length: 1, truncated: false }
    }

    fn skipped(record: u64) -> SkippedRecord {
        let id = Arc::from(format!("r{record}"));
        SkippedRecord { record, source: 0, line: 1, id, length: 0, reason: SkipReason::Empty }
    }

    /// Delivers `records` (every fifth as skipped) and gives back what was handed on.
    fn run(records: &[u64], bytes: usize) -> Result<(Order, Vec<u64>), OutputError> {
        let directory = tempfile::tempdir().unwrap();
        let mut order = Order::new(2, bytes, &directory.path().join("emb.npy"));
        let mut out = Vec::new();
        for &record in records {
            let row = row(record);
            let skipped = skipped(record);
            let embedding = [record as f32, -1.0];
            let turn = if record % 5 == 4 { Turn::Skipped(&skipped) } else { Turn::Row(&row, &embedding) };
            order.deliver(turn, |turn| {
                out.push(match turn {
                    Turn::Row(row, embedding) => {
                        assert_eq!(embedding, [row.record as f32, -1.0]);
                        row.record
                    }
                    Turn::Skipped(skipped) => skipped.record,
                });
                Ok(())
            })?;
        }
        Ok((order, out))
    }

    proptest! {
        #[test]
        fn any_delivery_order_gives_each_record_once_in_order(
            records in (0..200u64).prop_flat_map(|n| Just((0..n).collect::<Vec<_>>()).prop_shuffle()),
            rows_in_memory in 0..40usize,
        ) {
            let (order, out) = run(&records, rows_in_memory * 8).unwrap();
            let n = records.len() as u64;
            prop_assert_eq!(out, (0..n).collect::<Vec<_>>());
            prop_assert!(order.finish(n).is_ok());
            prop_assert!(order.peak_bytes().0 <= rows_in_memory as u64 * 8);
        }

        #[test]
        fn a_lost_record_is_named(
            records in (1..100u64).prop_flat_map(|n| Just((0..n).collect::<Vec<_>>()).prop_shuffle()),
        ) {
            let n = records.len() as u64;
            let (order, _) = run(&records[1..], 64).unwrap();
            let error = order.finish(n).unwrap_err();
            let lost = matches!(error, OutputError::Missing { record, delivered, expected }
                if record == records[0] && delivered == n - 1 && expected == n);
            prop_assert!(lost, "{}", error);
        }
    }

    #[test]
    fn a_record_delivered_twice_is_named_whether_it_waits_or_has_passed() {
        for records in [[0, 1, 0], [2, 1, 2], [4, 9, 4]] {
            let Err(OutputError::Duplicate { record, id }) = run(&records, 64).map(|_| ()) else {
                panic!("{records:?} passed")
            };
            assert_eq!((record, id), (records[0], format!("r{}", records[0])));
        }
    }

    #[test]
    fn a_record_that_was_never_read_is_named() {
        for (records, surplus) in [(&[0, 1, 2][..], 2), (&[0, 1, 7], 7)] {
            let error = run(records, 64).unwrap().0.finish(2).unwrap_err();
            assert!(
                matches!(error, OutputError::Surplus { record, expected: 2 } if record == surplus),
                "{error}"
            );
        }
    }
}
