//! Longest first, ties by input order, in linear time where lengths are small.

/// Sequences of equal length that stand together in the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) length: u32,
    pub(super) count: u32,
}

/// Orders positions by length and says where equal lengths stand together.
#[derive(Clone, Debug, Default)]
pub(super) struct Sorter {
    order: Vec<u32>,
    groups: Vec<Group>,
    counts: Vec<u32>,
    keys: Vec<u64>,
}

impl Sorter {
    /// Keeps `lengths` in the order they came.
    pub(super) fn keep(&mut self, lengths: &[u32]) {
        self.order.clear();
        self.order.extend(0..lengths.len() as u32);
        self.groups.clear();
        for run in lengths.chunk_by(|a, b| a == b) {
            self.groups.push(Group { length: run[0], count: run.len() as u32 });
        }
    }

    /// Puts the first `due` of `lengths`, longest first, before the rest, longest first.
    pub(super) fn sort(&mut self, lengths: &[u32], due: usize) {
        self.order.clear();
        self.order.resize(lengths.len(), 0);
        self.groups.clear();
        self.sort_part(lengths, 0..due);
        self.sort_part(lengths, due..lengths.len());
    }

    /// Positions, `[n]`.
    pub(super) fn order(&self) -> &[u32] {
        &self.order
    }

    /// Groups of equal lengths, in order.
    pub(super) fn groups(&self) -> &[Group] {
        &self.groups
    }

    fn sort_part(&mut self, lengths: &[u32], part: std::ops::Range<usize>) {
        let begin = part.start as u32;
        let lengths = &lengths[part.clone()];
        let Some(&longest) = lengths.iter().max() else { return };
        // A table much longer than the input would cost more to clear than a comparison sort costs.
        if longest as usize <= 4 * lengths.len() + 256 {
            self.count(lengths, longest as usize, begin);
        } else {
            self.compare(lengths, begin);
        }
    }

    /// Counting sort.
    fn count(&mut self, lengths: &[u32], longest: usize, begin: u32) {
        self.counts.clear();
        self.counts.resize(longest + 1, 0);
        let counts = &mut self.counts[..=longest];
        for &length in lengths {
            counts[length as usize] += 1;
        }
        let mut next = begin;
        for (length, slot) in counts.iter_mut().enumerate().rev() {
            let count = *slot;
            if count > 0 {
                self.groups.push(Group { length: length as u32, count });
            }
            *slot = next;
            next += count;
        }
        let order = &mut self.order[..];
        for (position, &length) in (begin..).zip(lengths) {
            let slot = &mut counts[length as usize];
            order[*slot as usize] = position;
            *slot += 1;
        }
    }

    /// Comparison sort on keys that hold the length, turned over, above the position.
    fn compare(&mut self, lengths: &[u32], begin: u32) {
        self.keys.clear();
        self.keys.extend((begin..).zip(lengths).map(|(i, &length)| u64::from(!length) << 32 | u64::from(i)));
        self.keys.sort_unstable();
        for (slot, &key) in self.order[begin as usize..].iter_mut().zip(&self.keys) {
            *slot = key as u32;
        }
        for run in self.keys.chunk_by(|a, b| a >> 32 == b >> 32) {
            self.groups.push(Group { length: !((run[0] >> 32) as u32), count: run.len() as u32 });
        }
    }
}
