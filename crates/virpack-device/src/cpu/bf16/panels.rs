//! Weights in the layout that every product in bfloat16 reads.

use super::super::blocks::PackedWeight;
use super::super::lines::Lines;
use super::super::team::Team;
use super::{PANEL, padded, round};

/// Weights `[outputs, inputs]` in bfloat16: panels of [`PANEL`] outputs, in each the pairs of inputs one
/// after the other, in each pair the outputs. What is missing from the last panel and the last inputs is
/// zeros.
///
/// `value(o, i)` is half `i % 2` of word `(o / PANEL · pairs + i / 2) · PANEL + o % PANEL`: the order of AMX
/// and of `vdpbf16ps`.
#[derive(Debug)]
pub(crate) struct Bf16Panels {
    pub(crate) outputs: usize,
    pub(crate) inputs: usize,
    pub(crate) pairs: usize,
    words: Lines,
}

impl PackedWeight for Bf16Panels {
    fn shape(&self) -> [usize; 2] {
        [self.outputs, self.inputs]
    }
}

impl Bf16Panels {
    /// Rounds and packs `values`, `[outputs, inputs]` row-major, on the threads of `team`.
    pub(crate) fn pack(team: &Team, outputs: usize, inputs: usize, values: &[f32]) -> Bf16Panels {
        let pairs = padded(inputs) / 2;
        let mut words = Lines::zeroed(outputs.div_ceil(PANEL) * pairs * PANEL);
        team.run_chunks(words.u32s_mut(), pairs * PANEL, |panel, words| {
            let rows = values[panel * PANEL * inputs..].chunks(inputs.max(1)).take(PANEL);
            for (output, row) in rows.enumerate() {
                for (pair, values) in row.chunks(2).enumerate() {
                    let high = values.get(1).map_or(0, |&v| round(v));
                    words[pair * PANEL + output] = u32::from(high) << 16 | u32::from(round(values[0]));
                }
            }
        });
        Bf16Panels { outputs, inputs, pairs, words }
    }

    /// `count` panels from the `first` on.
    pub(crate) fn panels(&self, first: usize, count: usize) -> &[u32] {
        &self.words.u32s()[first * self.pairs * PANEL..][..count * self.pairs * PANEL]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroUsize;

    #[test]
    fn every_weight_has_its_place_and_the_rest_are_zeros() {
        let team = Team::new(NonZeroUsize::new(2)).unwrap();
        for (outputs, inputs) in [(1, 1), (16, 32), (17, 33), (40, 7)] {
            let values: Vec<f32> = (0..outputs * inputs).map(|i| 1.0 + (i % 101) as f32).collect();
            let panels = Bf16Panels::pack(&team, outputs, inputs, &values);
            let mut sum = 0.0;
            for (o, row) in values.chunks(inputs).enumerate() {
                for (i, value) in row.iter().enumerate() {
                    let word = panels.panels(o / PANEL, 1)[i / 2 * PANEL + o % PANEL];
                    assert_eq!(super::super::widen((word >> (16 * (i % 2))) as u16), *value);
                    sum += value;
                }
            }
            let all = panels.panels(0, outputs.div_ceil(PANEL));
            assert_eq!(all.len(), outputs.next_multiple_of(PANEL) * padded(inputs) / 2);
            let halves = all.iter().flat_map(|word| [*word as u16, (word >> 16) as u16]);
            assert_eq!(halves.map(super::super::widen).sum::<f32>(), sum);
        }
    }
}
