//! Measures the difference between two embeddings.

/// The difference between an embedding and its reference.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    /// The largest absolute difference of a value.
    pub max_abs: f64,
    /// The length (L2) of the difference, relative to that of the reference.
    pub relative: f64,
    /// The cosine of the angle between the two, which is independent of scale.
    pub cosine: f64,
    /// Whether every value has the same bits.
    pub same_bits: bool,
}

impl Difference {
    /// Returns the difference of `values` from `reference`, which have the same length.
    ///
    /// ```
    /// use virpack_core::validate::Difference;
    ///
    /// let difference = Difference::between(&[3.0, 4.5], &[3.0, 4.0]);
    /// assert_eq!((difference.max_abs, difference.relative), (0.5, 0.1));
    /// ```
    pub fn between(values: &[f32], reference: &[f32]) -> Difference {
        let pairs = || values.iter().zip(reference).map(|(a, b)| (f64::from(*a), f64::from(*b)));
        let sum = |of: fn(f64, f64) -> f64| pairs().map(|(a, b)| of(a, b)).sum::<f64>();
        let (apart, own, other) = (sum(|a, b| (a - b) * (a - b)), sum(|a, _| a * a), sum(|_, b| b * b));
        Difference {
            max_abs: pairs().map(|(a, b)| (a - b).abs()).fold(0.0, f64::max),
            relative: if apart == 0.0 { 0.0 } else { (apart / other).sqrt() },
            same_bits: values.iter().map(|v| v.to_bits()).eq(reference.iter().map(|v| v.to_bits())),
            cosine: if apart == 0.0 { 1.0 } else { sum(|a, b| a * b) / (own * other).sqrt() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_is_equal() {
        for values in [&[0.0, 0.0][..], &[1.0, -2.0]] {
            let same = Difference::between(values, values);
            assert_eq!(same, Difference { max_abs: 0.0, relative: 0.0, cosine: 1.0, same_bits: true });
        }
    }

    #[test]
    fn equal_values_may_have_other_bits() {
        let signs = Difference::between(&[0.0, 1.0], &[-0.0, 1.0]);
        assert_eq!((signs.max_abs, signs.same_bits), (0.0, false));
        assert!(!Difference::between(&[1.0], &[1.0 + f32::EPSILON]).same_bits);
    }

    #[test]
    fn scale_shows_where_the_cosine_is_blind() {
        let difference = Difference::between(&[2.0, 4.0], &[1.0, 2.0]);
        assert!((difference.cosine - 1.0).abs() < 1e-12);
        assert!((difference.relative - 1.0).abs() < 1e-12);
    }
}
