//! The page of a run of `predict`, built while its records are written.

use std::collections::{BTreeMap, HashMap, HashSet};

use minijinja::{Value, context};
use serde_json::{Map, Value as Json};

use super::assets::{Data, render};
use super::best::{Best, Rank};
use super::charts::PlotCounts;
use super::data_block::{Contents, pack};
use super::facts::RunFacts;
use super::rates::Rates;
use super::record::{CALLS, PageRecord, cut, place};
use super::rows::{TableRow, TableRows, evidence, whole};
use super::summary::{BestRecord, Count, Summary};
use super::tracks::{DESCRIPTION_LETTERS, DrawnTrack, ID_LETTERS, spark, track};
use super::{HtmlError, multiqc};
use crate::verdict::RegionKind;

/// The most bytes of a page.
const MOST_BYTES: usize = 5_000_000;
/// The most bytes of the tracks.
const MOST_TRACKS: usize = 1_200_000;
/// The most candidate proviruses on the page.
const PROVIRUSES: usize = 100;
/// The most ids of records without a verdict on the page, for each reason.
const IDS: usize = 10;

/// How a run judges records, and how much a page shows.
#[derive(Clone, Debug)]
pub(crate) struct PageOptions {
    /// The lowest score of a viral record.
    pub(crate) viral: f64,
    /// The lowest score of an uncertain record.
    pub(crate) uncertain: f64,
    /// The share of viruses for which false discovery rates are computed; None: the model is not
    /// calibrated, and there are no such rates.
    pub(crate) prevalence: Option<f64>,
    /// The most records with a spark, and the most with a track: the best ones, at least one.
    pub(crate) detailed: usize,
    /// The run directory as the user named it; None: `output` of `run.json`.
    pub(crate) directory: Option<String>,
}

impl PageOptions {
    /// Returns the options of a page for an uncalibrated model, with 200 records in detail.
    pub(crate) fn new(viral: f64, uncertain: f64) -> Self {
        PageOptions { viral, uncertain, prevalence: None, detailed: 200, directory: None }
    }
}

/// The two files that show a run.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    /// `report.html`.
    pub(crate) html: String,
    /// `virpack_mqc.json`.
    pub(crate) multiqc: String,
}

/// Collects what a page shows of a run's records.
///
/// Memory is bounded, whatever the number of records: at most 200,000 rows of the table, and the pictures
/// of the best records.
#[derive(Debug)]
pub(crate) struct PageBuilder {
    options: PageOptions,
    rows: TableRows,
    plots: PlotCounts,
    calls: [Count; 4],
    sources: Vec<String>,
    source_places: HashMap<String, usize>,
    detailed: Best<Detailed>,
    tracks: Best<DrawnTrack>,
    proviruses: Best<Value>,
    reasons: BTreeMap<String, Reason>,
    chunks: Chunks,
}

/// A record in the table of the page itself.
#[derive(Debug)]
struct Detailed {
    index: u64,
    best: Option<BestRecord>,
    value: Value,
}

/// Records without a verdict for one reason.
#[derive(Debug, Default)]
struct Reason {
    count: Count,
    ids: Vec<String>,
}

#[derive(Debug, Default)]
struct Chunks {
    total: u64,
    classified: u64,
    by_nucleotides: u64,
    /// Chunks without a verdict in records with one.
    unjudged: u64,
}

impl PageBuilder {
    /// Returns the builder of a page without records.
    pub(crate) fn new(options: PageOptions) -> Self {
        let most = options.detailed.max(1);
        PageBuilder {
            options,
            rows: TableRows::new(),
            plots: PlotCounts::new(),
            calls: [Count::default(); 4],
            sources: Vec::new(),
            source_places: HashMap::new(),
            detailed: Best::new(most),
            tracks: Best::new(most),
            proviruses: Best::new(PROVIRUSES),
            reasons: BTreeMap::new(),
            chunks: Chunks::default(),
        }
    }

    /// Adds the next record of the input. A score or false discovery rate that is not finite counts as
    /// missing.
    pub(crate) fn add(&mut self, record: &PageRecord<'_>) {
        let finite = |x: Option<f64>| x.filter(|x| x.is_finite());
        let record = &PageRecord { score: finite(record.score), fdr: finite(record.fdr), ..record.clone() };
        let index = self.rows.total;
        let source = self.source(record.source);
        self.rows.add(TableRow::new(index, record, source));
        let count = &mut self.calls[place(record.call)];
        count.records += 1;
        count.bases += record.length;
        self.chunks.add(record);
        if let Some(score) = record.score {
            let id = || cut(record.id, ID_LETTERS);
            self.plots.add(id, record.length, score, whole(score), place(record.call));
        }
        if record.call.is_none() {
            self.reasons.entry(record.status.to_owned()).or_default().add(record);
        }
        let rank = Rank::new(record.score, record.length, index);
        self.detailed.add(rank, || Detailed::new(index, record));
        if place(record.call) < 2 && record.score.is_some() && record.chunks.len() > 1 {
            self.tracks.add(rank, || track(index, record));
        }
        for region in record.regions.iter().filter(|region| region.kind == RegionKind::Provirus) {
            let length = region.bases.end.saturating_sub(region.bases.start);
            let rank = Rank::new(Some(region.score), length, self.proviruses.total);
            self.proviruses.add(rank, || provirus(record, region));
        }
    }

    /// Returns the numbers of the records so far.
    pub(crate) fn summary(&self) -> Summary {
        Summary {
            calls: self.calls,
            best: self.detailed.kept().next().and_then(|record| record.best.clone()),
        }
    }

    /// Completes the page of the run that `run`, its `run.json`, describes. `rates` are those of its model,
    /// if they were measured.
    ///
    /// # Errors
    /// If `run` lacks a value that every run has.
    pub(crate) fn finish(self, run: &Map<String, Json>, rates: Option<&Rates>) -> Result<Page, HtmlError> {
        let facts = RunFacts(run);
        let summary = self.summary();
        let context = self.context(facts, &summary, rates)?;
        // The page without its data leaves the remaining bytes for them.
        let bytes = render("report.html", Data::Block("-"), context.clone())?.len();
        let most = (MOST_BYTES - MOST_BYTES / 100).saturating_sub(bytes);
        let contents = Contents {
            totals: summary.total(),
            called: summary.calls[0],
            viral: self.options.viral,
            uncertain: self.options.uncertain,
            plots: &self.plots,
            rates,
            has_fdr: self.options.prevalence.is_some(),
            sources: &self.sources,
        };
        let data = pack(&contents, self.rows, self.options.detailed, most);
        let html = render("report.html", Data::Block(&data), context)?;
        Ok(Page { html, multiqc: multiqc::file(facts, &self.options, &summary)? })
    }

    /// Returns the number of an input among those seen so far.
    fn source(&mut self, source: Option<&str>) -> usize {
        let Some(name) = source else { return 0 };
        if let Some(place) = self.source_places.get(name) {
            return *place;
        }
        self.sources.push(name.to_owned());
        self.source_places.insert(name.to_owned(), self.sources.len() - 1);
        self.sources.len() - 1
    }

    fn context(
        &self,
        facts: RunFacts<'_>,
        summary: &Summary,
        rates: Option<&Rates>,
    ) -> Result<Value, HtmlError> {
        let options = &self.options;
        let tracks = self.shown_tracks();
        let with_track: HashSet<u64> = tracks.iter().map(|track| track.record).collect();
        let tracks: Vec<Value> = tracks.into_iter().map(|track| track.value.clone()).collect();
        let row = |row: &Detailed| {
            let is_shown = with_track.contains(&row.index);
            context! { track => is_shown, ..row.value.clone() }
        };
        let rows: Vec<Value> = self.detailed.kept().map(row).collect();
        let proviruses: Vec<Value> = self.proviruses.kept().cloned().collect();
        let total = summary.total();
        let directory = options.directory.as_deref().or(facts.text("output")).unwrap_or(".");
        Ok(context! {
            title => facts.title(), virpack => facts.needed_text("virpack")?,
            finished => facts.text("finished"),
            command => facts.text("command"), directory => directory, inputs => facts.input_files(),
            records => total.records, bases => total.bases,
            model => facts.model(options.prevalence.is_some())?,
            thresholds => context! { viral => options.viral, uncertain => options.uncertain },
            prevalence => options.prevalence, has_fdr => options.prevalence.is_some(),
            summary => summary.stack(),
            expectation => rates.map(|rates| rates.expectation(options.viral)),
            histogram => self.plots.histogram(),
            scatter => self.plots.scatter(), rows => rows,
            tracks => context! { total => self.tracks.total, shown => tracks },
            proviruses => context! { total => self.proviruses.total, shown => proviruses },
            unjudged => self.unjudged(), chunks => self.chunks.value(), run => facts.run()?,
            odd_letters => context! {
                letters => facts.count("counts.odd_letters").unwrap_or(0),
                records => facts.count("counts.records_with_odd_letters").unwrap_or(0),
            },
        })
    }

    /// Returns the best tracks: as many as fit, and at least one.
    fn shown_tracks(&self) -> Vec<&DrawnTrack> {
        let mut bytes = 0;
        let fits = |track: &&DrawnTrack| {
            let is_first = bytes == 0;
            bytes += track.bytes;
            is_first || bytes <= MOST_TRACKS
        };
        self.tracks.kept().take_while(fits).collect()
    }

    /// Returns the reasons why records have no verdict, the most frequent first.
    fn unjudged(&self) -> Vec<Value> {
        let mut reasons: Vec<_> = self.reasons.iter().collect();
        reasons.sort_by_key(|(_, reason)| std::cmp::Reverse(reason.count.records));
        let value = |(status, reason): (&String, &Reason)| {
            context! {
                status => status.as_str(), records => reason.count.records, bases => reason.count.bases,
                ids => reason.ids.clone(),
            }
        };
        reasons.into_iter().map(value).collect()
    }
}

impl Reason {
    fn add(&mut self, record: &PageRecord<'_>) {
        self.count.records += 1;
        self.count.bases += record.length;
        if self.ids.len() < IDS {
            self.ids.push(cut(record.id, ID_LETTERS));
        }
    }
}

impl Chunks {
    fn add(&mut self, record: &PageRecord<'_>) {
        let all = record.chunks.len() as u64;
        self.total += all;
        self.classified += record.chunks_classified;
        self.by_nucleotides += record.by_nucleotides;
        if record.score.is_some() {
            self.unjudged += all.saturating_sub(record.chunks_classified);
        }
    }

    fn value(&self) -> Value {
        context! {
            total => self.total, by_frames => self.classified.saturating_sub(self.by_nucleotides),
            by_nucleotides => self.by_nucleotides, unjudged => self.unjudged,
        }
    }
}

impl Detailed {
    fn new(index: u64, record: &PageRecord<'_>) -> Self {
        let spark = spark(record.chunks).map(|(up, down)| context! { up => up, down => down });
        let id = cut(record.id, ID_LETTERS);
        let best = |score| BestRecord { id: id.clone(), score, length: record.length };
        let best = record.score.map(best);
        let value = context! {
            record => index, id => id, description => cut(record.description, DESCRIPTION_LETTERS),
            source => record.source, length => record.length, score => record.score, spark => spark,
            chunks_viral => record.chunks_viral, chunks_classified => record.chunks_classified,
            evidence => evidence(record).0, fdr => record.fdr, call => CALLS[place(record.call)],
        };
        Detailed { index, best, value }
    }
}

/// Returns a candidate provirus and its place in its record.
fn provirus(record: &PageRecord<'_>, region: &super::PageRegion) -> Value {
    let share = |bases: u64| super::axis::two(100.0 * bases as f64 / record.length.max(1) as f64);
    let bases = &region.bases;
    context! {
        id => cut(record.id, ID_LETTERS), start => bases.start + 1, end => bases.end,
        score => super::axis::two(region.score), x => share(bases.start),
        width => share(bases.end.saturating_sub(bases.start)).max(1.5),
    }
}
