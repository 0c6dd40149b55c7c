//! Turns a score into a call.

use crate::error::{Error, SettingProblem};

/// The call of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Call {
    /// Its score reaches the threshold of viral records.
    Viral,
    /// Its score is between both thresholds.
    Uncertain,
    /// Its score is below the threshold of cellular records.
    Cellular,
}

impl Call {
    /// Returns the word that the tables hold.
    ///
    /// ```
    /// use virpack_core::verdict::{Call, CallThresholds};
    ///
    /// assert_eq!(CallThresholds::DEFAULT.call(0.2), Call::Cellular);
    /// assert_eq!(Call::Cellular.as_str(), "cellular");
    /// ```
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Call::Viral => "viral",
            Call::Uncertain => "uncertain",
            Call::Cellular => "cellular",
        }
    }
}

/// The scores, 0 to 1, at which a record is called viral or cellular.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CallThresholds {
    viral: f64,
    cellular: f64,
}

impl CallThresholds {
    /// The most sensitive: `viral` at 0.5.
    pub const RELAXED: Self = CallThresholds { viral: 0.5, cellular: 0.3 };
    /// The default: `viral` at 0.7.
    pub const DEFAULT: Self = CallThresholds { viral: 0.7, cellular: 0.3 };
    /// Few false calls: `viral` at 0.9.
    pub const STRICT: Self = CallThresholds { viral: 0.9, cellular: 0.3 };

    /// Returns the thresholds whose viral records score at least `viral`.
    ///
    /// The other threshold is that of [`CallThresholds::DEFAULT`], or `viral` if that is less.
    ///
    /// ```
    /// use virpack_core::verdict::CallThresholds;
    ///
    /// assert_eq!(CallThresholds::at(0.9)?, CallThresholds::STRICT);
    /// assert!(CallThresholds::at(1.5).is_err());
    /// # Ok::<(), virpack_core::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] unless `viral` is 0 to 1.
    pub fn at(viral: f64) -> Result<Self, Error> {
        if !(0.0..=1.0).contains(&viral) {
            return Err(SettingProblem::NoShare { setting: "min_score", given: viral }.into());
        }
        Ok(CallThresholds { viral, cellular: Self::DEFAULT.cellular.min(viral) })
    }

    /// Returns the lowest score of a viral record.
    #[must_use]
    pub fn viral(&self) -> f64 {
        self.viral
    }

    /// Returns the score below which a record is cellular.
    ///
    /// ```
    /// use virpack_core::verdict::CallThresholds;
    ///
    /// let thresholds = CallThresholds::DEFAULT;
    /// assert_eq!((thresholds.viral(), thresholds.cellular()), (0.7, 0.3));
    /// ```
    #[must_use]
    pub fn cellular(&self) -> f64 {
        self.cellular
    }

    /// Returns the call of a record with this score.
    ///
    /// ```
    /// use virpack_core::verdict::{Call, CallThresholds};
    /// assert_eq!(CallThresholds::DEFAULT.call(0.7), Call::Viral);
    /// assert_eq!(CallThresholds::STRICT.call(0.7), Call::Uncertain);
    /// ```
    #[must_use]
    pub fn call(&self, score: f64) -> Call {
        if score >= self.viral {
            Call::Viral
        } else if score < self.cellular {
            Call::Cellular
        } else {
            Call::Uncertain
        }
    }
}

impl Default for CallThresholds {
    fn default() -> Self {
        Self::DEFAULT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_are_included_above_and_excluded_below() {
        let thresholds = CallThresholds::default();
        let calls = [0.0, 0.299_999, 0.3, 0.699_999, 0.7, 1.0].map(|score| thresholds.call(score));
        let [viral, uncertain, cellular] = [Call::Viral, Call::Uncertain, Call::Cellular];
        assert_eq!(calls, [cellular, cellular, uncertain, uncertain, viral, viral]);
    }

    #[test]
    fn a_threshold_of_the_user_leaves_no_gap() {
        for viral in [0.0, 0.1, 0.3, 0.5, 1.0] {
            let thresholds = CallThresholds::at(viral).expect("0 to 1");
            assert!(thresholds.cellular() <= thresholds.viral());
            assert_eq!(thresholds.call(viral), Call::Viral);
        }
        assert_eq!(CallThresholds::at(0.1).unwrap().call(0.05), Call::Cellular);
        assert_eq!(CallThresholds::at(0.7).unwrap(), CallThresholds::DEFAULT);
        for viral in [-0.1, 1.1, f64::NAN] {
            let error = CallThresholds::at(viral).unwrap_err();
            assert!(error.to_string().starts_with("min_score must be between 0 and 1, and is "), "{error}");
        }
    }

    #[test]
    fn stricter_thresholds_call_no_more_records_viral() {
        let named = [CallThresholds::RELAXED, CallThresholds::DEFAULT, CallThresholds::STRICT];
        for pair in named.windows(2) {
            assert!(pair[0].viral() < pair[1].viral());
            assert!(pair[0].cellular() <= pair[1].cellular());
        }
        assert_eq!(
            [Call::Viral, Call::Uncertain, Call::Cellular].map(Call::as_str),
            ["viral", "uncertain", "cellular"]
        );
    }
}
