//! Sorts lengths: longest first, ties in input order, in linear time if lengths are small.

use super::workspace::Run;
use std::ops::Range;

/// Sequences of equal length that are adjacent in the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) length: u32,
    pub(super) count: u32,
}

/// Counts the sequences of each length in the order of placing, and then assigns positions to them.
///
/// The order itself is never stored: positions go from the input to their batch directly.
#[derive(Clone, Debug, Default)]
pub(super) struct Sorter {
    groups: Vec<Group>,
    parts: Vec<Part>,
    /// How often a length occurs, `[longest + 1]`.
    counts: Vec<u32>,
    /// The inverted length, above the position, for each part sorted by keys, one part after the other.
    keys: Vec<u64>,
    /// The slot of the next sequence of each length, `[longest + 1]`.
    cursors: Vec<Cursor>,
}

/// Positions that are sorted separately from the others.
#[derive(Clone, Debug)]
struct Part {
    positions: Range<usize>,
    groups: Range<usize>,
    by: By,
}

/// How a part was sorted.
#[derive(Clone, Copy, Debug)]
enum By {
    /// Not sorted: in input order.
    Input,
    /// By counting; the longest length is `longest`.
    Count { longest: usize },
    /// By comparing keys, which begin here in [`Sorter::keys`].
    Keys { begin: usize },
}

/// The run that takes the next sequence of a length.
#[derive(Clone, Copy, Debug, Default)]
struct Cursor {
    /// The run after it.
    next_run: u32,
    /// The next sequence's slot in the packing.
    slot: u32,
    /// How many more sequences the run takes.
    left: u32,
}

impl Sorter {
    /// Keeps `lengths` in input order.
    pub(super) fn keep(&mut self, lengths: &[u32]) {
        self.clear();
        for run in lengths.chunk_by(|a, b| a == b) {
            self.groups.push(Group { length: run[0], count: run.len() as u32 });
        }
        self.parts.push(Part { positions: 0..lengths.len(), groups: 0..self.groups.len(), by: By::Input });
    }

    /// Sorts the first `due` of `lengths`, longest first, before the rest, longest first.
    pub(super) fn sort(&mut self, lengths: &[u32], due: usize) {
        self.clear();
        self.sort_part(lengths, 0..due);
        self.sort_part(lengths, due..lengths.len());
    }

    /// Returns the groups of equal lengths, in order.
    pub(super) fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// Writes each position of `lengths` to its slot in `order`, `[n]`. `runs` are those of all groups, in
    /// order.
    pub(super) fn scatter(&mut self, lengths: &[u32], runs: &[Run], order: &mut [u32]) {
        let mut run = 0;
        for Part { positions, groups, by } in &self.parts {
            let groups = &self.groups[groups.clone()];
            match *by {
                By::Input => {
                    run = in_order(positions.clone().map(|position| position as u32), runs, run, order)
                }
                By::Keys { begin } => {
                    let keys = &self.keys[begin..begin + positions.len()];
                    run = in_order(keys.iter().map(|&key| key as u32), runs, run, order);
                }
                By::Count { longest } => {
                    self.cursors.clear();
                    self.cursors.resize(longest + 1, Cursor::default());
                    for group in groups {
                        self.cursors[group.length as usize].next_run = run as u32;
                        let mut count = group.count;
                        while count > 0 {
                            count -= runs[run].count;
                            run += 1;
                        }
                    }
                    let cursors = &mut self.cursors[..=longest];
                    for (position, &length) in positions.clone().zip(&lengths[positions.clone()]) {
                        let cursor = &mut cursors[length as usize];
                        if cursor.left == 0 {
                            let run = &runs[cursor.next_run as usize];
                            *cursor =
                                Cursor { next_run: cursor.next_run + 1, slot: run.place, left: run.count };
                        }
                        order[cursor.slot as usize] = position as u32;
                        cursor.slot += 1;
                        cursor.left -= 1;
                    }
                }
            }
        }
    }

    fn clear(&mut self) {
        self.groups.clear();
        self.parts.clear();
        self.keys.clear();
    }

    fn sort_part(&mut self, lengths: &[u32], positions: Range<usize>) {
        let part = &lengths[positions.clone()];
        let Some(&longest) = part.iter().max() else { return };
        let (longest, first) = (longest as usize, self.groups.len());
        // A table much longer than the input takes more time to clear than a comparison sort takes.
        let by = if longest <= 4 * part.len() + 256 {
            self.count(part, longest);
            By::Count { longest }
        } else {
            let begin = self.keys.len();
            self.compare(part, positions.start as u32);
            By::Keys { begin }
        };
        self.parts.push(Part { positions, groups: first..self.groups.len(), by });
    }

    /// Finds the groups by a counting sort.
    fn count(&mut self, lengths: &[u32], longest: usize) {
        self.counts.clear();
        self.counts.resize(longest + 1, 0);
        let counts = &mut self.counts[..=longest];
        for &length in lengths {
            counts[length as usize] += 1;
        }
        let groups = counts.iter().enumerate().rev().filter(|(_, count)| **count > 0);
        self.groups.extend(groups.map(|(length, &count)| Group { length: length as u32, count }));
    }

    /// Finds the groups by a comparison sort on keys that hold the inverted length above the position.
    fn compare(&mut self, lengths: &[u32], begin: u32) {
        let first = self.keys.len();
        self.keys.extend((begin..).zip(lengths).map(|(i, &length)| u64::from(!length) << 32 | u64::from(i)));
        let keys = &mut self.keys[first..];
        keys.sort_unstable();
        for run in keys.chunk_by(|a, b| a >> 32 == b >> 32) {
            self.groups.push(Group { length: !((run[0] >> 32) as u32), count: run.len() as u32 });
        }
    }
}

/// Gives sorted `positions` to the runs from `run` on; returns the run after the last.
fn in_order(
    mut positions: impl ExactSizeIterator<Item = u32>,
    runs: &[Run],
    mut run: usize,
    order: &mut [u32],
) -> usize {
    while positions.len() > 0 {
        let Run { place, count } = runs[run];
        let slots = &mut order[place as usize..][..count as usize];
        slots.iter_mut().zip(positions.by_ref()).for_each(|(slot, position)| *slot = position);
        run += 1;
    }
    run
}

#[cfg(test)]
mod tests {
    use crate::{Algorithm, GreedyPacker, PackWorkspace, PackerOptions, Packing};

    /// One batch takes all sequences, so the packing's order is the sorted one.
    #[test]
    fn parts_are_sorted_one_after_the_other_by_counting_or_by_keys() {
        let packer =
            GreedyPacker::new(PackerOptions::new(1 << 30, 1).algorithm(Algorithm::NextFitDecreasing))
                .unwrap();
        let (mut workspace, mut packing) = (PackWorkspace::default(), Packing::default());
        let few: Vec<u32> = (0..40).map(|i| 1 + i * 37 % 11).collect();
        let far = few.iter().map(|length| length * 1_000_000).collect::<Vec<_>>();
        for lengths in [few.clone(), far.clone(), [&few[..], &far].concat(), [&far[..], &few].concat()] {
            for due in [0, 1, 17, 40, lengths.len()] {
                packer.pack_due_into(&lengths, due, &mut workspace, &mut packing).unwrap();
                let mut expected: Vec<u32> = (0..lengths.len() as u32).collect();
                expected.sort_by_key(|&at| (at as usize >= due, std::cmp::Reverse(lengths[at as usize])));
                assert_eq!(packing.order(), expected, "{due} due of {lengths:?}");
            }
        }
    }
}
