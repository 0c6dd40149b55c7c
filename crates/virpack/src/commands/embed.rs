//! `virpack embed`.

use super::checkpoint::{CheckpointArguments, Keeps};
use super::device::DeviceArguments;
use super::events;
use super::input::Inputs;
use super::output::OutputArguments;
use super::stdout::{refuse_terminal, shown};
use crate::failure::Failure;
use crate::log::LogArguments;
use crate::messages;
use crate::noted::warn_of_records;
use crate::text::{count, grouped, packing, short};
use crate::values::{parse_budget, parse_positive};
use crate::watch::{DownloadBar, Watch};
use clap::{Args, ValueEnum};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use virpack_core::device::Pool;
use virpack_core::embed::{EmbedOptions, Summary, embed};
use virpack_core::model::hub::{HubOptions, Refetch};
use virpack_core::model::{mini, resolve};
use virpack_core::{CancelToken, Event};
use virpack_seq::{Input, Shard, shown_id, shown_path};

/// What `virpack embed` takes.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A directory or file of weights, a name (esm2_t33_650M_UR50D), or ORG/REPO on the Hugging Face Hub
    /// (zhihan1996/DNABERT-S, for nucleotides) [default: virpack-mini, built in: its protein or its nucleotide model, chosen by
    /// the first records]
    #[arg(long, short, value_name = "MODEL")]
    model: Option<String>,

    #[command(flatten)]
    output: OutputArguments,

    #[command(flatten)]
    inputs: Inputs,

    /// How a record's residues become one embedding, if they do
    #[arg(long, value_enum, value_name = "HOW", default_value_t = Pooling::Mean)]
    pool: Pooling,

    /// After which layer, from 0 (the embeddings); negative from the end [default: the last]
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    layer: Option<i64>,

    /// Most tokens in a batch; `auto` is what fits the device's free memory, at most where more brings no speed
    #[arg(long, value_name = "N", default_value = "auto", value_parser = parse_budget)]
    token_budget: std::option::Option<usize>,

    /// One record a batch
    #[arg(long)]
    no_packing: bool,

    /// What else the file should hold; contacts are refused, with the reason
    #[arg(long, value_enum, value_name = "WHAT", hide_possible_values = true)]
    include: Option<Include>,

    #[command(flatten)]
    device: DeviceArguments,

    /// Seconds after which a device that gives no results is given up [default: it is waited for]
    #[arg(long, value_name = "SECONDS", value_parser = parse_positive)]
    device_timeout: Option<u64>,

    /// Only every N-th record, from number I on, into a .shard for `virpack merge`
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,

    #[command(flatten)]
    checkpoint: CheckpointArguments,

    #[command(flatten)]
    pub(crate) log: LogArguments,

    /// Replace an output that exists, and what is kept of an unfinished run
    #[arg(long)]
    force: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Pooling {
    /// The mean over the residues, without <cls> and <eos>; for DNABERT-S over all tokens
    Mean,
    /// The <cls> token
    Cls,
    /// The largest value of each dimension over the residues
    Max,
    /// They do not: every residue keeps its own, [residues, hidden] for each record (of DNABERT-S every token); not for
    /// .npy
    None,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Include {
    Contacts,
}

/// Embeds, with progress, a summary and warnings on stderr.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    if let Some(Include::Contacts) = arguments.include {
        return Err(Failure::Contacts);
    }
    refuse_terminal(&arguments.output.path)?;
    let mut options = EmbedOptions {
        inputs: arguments.inputs.inputs(),
        limits: arguments.inputs.limits.limits(),
        model: mini::location(),
        refetch: None,
        model_name: mini::NAME.to_owned(),
        output: arguments.output.path.clone(),
        format: arguments.output.format(),
        dtype_out: arguments.output.dtype(),
        pool: match arguments.pool {
            Pooling::Mean => Some(Pool::Mean),
            Pooling::Cls => Some(Pool::Cls),
            Pooling::Max => Some(Pool::Max),
            Pooling::None => None,
        },
        layer: arguments.layer,
        lengths: arguments.inputs.lengths()?,
        token_budget: arguments.token_budget,
        buffer_size: arguments.inputs.buffer_size.map(NonZeroUsize::get),
        packing: !arguments.no_packing,
        device: arguments.device.options(),
        device_timeout: arguments.device_timeout.map(Duration::from_secs),
        shard: arguments.shard,
        checkpoint: arguments.checkpoint.options(),
        force: arguments.force,
    };
    let keeps = arguments.checkpoint.keeps();
    let cancel = CancelToken::new();
    keeps.heed_signals(arguments.log, &cancel);
    // A mistyped file must not cost a download first.
    options.check()?;
    let log = arguments.log;
    let (name, with) = model_name(arguments, &options.inputs)?;
    options.model_name = name;
    let (hub, bar) = (HubOptions::from_env(), Arc::new(DownloadBar::new(log)));
    options.model = resolve(&options.model_name, &hub, &*bar)?;
    let refetch = Refetch::new(hub, bar);
    options.lengths = arguments.inputs.lengths_for(&options.model, &refetch)?;
    options.refetch = Some(refetch);
    let watch = Watch::new(log);
    let result = embed(&options, &cancel, |event| show(&watch, &keeps, &with, event));
    watch.finish();
    let Some(summary) = keeps.end(log, result, || options.saved())? else { return Ok(()) };
    warn(log, &summary);
    warn_of_records(log, &summary.written, Some(options.lengths.max_length));
    // Of several files the index.
    let output = summary.written.files.first().unwrap_or(&options.output);
    log.summary(line(&summary, output), &summary.report);
    Ok(())
}

/// The model that was named, else the built-in one that reads such inputs; and how the opening line names the latter.
fn model_name(arguments: &Arguments, inputs: &[Input]) -> Result<(String, String), Failure> {
    // A path of that name is a path.
    let is_other = |model: &&String| *model != mini::NAME || Path::new(model).exists();
    if let Some(model) = arguments.model.as_ref().filter(is_other) {
        return Ok((model.clone(), String::new()));
    }
    let model = mini::model_for(inputs, arguments.inputs.limits.limits())?;
    let letters = if model == mini::MODELS[0] { "proteins" } else { "nucleotides" };
    Ok((model.to_owned(), format!(", with {model} (built in, for {letters})")))
}

/// Shows what a run reports; `with` is the end of its opening line.
fn show(watch: &Watch, keeps: &Keeps, with: &str, event: Event) {
    if let Some(Event::Ready { device, budgets }) = events::show(watch, keeps, event) {
        let tokens = budgets.first().map_or(0, |budget| budget.tokens);
        watch.info(format_args!("on {device}, up to {} tokens a batch{with}", grouped(tokens as u64)));
        watch.begin();
    }
}

fn warn(log: LogArguments, summary: &Summary) {
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

/// The one line at the end.
fn line(summary: &Summary, output: &Path) -> String {
    let rate = summary.tokens as f64 / summary.elapsed.as_secs_f64().max(1e-9);
    let lengths = &summary.lengths;
    let windowed = match lengths.windowed {
        0 => String::new(),
        n => format!(", {} in {} windows", grouped(n), grouped(lengths.windows)),
    };
    let gaps = match lengths.gaps {
        0 => String::new(),
        n => format!(", {}", count(n, "gap", "gaps")),
    };
    let resumed = match summary.resumed {
        0 => String::new(),
        n => format!(" ({} finished before)", grouped(n)),
    };
    format!(
        "{}: {}{resumed}, {} in {:.1} s ({}tokens/s, device busy {:.0} %), {}, {} truncated{windowed}, {}{gaps}",
        shown(output),
        count(summary.written.rows, "sequence", "sequences"),
        count(summary.tokens, "token", "tokens"),
        summary.elapsed.as_secs_f64(),
        short(rate),
        100.0 * summary.busy().min(1.0),
        packing(summary.packing.as_ref()),
        grouped(lengths.truncated),
        count(lengths.unknown, "unknown letter", "unknown letters"),
    )
}
