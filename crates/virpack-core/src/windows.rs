//! Joins the windows of a long record into one embedding.
//!
//! If two windows cover a residue, its hidden states are averaged. Then the record is pooled as a whole.
//! Windows may arrive in any order, but are added in their own order: the rows of each window become one
//! sum, as do those of each overlap, and a sum waits for those before it. The last digits of a record
//! therefore do not depend on which window arrived first. A record of any length takes `[overlap, hidden]`
//! and two sums of `[hidden]` for each window in flight.
//!
//! If tokens merge letters, no two windows share a token, and none is averaged: all tokens of all windows
//! have the same weight.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use virpack_device::{Pool, PoolSpan};
use virpack_seq::SequenceIndex;

use crate::row::Row;

/// Collects windows and returns the embedding of each record whose windows are complete.
#[derive(Debug)]
pub(crate) struct WindowJoiner {
    pool: Pool,
    hidden: usize,
    /// The number of tokens before those that are pooled.
    skip_first: usize,
    overlap: usize,
    records: HashMap<u64, PartialRecord>,
}

/// One record, as far as its windows have arrived.
#[derive(Debug)]
struct PartialRecord {
    /// The number of missing windows.
    missing: u32,
    /// Residues pooled so far.
    residues: u64,
    /// Sums, or largest values, or both, of the parts before `next`.
    total: Vec<f64>,
    /// The first part that `total` lacks. Parts are the windows' own rows and the overlaps between them,
    /// from front to back.
    next: u32,
    /// Sums of later parts that arrived early.
    early: BTreeMap<u32, Vec<f64>>,
    /// Rows covered by two windows of which one has arrived, by the number of the later window.
    waiting: HashMap<u32, Vec<f32>>,
}

impl WindowJoiner {
    /// Returns a collector for windows that share `overlap` tokens with their neighbours.
    pub(crate) fn new(pool: Pool, hidden: usize, span: PoolSpan, overlap: usize) -> Self {
        WindowJoiner { pool, hidden, skip_first: span.skip_first, overlap, records: HashMap::new() }
    }

    /// Adds a window. `rows` are the hidden states of its tokens, from the first, special or not, to the
    /// last that is pooled, `[tokens, hidden]`. Returns the record's embedding if the record is then
    /// complete.
    pub(crate) fn add(&mut self, index: &SequenceIndex, rows: &[f32]) -> Option<(Row, Vec<f32>)> {
        let (cls, residues) = (&rows[..self.hidden], &rows[self.skip_first * self.hidden..]);
        let joined = self.records.entry(index.number).or_insert_with(|| PartialRecord {
            missing: index.window.count,
            residues: 0,
            total: nothing(self.pool, self.hidden),
            next: 0,
            early: BTreeMap::new(),
            waiting: HashMap::new(),
        });
        joined.missing -= 1;
        if self.pool == Pool::Cls {
            // No token represents the complete record, so those of the windows are averaged.
            joined.pool(self.pool, self.hidden, index.window.number, cls);
        } else {
            let number = index.window.number;
            // If windows share nothing, there are no parts between them.
            let own = if self.overlap > 0 { 2 * number } else { number };
            let count = residues.len() / self.hidden;
            let shared_before = if number > 0 { self.overlap } else { 0 };
            let shared_after = if number + 1 < index.window.count { self.overlap } else { 0 };
            let part = |range: Range<usize>| &residues[range.start * self.hidden..range.end * self.hidden];
            joined.pool(self.pool, self.hidden, own, part(shared_before..count - shared_after));
            if shared_before > 0 {
                joined.meet(self.pool, self.hidden, number, part(0..shared_before));
            }
            if shared_after > 0 {
                joined.meet(self.pool, self.hidden, number + 1, part(count - shared_after..count));
            }
        }
        if joined.missing > 0 {
            return None;
        }
        let joined = self.records.remove(&index.number)?;
        let sums = sums(self.pool, self.hidden);
        let divisor = |column| if column < sums { joined.residues as f64 } else { 1.0 };
        let embedding = joined.total.iter().enumerate();
        let embedding = embedding.map(|(column, total)| (total / divisor(column)) as f32).collect();
        Some((Row::from(index), embedding))
    }

    /// Returns the number of records with missing windows.
    pub(crate) fn waiting(&self) -> usize {
        self.records.len()
    }
}

impl PartialRecord {
    /// Adds part `number` of the record: rows that no other part covers.
    fn pool(&mut self, pool: Pool, hidden: usize, number: u32, rows: &[f32]) {
        let mut sum = nothing(pool, hidden);
        let sums = sums(pool, hidden);
        for row in rows.chunks_exact(hidden) {
            self.residues += 1;
            // A row's values are added to the mean and, for both, also compared with the largest.
            add(sums, &mut sum, row.iter().cycle().map(|v| f64::from(*v)));
        }
        self.early.insert(number, sum);
        while let Some(sum) = self.early.remove(&self.next) {
            add(sums, &mut self.total, sum.into_iter());
            self.next += 1;
        }
    }

    /// Handles rows at the join before window `later`: they are kept for the first of its two windows,
    /// averaged for the second.
    fn meet(&mut self, pool: Pool, hidden: usize, later: u32, rows: &[f32]) {
        match self.waiting.remove(&later) {
            None => {
                self.waiting.insert(later, rows.to_vec());
            }
            Some(mut other) => {
                for (o, r) in other.iter_mut().zip(rows) {
                    *o = 0.5 * (*o + r);
                }
                self.pool(pool, hidden, 2 * later - 1, &other);
            }
        }
    }
}

/// Returns how many columns of a row are sums; the others are largest values.
fn sums(pool: Pool, hidden: usize) -> usize {
    if pool == Pool::Max { 0 } else { hidden }
}

/// Returns the row of no residues.
fn nothing(pool: Pool, hidden: usize) -> Vec<f64> {
    let start = |column| if column < sums(pool, hidden) { 0.0 } else { f64::NEG_INFINITY };
    (0..pool.width(hidden)).map(start).collect()
}

/// Adds values to the first `sums` columns, and keeps the larger ones in the others.
fn add(sums: usize, row: &mut [f64], values: impl Iterator<Item = f64>) {
    for (column, (sum, value)) in row.iter_mut().zip(values).enumerate() {
        // This form preserves NaN.
        *sum = if column < sums {
            *sum + value
        } else if value > *sum || value.is_nan() {
            value
        } else {
            *sum
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use virpack_seq::Window;

    /// A record of 10 residues in windows of 4 overlapping by 1: 0-3, 3-6, 6-9.
    fn windows() -> Vec<(SequenceIndex, Vec<f32>)> {
        (0..3u32)
            .map(|number| {
                let start = u64::from(number) * 3;
                let window = Window { number, count: 3, start };
                let index = SequenceIndex { window, ..SequenceIndex::new(7, "long", 10) };
                // Row i of a window: cls is 100 + number, residue r is r + number / 2.
                let mut rows = vec![100.0 + number as f32];
                rows.extend((0..4).map(|i| (start + i) as f32 + number as f32 * 0.5));
                (index, rows)
            })
            .collect()
    }

    #[test]
    fn overlaps_are_averaged_in_any_order() {
        let residues = [0.0, 1.0, 2.0, 3.25, 4.5, 5.5, 6.75, 8.0, 9.0, 10.0f32];
        let mean = residues.iter().sum::<f32>() / 10.0;
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            for (pool, expected) in [(Pool::Mean, mean), (Pool::Max, 10.0), (Pool::Cls, 101.0)] {
                let mut joiner = WindowJoiner::new(pool, 1, PoolSpan { skip_first: 1, skip_last: 1 }, 1);
                let windows = windows();
                for i in &order[..2] {
                    assert!(joiner.add(&windows[*i].0, &windows[*i].1).is_none());
                    assert_eq!(joiner.waiting(), 1);
                }
                let (row, embedding) = joiner.add(&windows[order[2]].0, &windows[order[2]].1).unwrap();
                assert_eq!((row.record, row.length), (7, 10));
                assert_eq!(embedding, [expected], "{pool:?} {order:?}");
                assert_eq!(joiner.waiting(), 0);
            }
        }
    }
    #[test]
    fn the_order_that_windows_come_in_changes_no_bit() {
        // Values whose sum depends on the order even in float64.
        let value = |i: u32| ((f64::from(i) * 0.731).sin() * 2f64.powi((i % 9) as i32 * 12 - 48)) as f32;
        for overlap in [0, 1] {
            let joined = |order: [usize; 3]| {
                let mut joiner =
                    WindowJoiner::new(Pool::Mean, 1, PoolSpan { skip_first: 1, skip_last: 1 }, overlap);
                let windows = windows();
                let rows = |w: usize| {
                    (0..windows[w].1.len() as u32).map(|i| value(7 * i + 50 * w as u32)).collect::<Vec<_>>()
                };
                let ends = order.map(|w| joiner.add(&windows[w].0, &rows(w)));
                ends.into_iter().flatten().next().unwrap().1[0].to_bits()
            };
            let expected = joined([0, 1, 2]);
            for order in [[0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
                assert_eq!(joined(order), expected, "overlap {overlap}, {order:?}");
            }
        }
    }

    #[test]
    fn without_shared_tokens_all_count_alike() {
        let all = [100.0, 0.0, 1.0, 2.0, 3.0, 101.0, 3.5, 4.5, 5.5, 6.5, 102.0, 7.0, 8.0, 9.0, 10.0f32];
        let mean = all.iter().sum::<f32>() / 15.0;
        for (pool, expected) in [(Pool::Mean, mean), (Pool::Max, 102.0), (Pool::Cls, 101.0)] {
            let mut joiner = WindowJoiner::new(pool, 1, PoolSpan { skip_first: 0, skip_last: 0 }, 0);
            let mut joined = windows().into_iter().filter_map(|(index, rows)| joiner.add(&index, &rows));
            assert_eq!(joined.next().unwrap().1, [expected], "{pool:?}");
        }
    }
}
