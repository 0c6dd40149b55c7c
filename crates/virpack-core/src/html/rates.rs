//! How often the calls of a model are wrong, as measured on records outside its training data.

use minijinja::{Value, context};

use super::charts::SCORES;

/// The mean false positive rate and recall over the judged records of a run, each at its own length, by
/// threshold.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rates {
    /// Shares of cellular records with a score of at least 0, 0.001, ..., 1.
    pub(super) false_positive: Vec<f64>,
    /// Shares of viral records with a score of at least 0, 0.001, ..., 1.
    pub(super) recall: Vec<f64>,
}

impl Rates {
    /// Calls `at` for the false positive rate and recall at each of the thresholds 0, 0.001, ..., 1.
    pub(crate) fn new(at: impl Fn(f64) -> (f64, f64)) -> Self {
        let (false_positive, recall) = (0..SCORES).map(|i| at(i as f64 / (SCORES - 1) as f64)).unzip();
        Rates { false_positive, recall }
    }

    /// Returns what to expect of the calls at a threshold.
    pub(super) fn expectation(&self, threshold: f64) -> Value {
        let at = |rates: &[f64]| {
            let place = threshold.clamp(0.0, 1.0) * (SCORES - 1) as f64;
            let below = (place.floor() as usize).min(SCORES - 2);
            let share = place - below as f64;
            rates[below] * (1.0 - share) + rates[below + 1] * share
        };
        let (false_positive, recall) = (at(&self.false_positive), at(&self.recall));
        let row = |prevalence: f64| {
            let (wrong, right) = (false_positive * (1.0 - prevalence), recall * prevalence);
            let share = if wrong + right > 0.0 { wrong / (wrong + right) } else { 0.0 };
            context! { prevalence => prevalence, share_false => share }
        };
        let rows = [0.001, 0.01, 0.1].map(row);
        context! { false_positive => false_positive, recall => recall, rows => rows.to_vec() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_of_false_calls_follows_from_both_rates() {
        let rates = Rates::new(|line| (0.1 * (1.0 - line), 1.0 - 0.5 * line));
        let value = rates.expectation(0.5005);
        let number = |value: &Value, name: &str| f64::try_from(value.get_attr(name).unwrap()).unwrap();
        assert!((number(&value, "false_positive") - 0.04995).abs() < 1e-12);
        assert!((number(&value, "recall") - 0.74975).abs() < 1e-12);
        let row = value.get_attr("rows").unwrap().get_item(&Value::from(2)).unwrap();
        let wrong = 0.04995 * 0.9;
        assert!((number(&row, "share_false") - wrong / (wrong + 0.74975 * 0.1)).abs() < 1e-12);
        assert_eq!(number(&rates.expectation(1.0), "false_positive"), 0.0);
    }
}
