//! Writes scores as text.

use std::fmt;

use super::scores::Scores;

/// The text for a missing verdict.
pub(super) const NONE: &str = "NA";

/// Returns a number for people: four decimals.
pub(super) fn decimal(value: Option<f64>) -> String {
    value.map_or(NONE.to_owned(), |value| format!("{value:.4}"))
}

/// A score with the shortest decimal that gives the same float32, as NumPy writes it: `0.5`, `1.0`,
/// `1e-04`, `3.3e-20`.
///
/// It is `str(numpy.float32(x))`, as in VirNucPro's files: positional from 0.0001 up to 1e16, otherwise
/// with an exponent of at least two digits.
#[derive(Clone, Copy, Debug)]
pub(super) struct ScoreText(pub(super) f32);

impl ScoreText {
    /// Returns the score of others, and that of virus.
    pub(super) fn both(scores: Scores) -> [Self; 2] {
        [ScoreText(scores.other), ScoreText(scores.virus)]
    }

    /// Returns the number that a reader of the text gets, in float64.
    pub(super) fn parsed(self) -> f64 {
        self.to_string().parse().unwrap_or_else(|_| f64::from(self.0))
    }
}

impl fmt::Display for ScoreText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ScoreText(value) = *self;
        let size = f64::from(value.abs());
        if !value.is_finite() || value == 0.0 || (1e-4..1e16).contains(&size) {
            // A number without a fraction has no point.
            let is_whole = value.is_finite() && value.fract() == 0.0;
            return write!(f, "{value}{}", if is_whole { ".0" } else { "" });
        }
        let text = format!("{value:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |e| ('-', e));
        write!(f, "{digits}e{sign}{exponent:0>2}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expected values are those of `str(numpy.float32(x))` (NumPy 2.4).
    #[test]
    fn as_numpy_writes_them() {
        for (value, expected) in [
            (0.0, "0.0"),
            (1.0, "1.0"),
            (0.5, "0.5"),
            (0.999_999_94, "0.99999994"),
            (0.1, "0.1"),
            (1.0 / 3.0, "0.33333334"),
            (1e-4, "1e-04"),
            (0.000_100_01, "0.00010001"),
            (1.234_567_8e-5, "1.2345678e-05"),
            (1e-5, "1e-05"),
            (3.3e-20, "3.3e-20"),
            (1e-45, "1e-45"),
            (1e16, "1e+16"),
            (123_456.79, "123456.79"),
        ] {
            assert_eq!(ScoreText(value).to_string(), expected);
        }
    }
}
