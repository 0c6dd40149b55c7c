//! The batch sizes that the arena must hold.

use super::{ROW_STEP, packed};
use crate::Dtype;

/// Results that may be in transfer to the host at once: two batches in flight, and one being read.
const RESULTS: usize = 3;

/// The sizes of the batches to come, so that their memory can be laid out before the first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ArenaPlan {
    /// Most tokens in a batch.
    pub(super) token_budget: usize,
    /// Most sequences in a batch.
    pub(super) sequences: usize,
    /// Columns of the tensors that live at once, in any order. A narrower tensor uses the block of the next
    /// wider.
    pub(super) widths: Vec<usize>,
    /// Columns of a row that is returned.
    pub(super) hidden: usize,
    /// Columns of a pooled row.
    pub(super) pooled: usize,
    /// Whether all rows of a batch are returned too (`Backend::read`), as windows of long records need.
    pub(super) rows: bool,
}

/// Bytes of each kind of block.
#[derive(Clone, Debug, Default)]
pub(super) struct Blocks {
    pub(super) token_budget: usize,
    /// Columns that tensors are widened to, in rising order.
    widths: Vec<usize>,
    pub(super) upload: usize,
    pub(super) result: usize,
    pub(super) rows: usize,
}

impl ArenaPlan {
    /// Returns the bytes of the arena.
    pub(super) fn bytes(&self, dtype: Dtype) -> usize {
        let blocks = self.blocks();
        let tensors: usize = self.widths.iter().map(|w| tensor_bytes(self.token_budget, *w, dtype)).sum();
        let rows = if self.rows { RESULTS * blocks.rows } else { 0 };
        tensors + blocks.upload + RESULTS * blocks.result + rows
    }

    pub(super) fn blocks(&self) -> Blocks {
        let mut widths = self.widths.clone();
        widths.sort_unstable();
        let result = (self.sequences * (self.pooled + 1) * size_of::<f32>()).next_multiple_of(256);
        let rows = (self.token_budget * self.hidden * size_of::<f32>()).next_multiple_of(256);
        let upload = packed::most_bytes(self.token_budget, self.sequences).next_multiple_of(256);
        Blocks { token_budget: self.token_budget, widths, upload, result, rows }
    }
}

impl Blocks {
    /// Returns the bytes of a tensor's block. Up to the token budget, all tensors of a width have the same.
    pub(super) fn tensor(&self, rows: usize, columns: usize, dtype: Dtype) -> usize {
        if rows > self.token_budget {
            return tensor_bytes(rows, columns, dtype).next_power_of_two();
        }
        let columns = self.widths.iter().copied().find(|w| *w >= columns).unwrap_or(columns);
        tensor_bytes(self.token_budget, columns, dtype)
    }

    /// Returns the bytes of a small block: those of its `kind`, if it fits.
    pub(super) fn small(bytes: usize, kind: usize) -> usize {
        if bytes <= kind { kind } else { bytes.next_power_of_two() }
    }
}

fn tensor_bytes(rows: usize, columns: usize, dtype: Dtype) -> usize {
    (rows.next_multiple_of(ROW_STEP) * columns * dtype.bytes()).next_multiple_of(256)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn narrower_tensors_take_the_place_of_wider_ones() {
        let plan = ArenaPlan {
            token_budget: 1000,
            sequences: 300,
            widths: vec![64, 256, 64],
            hidden: 64,
            pooled: 64,
            rows: false,
        };
        let blocks = plan.blocks();
        assert_eq!(blocks.tensor(1000, 192, Dtype::F16), 1024 * 256 * 2);
        assert_eq!(blocks.tensor(1, 64, Dtype::F16), 1024 * 64 * 2);
        assert_eq!(blocks.tensor(1025, 64, Dtype::F16), 262_144);
        assert_eq!(Blocks::small(10, 256), 256);
        assert_eq!(Blocks::small(300, 256), 512);
        let rows = ArenaPlan { rows: true, ..plan.clone() };
        assert!(rows.bytes(Dtype::F16) - plan.bytes(Dtype::F16) >= 3 * 1000 * 64 * 4);
    }
}
