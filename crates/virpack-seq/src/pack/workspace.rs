//! From runs of equal lengths to batches.

use super::best_fit::RoomQueue;
use super::first_fit::RoomTree;
use super::sort::{Group, Sorter};
use super::{BatchPlacer, Packing};

/// Sequences of equal length that one batch took at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    batch: u32,
    /// The first of them, a place in the sorted order.
    start: u32,
    count: u32,
}

/// Buffers that packing uses again.
#[derive(Clone, Debug, Default)]
pub struct PackWorkspace {
    pub(super) sorter: Sorter,
    pub(super) runs: Vec<Run>,
    pub(super) first_fit: RoomTree,
    pub(super) best_fit: RoomQueue,
}

impl PackWorkspace {
    /// Places all groups of the sorted order; gives the number of batches.
    pub(super) fn place(&mut self, mut placer: impl BatchPlacer) -> usize {
        let mut start = 0;
        for &Group { length, count } in self.sorter.groups() {
            placer.place(length, count, |batch, count| {
                self.runs.push(Run { batch, start, count });
                start += count;
            });
        }
        placer.batches()
    }

    /// Brings the runs of each batch together.
    pub(super) fn group(&mut self, batches: usize, packing: &mut Packing) {
        let order = self.sorter.order();
        packing.starts.clear();
        packing.starts.resize(batches + 1, 0);
        // `starts[b]` is first the size of batch `b - 1`, then the place where batch `b - 1` goes on, and in
        // the end, each batch having moved its mark over itself, where batch `b` begins.
        for run in &self.runs {
            packing.starts[run.batch as usize + 1] += run.count;
        }
        let mut sum = 0;
        for start in &mut packing.starts[1..] {
            let size = *start;
            *start = sum;
            sum += size;
        }
        packing.order.resize(order.len(), 0);
        for run in &self.runs {
            let (from, count) = (run.start as usize, run.count as usize);
            let mark = &mut packing.starts[run.batch as usize + 1];
            let to = *mark as usize;
            *mark += run.count;
            if count < 8 {
                // Most runs late in a packing are short: a loop beats the call of `memcpy`.
                let slots = packing.order[to..to + count].iter_mut();
                slots.zip(&order[from..]).for_each(|(slot, &position)| *slot = position);
            } else {
                packing.order[to..to + count].copy_from_slice(&order[from..from + count]);
            }
        }
    }
}
