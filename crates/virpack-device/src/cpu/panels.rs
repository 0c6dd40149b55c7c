//! float32 weights in the layout that products read.

use super::blocks::PackedWeight;
use super::exact::ExactValues;
use super::lines::Lines;
use super::microkernel::PanelValues;
use super::team::Team;
use std::ops::Range;

/// Outputs of a panel of weights.
pub(crate) const PANEL: usize = 16;

/// Weights `[outputs, inputs]`: panels of [`PANEL`] outputs, in each the inputs one after the other, in each
/// input the outputs. What is missing from the last panel is zeros.
#[derive(Debug)]
pub(crate) struct F32Panels {
    pub(crate) outputs: usize,
    pub(crate) inputs: usize,
    values: ExactValues,
}

impl PackedWeight for F32Panels {
    fn shape(&self) -> [usize; 2] {
        [self.outputs, self.inputs]
    }
}

impl F32Panels {
    /// Packs `values`, `[outputs, inputs]` row-major, on the threads of `team`.
    pub(crate) fn pack(team: &Team, outputs: usize, inputs: usize, values: Vec<f32>) -> F32Panels {
        let mut packed = Lines::zeroed(outputs.div_ceil(PANEL) * PANEL * inputs);
        team.run_chunks(packed.f32s_mut(), (PANEL * inputs).max(1), |panel, packed| {
            let rows = values[panel * PANEL * inputs..].chunks(inputs.max(1)).take(PANEL);
            // By squares, which stay in the first-level cache.
            for (square, packed) in packed.chunks_mut(PANEL * PANEL).enumerate() {
                for (output, row) in rows.clone().enumerate() {
                    for (packed, value) in packed.chunks_exact_mut(PANEL).zip(&row[square * PANEL..]) {
                        packed[output] = *value;
                    }
                }
            }
        });
        // Before a copy of 16 bits is made.
        drop(values);
        F32Panels { outputs, inputs, values: ExactValues::new(packed) }
    }

    /// Whether the weights are kept in 16 bits.
    #[cfg(test)]
    pub(super) fn is_in_16_bits(&self) -> bool {
        self.values.as_f32().is_none()
    }

    /// Returns a range of the inputs of `count` panels from the `first` on: in `scratch` where the weights
    /// are kept in 16 bits.
    pub(super) fn part<'a>(
        &'a self,
        first: usize,
        count: usize,
        inputs: Range<usize>,
        scratch: &'a mut Lines,
    ) -> PanelValues<'a> {
        let (of_panel, of_part) = (self.inputs * PANEL, inputs.len() * PANEL);
        let begin = |panel| panel * of_panel + inputs.start * PANEL;
        if let Some(values) = self.values.as_f32() {
            let values = &values[begin(first)..(first + count) * of_panel];
            return PanelValues { values, stride: of_panel, inputs: inputs.len() };
        }
        scratch.at_least(count * of_part);
        let parts = scratch.f32s_mut().chunks_exact_mut(of_part.max(1)).take(count);
        for (panel, part) in (first..).zip(parts) {
            self.values.widen(begin(panel)..begin(panel) + of_part, part);
        }
        PanelValues { values: scratch.f32s(), stride: of_part, inputs: inputs.len() }
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
            // Values that 16 bits hold, and values that they do not.
            for step in [0.0, 0.1] {
                let values: Vec<f32> = (0..outputs * inputs).map(|i| 1.0 + (i % 101) as f32 + step).collect();
                let panels = F32Panels::pack(&team, outputs, inputs, values.clone());
                assert_eq!(panels.is_in_16_bits(), step == 0.0);
                let (middle, mut scratch) = (inputs / 2, Lines::default());
                for part in [0..middle, middle..inputs] {
                    for panel in 0..outputs.div_ceil(PANEL) {
                        let read = panels.part(panel, 1, part.clone(), &mut scratch);
                        assert_eq!(read.inputs, part.len());
                        for (i, outputs_of) in part.clone().zip(read.values.chunks_exact(PANEL)) {
                            for (o, value) in (panel * PANEL..).zip(outputs_of) {
                                let expected = if o < outputs { values[o * inputs + i] } else { 0.0 };
                                assert_eq!(*value, expected, "{outputs} x {inputs}: {o}, {i}");
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn panels_that_are_read_together_follow_each_other() {
        let team = Team::new(None).unwrap();
        for step in [0.0, 0.1] {
            let values: Vec<f32> = (0..48 * 10).map(|i| i as f32 + step).collect();
            let panels = F32Panels::pack(&team, 48, 10, values.clone());
            let mut scratch = Lines::default();
            let read = panels.part(1, 2, 4..10, &mut scratch);
            assert_eq!(read.values[5 * PANEL + 3], values[19 * 10 + 9]);
            assert_eq!(read.values[read.stride + 2 * PANEL + 15], values[47 * 10 + 6]);
        }
    }
}
