//! Takes results in any order and passes them on in input order.

use std::collections::HashMap;
use std::path::Path;

use virpack_seq::{Shard, SkippedRecord};

use super::number_hash::NumberHash;
use super::row_store::{RowStore, Slots};
use super::{Entry, OutputError, OutputProblem, Row};

/// Holds early results until all earlier ones have arrived.
pub(crate) struct Order {
    next: u64,
    /// The distance from one record to the next.
    step: u64,
    waiting: HashMap<u64, WaitingRow, NumberHash>,
    store: RowStore,
    hidden: usize,
    earlier: Option<Box<dyn EarlierRows>>,
}

/// The finished records of an earlier run.
pub(crate) trait EarlierRows: Send {
    /// Returns whether it has a record.
    fn has(&self, record: u64) -> bool;
    /// Takes the row or the reason of a record that it has, `[rows, hidden]`. Callers ask for each record
    /// once, in rising order.
    fn take(&mut self, record: u64, hidden: usize) -> Result<Entry, OutputError>;
}

/// The most earlier records passed on with each delivered one, so that computed records need not wait for all
/// of them.
const KEPT_AT_ONCE: usize = 256;

/// A result that waits for its turn.
enum WaitingRow {
    Row(Row, Slots),
    Skipped(SkippedRecord),
}

/// The result of a record whose turn has come.
pub(crate) enum Turn<'a> {
    /// Its embedding, `[hidden]`, or a row for each residue, `[n, hidden]`.
    Row(&'a Row, &'a [f32]),
    /// The reason why it has none.
    Skipped(&'a SkippedRecord),
}

impl Order {
    /// Starts at the first record of `shard`. Waiting embeddings take at most `bytes` bytes of memory.
    pub(crate) fn new(hidden: usize, bytes: usize, output: &Path, shard: Shard) -> Order {
        let store = RowStore::new(hidden, bytes, output);
        Order {
            next: shard.first(),
            step: shard.of().into(),
            waiting: HashMap::default(),
            store,
            hidden,
            earlier: None,
        }
    }

    /// Starts at record `first` instead.
    pub(crate) fn starting_at(self, first: u64) -> Order {
        Order { next: first, ..self }
    }

    /// Takes the records of an earlier run in their turn.
    pub(super) fn go_on_from(&mut self, earlier: Box<dyn EarlierRows>) {
        self.earlier = Some(earlier);
    }

    /// Takes one result and passes on, in order, all those whose turn has come.
    pub(crate) fn deliver(
        &mut self,
        turn: Turn<'_>,
        mut hand_on: impl FnMut(Turn<'_>) -> Result<(), OutputError>,
    ) -> Result<(), OutputError> {
        let (record, id) = match &turn {
            Turn::Row(row, _) => (row.record, &row.id),
            Turn::Skipped(skipped) => (skipped.record, &skipped.id),
        };
        if self.is_kept(record) {
            return Ok(());
        }
        if record < self.next || self.waiting.contains_key(&record) {
            return Err(OutputProblem::Duplicate { record, id: id.to_string() }.into());
        }
        let mut kept = KEPT_AT_ONCE;
        self.advance(&mut kept, &mut hand_on)?;
        if record > self.next {
            let waiting = match turn {
                Turn::Row(row, embedding) => WaitingRow::Row(row.clone(), self.store.put(embedding)?),
                Turn::Skipped(skipped) => WaitingRow::Skipped(skipped.clone()),
            };
            self.waiting.insert(record, waiting);
            return Ok(());
        }
        hand_on(turn)?;
        self.next += self.step;
        self.advance(&mut kept, &mut hand_on)
    }

    /// Passes on the remaining results, once all are delivered.
    pub(super) fn rest(
        &mut self,
        mut hand_on: impl FnMut(Turn<'_>) -> Result<(), OutputError>,
    ) -> Result<(), OutputError> {
        let mut all = usize::MAX;
        self.advance(&mut all, &mut hand_on)
    }

    /// Passes on results whose turn has come, and at most `most` of an earlier run.
    fn advance(
        &mut self,
        most: &mut usize,
        hand_on: &mut impl FnMut(Turn<'_>) -> Result<(), OutputError>,
    ) -> Result<(), OutputError> {
        loop {
            if let Some(waiting) = self.waiting.remove(&self.next) {
                match waiting {
                    WaitingRow::Row(row, slots) => hand_on(Turn::Row(&row, self.store.take(slots)?))?,
                    WaitingRow::Skipped(skipped) => hand_on(Turn::Skipped(&skipped))?,
                }
            } else if self.is_kept(self.next) && *most > 0 {
                *most -= 1;
                let earlier = self.earlier.as_mut().expect("a record is kept somewhere");
                hand_on(earlier.take(self.next, self.hidden)?.turn())?;
            } else {
                return Ok(());
            }
            self.next += self.step;
        }
    }

    fn is_kept(&self, record: u64) -> bool {
        self.earlier.as_ref().is_some_and(|earlier| earlier.has(record))
    }

    /// Checks that each of the shard's records among the first `records` was passed on, and no other.
    pub(crate) fn finish(&self, records: u64) -> Result<(), OutputError> {
        if self.next < records {
            let waiting = self.waiting.keys().filter(|&&record| record < records).count() as u64;
            let delivered = self.next / self.step + waiting;
            let expected = records.saturating_sub(self.next % self.step).div_ceil(self.step);
            return Err(OutputProblem::Missing { record: self.next, delivered, expected }.into());
        }
        // Any number from `records` on that was passed on or waits is one too many.
        let surplus = match self.next.checked_sub(self.step) {
            Some(last) if last >= records => Some(records + (last - records) % self.step),
            _ => self.waiting.keys().min().copied(),
        };
        match surplus {
            Some(record) => Err(OutputProblem::Surplus { record, expected: records }.into()),
            None => Ok(()),
        }
    }

    /// Returns the most bytes of embeddings that waited at once, in memory and on disk.
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
        let id = Arc::from(format!("r{record}"));
        Row { record, source: 0, id, length: 1, truncated: false, unknown: 0, gaps: 0 }
    }

    fn skipped(record: u64) -> SkippedRecord {
        let id = Arc::from(format!("r{record}"));
        SkippedRecord { record, source: 0, line: 1, id, length: 0, reason: SkipReason::Empty }
    }

    /// Delivers `records` (every fifth as skipped) and returns what was passed on.
    fn run(records: &[u64], bytes: usize) -> Result<(Order, Vec<u64>), OutputError> {
        let directory = tempfile::tempdir().unwrap();
        let mut order = Order::new(2, bytes, &directory.path().join("emb.npy"), Shard::ALL);
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
            let lost = matches!(error.0, OutputProblem::Missing { record, delivered, expected }
                if record == records[0] && delivered == n - 1 && expected == n);
            prop_assert!(lost, "{}", error);
        }
    }

    #[test]
    fn a_record_delivered_twice_is_named_whether_it_waits_or_has_passed() {
        for records in [[0, 1, 0], [2, 1, 2], [4, 9, 4]] {
            let Err(OutputError(OutputProblem::Duplicate { record, id })) = run(&records, 64).map(|_| ())
            else {
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
                matches!(error.0, OutputProblem::Surplus { record, expected: 2 } if record == surplus),
                "{error}"
            );
        }
    }
}
