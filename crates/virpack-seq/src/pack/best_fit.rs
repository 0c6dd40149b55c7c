//! Best fit: finds the batch with the least sufficient room in a bitset over rooms.

use super::BatchPlacer;
use super::limits::{Limits, OpenBatch};

const NONE: u32 = u32::MAX;

/// Open batches by their room: a queue of batches for every room, and a bitset of the rooms that have one.
///
/// Only rooms below the longest length have a queue. A batch is opened only if no other has enough room, so
/// at most one batch at a time has at least as much room as the longest length: the `roomy` one.
#[derive(Clone, Debug, Default)]
pub(super) struct RoomQueue {
    open: Vec<OpenBatch>,
    roomy: Option<u32>,
    rooms: BitSet,
    /// The earliest batch of each room: the root of a pairing heap (Fredman, Sedgewick, Sleator &
    /// Tarjan 1986) stored in `child` and `sibling`, since a batch is in one queue only.
    earliest: Vec<u32>,
    child: Vec<u32>,
    sibling: Vec<u32>,
}

impl RoomQueue {
    fn clear(&mut self, longest: u32) {
        self.open.clear();
        self.child.clear();
        self.sibling.clear();
        self.roomy = None;
        self.rooms.clear(longest as usize);
        if self.earliest.len() < longest as usize {
            self.earliest.resize(longest as usize, NONE);
        }
    }

    /// Removes the batch with the least room of at least `length`; among equals, the earliest.
    fn pop(&mut self, length: u32) -> Option<u32> {
        let Some(room) = self.rooms.first_from(length as usize) else { return self.roomy.take() };
        let batch = self.earliest[room];
        let rest = self.meld_children(batch);
        self.earliest[room] = rest;
        if rest == NONE {
            self.rooms.remove(room);
        }
        Some(batch)
    }

    fn push(&mut self, batch: u32) {
        let room = self.open[batch as usize].room() as usize;
        if room >= self.rooms.len {
            debug_assert!(self.roomy.is_none(), "a batch was opened while another had room");
            self.roomy = Some(batch);
        } else if room > 0 {
            self.child[batch as usize] = NONE;
            let others = if self.rooms.insert(room) { NONE } else { self.earliest[room] };
            self.earliest[room] = self.meld(others, batch);
        }
    }

    fn meld(&mut self, a: u32, b: u32) -> u32 {
        if a == NONE {
            return b;
        }
        let (first, second) = if a < b { (a, b) } else { (b, a) };
        self.sibling[second as usize] = self.child[first as usize];
        self.child[first as usize] = second;
        first
    }

    /// Melds the children of `root` in the two passes of a pairing heap, and returns the new root.
    fn meld_children(&mut self, root: u32) -> u32 {
        let mut left = self.child[root as usize];
        let mut pairs = NONE;
        while left != NONE {
            let a = left;
            let b = self.sibling[a as usize];
            let pair = if b == NONE {
                left = NONE;
                a
            } else {
                left = self.sibling[b as usize];
                self.meld(a, b)
            };
            self.sibling[pair as usize] = pairs;
            pairs = pair;
        }
        let mut new_root = NONE;
        while pairs != NONE {
            let next = self.sibling[pairs as usize];
            new_root = self.meld(new_root, pairs);
            pairs = next;
        }
        new_root
    }
}

/// A set of numbers below `len` that finds the next greater member: one bit for each number, and one bit
/// for every 64 of them.
#[derive(Clone, Debug, Default)]
struct BitSet {
    len: usize,
    bits: Vec<u64>,
    /// Which words of `bits` are not 0.
    words: Vec<u64>,
}

impl BitSet {
    fn clear(&mut self, len: usize) {
        self.len = len;
        self.bits.clear();
        self.bits.resize(len.div_ceil(64), 0);
        self.words.clear();
        self.words.resize(self.bits.len().div_ceil(64), 0);
    }

    /// Adds `i`, and returns whether it is new.
    fn insert(&mut self, i: usize) -> bool {
        let new = self.bits[i / 64] & 1 << (i % 64) == 0;
        self.bits[i / 64] |= 1 << (i % 64);
        self.words[i / 4096] |= 1 << (i / 64 % 64);
        new
    }

    fn remove(&mut self, i: usize) {
        self.bits[i / 64] &= !(1 << (i % 64));
        if self.bits[i / 64] == 0 {
            self.words[i / 4096] &= !(1 << (i / 64 % 64));
        }
    }

    /// Returns the least member of at least `i`.
    fn first_from(&self, i: usize) -> Option<usize> {
        let here = self.bits.get(i / 64)? & u64::MAX << (i % 64);
        if here != 0 {
            return Some(i / 64 * 64 + here.trailing_zeros() as usize);
        }
        let word = i / 64 + 1;
        let mut mask = u64::MAX << (word % 64);
        for (at, &words) in self.words.iter().enumerate().skip(word / 64) {
            if words & mask != 0 {
                let word = at * 64 + (words & mask).trailing_zeros() as usize;
                return Some(word * 64 + self.bits[word].trailing_zeros() as usize);
            }
            mask = u64::MAX;
        }
        None
    }
}

pub(super) struct BestFit<'a> {
    limits: &'a Limits,
    queue: &'a mut RoomQueue,
}

impl<'a> BestFit<'a> {
    /// Returns a placer for sequences of at most `longest` tokens.
    pub(super) fn new(limits: &'a Limits, queue: &'a mut RoomQueue, longest: u32) -> Self {
        queue.clear(longest);
        BestFit { limits, queue }
    }
}

impl BatchPlacer for BestFit<'_> {
    fn place(&mut self, length: u32, mut count: u32, mut placed: impl FnMut(u32, u32)) {
        while count > 0 {
            let batch = self.queue.pop(length).unwrap_or_else(|| {
                self.queue.open.push(self.limits.fresh());
                self.queue.child.push(NONE);
                self.queue.sibling.push(NONE);
                self.queue.open.len() as u32 - 1
            });
            // After it takes one sequence, this batch is still the best for the next of the same length, if
            // it has room: no other had less room and enough.
            let taken = self.queue.open[batch as usize].take(length, count);
            placed(batch, taken);
            count -= taken;
            self.queue.push(batch);
        }
    }

    fn batches(&self) -> usize {
        self.queue.open.len()
    }
}
