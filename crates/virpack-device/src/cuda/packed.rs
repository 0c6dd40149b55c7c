//! A batch on the card: ids, boundaries and attention's work list in one upload. On the host, only this
//! module computes with `cu_seqlens`.

use super::ROW_STEP;
use super::arena::Block;
use super::driver::Event;
use crate::{DeviceError, shapes};
use std::sync::Arc;

/// Rows of one sequence, which one block of attention takes, or several; the same as `Item` in
/// `kernels/common.cuh`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(super) struct Item {
    pub(super) start: i32,
    pub(super) length: i32,
    pub(super) row: i32,
    pub(super) rows: i32,
}

/// A batch on the card.
#[derive(Debug)]
pub struct CudaPacked {
    /// Ids, boundaries, positions and items, in this order, each at a multiple of 16 bytes.
    block: Block,
    pub(super) tokens: usize,
    /// Number of sequences.
    pub(super) n: usize,
    pub(super) items: usize,
    /// The first items: those of sequences of more than `WHOLE` tokens.
    pub(super) long: Part,
    /// The other items.
    pub(super) short: Part,
    pub(super) shortest: usize,
    pub(super) longest: usize,
    pub(super) largest_id: u16,
    layout: Layout,
    /// Its arrival on the card, if the driver times events.
    pub(super) begun: Option<Arc<Event>>,
}

/// The items of one launch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Part {
    /// The number of the first.
    pub(super) first: usize,
    pub(super) count: usize,
    /// Rows of the largest item.
    pub(super) most_rows: usize,
    /// The longest of their sequences, in tokens.
    pub(super) longest: usize,
}

impl Part {
    fn of(items: &[Item], first: usize, count: usize) -> Part {
        let items = &items[first..first + count];
        let most = |of: fn(&Item) -> i32| items.iter().map(of).max().unwrap_or(0) as usize;
        Part { first, count, most_rows: most(|i| i.rows), longest: most(|i| i.length) }
    }
}

/// Returns the most bytes of an upload of this many tokens and sequences: the layout below, rounded up.
pub(super) fn most_bytes(tokens: usize, sequences: usize) -> usize {
    let items = sequences + tokens / MOST_ROWS + 1;
    let positions = tokens.next_multiple_of(ROW_STEP) * size_of::<i32>();
    tokens * size_of::<u16>() + positions + (sequences + 1) * 4 + items * size_of::<Item>() + 2048
}

/// The offsets of the parts of an upload, in bytes.
#[derive(Clone, Copy, Debug)]
struct Layout {
    cu_seqlens: usize,
    positions: usize,
    items: usize,
    end: usize,
}

/// The widest head that attention takes.
pub(super) const WIDEST_HEAD: usize = 256;

impl CudaPacked {
    /// Returns `(hidden, head width)` of the batch's queries, keys and values, which have this shape.
    pub(super) fn check_qkv(&self, qkv: [usize; 2], heads: usize) -> Result<(usize, usize), DeviceError> {
        shapes::qkv(qkv, self.tokens, heads, Some(WIDEST_HEAD))
    }

    pub(super) fn input_ids(&self) -> u64 {
        self.block.pointer
    }

    pub(super) fn cu_seqlens(&self) -> u64 {
        self.block.pointer + self.layout.cu_seqlens as u64
    }

    /// Returns the address of each token's position in its sequence, int32; 0 in padding rows.
    pub(super) fn positions(&self) -> u64 {
        self.block.pointer + self.layout.positions as u64
    }

    pub(super) fn items(&self) -> u64 {
        self.block.pointer + self.layout.items as u64
    }

    /// Returns the address of a part's items.
    pub(super) fn items_of(&self, part: Part) -> u64 {
        self.items() + (part.first * size_of::<Item>()) as u64
    }
}

/// A batch laid out on the host, checked.
pub(super) struct Draft<'a> {
    input_ids: &'a [u16],
    cu_seqlens: &'a [i32],
    items: Vec<Item>,
    layout: Layout,
}

impl<'a> Draft<'a> {
    pub(super) fn new(input_ids: &'a [u16], cu_seqlens: &'a [i32]) -> Result<Self, DeviceError> {
        shapes::packed(input_ids.len(), cu_seqlens)?;
        let items = items(cu_seqlens, most_rows(lengths(cu_seqlens).max().unwrap_or(0)));
        let cu_at = size_of_val(input_ids).next_multiple_of(16);
        let positions_at = cu_at + size_of_val(cu_seqlens).next_multiple_of(16);
        let items_at = positions_at + input_ids.len().next_multiple_of(ROW_STEP) * size_of::<i32>();
        let end = items_at + size_of_val(&items[..]);
        let layout = Layout { cu_seqlens: cu_at, positions: positions_at, items: items_at, end };
        Ok(Draft { input_ids, cu_seqlens, items, layout })
    }

    /// Returns the bytes to upload.
    pub(super) fn bytes(&self) -> usize {
        self.layout.end
    }

    /// Writes the upload.
    pub(super) fn write(&self, to: &mut [u8]) {
        let ints = self.cu_seqlens.iter().copied();
        let padded = self.input_ids.len().next_multiple_of(ROW_STEP);
        let positions = lengths(self.cu_seqlens).flat_map(|length| 0..length as i32);
        let positions = positions.chain(std::iter::repeat(0)).take(padded);
        let numbers = self.items.iter().flat_map(|i| [i.start, i.length, i.row, i.rows]);
        fill(to, self.input_ids.iter().map(|id| id.to_ne_bytes()));
        fill(&mut to[self.layout.cu_seqlens..], ints.map(i32::to_ne_bytes));
        fill(&mut to[self.layout.positions..], positions.map(i32::to_ne_bytes));
        fill(&mut to[self.layout.items..], numbers.map(i32::to_ne_bytes));
    }

    pub(super) fn on_card(self, block: Block, begun: Option<Arc<Event>>) -> CudaPacked {
        let long = self.items.partition_point(is_long);
        CudaPacked {
            block,
            tokens: self.input_ids.len(),
            n: self.cu_seqlens.len() - 1,
            items: self.items.len(),
            long: Part::of(&self.items, 0, long),
            short: Part::of(&self.items, long, self.items.len() - long),
            shortest: lengths(self.cu_seqlens).min().unwrap_or(0),
            longest: lengths(self.cu_seqlens).max().unwrap_or(0),
            largest_id: self.input_ids.iter().copied().max().unwrap_or(0),
            layout: self.layout,
            begun,
        }
    }
}

fn fill<const N: usize>(to: &mut [u8], values: impl Iterator<Item = [u8; N]>) {
    for (place, bytes) in to.chunks_exact_mut(N).zip(values) {
        place.copy_from_slice(&bytes);
    }
}

fn lengths(cu_seqlens: &[i32]) -> impl Iterator<Item = usize> + '_ {
    cu_seqlens.windows(2).map(|w| (w[1] - w[0]) as usize)
}

/// The longest sequence of a batch in which all sequences fit into a block's memory, several heads in a
/// block.
pub(super) const SHORT: usize = 192;

/// The most rows of an item in other batches. A block passes over the keys more than once for so many, and is
/// begun once; with more, the last blocks end later than the others.
const MOST_ROWS: usize = 256;

fn most_rows(longest: usize) -> usize {
    if longest <= SHORT { SHORT } else { MOST_ROWS }
}

/// The longest sequence whose keys are all in registers at once on 9.0 (`attention_whole.cu`). The kernel for
/// a sequence must not depend on its neighbours, because the kernels sum in different orders.
pub(super) const WHOLE: usize = 168;

fn is_long(item: &Item) -> bool {
    item.length as usize > WHOLE
}

/// Returns an item for every `rows` rows of each sequence. Long sequences come first, and within each kind
/// the most work, so that no processor is left with it at the end.
fn items(cu_seqlens: &[i32], rows: usize) -> Vec<Item> {
    let mut items = Vec::with_capacity(cu_seqlens.len());
    for bounds in cu_seqlens.windows(2) {
        let (start, length) = (bounds[0], bounds[1] - bounds[0]);
        let rows_from = |row| Item { start, length, row, rows: (length - row).min(rows as i32) };
        items.extend((0..length).step_by(rows).map(rows_from));
    }
    items.sort_by_key(|i| std::cmp::Reverse((is_long(i), i64::from(i.length) * i64::from(i.rows))));
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_in_one_item() {
        for lengths in [&[1, 2, 50, 192][..], &[193, 7, 1022, 8192, 384, 385]] {
            let cu: Vec<i32> = std::iter::once(0)
                .chain(lengths.iter().scan(0, |sum, l| {
                    *sum += l;
                    Some(*sum)
                }))
                .collect();
            let total = cu[cu.len() - 1] as usize;
            let mut seen = vec![0; total];
            let ids = vec![0u16; total];
            let draft = Draft::new(&ids, &cu).unwrap();
            for item in &draft.items {
                assert!(cu.contains(&item.start) && cu.contains(&(item.start + item.length)));
                assert!(item.row + item.rows <= item.length);
                (item.start + item.row..item.start + item.row + item.rows)
                    .for_each(|r| seen[r as usize] += 1);
            }
            assert!(seen.iter().all(|&s| s == 1));
        }
    }

    #[test]
    fn a_sequence_is_long_whatever_its_neighbours() {
        let draft = Draft::new(&[0; 700], &[0, 168, 337, 338, 700]).unwrap();
        let lengths: Vec<i32> = draft.items.iter().map(|item| item.length).collect();
        assert_eq!(lengths, [362, 362, 169, 168, 1]);
        let long = draft.items.partition_point(is_long);
        assert_eq!(
            Part::of(&draft.items, 0, long),
            Part { first: 0, count: 3, most_rows: 256, longest: 362 }
        );
        assert_eq!(
            Part::of(&draft.items, long, 2),
            Part { first: 3, count: 2, most_rows: 168, longest: 168 }
        );
    }
}
