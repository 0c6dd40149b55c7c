//! `virpack plan`.

use super::device::Precision;
use super::embed::RowArguments;
use super::input::Inputs;
use super::output::DtypeOut;
use super::predict::models::ModelArguments;
use super::predict::other_length;
use crate::failure::Failure;
use crate::log::LogArguments;
use crate::text::{count, short};
use crate::values::{parse_code, parse_length, parse_tokens};
use crate::watch::DownloadBar;
use clap::Args;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use virpack_core::calls::CallOptions;
use virpack_core::model::hub::HubOptions;
use virpack_core::model::mini;
use virpack_core::plan::{Plan, PlanOptions, plan, plan_predict};
use virpack_core::{DeviceOptions, EmbedderOptions, Event};
use virpack_seq::{GeneticCode, shown_path};

/// Options of `embed` that `predict` does not have.
const NOT_OF_PREDICT: [&str; 6] =
    ["pool", "layer", "max_length", "long_records", "window_overlap", "dtype_out"];

/// The arguments of `virpack plan`.
#[derive(Debug, Args)]
#[command(mut_arg("inputs", |inputs| {
    inputs.help("FASTA, FASTQ or BAM, plain or compressed (gzip, zstd, bzip2, xz): files, or URLs (s3://, gs://, az://, \
        https://)")
}))]
#[command(mut_arg("model", |model| {
    let model = model.help_heading(None).display_order(0);
    model.help("A directory or file of weights, a name (650M, dnabert-s; see `virpack models list`), or \
        ORG/REPO on the Hugging Face Hub; with --predict models and classifiers as in `virpack predict` \
        [default: virpack-mini, built in: its protein or its nucleotide model by the letters of the first \
        records; with --predict both]")
}))]
#[command(mut_arg("preset", |arg| arg.requires("predict")))]
#[command(mut_arg("classifier", |arg| arg.requires("predict")))]
#[command(mut_arg("nucleotide_classifier", |arg| arg.requires("predict")))]
#[command(mut_arg("protein_model", |arg| arg.requires("predict")))]
#[command(mut_arg("nucleotide_model", |arg| arg.requires("predict")))]
#[command(mut_arg("min_length", |arg| {
    arg.help("Minimum record length in residues (or bases); shorter records are skipped")
}))]
pub(crate) struct Arguments {
    /// Plan parts of `virpack predict --plan DIR`, of which `virpack commit DIR -o RUNDIR` makes the tables
    #[arg(long, conflicts_with_all = NOT_OF_PREDICT)]
    predict: bool,

    /// Directory for the plan and its parts, or the URL of one in a store (s3://, gs://, az://)
    #[arg(long, short, value_name = "DIR")]
    output: PathBuf,

    /// Maximum number of tokens in a part: 50M take 2 minutes at 400,000 tokens/s. A larger record is a part
    /// of its own, as is each BAM file, and each file compressed by another program than bgzip. With
    /// --predict a base counts as a token
    #[arg(long, value_name = "N", default_value = "50M", value_parser = parse_tokens)]
    part_tokens: u64,

    #[command(flatten)]
    inputs: Inputs,

    #[command(flatten)]
    rows: RowArguments,

    /// Precision of weights and activations, the same for all parts [default: f16 on a GPU, f32 on a CPU]
    #[arg(long, value_enum, value_name = "DTYPE")]
    dtype: Option<Precision>,

    /// Precision of the values in the files: f32 or f16
    #[arg(long, value_enum, value_name = "DTYPE", default_value_t = DtypeOut::F32)]
    #[arg(hide_possible_values = true)]
    dtype_out: DtypeOut,

    /// Print no summary; only warnings and errors
    #[arg(long, short)]
    quiet: bool,

    #[command(flatten, next_help_heading = "With --predict")]
    judges: ModelArguments,

    /// Chunk length in bases [default: that of the training of the classifier, 500 for virpack-mini]
    #[arg(long, value_name = "N", value_parser = parse_length)]
    #[arg(requires = "predict", help_heading = "With --predict")]
    length: Option<NonZeroUsize>,

    /// Genetic code, by NCBI's number [default: 1]
    #[arg(long, value_name = "N", value_parser = parse_code)]
    #[arg(requires = "predict", help_heading = "With --predict")]
    genetic_code: Option<GeneticCode>,
}

/// Plans, with a summary line on stderr.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let log = LogArguments::lines(arguments.quiet);
    super::clean_up_when_interrupted();
    let plan = if arguments.predict { arguments.plan_predict(log)? } else { arguments.plan_embed(log)? };
    for remark in plan.remarks() {
        log.warn(remark);
    }
    let was_there = if plan.was_there() { " (it was there already)" } else { "" };
    log.info(format_args!(
        "{}{was_there}: {} of {}, {}tokens, for {}",
        shown_path(&arguments.output),
        count(plan.parts().len() as u64, "part", "parts"),
        count(plan.records(), "record", "records"),
        short(plan.tokens() as f64),
        plan.model(),
    ));
    if !plan.parts().is_empty() {
        log.info(format_args!(
            "make them with: virpack {} --plan {} --part 1-{}",
            plan.command(),
            shown_path(&arguments.output),
            plan.parts().len(),
        ));
    }
    Ok(())
}

impl Arguments {
    /// Returns the precision of the devices that make parts.
    fn device(&self) -> DeviceOptions {
        DeviceOptions::default().dtype(self.dtype.map(Into::into))
    }

    fn plan_embed(&self, log: LogArguments) -> Result<Plan, Failure> {
        let model = self.judges.model().unwrap_or(mini::NAME);
        let embedder = EmbedderOptions::new(model)
            .downloads(HubOptions::from_env(), Arc::new(DownloadBar::new(log)))
            .pool(self.rows.pool())
            .layer(self.rows.layer)
            .lengths(self.inputs.lengths()?)
            .device(self.device());
        let options = PlanOptions::new(self.inputs.inputs(), embedder, &self.output)
            .limits(self.inputs.limits.limits())
            .dtype_out(self.dtype_out.into())
            .part_tokens(self.part_tokens);
        Ok(plan(&options, |event| show(log, event))?)
    }

    fn plan_predict(&self, log: LogArguments) -> Result<Plan, Failure> {
        let inputs = self.inputs.inputs();
        let (options, classifier) = self.judges.options(inputs, self.length, &self.output)?;
        let options = options
            .limits(self.inputs.limits.limits())
            .downloads(HubOptions::from_env(), Arc::new(DownloadBar::new(log)))
            .min_length(self.inputs.min_length())
            .genetic_code(self.genetic_code.unwrap_or(GeneticCode::STANDARD))
            .device(self.device())
            .calls(CallOptions::default().compat(self.judges.compat()));
        Ok(plan_predict(&options, self.part_tokens, |event| match event {
            Event::ChunkLength { length, asked, trained } => {
                if let Some(other) = other_length(&classifier, length, asked, trained) {
                    log.warn(other);
                }
            }
            event => show(log, event),
        })?)
    }
}

/// Shows what was found out about the model.
fn show(log: LogArguments, event: Event) {
    match event {
        Event::Weights(note) => log.info(note),
        Event::BuiltInModel { model } => log.info(format_args!("{model} reads these inputs (built in)")),
        _ => (),
    }
}
