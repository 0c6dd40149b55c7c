//! A batch on the card: ids, boundaries and attention's work list in one upload. The only arithmetic on
//! `cu_seqlens` on the host.

use super::ROW_STEP;
use super::arena::Block;
use super::driver::Event;
use crate::{DeviceError, shapes};
use std::sync::Arc;

/// Rows of one sequence that one block of attention works on; as `Item` in `kernels/common.cuh`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(super) struct Item {
    pub(super) start: i32,
    pub(super) length: i32,
    pub(super) row: i32,
    pub(super) rows: i32,
}

/// How attention cuts a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    /// A sequence up to this long is one item.
    pub(super) whole: usize,
    /// Rows of an item of a longer sequence.
    pub(super) rows: usize,
}

/// A batch on the card.
#[derive(Debug)]
pub struct CudaPacked {
    /// Ids, boundaries, positions, items, in this order, each at a multiple of 16 bytes.
    block: Block,
    pub(super) tokens: usize,
    /// Sequences.
    pub(super) n: usize,
    pub(super) items: usize,
    /// Rows of the item that has most.
    pub(super) most_rows: usize,
    pub(super) shortest: usize,
    pub(super) longest: usize,
    pub(super) largest_id: u16,
    layout: Layout,
    /// Its arrival on the card, where the driver times events.
    pub(super) begun: Option<Arc<Event>>,
}

/// Most bytes of an upload of so many tokens and sequences: the layout below, rounded up.
pub(super) fn most_bytes(tokens: usize, sequences: usize) -> usize {
    let items = sequences + tokens / MOST_ROWS_CUT + 1;
    let positions = tokens.next_multiple_of(ROW_STEP) * size_of::<i32>();
    tokens * size_of::<u16>() + positions + (sequences + 1) * 4 + items * size_of::<Item>() + 2048
}

/// Where the parts of an upload begin, in bytes.
#[derive(Clone, Copy, Debug)]
struct Layout {
    cu_seqlens: usize,
    positions: usize,
    items: usize,
    end: usize,
}

impl CudaPacked {
    pub(super) fn input_ids(&self) -> u64 {
        self.block.pointer
    }

    pub(super) fn cu_seqlens(&self) -> u64 {
        self.block.pointer + self.layout.cu_seqlens as u64
    }

    /// Each token's place in its sequence, int32; 0 for the rows that tensors are padded with.
    pub(super) fn positions(&self) -> u64 {
        self.block.pointer + self.layout.positions as u64
    }

    pub(super) fn items(&self) -> u64 {
        self.block.pointer + self.layout.items as u64
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
        let cut = cut_for(lengths(cu_seqlens).max().unwrap_or(0));
        let items = items(cu_seqlens, cut);
        let cu_at = size_of_val(input_ids).next_multiple_of(16);
        let positions_at = cu_at + size_of_val(cu_seqlens).next_multiple_of(16);
        let items_at = positions_at + input_ids.len().next_multiple_of(ROW_STEP) * size_of::<i32>();
        let end = items_at + size_of_val(&items[..]);
        let layout = Layout { cu_seqlens: cu_at, positions: positions_at, items: items_at, end };
        Ok(Draft { input_ids, cu_seqlens, items, layout })
    }

    /// Bytes to upload.
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
        CudaPacked {
            block,
            tokens: self.input_ids.len(),
            n: self.cu_seqlens.len() - 1,
            items: self.items.len(),
            most_rows: self.items.iter().map(|i| i.rows as usize).max().unwrap_or(0),
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

/// The longest sequence of a batch whose sequences are all whole in a block's memory, several heads a block.
pub(super) const SHORT: usize = 192;

/// Rows of an item of a sequence that is cut.
const MOST_ROWS_CUT: usize = 128;

fn cut_for(longest: usize) -> Cut {
    match longest {
        0..=SHORT => Cut { whole: SHORT, rows: SHORT },
        // Eight warps of 16 rows; up to twice that they take two turns at keys that are read once.
        _ => Cut { whole: 256, rows: MOST_ROWS_CUT },
    }
}

/// One item a sequence up to `whole`, else one for every `rows` rows; the most work first, so that no processor is left
/// with it at the end.
fn items(cu_seqlens: &[i32], cut: Cut) -> Vec<Item> {
    let mut items = Vec::with_capacity(cu_seqlens.len());
    for bounds in cu_seqlens.windows(2) {
        let (start, length) = (bounds[0], bounds[1] - bounds[0]);
        let rows = if length as usize <= cut.whole { length } else { cut.rows as i32 };
        let rows_from = |row| Item { start, length, row, rows: rows.min(length - row) };
        items.extend((0..length).step_by(rows as usize).map(rows_from));
    }
    items.sort_by_key(|i| std::cmp::Reverse(i64::from(i.length) * i64::from(i.rows)));
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
}
