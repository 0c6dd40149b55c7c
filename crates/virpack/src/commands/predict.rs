//! `virpack predict`.

mod models;

use super::checkpoint::Keeps;
use super::events;
use super::limits::LimitArguments;
use super::run::{RunArguments, RunDeviceArguments};
use super::stdout::shown;
use crate::failure::Failure;
use crate::noted::warn_of_ids;
use crate::plot;
use crate::text::{count, grouped, short};
use crate::values::{parse_code, parse_count, parse_length};
use crate::watch::{DownloadBar, Watch};
use clap::{Args, ValueEnum};
use models::ModelArguments;
use std::cell::RefCell;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use virpack_core::model::hub::HubOptions;
use virpack_core::predict::{Compat, PredictOptions, PredictSummary, Rule, predict};
use virpack_core::{Event, ModelBudget, TokenBudget};
use virpack_seq::frames::FrameCounters;
use virpack_seq::{GeneticCode, Input, shown_id};

/// What `virpack predict` takes.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// FASTA, FASTQ or BAM of nucleotides, plain or compressed (gzip, zstd, bzip2, xz); `-` is stdin
    #[arg(required = true, value_name = "INPUT")]
    inputs: Vec<PathBuf>,

    /// The directory of the tables; it is made where it is missing. `-` sends sequences.tsv alone to standard output, row by row
    #[arg(long, short, value_name = "DIR")]
    output: PathBuf,

    #[command(flatten)]
    models: ModelArguments,

    /// Bases of a chunk [default: what the classifier was trained on, 500 for virpack-mini]
    #[arg(long, value_name = "N", value_parser = parse_length)]
    length: Option<NonZeroUsize>,

    #[command(flatten)]
    device: RunDeviceArguments,

    /// The least score_virus that a viral chunk reaches, 0 to 1 [default: none beside its score_other, as in VirNucPro]
    #[arg(long, value_name = "S")]
    min_score: Option<f32>,

    /// The least share, 0 to 1, of a record's classified chunks that must be viral for the record to be; 0 calls every record with
    /// a classified chunk viral
    #[arg(long, value_name = "F", default_value_t = Rule::default().min_fraction)]
    min_fraction: f64,

    /// NCBI's number of the genetic code
    #[arg(long, value_name = "N", default_value = "1", value_parser = parse_code)]
    genetic_code: GeneticCode,

    /// Draws the score along each record of several chunks, into DIR/plots
    #[arg(long)]
    plot: bool,

    /// Whose columns prediction_results_highestscore.csv has
    #[arg(long, value_enum, value_name = "WHOSE", default_value_t = Columns::Virnucpro)]
    compat: Columns,

    /// Most tokens in a batch of either model; `auto` is what fits the device's free memory, at most where more brings
    /// no speed
    #[arg(long, value_name = "N", default_value = "auto")]
    token_budget: TokenBudget,

    /// Sequences collected before packing; identical ones among them are computed once [default: 2000, or more where
    /// batches are large]
    #[arg(long, value_name = "N", value_parser = parse_count)]
    buffer_size: Option<NonZeroUsize>,

    #[command(flatten)]
    limits: LimitArguments,

    #[command(flatten)]
    pub(crate) run: RunArguments,

    /// Replace tables that exist, and what is kept of an unfinished run
    #[arg(long)]
    force: bool,
}

/// The layouts of VirNucPro's second file.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Columns {
    /// Modified_ID, Is_Virus
    Virnucpro,
    /// The rewrite's: max_score_0 and max_score_1 too
    Broad,
}

/// Judges, with progress, a summary and warnings on stderr.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let log = arguments.run.log;
    let (options, classifier) = options(arguments)?;
    let opening = Opening { classifier, with: arguments.models.shown(), chunks: RefCell::default() };
    let ended = arguments.run.run(
        |watch, keeps, cancel| predict(&options, cancel, |event| show(watch, keeps, &opening, event)),
        || options.saved(),
    );
    let Some(predicted) = ended? else { return Ok(()) };
    for remark in &predicted.remarks {
        log.warn(remark);
    }
    let FrameCounters { bases, odd_letters, odd_records, .. } = predicted.frames;
    if let Some(first) = &predicted.first_odd {
        let records = count(odd_records, "record", "records");
        let first = shown_id(first);
        log.warn(format_args!(
            "{odd_letters} of {bases} letters stand for no nucleotide (gaps and letters of residues), in {records}, the first is \
             {first}: they count as bases, and no codon with one is read; is a file damaged?"
        ));
    }
    warn_of_ids(log, &predicted.repeated);
    log.summary(summary(&predicted, &arguments.output), &predicted.report);
    Ok(())
}

/// What was asked for, and the classifier's file.
fn options(arguments: &Arguments) -> Result<(PredictOptions, String), Failure> {
    let inputs = arguments.inputs.iter().cloned().map(Input::from).collect();
    let rule = Rule { min_score: arguments.min_score, min_fraction: arguments.min_fraction };
    let compat = match arguments.compat {
        Columns::Virnucpro => Compat::VirNucPro,
        Columns::Broad => Compat::Broad,
    };
    let (options, classifier) = arguments.models.options(inputs, arguments.length, &arguments.output)?;
    let options = options
        .downloads(HubOptions::from_env(), Arc::new(DownloadBar::new(arguments.run.log)))
        .limits(arguments.limits.limits())
        .genetic_code(arguments.genetic_code)
        .device(arguments.device.options())
        .device_timeout(arguments.device.timeout())
        .token_budget(arguments.token_budget)
        .buffer_size(arguments.buffer_size.map(NonZeroUsize::get))
        .rule(rule)
        .compat(compat)
        .plot(arguments.plot.then_some(plot::track::draw))
        .checkpoint(arguments.run.checkpoint())
        .force(arguments.force);
    Ok((options, classifier))
}

/// What the line that opens a run names.
struct Opening {
    classifier: String,
    /// The pipeline, or the classifier's file.
    with: String,
    /// Their length, known before the device is.
    chunks: RefCell<String>,
}

/// Shows what a run reports.
fn show(watch: &Watch, keeps: &Keeps, opening: &Opening, event: Event) {
    let file = &opening.classifier;
    match events::show(watch, keeps, event) {
        Some(Event::ChunkLength { length, asked, trained }) => {
            let unknown = match (asked, trained) {
                (Some(_), Some(trained)) if trained != length => {
                    watch.warn(format_args!("chunks of {length} bases, but {file} was trained on {trained}"));
                    ""
                }
                (None, None) => " (the classifier does not say what it was trained on)",
                _ => "",
            };
            opening.chunks.replace(format!("chunks of {length} bases{unknown}"));
        }
        Some(Event::Ready { device, budgets }) => {
            if let Some((takes, option)) = left_out(&budgets) {
                watch.warn(format_args!("{file} takes {takes} alone: {option} takes no part"));
            }
            watch.info(format_args!("on {device}, with {}, {}", opening.with, opening.chunks.borrow()));
            watch.begin();
        }
        _ => (),
    }
}

/// What the classifier takes alone, and the option of the model that it leaves out.
fn left_out(budgets: &[ModelBudget]) -> Option<(&'static str, &'static str)> {
    match budgets {
        [ModelBudget { model: Some("protein"), .. }] => Some(("the peptides' vectors", "--nucleotide-model")),
        [ModelBudget { model: Some("nucleotide"), .. }] => {
            Some(("the nucleotides' vectors", "--protein-model"))
        }
        _ => None,
    }
}

/// The lines at the end.
fn summary(predicted: &PredictSummary, output: &Path) -> String {
    let counts = &predicted.counts;
    let seconds = predicted.elapsed.as_secs_f64();
    let rate = |n: u64| short(n as f64 / seconds.max(1e-9));
    let (slowest, busy) = predicted.slowest();
    let packed = predicted.packing.present().filter(|stats| stats.batches > 0);
    let packed: Vec<_> = packed.map(|stats| format!("{:.1} %", 100.0 * stats.efficiency())).collect();
    let packing = if packed.is_empty() {
        "nothing packed".to_owned()
    } else {
        format!("packing {}", packed.join(" and "))
    };
    let repeated = predicted.frames.repeated;
    let ids = predicted.first_viral.iter().map(|id| shown_id(id)).collect::<Vec<_>>().join(", ");
    let first = match predicted.first_viral.len() as u64 {
        0 => String::new(),
        shown if shown < counts.viral => format!(" ({ids}, ...)"),
        _ => format!(" ({ids})"),
    };
    let alone = match counts.chunks_by_nucleotides {
        0 => String::new(),
        n => format!(", {} judged by nucleotides alone", count(n, "chunk", "chunks")),
    };
    let reasons = [
        (counts.no_open_frame, "without an open frame"),
        (counts.too_short, "too short"),
        (counts.empty, "empty"),
    ];
    let reasons = reasons.into_iter().filter(|(n, _)| *n > 0);
    let reasons: Vec<_> = reasons.map(|(n, reason)| format!("{} {reason}", grouped(n))).collect();
    let none = match counts.without_verdict() {
        0 => String::new(),
        n => format!("; {} without a verdict ({})", grouped(n), reasons.join(", ")),
    };
    let before = &predicted.before;
    let resumed = match before.chunks {
        0 => String::new(),
        n => format!(" ({} finished before)", grouped(n)),
    };
    format!(
        "{}: {}, {}{resumed}, {}{alone} in {seconds:.1} s ({}bases/s, {}chunks/s, {}frames/s)\n\
         {} viral{first}{none}\n\
         slowest: {}, {:.1} s at work; {packing}; computed once though they came again: {} nucleotide sequences, \
         {} peptides",
        shown(output),
        count(counts.records, "record", "records"),
        count(counts.chunks, "chunk", "chunks"),
        count(counts.frames, "open frame", "open frames"),
        rate(counts.bases.saturating_sub(before.bases)),
        rate(counts.chunks - before.chunks),
        rate(counts.frames - before.frames),
        grouped(counts.viral),
        slowest,
        busy.as_secs_f64(),
        grouped(repeated.nucleotide),
        grouped(repeated.protein),
    )
}
