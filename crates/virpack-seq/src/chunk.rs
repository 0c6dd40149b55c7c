//! Cuts a record of any length into chunks of one length.

use std::iter::FusedIterator;
use std::num::NonZeroUsize;
use std::ops::Range;

/// Returns the chunks that cover a record of `length` bases, each `size` bases long, as VirNucPro cuts
/// them.
///
/// There are `k = ⌈length / size⌉` chunks, which hold `r = k · size - length` bases more than the record.
/// These are spread over the `k - 1` joins, where neighbouring chunks overlap: `⌊r / k⌋` bases at each
/// join, and one more at the first `r - ⌊r / k⌋ · (k - 1)` joins. If the joins cannot take all of `r`, the
/// last chunk is shorter. A record shorter than `size` is one chunk. An empty record has no chunks.
///
/// ```
/// use virpack_seq::chunks;
///
/// let size = 300.try_into()?;
/// let all: Vec<_> = chunks(700, size).collect();
/// assert_eq!(all, [0..300, 233..533, 466..700]); // joins of 67, 67
/// assert_eq!(chunks(299, size).collect::<Vec<_>>(), [0..299]);
/// assert_eq!(chunks(0, size).len(), 0);
/// # Ok::<(), std::num::TryFromIntError>(())
/// ```
pub fn chunks(length: usize, size: NonZeroUsize) -> Chunks {
    let size = size.get();
    let count = length.div_ceil(size);
    let surplus = count * size - length;
    let overlap = surplus.checked_div(count).unwrap_or(0);
    let longer = surplus - overlap * count.saturating_sub(1);
    Chunks { length, size, count, overlap, longer, number: 0, start: 0 }
}

/// The chunks of a record, in order. [`chunks`] makes it.
#[derive(Clone, Debug)]
pub struct Chunks {
    length: usize,
    size: usize,
    count: usize,
    /// Bases that neighbouring chunks share at a join.
    overlap: usize,
    /// The number of joins, from the first, that share one base more.
    longer: usize,
    /// The number of the next chunk, from 0, and its start.
    number: usize,
    start: usize,
}

impl Iterator for Chunks {
    /// The bases of a chunk, from 0.
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        if self.number == self.count {
            return None;
        }
        let start = self.start;
        let shared = self.overlap + usize::from(self.number < self.longer);
        self.start = start + self.size - shared;
        self.number += 1;
        Some(start..self.length.min(start + self.size))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.count - self.number;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Chunks {}
impl FusedIterator for Chunks {}
