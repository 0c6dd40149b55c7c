//! `virpack embed`.

use super::checkpoint::Keeps;
use super::choice::choice;
use super::events;
use super::input::{BufferArguments, Inputs};
use super::output::OutputArguments;
use super::parts::PartArguments;
use super::run::{RunArguments, RunDeviceArguments};
use crate::failure::Failure;
use crate::log::LogArguments;
use crate::messages;
use crate::noted::warn_of_records;
use crate::stdout::{refuse_terminal, shown};
use crate::text::{count, grouped, packing, short};
use crate::watch::{DownloadBar, Watch};
use clap::{Args, ValueEnum};
use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use virpack_core::device::Pool;
use virpack_core::model::hub::HubOptions;
use virpack_core::model::mini;
use virpack_core::{EmbedOptions, EmbedSummary, EmbedderOptions, embed};
use virpack_core::{Event, TokenBudget};
use virpack_seq::{Shard, shown_id, shown_path};

/// Options that a plan already contains, or that do not apply to parts.
const NOT_OF_PARTS: [&str; 20] = [
    "inputs",
    "path",
    "file_format",
    "dtype_out",
    "model",
    "pool",
    "layer",
    "max_length",
    "min_length",
    "long_records",
    "window_overlap",
    "dtype",
    "include",
    "report",
    "shard",
    "force",
    "resume",
    "no_checkpoint",
    "checkpoint_records",
    "checkpoint_seconds",
];

/// The arguments of `virpack embed`.
#[derive(Debug, Args)]
#[command(override_usage = "virpack embed [OPTIONS] --output <FILE> <INPUT>...
       virpack embed [OPTIONS] --plan <DIR> [--part <PARTS>]")]
#[command(mut_arg("inputs", |inputs| inputs.required(false).required_unless_present("plan")))]
#[command(mut_arg("path", |output| output.required(false).required_unless_present("plan")))]
#[command(mut_arg("plan", |plan| plan.conflicts_with_all(NOT_OF_PARTS)))]
pub(crate) struct Arguments {
    /// A directory or file of weights, a name (650M, dnabert-s; see `virpack models list`), or ORG/REPO on
    /// the Hugging Face Hub [default: virpack-mini, built in: its protein or its nucleotide model, by the
    /// letters of the first records]
    #[arg(long, short, value_name = "MODEL", help_heading = "Model")]
    model: Option<String>,

    #[command(flatten, next_help_heading = "Output")]
    output: OutputArguments,

    #[command(flatten, next_help_heading = "Input")]
    pub(super) inputs: Inputs,

    #[command(flatten, next_help_heading = "Speed and memory")]
    pub(super) buffer: BufferArguments,

    #[command(flatten, next_help_heading = "Model")]
    rows: RowArguments,

    /// Maximum number of tokens in a batch; `auto` fits the free memory of the device, up to where more
    /// brings no speed
    #[arg(long, value_name = "N", default_value = "auto", help_heading = "Speed and memory")]
    pub(super) token_budget: TokenBudget,

    /// Run each record in a batch of its own
    #[arg(long, help_heading = "Speed and memory")]
    pub(super) no_packing: bool,

    /// Accepted from users of fair-esm, and refused with the reason
    #[arg(long, value_enum, value_name = "WHAT", hide = true)]
    include: Option<Include>,

    /// Also write FILE.report.html, a page about the rows: lengths and cuts, norms, duplicates, principal
    /// components
    #[arg(long, help_heading = "Output")]
    report: bool,

    #[command(flatten, next_help_heading = "Speed and memory")]
    pub(super) device: RunDeviceArguments,

    #[command(flatten, next_help_heading = "Plans and shards")]
    parts: PartArguments,

    /// Embed only every N-th record, from number I on, into a .shard file for `virpack merge`
    #[arg(long, value_name = "I/N", help_heading = "Plans and shards")]
    shard: Option<Shard>,

    #[command(flatten, next_help_heading = "Resuming and messages")]
    pub(crate) run: RunArguments,

    /// Replace an existing output, and the checkpoint of an unfinished run
    #[arg(long, help_heading = "Output")]
    force: bool,
}

/// What a record's row is made of.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct RowArguments {
    /// How to pool the vectors of the residues into one for each record
    #[arg(long, value_enum, value_name = "HOW", default_value_t = Pooling::Mean)]
    pool: Pooling,

    /// Layer to take the hidden states from: 0 is the token embeddings, negative numbers count from the end
    /// [default: the last]
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub(super) layer: Option<i64>,
}

choice! {
    enum Pooling for Option<Pool> {
        /// Mean over the residues, without <cls> and <eos>; for DNABERT-S over all tokens
        Mean => Some(Pool::Mean),
        /// Vector of the <cls> token
        Cls => Some(Pool::Cls),
        /// Maximum of each dimension over the residues
        Max => Some(Pool::Max),
        /// No pooling: a vector for each residue (DNABERT-S: each token), [residues, hidden] for each record;
        /// not for .npy
        None => None,
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Include {
    Contacts,
}

impl RowArguments {
    pub(super) fn pool(self) -> Option<Pool> {
        self.pool.into()
    }
}

/// Embeds, with progress, a summary and warnings on stderr.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    if let Some(plan) = arguments.parts.plan() {
        return plan?.embed(arguments);
    }
    if let Some(Include::Contacts) = arguments.include {
        return Err(Failure::Contacts);
    }
    refuse_terminal(arguments.output.path())?;
    let log = arguments.run.log;
    let (options, chosen) = (options(arguments)?, Cell::new(None));
    let ended = arguments.run.run(
        |watch, keeps, cancel| embed(&options, cancel, |event| show(watch, keeps, &chosen, event)),
        || options.saved(),
    );
    let Some(summary) = ended? else { return Ok(()) };
    warn(log, &summary);
    warn_of_records(log, &summary.written, Some(summary.max_length));
    // With several files, the index is named.
    let output = summary.written.files.first().map_or(arguments.output.path(), PathBuf::as_path);
    log.summary(line(&summary, output), &summary.report);
    Ok(())
}

fn options(arguments: &Arguments) -> Result<EmbedOptions, Failure> {
    let model = arguments.model.as_deref().unwrap_or(mini::NAME);
    let embedder = EmbedderOptions::new(model)
        .downloads(HubOptions::from_env(), Arc::new(DownloadBar::new(arguments.run.log)))
        .pool(arguments.rows.pool())
        .layer(arguments.rows.layer)
        .lengths(arguments.inputs.lengths()?)
        .token_budget(arguments.token_budget)
        .buffer_size(arguments.buffer.records())
        .packing(!arguments.no_packing)
        .device(arguments.device.options())
        .device_timeout(arguments.device.timeout());
    Ok(EmbedOptions::new(arguments.inputs.inputs(), embedder, arguments.output.path())
        .limits(arguments.inputs.limits.limits())
        .format(arguments.output.format())
        .dtype_out(arguments.output.dtype())
        .shard(arguments.shard)
        .checkpoint(arguments.run.checkpoint())
        .report(arguments.report)
        .force(arguments.force))
}

/// Shows what a run reports; `chosen` is the built-in model, if the letters of the inputs select it.
pub(super) fn show(watch: &Watch, keeps: &Keeps, chosen: &Cell<Option<&'static str>>, event: Event) {
    match events::show(watch, keeps, event) {
        Some(Event::BuiltInModel { model }) => chosen.set(Some(model)),
        Some(Event::Ready { device, budgets }) => {
            let tokens = budgets.first().map_or(0, |budget| budget.tokens);
            let with = chosen.get().map_or_else(String::new, |model| {
                let letters = if model == mini::MODELS[0] { "proteins" } else { "nucleotides" };
                format!(", with {model} (built in, for {letters})")
            });
            watch.info(format_args!("on {device}, up to {} tokens a batch{with}", grouped(tokens as u64)));
            watch.begin();
        }
        _ => (),
    }
}

fn warn(log: LogArguments, summary: &EmbedSummary) {
    for remark in &summary.remarks {
        log.warn(remark);
    }
    if let Some(warning) = summary.packing.as_ref().and_then(|packing| packing.warning.as_ref()) {
        log.warn(messages::of_warning(warning));
    }
    if summary.written.skipped > 0 {
        let table = summary.written.files.iter().find(|f| f.to_string_lossy().ends_with(".skipped.tsv"));
        let first = summary.written.first_skipped.as_ref();
        let place = match (table, first) {
            (Some(table), _) => format!(": see {}", shown_path(table)),
            (None, Some((id, reason))) => format!(": the first is {} ({})", shown_id(id), reason.as_str()),
            (None, None) => String::new(),
        };
        log.warn(format_args!("{} skipped{place}", count(summary.written.skipped, "record", "records")));
    }
}

/// Returns the summary line.
fn line(summary: &EmbedSummary, output: &Path) -> String {
    let rate = summary.tokens as f64 / summary.elapsed.as_secs_f64().max(1e-9);
    let lengths = &summary.lengths;
    // What did not happen is left out.
    let unless_none = |n, said: String| if n == 0 { String::new() } else { format!(", {said}") };
    let truncated = unless_none(lengths.truncated, format!("{} truncated", grouped(lengths.truncated)));
    let windowed = unless_none(
        lengths.windowed,
        format!("{} in {} windows", count(lengths.windowed, "record", "records"), grouped(lengths.windows)),
    );
    let unknown = unless_none(lengths.unknown, count(lengths.unknown, "unknown letter", "unknown letters"));
    let gaps = unless_none(lengths.gaps, count(lengths.gaps, "gap", "gaps"));
    let resumed = match summary.resumed {
        0 => String::new(),
        n => format!(" ({} finished before)", grouped(n)),
    };
    let remarks = [truncated, windowed, unknown, gaps].concat();
    format!(
        "{}: {}{resumed}, {} in {:.1} s ({}tokens/s, device busy {:.0} %), {}{remarks}",
        shown(output),
        count(summary.written.rows, "sequence", "sequences"),
        count(summary.tokens, "token", "tokens"),
        summary.elapsed.as_secs_f64(),
        short(rate),
        100.0 * summary.busy().min(1.0),
        packing(summary.packing.as_ref()),
    )
}
