//! Records with synthetic scores, some with ids that are meant to break a page. The same call returns the
//! same records.

use std::ops::Range;

use serde_json::{Value, json};

use crate::html::*;
use crate::verdict::{Call, RegionKind};

pub(super) const VIRAL: f64 = 0.7;
pub(super) const UNCERTAIN: f64 = 0.5;
const CHUNK: u64 = 500;

/// The kind of the ids that are not hostile.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Ids {
    /// Ids of an assembler.
    Plain,
    /// 60 letters that no compression reduces below 30 bytes.
    Random,
}

/// A record with all that a page may show.
pub(super) struct Sample {
    pub(super) id: String,
    pub(super) description: String,
    pub(super) length: u64,
    pub(super) score: Option<f64>,
    pub(super) call: Option<Call>,
    chunks: Vec<Chunk>,
    regions: Vec<PageRegion>,
}

struct Chunk {
    bases: Range<u64>,
    score: f32,
    by_nucleotides: bool,
    frame: Option<PageFrame>,
}

impl Sample {
    /// Shows the record as the page takes it.
    pub(super) fn with(&self, add: impl FnOnce(&PageRecord<'_>)) {
        let chunk = |chunk: &Chunk| chunk.bases.clone();
        let chunks: Vec<PageChunk<'_>> = self
            .chunks
            .iter()
            .map(|one| PageChunk {
                bases: chunk(one),
                scores: Some([1.0 - one.score, one.score]),
                posterior: Some(one.score),
                frames: one.frame.as_slice(),
            })
            .collect();
        let count = |is: fn(&Chunk) -> bool| self.chunks.iter().filter(|chunk| is(chunk)).count() as u64;
        let status = ["empty", "too_short", "too_short", "classified"][self.length.min(3) as usize];
        add(&PageRecord {
            id: &self.id,
            description: &self.description,
            source: None,
            length: self.length,
            call: self.call,
            status,
            score: self.score,
            fdr: self.score.map(fdr),
            chunks: &chunks,
            chunks_classified: chunks.len() as u64,
            chunks_viral: count(|chunk| chunk.score >= 0.5),
            by_nucleotides: count(|chunk| chunk.by_nucleotides),
            regions: &self.regions,
        });
    }
}

/// Splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        x ^ (x >> 31)
    }

    /// From 0 to 1.
    fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn normal(&mut self, mean: f64, deviation: f64) -> f64 {
        let radius = (-2.0 * (1.0 - self.share()).ln()).sqrt();
        mean + deviation * radius * (std::f64::consts::TAU * self.share()).cos()
    }
}

fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// Ids and descriptions that look like markup, attributes, templates, JSON, links or formulas.
fn hostile(place: usize) -> (String, String) {
    let long = format!("=HYPERLINK(1){}", "x".repeat(300));
    let texts: [(&str, &str); 5] = [
        ("</script><img/src=x/onerror=alert(1)>", "<!-- <script>alert(1)</script> -->"),
        ("\"onmouseover=\"alert(1)", "'><svg/onload=alert(1)>"),
        ("{{7*7}}{%raw%}${7*7}", "]]> &lt;b&gt; &amp;amp; \\u003c \\x01"),
        ("javascript:alert(1)", &"description ".repeat(60)),
        (&long, "\u{202e}right to left\u{202c}, \u{1f9a0} and caf\u{e9}"),
    ];
    (texts[place].0.to_owned(), texts[place].1.to_owned())
}

/// Returns a run's records: five hostile ones in the middle, which score best, so that they have rows and
/// tracks without script.
pub(super) fn records(count: u64, ids: Ids) -> impl Iterator<Item = Sample> {
    let mut random = Random(1);
    (0..count).map(move |i| record(i, count, ids, &mut random))
}

fn record(i: u64, count: u64, ids: Ids, random: &mut Random) -> Sample {
    let place = i.checked_sub(count.saturating_sub(5) / 2).filter(|place| *place < 5);
    let mut length = random.normal(7.2, 0.9).exp().clamp(300.0, 200_000.0) as u64;
    let is_viral = random.share() < 0.04;
    let mut mean = random.normal(if is_viral { 1.4 } else { -1.5 }, 0.8);
    if i % 997 == 6 {
        length = i % 2; // empty, or a single base
    }
    let (id, description) = match place {
        Some(place) => hostile(place as usize),
        None if ids == Ids::Random => {
            let parts: String = (0..4).map(|_| format!("{:015x}", random.next() >> 4)).collect();
            (parts, format!("flag=1 multi={:.4} len={length}", random.share()))
        }
        None => {
            (format!("k141_{}", random.next() % (10 * count)), format!("flag=1 multi={:.4}", random.share()))
        }
    };
    if let Some(place) = place {
        // The last one is binned.
        (length, mean) = (if place == 4 { 500_000 } else { 40_000 + place }, 9.0);
    }
    let chunks = chunks(length, mean, random);
    let odds = |chunk: &Chunk| f64::from(chunk.score / (1.0 - chunk.score)).ln().clamp(-3.0, 3.0);
    let mean = chunks.iter().map(odds).sum::<f64>() / chunks.len() as f64;
    let score = (!chunks.is_empty()).then(|| (logistic(mean) * 10_000.0).round() / 10_000.0);
    let call = score.map(|score| match score {
        VIRAL.. => Call::Viral,
        UNCERTAIN.. => Call::Uncertain,
        _ => Call::Cellular,
    });
    let regions = regions(&chunks, call);
    Sample { id, description, length, score, call, chunks, regions }
}

fn chunks(length: u64, mean: f64, random: &mut Random) -> Vec<Chunk> {
    let starts = (0..if length < 3 { 0 } else { length.div_ceil(CHUNK) })
        .map(|k| (k * CHUNK).min(length.saturating_sub(CHUNK)))
        .collect::<Vec<_>>();
    let chunk = |start: u64| {
        let bases = start..(start + CHUNK).min(length);
        let score = logistic(random.normal(mean, 1.5)) as f32;
        let frame = (random.next() % 6) as u8;
        let first = bases.start + u64::from(frame % 3);
        let last = first + (bases.end - first) / 3 * 3;
        let frame = (random.share() < 0.5).then_some(PageFrame { frame, bases: first..last, score });
        Chunk { bases, score: score.clamp(0.001, 0.999), by_nucleotides: frame.is_none(), frame }
    };
    starts.into_iter().map(chunk).collect()
}

/// Three viral chunks and more in a row.
fn regions(chunks: &[Chunk], call: Option<Call>) -> Vec<PageRegion> {
    let kind = if call == Some(Call::Viral) { RegionKind::Viral } else { RegionKind::Provirus };
    let runs = chunks.chunk_by(|a, b| (a.score >= 0.5) == (b.score >= 0.5));
    let viral = runs.filter(|run| run.len() >= 3 && run[0].score >= 0.5);
    viral
        .map(|run| PageRegion {
            bases: run[0].bases.start..run[run.len() - 1].bases.end,
            kind,
            score: run.len() as f64 * 1.234,
        })
        .collect()
}

/// Made-up false positive rate and recall at a threshold.
pub(super) fn rates() -> Rates {
    Rates::new(|line| (0.3 * (1.0 - line).powi(3), 1.0 - 0.6 * line * line))
}

fn fdr(score: f64) -> f64 {
    let (wrong, right) = (0.27 * (1.0 - score).powi(3), 0.1 * (1.0 - 0.6 * score * score));
    wrong / (wrong + right)
}

/// Returns the page of `count` records.
pub(super) fn page(count: u64, ids: Ids) -> Page {
    let mut page =
        PageBuilder::new(PageOptions { prevalence: Some(0.1), ..PageOptions::new(VIRAL, UNCERTAIN) });
    for record in records(count, ids) {
        record.with(|record| page.add(record));
    }
    page.finish(run().as_object().unwrap(), Some(&rates())).unwrap()
}

/// A `run.json`.
pub(super) fn run() -> Value {
    let device = |model: &str, speed: f64| {
        json!({
            "device": "CPU, 2 threads, AVX-512", "model": model, "packing_efficiency": 0.97,
            "tokens_per_second": speed,
        })
    };
    let file = |path: &str| json!({"path": path, "bytes": 1_000_000, "sha256": "0f".repeat(32)});
    json!({
        "counts": {"odd_letters": 12, "records_with_odd_letters": 2},
        "devices": [device("nucleotide", 32_375.4), device("protein", 19_273.3)],
        "inputs": [{
            "bytes": 123_456_789, "path": "a folder/<i>made up</i> & \"quoted\".fasta",
            "sha256": "ab".repeat(32),
        }],
        "models": {
            "name": "virpack-mini",
            "files": [
                file("virpack-mini/classifier_500.safetensors"),
                file("virpack-mini/peptide/model.safetensors"),
            ],
            "protein": "virpack-mini/peptide",
            "nucleotide": "virpack-mini/nucleotide",
        },
        "options": {"genetic_code": 1, "length": CHUNK, "min_score": null, "columns": "<b>all</b>"},
        "output": "target/it's a run",
        "rates": {"bases_per_second": 118_993.3},
        "seconds": {"all": 1_891.2},
        "virpack": "0.1.0",
    })
}
