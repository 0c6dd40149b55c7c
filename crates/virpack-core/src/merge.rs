//! Merges the shards of one input into the output that a run over the complete input writes.
//!
//! Record `i` is in shard `i mod N`, and each shard is in input order. The shards are read in parallel, one
//! record at a time.

mod error;
mod shard;

use std::path::{Path, PathBuf};

use serde_json::Value;
use virpack_seq::{Input, read_small};

use crate::Error;
use crate::options::setters;
use crate::output::{self, Entry, OutputDtype, OutputFormat, OutputOptions, OutputSummary, ShardFacts};
pub use error::MergeError;
pub(crate) use error::MergeProblem;
use shard::OpenShard;

/// The shards to merge, and the output.
///
/// ```
/// use virpack_core::MergeOptions;
///
/// let options = MergeOptions::new(vec!["a.shard".into(), "b.shard".into()], "emb.parquet").force(true);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MergeOptions {
    shards: Vec<PathBuf>,
    output: PathBuf,
    format: Option<OutputFormat>,
    dtype_out: OutputDtype,
    force: bool,
}

impl MergeOptions {
    /// Returns the options for all shards of one input, in any order, to `.npy`, `.parquet`, `.arrows`,
    /// `.safetensors` or `.h5`, in float32; `-` is standard output, for `.npy` and `.arrows`.
    pub fn new(shards: Vec<PathBuf>, output: impl Into<PathBuf>) -> Self {
        let (format, dtype_out) = (None, OutputDtype::F32);
        MergeOptions { shards, output: output.into(), format, dtype_out, force: false }
    }

    setters! {
        /// Sets the format; None: by the extension of the name.
        format: impl Into<Option<OutputFormat>>,
        /// Sets the type of the values.
        dtype_out: OutputDtype,
        /// Replaces an output that exists.
        force: bool,
    }
}

/// Merges shards, after checking that they belong to one input and are complete.
///
/// ```
/// use virpack_core::{CancelToken, EmbedOptions, MergeOptions, embed, merge, seq::Shard};
///
/// # let folder = tempfile::tempdir()?;
/// let mut shards = Vec::new();
/// for shard in ["1/2", "2/2"] {
///     let shard: Shard = shard.parse()?;
///     let output = folder.path().join(format!("{}.shard", shard.number()));
///     let inputs = vec!["../../examples/proteins.fasta".into()];
///     let options = EmbedOptions::new(inputs, "virpack-mini", &output);
///     embed(&options.shard(shard), &CancelToken::new(), |_event| ())?;
///     shards.push(output);
/// }
/// let written = merge(&MergeOptions::new(shards, folder.path().join("proteins.npy")))?;
/// assert_eq!(written.rows, 4);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// Returns [`Error::Merge`] if they do not, or if one of them has been changed, and the errors of the output.
/// No output is left behind.
pub fn merge(options: &MergeOptions) -> Result<OutputSummary, Error> {
    let mut shards: Vec<OpenShard> =
        options.shards.iter().map(|path| OpenShard::open(path)).collect::<Result<_, _>>()?;
    shards.sort_by_key(|shard| shard.facts.shard.number());
    check(&shards)?;
    let Some(ShardFacts { hidden, about, sources, residues, .. }) =
        shards.first().map(|shard| shard.facts.clone())
    else {
        return Err(MergeProblem::NoShards.into());
    };
    let output = OutputOptions {
        force: options.force,
        format: options.format,
        dtype: options.dtype_out,
        residues,
        sources,
        metadata: about,
        ..OutputOptions::default()
    };
    let inputs =
        options.shards.iter().flat_map(|shard| std::iter::once(shard.clone()).chain(inputs_of(shard)));
    let inputs: Vec<Input> = inputs.map(Input::from).collect();
    output::check(&options.output, &output, &inputs)?;
    let mut out = output::create(&options.output, hidden, output)?;
    let mut record = 0;
    let of = shards.len() as u64;
    while let Some(entry) = shards[(record % of) as usize].next(record)? {
        match entry {
            Entry::Row(row, values) => out.write(row, &values)?,
            Entry::Skipped(skipped) => out.skip(&skipped)?,
        }
        record += 1;
    }
    for shard in &mut shards {
        shard.finish(record)?;
    }
    Ok(out.finish(record)?)
}

/// The most bytes of a `run.json`.
const LARGEST_RUN: u64 = 64_000_000;

/// Returns the inputs of a shard's run, if its `run.json` is beside it.
fn inputs_of(shard: &Path) -> Vec<PathBuf> {
    let text = read_small(&output::report_path(shard), LARGEST_RUN);
    let run: Option<Value> = text.ok().and_then(|text| serde_json::from_slice(&text).ok());
    let inputs = run.as_ref().and_then(|run| run.get("inputs")?.as_array()).into_iter().flatten();
    inputs.filter_map(|input| Some(PathBuf::from(input.get("path")?.as_str()?))).collect()
}

/// Refuses shards that do not all belong to one run.
fn check(shards: &[OpenShard]) -> Result<(), MergeProblem> {
    let Some(first) = shards.first() else { return Err(MergeProblem::NoShards) };
    let of = first.facts.shard.of();
    for shard in &shards[1..] {
        let differences = shard.facts.differences(&first.facts);
        if !differences.is_empty() {
            let [first, second] = [first, shard].map(|shard| shard.path.clone());
            return Err(MergeProblem::Different { first, second, differences });
        }
    }
    if let Some(pair) = shards.windows(2).find(|pair| pair[0].facts.shard == pair[1].facts.shard) {
        let [first, second] = [&pair[0], &pair[1]].map(|shard| shard.path.clone());
        return Err(MergeProblem::Twice { first, second, shard: pair[0].facts.shard });
    }
    let is_there = |number: &u32| shards.iter().any(|shard| shard.facts.shard.number() == *number);
    let missing: Vec<u32> = (1..=of).filter(|number| !is_there(number)).collect();
    if missing.is_empty() { Ok(()) } else { Err(MergeProblem::Missing { missing, of }) }
}
