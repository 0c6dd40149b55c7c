//! Turns runs of equal lengths into batches.

use super::best_fit::RoomQueue;
use super::first_fit::RoomTree;
use super::sort::{Group, Sorter};
use super::{BatchPlacer, Packing};

/// Sequences of equal length that one batch took at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    /// Their batch; after [`PackWorkspace::group`], the slot of the first of them in the packing.
    pub(super) place: u32,
    pub(super) count: u32,
}

/// Buffers that packing reuses.
#[derive(Clone, Debug, Default)]
pub struct PackWorkspace {
    pub(super) sorter: Sorter,
    pub(super) runs: Vec<Run>,
    pub(super) first_fit: RoomTree,
    pub(super) best_fit: RoomQueue,
}

impl PackWorkspace {
    /// Places all groups of the sorted order, and returns the number of batches.
    pub(super) fn place(&mut self, mut placer: impl BatchPlacer) -> usize {
        for &Group { length, count } in self.sorter.groups() {
            placer.place(length, count, |batch, count| self.runs.push(Run { place: batch, count }));
        }
        placer.batches()
    }

    /// Brings the runs of each batch together.
    pub(super) fn group(&mut self, lengths: &[u32], batches: usize, packing: &mut Packing) {
        packing.starts.clear();
        packing.starts.resize(batches + 1, 0);
        // `starts[b]` is first the size of batch `b - 1`, then the place where batch `b - 1` continues, and
        // finally, after each batch has moved its mark past itself, the start of batch `b`.
        for run in &self.runs {
            packing.starts[run.place as usize + 1] += run.count;
        }
        let mut sum = 0;
        for start in &mut packing.starts[1..] {
            let size = *start;
            *start = sum;
            sum += size;
        }
        for run in &mut self.runs {
            let mark = &mut packing.starts[run.place as usize + 1];
            run.place = *mark;
            *mark += run.count;
        }
        packing.order.resize(lengths.len(), 0);
        self.sorter.scatter(lengths, &self.runs, &mut packing.order);
    }
}
