//! The two plots of all records: the histogram of scores, and length against score.

use std::collections::BTreeMap;

use minijinja::{Value, context};

use super::axis::{CountScale, in_bases, length_ticks, score_ticks, two};
use super::record::CALLS;

/// Bins of scores: 0, 0.001, ..., 1.
pub(super) const SCORES: usize = 1_001;
/// Bars of a histogram.
pub(super) const BARS: usize = 50;
/// The most dots of the plot without script.
pub(super) const MOST_DOTS: usize = 2_000;

/// A bar of a histogram: records, bases, and its bounds.
pub(super) struct Bar {
    pub(super) records: u64,
    pub(super) bases: u64,
    pub(super) from: String,
    pub(super) to: String,
}

/// Returns a histogram of bars of equal width, with `x_ticks` as the marks across.
pub(super) fn histogram(bars: &[Bar], x_ticks: Vec<Value>, cut: Option<f64>) -> Value {
    let counts = CountScale::up_to(bars.iter().map(|bar| bar.records).max().unwrap_or(0));
    let width = 100.0 / bars.len() as f64;
    let shape = |(i, bar): (usize, &Bar)| {
        let height = counts.height(bar.records);
        context! {
            x => two(i as f64 * width + 0.1), width => two(width - 0.2), y => two(100.0 - height),
            height => two(height),
            records => bar.records, bases => bar.bases, from => bar.from.as_str(), to => bar.to.as_str(),
        }
    };
    let shapes: Vec<Value> = bars.iter().enumerate().map(shape).collect();
    context! {
        bars => shapes, y_ticks => counts.ticks(), x_ticks => x_ticks, logarithmic => counts.logarithmic,
        cut => cut,
    }
}

/// Counts records and bases by score, and by length and score, in bins that do not depend on later records.
#[derive(Debug)]
pub(super) struct PlotCounts {
    /// Records with a score in each of the [`SCORES`] bins.
    pub(super) records: Vec<u64>,
    /// Their bases.
    pub(super) bases: Vec<u64>,
    /// Records by hundredths of the logarithm of length, fortieths of the score, and call.
    cells: BTreeMap<(u16, u8, u8), u64>,
    /// The least and the greatest logarithm of a judged record's length.
    lengths: Option<(f64, f64)>,
    judged: usize,
    dots: Vec<Dot>,
}

#[derive(Debug)]
struct Dot {
    id: String,
    log: f64,
    length: u64,
    score: f64,
    call: usize,
}

impl PlotCounts {
    pub(super) fn new() -> Self {
        let zeros = vec![0; SCORES];
        PlotCounts {
            records: zeros.clone(),
            bases: zeros,
            cells: BTreeMap::new(),
            lengths: None,
            judged: 0,
            dots: Vec::new(),
        }
    }

    /// Adds a judged record; `whole` is its score in ten-thousandths.
    pub(super) fn add(
        &mut self,
        id: impl FnOnce() -> String,
        length: u64,
        score: f64,
        whole: i64,
        call: usize,
    ) {
        let bin = (whole / 10) as usize;
        self.records[bin] += 1;
        self.bases[bin] += length;
        let log = (length.max(1) as f64).log10();
        let (low, high) = self.lengths.unwrap_or((log, log));
        self.lengths = Some((low.min(log), high.max(log)));
        self.judged += 1;
        if self.judged <= MOST_DOTS {
            self.dots.push(Dot { id: id(), log, length, score, call });
        } else {
            self.dots = Vec::new();
        }
        let row = ((1.0 - score) * 40.0).clamp(0.0, 39.0) as u8;
        *self.cells.entry(((log * 100.0) as u16, row, call as u8)).or_default() += 1;
    }

    /// Returns the histogram of scores.
    pub(super) fn histogram(&self) -> Value {
        let per = (SCORES - 1) / BARS;
        let bar = |i: usize| {
            // The last bar includes the score 1.
            let bins = i * per..if i + 1 == BARS { SCORES } else { (i + 1) * per };
            let edge = |i: usize| format!("{:.2}", i as f64 / BARS as f64);
            Bar {
                records: self.records[bins.clone()].iter().sum(),
                bases: self.bases[bins].iter().sum(),
                from: edge(i),
                to: edge(i + 1),
            }
        };
        let bars: Vec<Bar> = (0..BARS).map(bar).collect();
        histogram(&bars, score_ticks(false), None)
    }

    /// Returns length against score: a dot for each record, or a circle for the records of a tile.
    pub(super) fn scatter(&self) -> Value {
        let (low, high) = self.lengths.unwrap_or((2.5, 3.5));
        let pad = (0.05 * (high - low)).max(0.15);
        let thousandths = |x: f64| (x * 1000.0).round() / 1000.0;
        let (low, high) = (thousandths(low - pad), thousandths(high + pad));
        let across = |log: f64| 100.0 * (log - low) / (high - low);
        let dot = |dot: &Dot| {
            context! {
                x => two(across(dot.log)), y => two(100.0 * (1.0 - dot.score)), call => CALLS[dot.call],
                id => dot.id.as_str(), length => dot.length, score => dot.score,
            }
        };
        let dots: Vec<Value> = self.dots.iter().map(dot).collect();
        let tiles = if self.judged > MOST_DOTS { self.tiles(across) } else { Vec::new() };
        context! {
            x_min => low, x_max => high, dots => dots, tiles => tiles,
            x_ticks => length_ticks(low, high, in_bases),
            y_ticks => score_ticks(true),
        }
    }

    /// Returns circles, each for the records of one call in a tile 2 % wide and 2.5 % high.
    fn tiles(&self, across: impl Fn(f64) -> f64) -> Vec<Value> {
        let mut tiles: BTreeMap<(u8, u8, u8), u64> = BTreeMap::new();
        for ((log, row, call), count) in &self.cells {
            let column = (across((f64::from(*log) + 0.5) / 100.0) / 2.0).clamp(0.0, 49.0) as u8;
            *tiles.entry((column, *row, *call)).or_default() += count;
        }
        let most = tiles.values().copied().max().unwrap_or(1) as f64;
        let tile = |((column, row, call), count): (&(u8, u8, u8), &u64)| {
            let radius = 0.8 + 3.2 * ((*count as f64 + 1.0).ln() / (most + 1.0).ln()).sqrt();
            context! {
                x => 2 * column + 1, y => 2.5 * f64::from(*row) + 1.25, call => CALLS[usize::from(*call)],
                r => (radius * 10.0).round() / 10.0,
            }
        };
        tiles.iter().map(tile).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(value: &Value, name: &str) -> Vec<Value> {
        value.get_attr(name).unwrap().try_iter().unwrap().collect()
    }

    #[test]
    fn every_judged_record_is_in_a_bar_and_a_dot() {
        let mut plots = PlotCounts::new();
        for (length, whole) in [(500, 0), (1_000, 199), (1_000, 200), (0, 9_999), (70_000, 10_000)] {
            plots.add(|| "a".into(), length, whole as f64 / 10_000.0, whole, 0);
        }
        let bars = list(&plots.histogram(), "bars");
        let counts: Vec<u64> =
            bars.iter().map(|bar| u64::try_from(bar.get_attr("records").unwrap()).unwrap()).collect();
        assert_eq!((counts[0], counts[1], counts[49], counts.iter().sum::<u64>()), (2, 1, 2, 5));
        assert_eq!(list(&plots.scatter(), "dots").len(), 5);
    }

    #[test]
    fn many_records_become_tiles() {
        let mut plots = PlotCounts::new();
        for i in 0..2_001 {
            plots.add(|| "a".into(), 400 + i % 100, i as f64 / 2_000.0, (i * 5) as i64, (i % 3) as usize);
        }
        let scatter = plots.scatter();
        assert_eq!(list(&scatter, "dots").len(), 0);
        let tiles = list(&scatter, "tiles");
        assert!((100..2_000).contains(&tiles.len()), "{} tiles", tiles.len());
        for tile in tiles {
            let [x, y, r] = ["x", "y", "r"].map(|name| f64::try_from(tile.get_attr(name).unwrap()).unwrap());
            assert!(
                (0.0..=100.0).contains(&x) && (0.0..=100.0).contains(&y) && (0.8..=4.0).contains(&r),
                "{tile}"
            );
        }
    }
}
