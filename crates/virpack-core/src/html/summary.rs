//! The counts of a run's calls, and its best record.

use minijinja::{Value, context};

use super::record::CALLS;

/// Records and bases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    /// Records.
    pub(crate) records: u64,
    /// Their bases.
    pub(crate) bases: u64,
}

/// The record with the highest score.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct BestRecord {
    /// Its id.
    pub(crate) id: String,
    /// Its `virus_score`.
    pub(crate) score: f64,
    /// Its bases.
    pub(crate) length: u64,
}

/// What a run found, in numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Summary {
    /// Viral, uncertain, cellular and not judged records.
    pub(crate) calls: [Count; 4],
    /// The best of the judged records.
    pub(crate) best: Option<BestRecord>,
}

impl Summary {
    /// Returns the count of all records.
    pub(crate) fn total(&self) -> Count {
        let sum = |of: fn(&Count) -> u64| self.calls.iter().map(of).sum();
        Count { records: sum(|count| count.records), bases: sum(|count| count.bases) }
    }

    /// Returns the four parts of a stacked bar.
    pub(super) fn stack(&self) -> Vec<Value> {
        let total = self.total();
        let mut before = Count::default();
        let mut parts = Vec::new();
        for (call, count) in CALLS.into_iter().zip(self.calls) {
            let part = |count: u64, before: u64, total: u64| {
                let share = |n: u64| if total == 0 { 0.0 } else { n as f64 / total as f64 };
                let place = |share: f64| (share * 100_000.0).round() / 1_000.0;
                let (x, width) = (place(share(before)), place(share(count)));
                context! { count => count, share => share(count), x => x, width => width }
            };
            parts.push(context! {
                call => call, label => if call == "unjudged" { "not judged" } else { call },
                records => part(count.records, before.records, total.records),
                bases => part(count.bases, before.bases, total.bases),
            });
            before = Count { records: before.records + count.records, bases: before.bases + count.bases };
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_stack_follow_one_another() {
        let calls = [(1, 10), (0, 0), (2, 20), (1, 0)].map(|(records, bases)| Count { records, bases });
        let parts = Summary { calls, best: None }.stack();
        let number = |part: usize, unit: &str, name: &str| {
            f64::try_from(parts[part].get_attr(unit).unwrap().get_attr(name).unwrap()).unwrap()
        };
        let places: Vec<_> =
            (0..4).map(|i| (number(i, "records", "x"), number(i, "records", "width"))).collect();
        assert_eq!(places, [(0.0, 25.0), (25.0, 0.0), (25.0, 50.0), (75.0, 25.0)]);
        assert_eq!((number(2, "bases", "x"), number(2, "bases", "width")), (33.333, 66.667));
    }

    #[test]
    fn a_run_without_records_has_shares_of_zero() {
        let parts = Summary::default().stack();
        assert_eq!(
            f64::try_from(parts[0].get_attr("records").unwrap().get_attr("share").unwrap()).unwrap(),
            0.0
        );
    }
}
