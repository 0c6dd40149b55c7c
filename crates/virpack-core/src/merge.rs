//! The shards of one input, joined to the output that a run over all of it would have written.
//!
//! Record `i` is in shard `i mod N`, and each shard is in input order: they are read side by side, a record at a time.

mod error;
mod shard;

use std::path::PathBuf;

use virpack_seq::Input;

use crate::Error;
use crate::output::{self, Entry, Facts, OutputDtype, OutputFormat, OutputOptions, Written};
pub use error::MergeError;
use shard::OpenShard;

/// Which shards to join, to what.
#[derive(Clone, Debug)]
pub struct MergeOptions {
    /// All shards of one input, in any order.
    pub shards: Vec<PathBuf>,
    /// `.npy`, `.parquet`, `.arrows`, `.safetensors` or `.h5`; `-` is standard output, for `.npy` and `.arrows`.
    pub output: PathBuf,
    /// Its format; None: what its name's ending says.
    pub format: Option<OutputFormat>,
    /// The type of its values.
    pub dtype_out: OutputDtype,
    /// Replace an output that exists.
    pub force: bool,
}

/// Joins shards, once it is known that they are of one input and complete.
///
/// # Errors
///
/// [`Error::Merge`] where they are not, or one of them is not as it was written, and what goes wrong with the output; it
/// then does not exist.
pub fn merge(options: &MergeOptions) -> Result<Written, Error> {
    let mut shards: Vec<OpenShard> =
        options.shards.iter().map(|path| OpenShard::open(path)).collect::<Result<_, _>>()?;
    shards.sort_by_key(|shard| shard.facts.shard.number());
    check(&shards)?;
    let Some(Facts { hidden, about, sources, residues, .. }) =
        shards.first().map(|shard| shard.facts.clone())
    else {
        return Err(MergeError::NoShards.into());
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
    let inputs: Vec<Input> = options.shards.iter().cloned().map(Input::from).collect();
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

/// Refuses shards that are not all of one run.
fn check(shards: &[OpenShard]) -> Result<(), MergeError> {
    let Some(first) = shards.first() else { return Err(MergeError::NoShards) };
    let of = first.facts.shard.of();
    for shard in &shards[1..] {
        let differences = shard.facts.differences(&first.facts);
        if !differences.is_empty() {
            let [first, second] = [first, shard].map(|shard| shard.path.clone());
            return Err(MergeError::Different { first, second, differences });
        }
    }
    if let Some(pair) = shards.windows(2).find(|pair| pair[0].facts.shard == pair[1].facts.shard) {
        let [first, second] = [&pair[0], &pair[1]].map(|shard| shard.path.clone());
        return Err(MergeError::Twice { first, second, shard: pair[0].facts.shard });
    }
    let is_there = |number: &u32| shards.iter().any(|shard| shard.facts.shard.number() == *number);
    let missing: Vec<u32> = (1..=of).filter(|number| !is_there(number)).collect();
    if missing.is_empty() { Ok(()) } else { Err(MergeError::Missing { missing, of }) }
}
