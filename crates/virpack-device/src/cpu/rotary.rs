//! Rotary positions.

use parking_lot::Mutex;
use std::sync::Arc;

/// Cosines and sines of the rotary angles, `[positions, width / 2]` each.
///
/// The angles are made in float32, step by step as the published models make them: an exact angle would
/// differ from theirs by half a unit in the last place, which at position 1,000 is 3e-5 radians.
#[derive(Debug)]
pub(crate) struct RotaryTable {
    pub(crate) cos: Vec<f32>,
    pub(crate) sin: Vec<f32>,
    frequencies: Vec<f32>,
    positions: usize,
}

impl RotaryTable {
    fn new(frequencies: &[f32], positions: usize) -> RotaryTable {
        let angles = || (0..positions).flat_map(|p| frequencies.iter().map(move |f| p as f32 * f));
        RotaryTable {
            cos: angles().map(f32::cos).collect(),
            sin: angles().map(f32::sin).collect(),
            frequencies: frequencies.to_vec(),
            positions,
        }
    }

    /// Returns the cosines and the sines of a position.
    #[inline(always)]
    pub(crate) fn angles(&self, position: usize) -> [&[f32]; 2] {
        let half = self.frequencies.len();
        [&self.cos, &self.sin].map(|table| &table[position * half..][..half])
    }

    /// One head of one token, rotated to `position`.
    #[inline(always)]
    pub(crate) fn rotate(&self, head: &[f32], position: usize, out: &mut [f32]) {
        let half = self.frequencies.len();
        let [cos, sin] = self.angles(position);
        let (low, high) = (&head[..half], &head[half..2 * half]);
        let (out_low, out_high) = out.split_at_mut(half);
        let (out_low, out_high) = (&mut out_low[..half], &mut out_high[..half]);
        for i in 0..half {
            out_low[i] = low[i] * cos[i] - high[i] * sin[i];
            out_high[i] = high[i] * cos[i] + low[i] * sin[i];
        }
    }
}

/// The tables in use, one a set of frequencies, made longer as longer sequences come.
#[derive(Debug, Default)]
pub(crate) struct RotaryTables(Mutex<Vec<Arc<RotaryTable>>>);

impl RotaryTables {
    /// Returns a table of these frequencies that reaches at least `positions`.
    pub(crate) fn get(&self, frequencies: &[f32], positions: usize) -> Arc<RotaryTable> {
        let mut tables = self.0.lock();
        let place = tables.iter().position(|t| t.frequencies == frequencies);
        if let Some(table) = place.map(|i| &tables[i]).filter(|t| t.positions >= positions) {
            return Arc::clone(table);
        }
        let table = Arc::new(RotaryTable::new(frequencies, positions.next_power_of_two().max(64)));
        match place {
            Some(i) => tables[i] = Arc::clone(&table),
            None => tables.push(Arc::clone(&table)),
        }
        table
    }
}
