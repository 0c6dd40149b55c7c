//! float32 weights in no more bytes than they need.
//!
//! Many checkpoints hold values of 16 bits, also where their files say float32. Those are kept in 16 bits and
//! widened a block at a time where a product reads them, which changes no bit of the product.

use half::f16;
use half::slice::HalfFloatSliceExt;
use std::ops::Range;

use super::bf16::widen;
use super::lines::Lines;

/// Values that are converted and compared at a time: a matrix that needs float32 is known by its first
/// pieces.
const PIECE: usize = 1 << 12;

/// float32 values, in 16 bits if every one of them is exact there.
#[derive(Debug)]
pub(crate) enum ExactValues {
    F32(Lines),
    Bf16(Vec<u16>),
    F16(Vec<f16>),
}

impl ExactValues {
    /// Takes `values` in the fewest bytes that hold each of them exactly.
    pub(crate) fn new(values: Lines) -> ExactValues {
        if let Some(bf16) = as_bf16(values.f32s()) {
            return ExactValues::Bf16(bf16);
        }
        match as_f16(values.f32s()) {
            Some(f16) => ExactValues::F16(f16),
            None => ExactValues::F32(values),
        }
    }

    /// Returns the values if they are in float32.
    pub(crate) fn as_f32(&self) -> Option<&[f32]> {
        match self {
            ExactValues::F32(values) => Some(values.f32s()),
            ExactValues::Bf16(_) | ExactValues::F16(_) => None,
        }
    }

    /// Writes a range of the values to `out` in float32.
    pub(crate) fn widen(&self, range: Range<usize>, out: &mut [f32]) {
        match self {
            ExactValues::F32(values) => out.copy_from_slice(&values.f32s()[range]),
            ExactValues::Bf16(values) => {
                for (out, &value) in out.iter_mut().zip(&values[range]) {
                    *out = widen(value);
                }
            }
            ExactValues::F16(values) => values[range].convert_to_f32_slice(out),
        }
    }
}

/// Returns the values in bfloat16; None if one of them needs more bits.
fn as_bf16(values: &[f32]) -> Option<Vec<u16>> {
    let is_exact = |piece: &[f32]| piece.iter().fold(0, |bits, value| bits | value.to_bits()) & 0xffff == 0;
    let all_are = values.chunks(PIECE).all(is_exact);
    all_are.then(|| values.iter().map(|value| (value.to_bits() >> 16) as u16).collect())
}

/// Returns the values in float16; None if one of them needs more bits.
fn as_f16(values: &[f32]) -> Option<Vec<f16>> {
    let mut narrow = Vec::new();
    let mut back = [0.0; PIECE];
    for piece in values.chunks(PIECE) {
        let start = narrow.len();
        narrow.resize(start + piece.len(), f16::ZERO);
        narrow[start..].convert_from_f32_slice(piece);
        let back = &mut back[..piece.len()];
        narrow[start..].convert_to_f32_slice(back);
        if piece.iter().zip(back).any(|(value, back)| value.to_bits() != back.to_bits()) {
            return None;
        }
        if start == 0 {
            narrow.reserve_exact(values.len() - narrow.len());
        }
    }
    Some(narrow)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(values: &[f32]) -> ExactValues {
        let mut lines = Lines::zeroed(values.len());
        lines.f32s_mut().copy_from_slice(values);
        let kept = ExactValues::new(lines);
        for range in [0..values.len(), values.len() / 3..values.len()] {
            let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
            let mut wide = vec![0.0; range.len()];
            kept.widen(range.clone(), &mut wide);
            assert_eq!(bits(&wide), bits(&values[range]));
        }
        kept
    }

    #[test]
    fn values_are_kept_in_the_fewest_bits_that_hold_them() {
        let numbers = |step: f32| (0..3 * PIECE).map(|i| (i % 2_000) as f32 * step).collect::<Vec<f32>>();
        assert!(matches!(
            kept(&[1.0, -0.0, f32::from_bits(0x7f61_0000), f32::from_bits(0x0001_0000)]),
            ExactValues::Bf16(_)
        ));
        assert!(matches!(kept(&numbers(0.125)), ExactValues::F16(_)));
        assert!(matches!(kept(&numbers(0.1)), ExactValues::F32(_)));
        // One value among many: the last.
        let mut odd = numbers(0.125);
        odd.push(0.1);
        assert!(matches!(kept(&odd), ExactValues::F32(_)));
        // float16's least number, and one that is too large for it.
        assert!(matches!(kept(&[2.0f32.powi(-24), 1.0 + 2.0f32.powi(-10)]), ExactValues::F16(_)));
        assert!(matches!(kept(&[70_000.0, 1.0 + 2.0f32.powi(-10)]), ExactValues::F32(_)));
    }

    #[test]
    fn a_nan_keeps_its_bits() {
        kept(&[f32::NAN, f32::INFINITY, f32::from_bits(0x7f80_0001), f32::from_bits(0xffc1_2345)]);
    }
}
