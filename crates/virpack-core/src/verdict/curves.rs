//! How often records of either class reach a score, which determines the expected share of false calls.

use super::facts::{CalibrationError, JsonMembers};

/// The share of viral records that a user expects among all, more than 0 and less than 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prevalence(f64);

impl Default for Prevalence {
    /// Returns a tenth.
    fn default() -> Self {
        Prevalence(0.1)
    }
}

impl Prevalence {
    /// Returns this prevalence; None unless it is more than 0 and less than 1.
    ///
    /// ```
    /// use virpack_core::verdict::Prevalence;
    ///
    /// assert_eq!(Prevalence::new(0.01).unwrap().share(), 0.01);
    /// assert_eq!(Prevalence::new(0.0), None);
    /// ```
    #[must_use]
    pub fn new(share: f64) -> Option<Self> {
        (share > 0.0 && share < 1.0).then_some(Prevalence(share))
    }

    /// Returns the share.
    ///
    /// ```
    /// use virpack_core::verdict::Prevalence;
    ///
    /// assert_eq!(Prevalence::default().share(), 0.1);
    /// ```
    #[must_use]
    pub fn share(self) -> f64 {
        self.0
    }
}

/// For each knot the survival curves of both classes: the share of records that reach each of a list of
/// scores.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Curves {
    /// `ln(score / (1 - score))` of the scores, ascending.
    logits: Vec<f64>,
    /// One row for each knot.
    viral: Vec<Vec<f64>>,
    cellular: Vec<Vec<f64>>,
}

impl Curves {
    /// Removes `logit` and `survival` from `facts`, for `knots` knots.
    pub(super) fn take(facts: &mut JsonMembers, knots: usize) -> Result<Self, CalibrationError> {
        let logits = facts.numbers("logit")?;
        if logits.len() < 2 || !logits.is_sorted_by(|a, b| a < b) {
            return Err(facts.error("`logit` must have two or more rising numbers"));
        }
        let mut survival = facts.object("survival")?;
        let mut curves =
            Curves { viral: survival.rows("viral")?, cellular: survival.rows("cellular")?, logits };
        for rows in [&curves.viral, &curves.cellular] {
            if rows.len() != knots || rows.iter().any(|row| row.len() != curves.logits.len()) {
                return Err(survival.error("there must be a row a knot and a number a logit"));
            }
            let falls =
                |row: &Vec<f64>| row.is_sorted_by(|a, b| a >= b) && row.iter().all(|&s| s > 0.0 && s <= 1.0);
            if !rows.iter().all(falls) {
                return Err(survival.error("each row must fall, from at most 1 to more than 0"));
            }
        }
        for (viral, cellular) in curves.viral.iter().zip(&mut curves.cellular) {
            let mut least = f64::INFINITY;
            for (viral, cellular) in viral.iter().zip(cellular) {
                if *cellular / viral > least * 1.001 {
                    return Err(
                        survival.error("the ratio of cellular to viral records must fall with the score")
                    );
                }
                // Removes an increase in the last digit of the file.
                least = least.min(*cellular / viral);
                *cellular = least * viral;
            }
        }
        survival.finish()?;
        Ok(curves)
    }

    /// Returns the shares `[viral, cellular]` of records that score at least `logit`, mixed over knots by
    /// `weights`.
    pub(super) fn shares(&self, logit: f64, weights: &[f64]) -> [f64; 2] {
        [&self.viral, &self.cellular].map(|rows| {
            rows.iter()
                .zip(weights)
                .filter(|(_, weight)| **weight > 0.0)
                .map(|(row, w)| w * self.at(row, logit))
                .sum()
        })
    }

    /// Returns the share of cellular records that reach `logit`, for each viral record that does.
    ///
    /// It never increases with `logit`: the ratio of two straight lines is monotonic between two points of
    /// the curves, and a mean over knots of decreasing numbers decreases.
    pub(super) fn ratio(&self, logit: f64, weights: &[f64]) -> f64 {
        let pairs = self.viral.iter().zip(&self.cellular).zip(weights).filter(|(_, weight)| **weight > 0.0);
        pairs
            .map(|((viral, cellular), weight)| weight * self.at(cellular, logit) / self.at(viral, logit))
            .sum()
    }

    /// Interpolates linearly between points; constant outside them.
    fn at(&self, row: &[f64], logit: f64) -> f64 {
        let after = self.logits.partition_point(|&l| l <= logit);
        match (after.checked_sub(1), row.get(after)) {
            (None, _) => row[0],
            (Some(before), None) => row[before],
            (Some(before), Some(next)) => {
                let [from, to] = [self.logits[before], self.logits[after]];
                row[before] + (next - row[before]) * (logit - from) / (to - from)
            }
        }
    }
}

/// Returns the expected share of false calls if the cellular records that reach a score are `ratio` for
/// each viral one.
pub(super) fn expected_false(ratio: f64, prevalence: Prevalence) -> f64 {
    let [viral, cellular] = [prevalence.share(), (1.0 - prevalence.share()) * ratio];
    cellular / (viral + cellular)
}
