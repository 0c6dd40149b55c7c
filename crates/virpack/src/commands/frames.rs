//! `virpack frames`.

use super::choice::choice;
use super::limits::LimitArguments;
use crate::failure::Failure;
use crate::log::LogArguments;
use crate::text::{count, grouped, short};
use crate::values::{parse_code, parse_length};
use crate::watch::Watch;
use clap::Args;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use virpack_core::{FrameKind, FramesOptions, FramesSummary, frames};
use virpack_seq::{GeneticCode, Input, shown_path};

/// The arguments of `virpack frames`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// FASTA, FASTQ or BAM of nucleotides, plain or compressed (gzip, zstd, bzip2, xz): files, URLs
    /// (s3://, gs://, az://, https://), or `-` for stdin
    #[arg(required = true, value_name = "INPUT")]
    inputs: Vec<PathBuf>,

    /// Prefix of both files: PREFIX_nucleotide.fa and PREFIX_protein.faa; `-` writes the one that --kind
    /// names to standard output
    #[arg(long, short, value_name = "PREFIX")]
    output: PathBuf,

    /// Which of the two to write to standard output, with -o -
    #[arg(long, value_enum, value_name = "KIND")]
    kind: Option<Kind>,

    /// Chunk length in bases; classifiers are trained on 300 or 500
    #[arg(long, value_name = "N", default_value = "500", value_parser = parse_length)]
    length: NonZeroUsize,

    /// Genetic code, by NCBI's number
    #[arg(long, value_name = "N", default_value = "1", value_parser = parse_code)]
    genetic_code: GeneticCode,

    #[command(flatten)]
    limits: LimitArguments,

    /// Print no progress and no summary; only warnings and errors
    #[arg(long, short)]
    quiet: bool,

    /// Replace existing files
    #[arg(long)]
    force: bool,
}

choice! {
    /// The two files.
    enum Kind for FrameKind {
        Nucleotide => FrameKind::Nucleotide,
        Protein => FrameKind::Protein,
    }
}

/// Writes the frames, with a bar, a summary line and warnings on stderr.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let inputs = arguments.inputs.iter().cloned().map(Input::from).collect();
    let options = FramesOptions::new(inputs, &arguments.output)
        .limits(arguments.limits.limits())
        .length(arguments.length)
        .genetic_code(arguments.genetic_code)
        .kind(arguments.kind.map(FrameKind::from))
        .force(arguments.force);
    super::clean_up_when_interrupted();
    let log = LogArguments::lines(arguments.quiet);
    let watch = Watch::new(log);
    watch.begin();
    let result = frames(&options, |progress| watch.update(progress));
    watch.finish();
    let summary = result?;
    for remark in &summary.remarks {
        log.warn(remark);
    }
    log.info(line(&summary));
    Ok(())
}

/// Returns the summary line.
fn line(summary: &FramesSummary) -> String {
    let files: Vec<String> = summary.files.iter().map(|file| shown_path(file)).collect();
    let files = if files.is_empty() { vec!["standard output".to_owned()] } else { files };
    let rate = summary.bases as f64 / summary.elapsed.as_secs_f64().max(1e-9);
    format!(
        "{}: {} ({} without an open frame), {}, {} in {:.1} s ({}bases/s)",
        files.join(", "),
        count(summary.records, "record", "records"),
        grouped(summary.without),
        count(summary.chunks, "chunk", "chunks"),
        count(summary.frames, "open frame", "open frames"),
        summary.elapsed.as_secs_f64(),
        short(rate),
    )
}
