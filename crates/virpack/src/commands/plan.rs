//! `virpack plan`.

use super::device::Precision;
use super::embed::RowArguments;
use super::input::Inputs;
use super::output::DtypeOut;
use crate::failure::Failure;
use crate::log::LogArguments;
use crate::text::{count, short};
use crate::values::parse_tokens;
use crate::watch::DownloadBar;
use clap::Args;
use std::path::PathBuf;
use std::sync::Arc;
use virpack_core::Event;
use virpack_core::model::hub::HubOptions;
use virpack_core::model::mini;
use virpack_core::plan::{PlanOptions, plan};
use virpack_seq::shown_path;

/// What `virpack plan` takes.
#[derive(Debug, Args)]
#[command(mut_arg("inputs", |inputs| {
    inputs.help("Files of FASTA, FASTQ or BAM, plain or compressed (gzip, zstd, bzip2, xz)")
}))]
pub(crate) struct Arguments {
    /// A directory or file of weights, a name (esm2_t33_650M_UR50D), or ORG/REPO on the Hugging Face Hub
    /// (zhihan1996/DNABERT-S, for nucleotides) [default: virpack-mini, built in: its protein or its
    /// nucleotide model, chosen by the first records]
    #[arg(long, short, value_name = "MODEL")]
    model: Option<String>,

    /// The directory of the plan, where its parts will be too
    #[arg(long, short, value_name = "DIR")]
    output: PathBuf,

    /// Most tokens of a part: 50M take 2 minutes at 400,000 tokens/s, and little is lost with a machine. A
    /// record of more is a part of its own, and so is each file that is compressed or BAM
    #[arg(long, value_name = "N", default_value = "50M", value_parser = parse_tokens)]
    part_tokens: u64,

    #[command(flatten)]
    inputs: Inputs,

    #[command(flatten)]
    rows: RowArguments,

    /// Precision of weights and activations [default: f16 on a GPU, f32 on a CPU; all parts must have been
    /// computed in one]
    #[arg(long, value_enum, value_name = "DTYPE")]
    dtype: Option<Precision>,

    /// Precision of the values in the files: f32 or f16
    #[arg(long, value_enum, value_name = "DTYPE", default_value_t = DtypeOut::F32)]
    #[arg(hide_possible_values = true)]
    dtype_out: DtypeOut,

    /// No summary; only warnings and errors
    #[arg(long, short)]
    quiet: bool,
}

/// Plans, with a summary line on stderr.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let log = LogArguments::lines(arguments.quiet);
    let model = arguments.model.as_deref().unwrap_or(mini::NAME);
    let options = PlanOptions::new(arguments.inputs.inputs(), model, &arguments.output)
        .limits(arguments.inputs.limits.limits())
        .downloads(HubOptions::from_env(), Arc::new(DownloadBar::new(log)))
        .pool(arguments.rows.pool())
        .layer(arguments.rows.layer)
        .lengths(arguments.inputs.lengths()?)
        .dtype(arguments.dtype.map(Into::into))
        .dtype_out(arguments.dtype_out.into())
        .part_tokens(arguments.part_tokens);
    super::clean_up_when_interrupted();
    let plan = plan(&options, |event| match event {
        Event::Weights(note) => log.info(note),
        Event::BuiltInModel { model } => log.info(format_args!("{model} reads these inputs (built in)")),
        _ => (),
    })?;
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
            "make them with: virpack embed --plan {} --part 1-{}",
            shown_path(&arguments.output),
            plan.parts().len(),
        ));
    }
    Ok(())
}
