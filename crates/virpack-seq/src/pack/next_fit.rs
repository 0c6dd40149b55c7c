//! Next fit: considers only the newest batch.

use super::BatchPlacer;
use super::limits::{Limits, OpenBatch};

pub(super) struct NextFit<'a> {
    limits: &'a Limits,
    newest: Option<OpenBatch>,
    batches: u32,
}

impl<'a> NextFit<'a> {
    pub(super) fn new(limits: &'a Limits) -> Self {
        NextFit { limits, newest: None, batches: 0 }
    }
}

impl BatchPlacer for NextFit<'_> {
    fn place(&mut self, length: u32, mut count: u32, mut placed: impl FnMut(u32, u32)) {
        while count > 0 {
            let taken = self.newest.as_mut().map_or(0, |open| open.take(length, count));
            if taken == 0 {
                self.newest = Some(self.limits.fresh());
                self.batches += 1;
                continue;
            }
            placed(self.batches - 1, taken);
            count -= taken;
        }
    }

    fn batches(&self) -> usize {
        self.batches as usize
    }
}
