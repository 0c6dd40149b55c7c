//! The page of a run of `embed`, built while its rows are written.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use minijinja::{Value, context};
use serde_json::{Map, Value as Json};
use virpack_seq::grouped;

use super::HtmlError;
use super::assets::{Data, render};
use super::axis::{length_ticks, two, value_ticks};
use super::charts::{BARS, Bar, histogram};
use super::facts::{RunFacts, file_name};
use super::pca::components;
use super::record::cut;
use super::tracks::ID_LETTERS;

/// The most dots of the plot, and the most values of their rows together.
const MOST_DOTS: usize = 3_000;
const MOST_VALUES: usize = 4_000_000;
/// The most rows that are searched for duplicates: each takes up to 40 bytes.
const MOST_COMPARED: u64 = 5_000_000;
/// The most ids of duplicates on the page.
const IDS: usize = 10;

/// Collects what a page shows of the rows of an output.
///
/// Memory is bounded by the number of distinct lengths, a sample of the rows, and hashes of the first
/// 5,000,000 rows.
#[derive(Debug)]
pub(crate) struct EmbedPageBuilder {
    width: usize,
    rows: u64,
    truncated: u64,
    lengths: BTreeMap<u64, u64>,
    /// Finite norms, by all but the last eight bits of a float32: to one part in 30,000.
    norms: BTreeMap<u32, u64>,
    not_finite: u64,
    sample: Vec<Sampled>,
    /// The sample has every row whose number is a multiple of this.
    step: u64,
    ids: Repeated,
    vectors: Repeated,
    /// The most rows that are searched for duplicates.
    most_compared: u64,
}

#[derive(Debug)]
struct Sampled {
    id: String,
    length: u64,
    row: Vec<f32>,
}

/// Counts items that occur more than once.
#[derive(Debug, Default)]
struct Repeated {
    seen: HashSet<u64>,
    repeated: HashSet<u64>,
    /// Items equal to an earlier one.
    later: u64,
    /// Ids of the first repetitions, one for each item.
    first: Vec<String>,
}

impl EmbedPageBuilder {
    /// Returns the builder of a page for rows of `width` values.
    pub(crate) fn new(width: usize) -> Self {
        EmbedPageBuilder {
            width,
            rows: 0,
            truncated: 0,
            lengths: BTreeMap::new(),
            norms: BTreeMap::new(),
            not_finite: 0,
            sample: Vec::new(),
            step: 1,
            ids: Repeated::default(),
            vectors: Repeated::default(),
            most_compared: MOST_COMPARED,
        }
    }

    /// Adds the next row of the output: the id and the length of its record, whether only the record's
    /// beginning was embedded, and the values `[width]`.
    pub(crate) fn add(&mut self, id: &str, length: u64, truncated: bool, row: &[f32]) {
        let index = self.rows;
        self.rows += 1;
        self.truncated += u64::from(truncated);
        *self.lengths.entry(length).or_default() += 1;
        let norm = row.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
        if norm.is_finite() {
            *self.norms.entry((norm as f32).to_bits() >> 8).or_default() += 1;
            self.take(index, id, length, row);
        } else {
            self.not_finite += 1;
        }
        if self.is_compared() {
            self.ids.add(id, |hasher| id.hash(hasher));
            self.vectors.add(id, |hasher| row.iter().for_each(|x| x.to_bits().hash(hasher)));
        }
    }

    /// Adds a row to the sample, if it is selected. A full sample keeps every second row.
    fn take(&mut self, index: u64, id: &str, length: u64, row: &[f32]) {
        if !index.is_multiple_of(self.step) {
            return;
        }
        self.sample.push(Sampled { id: cut(id, ID_LETTERS), length, row: row.to_vec() });
        if self.sample.len() > MOST_DOTS.min(MOST_VALUES / self.width.max(1)).max(3) {
            let mut is_kept = false;
            self.sample.retain(|_| {
                is_kept = !is_kept;
                is_kept
            });
            self.step *= 2;
        }
    }

    fn is_compared(&self) -> bool {
        self.rows <= self.most_compared
    }

    /// Completes the page of the run that `run`, its `run.json`, describes.
    ///
    /// # Errors
    /// If `run` lacks a value that every run of `embed` has.
    pub(crate) fn finish(self, run: &Map<String, Json>) -> Result<String, HtmlError> {
        let facts = RunFacts(run);
        let max_length = facts.count("options.max_length");
        let devices = facts.find("devices").and_then(Json::as_array).map_or(&[][..], Vec::as_slice);
        let devices = devices.iter().filter_map(|device| device["device"].as_str());
        let devices: Vec<String> = devices.map(str::to_owned).collect();
        let pool = match facts.needed_text("options.pool")? {
            "mean" => "mean of residues",
            "max" => "maximum of residues",
            "cls" => "first token",
            other => other,
        };
        let layer = facts.find("options.layer").map_or("last".to_owned(), Json::to_string);
        let (ids, vectors) = (self.ids.repeated.len() as u64, self.vectors.later);
        let duplicates = context! { ids => self.ids.value(ids), rows => self.vectors.value(vectors) };
        let context = context! {
            virpack => facts.needed_text("virpack")?, finished => facts.text("finished"),
            title => file_name(facts.needed_text("output")?), rows => self.rows, width => self.width,
            letters => self.lengths.iter().map(|(length, count)| length * count).sum::<u64>(),
            truncated => self.truncated,
            model => context! {
                name => facts.needed_text("model.name")?, layer => layer, pool => pool,
                sha256 => facts.text("model.sha256").unwrap_or("not known"),
            },
            run => context! { seconds => facts.needed_number("seconds.all")?, devices => devices },
            long_records => facts.text("options.long_records"), max_length => max_length,
            lengths => self.lengths(max_length), norms => self.norms(), pca => self.pca(),
            duplicates => self.is_compared().then_some(duplicates), most_compared => self.most_compared,
        };
        render("embed.html", Data::NoScript, context)
    }

    /// Returns the histogram of lengths on a logarithmic axis.
    fn lengths(&self, cut: Option<u64>) -> Value {
        let log = |length: u64| (length.max(1) as f64).log10();
        let ends = [self.lengths.first_key_value(), self.lengths.last_key_value()];
        let [low, high] = ends.map(|end| end.map_or(2.0, |(length, _)| log(*length)));
        let (low, high) = (low - 0.05, high + 0.05);
        let values = self.lengths.iter().map(|(length, count)| (log(*length), *count));
        let bars = bars(values, low, high, |edge| grouped(10f64.powf(edge).round() as u64));
        let at = cut
            .map(log)
            .filter(|cut| (low..high).contains(cut))
            .map(|cut| two(100.0 * (cut - low) / (high - low)));
        histogram(&bars, length_ticks(low, high, grouped), at)
    }

    /// Returns the histogram of norms.
    fn norms(&self) -> Value {
        let norm = |bits: u32| f64::from(f32::from_bits(bits << 8));
        let ends = [self.norms.first_key_value(), self.norms.last_key_value()];
        let [low, high] = ends.map(|end| end.map_or(1.0, |(bits, _)| norm(*bits)));
        let pad = (0.05 * (high - low)).max(0.001 * high.abs()).max(1e-6);
        let (low, high) = (low - pad, high + pad);
        let digits = (2.0 - (high - low).log10().floor()).clamp(0.0, 9.0) as usize;
        let values = self.norms.iter().map(|(bits, count)| (norm(*bits), *count));
        let bars = bars(values, low, high, |edge| format!("{edge:.digits$}"));
        context! { not_finite => self.not_finite, ..histogram(&bars, value_ticks(low, high), None) }
    }

    /// Returns the first two components of the sample; None for fewer than three rows, or equal rows.
    fn pca(&self) -> Option<Value> {
        if self.sample.len() < 3 {
            return None;
        }
        let rows: Vec<&[f32]> = self.sample.iter().map(|one| &*one.row).collect();
        let found = components(&rows)?;
        let limits = [0, 1].map(|axis| {
            let places = found.places.iter().map(|place| place[axis]);
            let (low, high) = (places.clone().fold(f64::MAX, f64::min), places.fold(f64::MIN, f64::max));
            let pad = if high > low { 0.04 * (high - low) } else { 1.0 };
            (low - pad, high + pad)
        });
        let fifths = self.fifths();
        let at = |place: f64, (low, high): (f64, f64)| 100.0 * (place - low) / (high - low);
        let dot = |(one, place): (&Sampled, &[f64; 2])| {
            let bucket = fifths.iter().filter(|edge| one.length > **edge).count();
            context! {
                x => two(at(place[0], limits[0])), y => two(100.0 - at(place[1], limits[1])),
                id => one.id.as_str(),
                length => one.length, bucket => bucket,
            }
        };
        let dots: Vec<Value> = self.sample.iter().zip(&found.places).map(dot).collect();
        let between =
            fifths.windows(2).map(|edges| format!("{} to {}", grouped(edges[0] + 1), grouped(edges[1])));
        let mut buckets = vec![format!("to {}", grouped(fifths[0]))];
        buckets.extend(between);
        buckets.push(format!("from {}", grouped(fifths[3] + 1)));
        let upwards = value_ticks(limits[1].0, limits[1].1).into_iter().map(|tick| {
            let at = f64::try_from(tick.get_attr("at").unwrap_or_default()).unwrap_or(0.0);
            context! { at => two(100.0 - at), ..tick }
        });
        Some(context! {
            dots => dots, x_ticks => value_ticks(limits[0].0, limits[0].1),
            y_ticks => upwards.collect::<Vec<_>>(),
            explained => found.explained.to_vec(), buckets => buckets,
        })
    }

    /// Returns the lengths that a fifth, two, three and four fifths of the rows do not exceed.
    fn fifths(&self) -> [u64; 4] {
        [1, 2, 3, 4].map(|fifth| {
            let mut left = (self.rows * fifth).div_ceil(5);
            let reached = self.lengths.iter().find(|(_, count)| {
                left = left.saturating_sub(**count);
                left == 0
            });
            reached.map_or(0, |(length, _)| *length)
        })
    }
}

/// Returns bars of equal width between `low` and `high`, for values with their counts.
fn bars(
    values: impl Iterator<Item = (f64, u64)>,
    low: f64,
    high: f64,
    label: impl Fn(f64) -> String,
) -> Vec<Bar> {
    let mut counts = [0u64; BARS];
    for (value, count) in values {
        let place = (value - low) / (high - low) * BARS as f64;
        counts[(place.max(0.0) as usize).min(BARS - 1)] += count;
    }
    let edge = |i: usize| label(low + (high - low) * i as f64 / BARS as f64);
    let bar = |(i, count): (usize, u64)| Bar { records: count, bases: 0, from: edge(i), to: edge(i + 1) };
    counts.into_iter().enumerate().map(bar).collect()
}

impl Repeated {
    fn add(&mut self, id: &str, hash: impl FnOnce(&mut DefaultHasher)) {
        let mut hasher = DefaultHasher::new();
        hash(&mut hasher);
        let hash = hasher.finish();
        if self.seen.insert(hash) {
            return;
        }
        self.later += 1;
        if self.repeated.insert(hash) && self.first.len() < IDS {
            self.first.push(cut(id, ID_LETTERS));
        }
    }

    fn value(&self, total: u64) -> Value {
        context! { total => total, first => self.first.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn run() -> Json {
        json!({
            "virpack": "0.1.0", "output": "out/<b>proteins</b>.npy",
            "model": {"name": "esm2", "sha256": "0f".repeat(32)}, "devices": [{"device": "CPU"}],
            "seconds": {"all": 3.0},
            "options": {"pool": "mean", "layer": 4, "long_records": "truncate", "max_length": 150},
        })
    }

    fn page(rows: impl Iterator<Item = (String, u64, Vec<f32>)>) -> String {
        let mut page = EmbedPageBuilder::new(3);
        rows.for_each(|(id, length, row)| page.add(&id, length, length > 148, &row));
        page.finish(run().as_object().unwrap()).unwrap()
    }

    fn row(i: u64) -> (String, u64, Vec<f32>) {
        let x = i as f32;
        (format!("<i>{i}</i>"), 50 + i, vec![x.sin() * 5.0, x.cos(), (x * 0.7).sin() * 0.1])
    }

    #[test]
    fn every_row_is_in_both_histograms_and_the_plot() {
        let page = page((0..100).map(row));
        assert_eq!(page.matches("<circle class=\"length ").count(), 100);
        assert!(
            page.contains("100 rows of 3 values") && page.contains("1 record (1 %) is truncated"),
            "{page}"
        );
        assert!(page.contains("No id and no embedding occurs more than once."));
        assert!(page.contains("class=\"line\""), "the cut at 150 is within the lengths");
        assert!(!page.contains("<i>") && !page.contains("<b>") && !page.contains("<script"));
        let counts = page.matches("<title>").count();
        assert!(counts > 110, "{counts} titles");
    }

    #[test]
    fn many_rows_are_sampled_evenly() {
        let page = page((0..10_000).map(row));
        let dots = page.matches("<circle class=\"length ").count();
        assert_eq!(dots, 2_500);
        assert!(page.contains("&lt;i&gt;9996&lt;&#x2f;i&gt;: 10,046") && page.contains("of 2,500 records"));
    }

    #[test]
    fn duplicates_and_values_that_are_not_finite_are_reported() {
        let mut rows: Vec<_> = (0..10).map(row).collect();
        rows.push(row(3));
        rows.push(row(3));
        rows.push(("other".into(), 9, row(4).2));
        rows.push(("broken".into(), 9, vec![f32::NAN; 3]));
        let page = page(rows.into_iter());
        assert!(
            page.contains("1 id occurs more than once: <code>&lt;i&gt;3&lt;&#x2f;i&gt;</code></li>"),
            "{page}"
        );
        assert!(
            page.contains("3 rows equal an earlier one to the last bit")
                && page.contains("<code>other</code>, …</li>"),
            "{page}"
        );
        assert!(page.contains("1 row holds values that are not finite"));
    }

    #[test]
    fn duplicates_among_too_many_rows_are_not_counted() {
        let mut page = EmbedPageBuilder { most_compared: 5, ..EmbedPageBuilder::new(3) };
        for i in [0, 0, 1, 2, 3, 4] {
            let (id, length, row) = row(i);
            page.add(&id, length, false, &row);
        }
        assert_eq!(page.ids.seen.len(), 4, "hashes are kept of the first rows only");
        let page = page.finish(run().as_object().unwrap()).unwrap();
        assert!(page.contains("Not looked for: the output has more than 5 rows."), "{page}");
    }

    #[test]
    fn few_or_equal_rows_have_no_plot() {
        assert!(!page((0..2).map(row)).contains("Principal components"));
        assert!(
            !page((0..9).map(|i| (i.to_string(), 5, vec![1.0, 2.0, 3.0]))).contains("Principal components")
        );
        assert!(page(std::iter::empty()).contains("0 rows of 3 values"));
    }
}
