//! Rotary positions.

use std::sync::{Arc, Mutex, PoisonError};

/// Cosines and sines of the rotary angles, `[positions, width / 2]` each.
///
/// The angles are made in float32, step by step as the published models make them: an exact angle would
/// differ from theirs by half a unit in the last place, which at position 1,000 is 3e-5 radians.
#[derive(Debug)]
pub(crate) struct RotaryTable {
    pub(crate) cos: Vec<f32>,
    pub(crate) sin: Vec<f32>,
    width: usize,
    positions: usize,
}

impl RotaryTable {
    fn new(width: usize, positions: usize) -> RotaryTable {
        let frequencies: Vec<f32> = (0..width / 2)
            .map(|i| 1.0 / (10_000f64.powf(f64::from((2 * i) as f32 / width as f32)) as f32))
            .collect();
        let angles = || (0..positions).flat_map(|p| frequencies.iter().map(move |f| p as f32 * f));
        RotaryTable {
            cos: angles().map(f32::cos).collect(),
            sin: angles().map(f32::sin).collect(),
            width,
            positions,
        }
    }

    /// Rotates one head of one token at `position`, in place.
    #[inline(always)]
    pub(crate) fn rotate(&self, head: &mut [f32], position: usize) {
        let half = self.width / 2;
        let cos = &self.cos[position * half..][..half];
        let sin = &self.sin[position * half..][..half];
        let (low, high) = head.split_at_mut(half);
        for (((a, b), c), s) in low.iter_mut().zip(high).zip(cos).zip(sin) {
            let (x, y) = (*a, *b);
            *a = x * c - y * s;
            *b = y * c + x * s;
        }
    }
}

/// The tables in use, one a head width, made longer as longer sequences come.
#[derive(Debug, Default)]
pub(crate) struct RotaryTables(Mutex<Vec<Arc<RotaryTable>>>);

impl RotaryTables {
    /// A table for heads of `width` that reaches at least `positions`.
    pub(crate) fn get(&self, width: usize, positions: usize) -> Arc<RotaryTable> {
        let mut tables = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = tables.iter().position(|t| t.width == width);
        if let Some(table) = place.map(|i| &tables[i]).filter(|t| t.positions >= positions) {
            return Arc::clone(table);
        }
        let table = Arc::new(RotaryTable::new(width, positions.next_power_of_two().max(64)));
        match place {
            Some(i) => tables[i] = Arc::clone(&table),
            None => tables.push(Arc::clone(&table)),
        }
        table
    }
}
