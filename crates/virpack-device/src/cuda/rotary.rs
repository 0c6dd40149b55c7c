//! Rotary positions: the tables of angles, and queries and keys in neighbouring rows.
//!
//! In models the two values of a rotation are half a head apart (`rotate_half` of fair-esm and transformers).
//! A product that rotates (kernels/product.cu) needs them side by side, where one thread has both for every
//! head width. So `linear_layer` reorders the weight's rows once. Attention sums over a head's values, so the
//! same order in queries and keys does not change it.

use super::Cuda;
use super::arena::Fixed;
use crate::{DeviceError, shapes};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// Head widths of published models: tests compile kernels for them, and attention of pairs has a kernel for
/// each.
pub(super) const WIDTHS: [usize; 5] = [16, 24, 32, 64, 128];

/// The widest head whose angles a thread has registers for.
const WIDEST: usize = 128;

/// Positions of the first rotary table. It doubles when a sequence is longer.
const FIRST_POSITIONS: usize = 1024;

/// (cos, sin) of every position and pair on the card, by the bits of the frequencies.
#[derive(Debug, Default)]
pub(super) struct PositionTables(Mutex<HashMap<Vec<u32>, PositionTable>>);

/// A number of positions, and their values on the card.
#[derive(Debug)]
struct PositionTable {
    positions: usize,
    values: Arc<Fixed>,
}

/// Returns whether a product can rotate heads of this width: each block of eight columns must belong to one
/// head.
pub(super) fn is_for_products(width: usize) -> bool {
    width > 0 && width.is_multiple_of(8) && width <= WIDEST
}

/// Reorders the rows of queries and of keys, the first two thirds of `rows`, of `values` values each: in each
/// head of `width`, the rows of the first and of the second half alternate.
pub(super) fn to_neighbours(rows: &mut [f32], values: usize, width: usize) {
    let rotated = rows.len() / 3 * 2;
    let mut head_before = Vec::with_capacity(width * values);
    for head in rows[..rotated].chunks_exact_mut(width * values) {
        head_before.clear();
        head_before.extend_from_slice(head);
        for (i, row) in head.chunks_exact_mut(values).enumerate() {
            let from = (i / 2 + i % 2 * (width / 2)) * values;
            row.copy_from_slice(&head_before[from..from + values]);
        }
    }
}

impl Cuda {
    /// Returns the table of `frequencies` with at least `positions` rows.
    pub(super) fn rotary_table(
        &self,
        width: usize,
        positions: usize,
        frequencies: &[f32],
    ) -> Result<Arc<Fixed>, DeviceError> {
        shapes::frequencies(width, frequencies.len())?;
        let key: Vec<u32> = frequencies.iter().map(|f| f.to_bits()).collect();
        let mut tables = self.rotary.0.lock();
        if let Some(table) = tables.get(&key).filter(|table| table.positions >= positions) {
            return Ok(Arc::clone(&table.values));
        }
        let rows = positions.next_power_of_two().max(FIRST_POSITIONS);
        // Angles are in float32, as in training. In half precision they are a well-known source of error.
        let angles = |position: usize| {
            frequencies.iter().flat_map(move |f| {
                let (sin, cos) = f64::from(position as f32 * f).sin_cos();
                [cos as f32, sin as f32]
            })
        };
        let values: Vec<f32> = (0..rows).flat_map(angles).collect();
        let values = Arc::new(self.fixed_f32("rotary table", &values)?);
        // Submitted kernels may still read the old table: `Fixed` waits for them.
        tables.insert(key, PositionTable { positions: rows, values: Arc::clone(&values) });
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_of_queries_and_keys_become_neighbours_and_values_stay() {
        // Two heads of four, rows of two values: 8 rows of queries, 8 of keys, 8 of values.
        let mut rows: Vec<f32> = (0..24).flat_map(|row| [row as f32, 100.0 + row as f32]).collect();
        to_neighbours(&mut rows, 2, 4);
        let order: Vec<f32> = rows.chunks(2).map(|row| row[0]).collect();
        let head = [0.0, 2.0, 1.0, 3.0];
        let expected = |at: usize| (0..4).flat_map(move |h| head.map(|i| (at + 4 * h) as f32 + i));
        let values = (16..24).map(|row| row as f32);
        assert_eq!(order, expected(0).chain(values).collect::<Vec<_>>());
        assert!(rows.chunks(2).all(|row| row[1] == 100.0 + row[0]));
    }

    #[test]
    fn published_widths_are_for_products() {
        assert!(WIDTHS.into_iter().all(is_for_products));
        assert!(![0, 4, 20, 136].into_iter().any(is_for_products));
    }
}
