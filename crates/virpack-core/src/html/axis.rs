//! Axes: the positions of round marks. Positions are percentages of a plot.

use minijinja::{Value, context};

use virpack_seq::grouped;

/// Returns `x` with at most two decimals.
pub(super) fn two(x: f64) -> f64 {
    (x * 100.0).round() / 100.0
}

/// Returns `x` with at most one decimal and no trailing zero.
pub(super) fn short(x: f64) -> String {
    let text = format!("{x:.1}");
    let text = text.strip_suffix(".0").unwrap_or(&text);
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

pub(super) fn mark(at: f64, label: String) -> Value {
    context! { at => two(at), label => label }
}

/// The scale of counts in a plot.
pub(super) struct CountScale {
    pub(super) logarithmic: bool,
    top: f64,
    marks: Vec<u64>,
}

impl CountScale {
    /// Returns a scale up to `most`, logarithmic if that is more than 200.
    pub(super) fn up_to(most: u64) -> Self {
        let most = most.max(1);
        if most > 200 {
            let top = (((most + 1) as f64).log10() * 4.0).ceil() / 4.0;
            let powers = (0..20).map(|power| 10u64.saturating_pow(power)).take_while(|mark| *mark <= most);
            return CountScale { logarithmic: true, top, marks: powers.collect() };
        }
        let step = [1, 2, 5, 10, 20, 50].into_iter().find(|step| most <= 5 * step).unwrap_or(50);
        let steps = most.div_ceil(step);
        CountScale {
            logarithmic: false,
            top: (step * steps) as f64,
            marks: (1..=steps).map(|k| k * step).collect(),
        }
    }

    /// Returns the height of a count.
    pub(super) fn height(&self, count: u64) -> f64 {
        let value = if self.logarithmic { ((count + 1) as f64).log10() } else { count as f64 };
        if count == 0 { 0.0 } else { 100.0 * value / self.top }
    }

    pub(super) fn ticks(&self) -> Vec<Value> {
        let zero = mark(100.0, "0".to_owned());
        let others = self.marks.iter().map(|count| mark(100.0 - self.height(*count), grouped(*count)));
        std::iter::once(zero).chain(others).collect()
    }
}

/// Returns marks of scores from 0 to 1.
pub(super) fn score_ticks(downwards: bool) -> Vec<Value> {
    let labels = ["0", "0.2", "0.4", "0.6", "0.8", "1"];
    let place = |i: usize| if downwards { 100 - 20 * i } else { 20 * i };
    labels.iter().enumerate().map(|(i, label)| mark(place(i) as f64, (*label).to_owned())).collect()
}

/// Returns marks of a logarithmic axis between two logarithms to base 10.
pub(super) fn length_ticks(low: f64, high: f64, label: fn(u64) -> String) -> Vec<Value> {
    let steps: &[u64] = if high - low > 3.0 { &[1] } else { &[1, 2, 5] };
    let powers = (low.floor().max(0.0) as u32)..=(high.ceil().clamp(0.0, 18.0) as u32);
    let values = powers.flat_map(|power| steps.iter().map(move |step| step * 10u64.pow(power)));
    let places = values.map(|value| (100.0 * ((value as f64).log10() - low) / (high - low), value));
    let within = places.filter(|(at, _)| (-0.01..=100.01).contains(at));
    within.map(|(at, value)| mark(at, label(value))).collect()
}

/// Returns a round number of bases with its unit.
pub(super) fn in_bases(count: u64) -> String {
    match count {
        1_000_000.. => format!("{} Mb", grouped(count / 1_000_000)),
        1_000.. => format!("{} kb", count / 1_000),
        _ => count.to_string(),
    }
}

/// Returns marks at round positions of a record; the first is position 1.
pub(super) fn position_ticks(length: u64) -> Vec<Value> {
    let power = 10u64.pow(length.max(1).ilog10());
    let steps = [(power / 5).max(1), (power / 2).max(1), power, power.saturating_mul(2)];
    let step = steps.into_iter().find(|step| length / step <= 8).unwrap_or(steps[3]);
    let label = |base: u64| match base {
        0 => "1".to_owned(),
        _ if step >= 100_000 => format!("{} Mb", base as f64 / 1e6),
        _ if step >= 500 => format!("{} kb", base as f64 / 1e3),
        _ => grouped(base),
    };
    let places = (0..=length / step).map(|k| k * step);
    places.map(|base| mark(100.0 * base as f64 / length.max(1) as f64, label(base))).collect()
}

/// Returns about five round marks of a linear axis: values and labels.
pub(super) fn value_ticks(low: f64, high: f64) -> Vec<Value> {
    let power = 10f64.powf((((high - low) / 4.0).max(f64::MIN_POSITIVE)).log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power);
    let step = steps.into_iter().find(|step| (high - low) / step <= 6.0).unwrap_or(steps[3]);
    let decimals = (-step.log10().floor()).clamp(0.0, 9.0) as usize;
    let label = |value: f64| format!("{value:.decimals$}").replace('-', "−");
    let marks = ((low / step - 1e-9).ceil() as i64)..=((high / step + 1e-9).floor() as i64);
    let values = marks.map(|k| k as f64 * step);
    values.map(|value| mark(100.0 * (value - low) / (high - low), label(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(ticks: &[Value]) -> Vec<String> {
        ticks.iter().map(|tick| tick.get_attr("label").unwrap().to_string()).collect()
    }

    #[test]
    fn counts_are_logarithmic_from_200_on() {
        let few = CountScale::up_to(7);
        assert_eq!(labels(&few.ticks()), ["0", "2", "4", "6", "8"]);
        assert_eq!((few.height(8), few.logarithmic), (100.0, false));
        let many = CountScale::up_to(23_000);
        assert_eq!(labels(&many.ticks()), ["0", "1", "10", "100", "1,000", "10,000"]);
        assert!(many.logarithmic && many.height(23_000) <= 100.0 && many.height(0) == 0.0);
    }

    #[test]
    fn marks_are_round() {
        assert_eq!(labels(&length_ticks(2.5, 3.5, in_bases)), ["500", "1 kb", "2 kb"]);
        assert_eq!(labels(&position_ticks(10_000)), ["1", "2 kb", "4 kb", "6 kb", "8 kb", "10 kb"]);
        assert_eq!(labels(&position_ticks(2)), ["1", "1", "2"]);
        assert_eq!(labels(&value_ticks(-0.3, 0.25)), ["−0.3", "−0.2", "−0.1", "0.0", "0.1", "0.2"]);
        assert_eq!(position_ticks(0).len(), 1);
    }

    #[test]
    fn coordinates_are_short() {
        assert_eq!([1.0, 1.25, -0.01, 99.96].map(short), ["1", "1.2", "0", "100"]);
        assert_eq!(two(1.23456), 1.23);
    }
}
