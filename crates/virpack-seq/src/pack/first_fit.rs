//! First fit: finds the earliest batch with room in a tree of maxima.

use super::BatchPlacer;
use super::limits::{Limits, OpenBatch};

/// Entries that share an entry one level up: a row of them is one or two cache lines.
const FAN: usize = 16;

/// The room of every batch, with the largest of every 16, of every 256, … in the levels above.
#[derive(Clone, Debug, Default)]
pub(super) struct RoomTree {
    open: Vec<OpenBatch>,
    /// `levels[0]` is the room of each batch, `levels[k][i]` the largest of `levels[k - 1][16 i ..
    /// 16 i + 16]`.
    levels: Vec<Vec<u32>>,
}

impl RoomTree {
    fn clear(&mut self) {
        self.open.clear();
        self.levels.iter_mut().for_each(Vec::clear);
        if self.levels.is_empty() {
            self.levels.push(Vec::new());
        }
    }

    /// Returns the first batch from `at` on with room for `length` tokens.
    fn find(&self, mut at: usize, length: u32) -> Option<usize> {
        let mut level = 0;
        loop {
            let row = self.levels.get(level)?;
            let end = ((at / FAN + 1) * FAN).min(row.len());
            if let Some(step) = row.get(at..end)?.iter().position(|&room| room >= length) {
                at += step;
                break;
            }
            at = at / FAN + 1;
            level += 1;
        }
        while level > 0 {
            level -= 1;
            let row = &self.levels[level][at * FAN..];
            let step = row.iter().position(|&room| room >= length);
            at = at * FAN + step.expect("a maximum stands for one of its entries");
        }
        Some(at)
    }

    fn push(&mut self, open: OpenBatch) {
        let room = open.room();
        let mut at = self.open.len();
        self.open.push(open);
        self.levels[0].push(room);
        for level in 1.. {
            at /= FAN;
            if self.levels[level - 1].len() <= FAN {
                break; // one row: nothing above it is looked at
            }
            if level == self.levels.len() {
                self.levels.push(Vec::new());
            }
            let (below, above) = self.levels.split_at_mut(level);
            let above = &mut above[0];
            if above.is_empty() {
                // The level below has just outgrown one row: add an entry for that row too.
                above.push(largest(&below[level - 1][..FAN]));
            }
            if at == above.len() {
                above.push(room);
            } else {
                above[at] = above[at].max(room);
            }
        }
    }

    /// Sets the room of batch `at` to a smaller value.
    fn lower(&mut self, mut at: usize, room: u32) {
        let mut before = std::mem::replace(&mut self.levels[0][at], room);
        for level in 1..self.levels.len() {
            let (below, above) = self.levels.split_at_mut(level);
            let Some(entry) = above[0].get_mut(at / FAN) else { break };
            if *entry != before {
                break; // another batch of the row has more room
            }
            at /= FAN;
            let row = &below[level - 1][at * FAN..];
            before = std::mem::replace(entry, largest(&row[..row.len().min(FAN)]));
        }
    }
}

fn largest(row: &[u32]) -> u32 {
    row.iter().fold(0, |most, &room| most.max(room))
}

pub(super) struct FirstFit<'a> {
    limits: &'a Limits,
    tree: &'a mut RoomTree,
}

impl<'a> FirstFit<'a> {
    pub(super) fn new(limits: &'a Limits, tree: &'a mut RoomTree) -> Self {
        tree.clear();
        FirstFit { limits, tree }
    }
}

impl BatchPlacer for FirstFit<'_> {
    fn place(&mut self, length: u32, mut count: u32, mut placed: impl FnMut(u32, u32)) {
        let mut from = 0;
        while count > 0 {
            let Some(batch) = self.tree.find(from, length) else { break };
            let open = &mut self.tree.open[batch];
            let taken = open.take(length, count);
            let room = open.room();
            placed(batch as u32, taken);
            self.tree.lower(batch, room);
            count -= taken;
            // The batch took all it could of this length, and so did every batch before it.
            from = batch + 1;
        }
        while count > 0 {
            let mut open = self.limits.fresh();
            let taken = open.take(length, count);
            placed(self.tree.open.len() as u32, taken);
            self.tree.push(open);
            count -= taken;
        }
    }

    fn batches(&self) -> usize {
        self.tree.open.len()
    }
}
