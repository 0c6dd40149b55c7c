//! `virpack predict`.

pub(super) mod models;

use super::call_summary::{call_lines, work_line};
use super::calls::{CallArguments, CallFileArguments};
use super::checkpoint::Keeps;
use super::events;
use super::limits::LimitArguments;
use super::parts::PartArguments;
use super::run::{RunArguments, RunDeviceArguments};
use crate::again;
use crate::failure::Failure;
use crate::log::LogArguments;
use crate::noted::warn_of_ids;
use crate::values::{parse_code, parse_count, parse_length, parse_whole};
use crate::watch::{DownloadBar, Watch};
use clap::Args;
use models::ModelArguments;
use std::cell::RefCell;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use virpack_core::calls::CallOptions;
use virpack_core::model::hub::HubOptions;
use virpack_core::output::is_stdout;
use virpack_core::predict::{PredictOptions, PredictSummary, predict};
use virpack_core::report::{FinishedRun, ReportOptions};
use virpack_core::{Event, ModelBudget, TokenBudget};
use virpack_seq::{GeneticCode, Input};

/// Options that a plan already contains, or that do not apply to parts.
const NOT_OF_PARTS: [&str; 30] = [
    "inputs",
    "output",
    "min_length",
    "unique_ids",
    "genetic_code",
    "plot",
    "max_plots",
    "compat",
    "contigs",
    "contig_min_chunks",
    "contig_min_viral",
    "contig_min_nonviral",
    "force",
    "min_score",
    "strict",
    "relaxed",
    "prevalence",
    "min_chunk_score",
    "model",
    "preset",
    "classifier",
    "nucleotide_classifier",
    "protein_model",
    "nucleotide_model",
    "length",
    "dtype",
    "buffer_size",
    "resume",
    "no_checkpoint",
    "checkpoint_seconds",
];

/// The arguments of `virpack predict`.
#[derive(Debug, Args)]
#[command(override_usage = "virpack predict [OPTIONS] --output <DIR> <INPUT>...
       virpack predict [OPTIONS] --plan <DIR> [--part <PARTS>]")]
#[command(mut_arg("plan", |plan| plan.conflicts_with_all(NOT_OF_PARTS)))]
pub(crate) struct Arguments {
    /// FASTA, FASTQ or BAM of nucleotides, plain or compressed (gzip, zstd, bzip2, xz): files, URLs
    /// (s3://, gs://, az://, https://), or `-` for stdin
    #[arg(required_unless_present = "plan", value_name = "INPUT")]
    inputs: Vec<PathBuf>,

    /// Minimum record length in bases; shorter records have a row with a reason, and no verdict
    #[arg(long, value_name = "N", default_value = "0", value_parser = parse_whole, help_heading = "Input")]
    min_length: usize,

    /// Number repeated ids: `r, r, r` become `r, r_1, r_2`, and no id is used twice. Takes some 50 bytes of
    /// memory for each distinct id
    #[arg(long, help_heading = "Input")]
    unique_ids: bool,

    /// Genetic code, by NCBI's number
    #[arg(long, value_name = "N", default_value = "1", value_parser = parse_code, help_heading = "Input")]
    genetic_code: GeneticCode,

    #[command(flatten, next_help_heading = "Input")]
    pub(super) limits: LimitArguments,

    /// Directory for the tables, created if missing; `-` writes sequences.tsv alone to standard output, row
    /// by row
    #[arg(long, short, value_name = "DIR", help_heading = "Output", required_unless_present = "plan")]
    output: Option<PathBuf>,

    #[command(flatten, next_help_heading = "Output")]
    files: CallFileArguments,

    /// Replace existing tables, and the checkpoint of an unfinished run
    #[arg(long, help_heading = "Output")]
    force: bool,

    #[command(flatten, next_help_heading = "Calls")]
    calls: CallArguments,

    #[command(flatten, next_help_heading = "Models")]
    models: ModelArguments,

    /// Chunk length in bases [default: that of the training of the classifier, 500 for virpack-mini]
    #[arg(long, value_name = "N", value_parser = parse_length, help_heading = "Models")]
    length: Option<NonZeroUsize>,

    #[command(flatten, next_help_heading = "Parts of a plan")]
    parts: PartArguments,

    #[command(flatten, next_help_heading = "Speed and memory")]
    pub(super) device: RunDeviceArguments,

    /// Maximum number of tokens in a batch of either model; `auto` fits the free memory of the device, up to
    /// where more brings no speed
    #[arg(long, value_name = "N", default_value = "auto", help_heading = "Speed and memory")]
    pub(super) token_budget: TokenBudget,

    /// Number of sequences to collect before packing; identical ones among them are computed once [default:
    /// 2000, more for large batches]
    #[arg(long, value_name = "N", value_parser = parse_count, help_heading = "Speed and memory")]
    buffer_size: Option<NonZeroUsize>,

    #[command(flatten, next_help_heading = "Resuming and messages")]
    pub(crate) run: RunArguments,
}

/// Judges, with progress, a summary and warnings on stderr.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    if let Some(plan) = arguments.parts.plan() {
        return plan?.predict(arguments);
    }
    let log = arguments.run.log;
    let (options, classifier) = options(arguments)?;
    let opening = Opening { classifier, with: arguments.models.shown(), chunks: RefCell::default() };
    let ended = arguments.run.run(
        |watch, keeps, cancel| predict(&options, cancel, |event| show(watch, keeps, &opening, event)),
        || options.saved(),
    );
    if ended.as_ref().is_err_and(Failure::is_other_calls) {
        return judge_again(arguments);
    }
    let Some(predicted) = ended? else { return Ok(()) };
    warn(log, &predicted);
    let mut lines =
        call_lines(&predicted.calls, &arguments.models.name(), &predicted.files, arguments.output());
    lines += &work_line(&predicted);
    log.summary(lines, &predicted.report);
    Ok(())
}

/// Warns about unusual inputs.
pub(super) fn warn(log: LogArguments, predicted: &PredictSummary) {
    for remark in &predicted.remarks {
        log.warn(remark);
    }
    if let Some(sentence) = predicted.odd_letters() {
        log.warn(format_args!(
            "{sentence}: they count as bases, and no codon with one is read; is a file damaged?"
        ));
    }
    warn_of_ids(log, &predicted.calls.repeated);
}

/// Writes the files of a complete run again, with the requested options: only those files would differ.
fn judge_again(arguments: &Arguments) -> Result<(), Failure> {
    let run = FinishedRun::open(arguments.output())?;
    let options = ReportOptions::of(&run).calls(arguments.calls()?).limits(arguments.limits.limits());
    arguments.run.log.info("the run is complete: its files are made again from its scores");
    super::report::again(&run, &options, arguments.run.log)?;
    Ok(())
}

impl Arguments {
    fn output(&self) -> &Path {
        self.output.as_deref().unwrap_or(Path::new(""))
    }

    /// Returns what is called viral, and which files list it.
    fn calls(&self) -> Result<CallOptions, Failure> {
        // VirNucPro's files belong to a directory; `--preset` asks for them there only.
        let of_preset = self.models.compat().filter(|_| !is_stdout(self.output()));
        let base = CallOptions::default().compat(of_preset);
        Ok(self.files.options(self.calls.options(base)?))
    }
}

/// Returns the requested options, and the classifier's file.
fn options(arguments: &Arguments) -> Result<(PredictOptions, String), Failure> {
    let inputs = arguments.inputs.iter().cloned().map(Input::from).collect();
    let calls = arguments.calls()?;
    if looks_like_file(arguments.output()) {
        return Err(Failure::OutputLooksLikeFile { path: arguments.output().to_owned() });
    }
    let (options, classifier) = arguments.models.options(inputs, arguments.length, arguments.output())?;
    let options = options
        .downloads(HubOptions::from_env(), Arc::new(DownloadBar::new(arguments.run.log)))
        .limits(arguments.limits.limits())
        .genetic_code(arguments.genetic_code)
        .device(arguments.device.options())
        .device_timeout(arguments.device.timeout())
        .token_budget(arguments.token_budget)
        .buffer_size(arguments.buffer_size.map(NonZeroUsize::get))
        .min_length(arguments.min_length)
        .unique_ids(arguments.unique_ids)
        .calls(calls)
        .command(again::command(&arguments.run.command_line))
        .checkpoint(arguments.run.checkpoint())
        .force(arguments.force);
    Ok((options, classifier))
}

/// Returns whether a path has the extension of a file, and is not a directory.
pub(super) fn looks_like_file(path: &Path) -> bool {
    const ENDINGS: [&str; 16] = [
        "tsv", "csv", "txt", "json", "html", "fa", "fna", "fasta", "fq", "fastq", "gz", "bam", "bed", "gff3",
        "npy", "parquet",
    ];
    let ending = path.extension().and_then(|ending| ending.to_str());
    ending.is_some_and(|ending| ENDINGS.contains(&ending.to_ascii_lowercase().as_str())) && !path.exists()
}

/// The names in the line that opens a run.
pub(super) struct Opening {
    classifier: String,
    /// The pipeline, or the classifier's file.
    with: String,
    /// Their length, which is known before the device is.
    chunks: RefCell<String>,
}

impl Opening {
    /// Returns the opening for parts that a model of this name judges.
    pub(super) fn of(model: &str) -> Self {
        Opening { classifier: model.to_owned(), with: model.to_owned(), chunks: RefCell::default() }
    }
}

/// Shows what a run reports.
pub(super) fn show(watch: &Watch, keeps: &Keeps, opening: &Opening, event: Event) {
    let file = &opening.classifier;
    match events::show(watch, keeps, event) {
        Some(Event::ChunkLength { length, asked, trained }) => {
            if let Some(other) = other_length(file, length, asked, trained) {
                watch.warn(other);
            }
            let is_known = asked.is_some() || trained.is_some();
            let unknown = if is_known { "" } else { " (the classifier does not say what it was trained on)" };
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

/// Returns the warning about chunks of another length than in the training of the classifier.
pub(super) fn other_length(
    classifier: &str,
    length: NonZeroUsize,
    asked: Option<NonZeroUsize>,
    trained: Option<NonZeroUsize>,
) -> Option<String> {
    let trained = asked.and(trained).filter(|trained| *trained != length)?;
    Some(format!("chunks of {length} bases, but {classifier} was trained on {trained}"))
}

/// Returns the only input of the classifier, and the option of the model that it leaves out.
fn left_out(budgets: &[ModelBudget]) -> Option<(&'static str, &'static str)> {
    match budgets {
        [ModelBudget { model: Some("protein"), .. }] => Some(("the peptides' vectors", "--nucleotide-model")),
        [ModelBudget { model: Some("nucleotide"), .. }] => {
            Some(("the nucleotides' vectors", "--protein-model"))
        }
        _ => None,
    }
}
