//! What a run is of: all that shapes its rows, for another run to compare, and for a shard to say.

use virpack_device::Dtype;
use virpack_model::{ChecksumThread, ModelConfig};
use virpack_seq::{Input, LengthPolicy, LongRecords};

use super::EmbedOptions;
use crate::Error;
use crate::embedder::ModelChecksums;
use crate::identity::{Identity, PendingIdentity};
use crate::output::ShardFacts;

/// Returns all that shapes the rows of a run: its options, its precision, its model, of files with these
/// checksums, and the inputs. Hashing `inputs` may take a while.
pub(super) fn of_rows(
    options: &EmbedOptions,
    config: &ModelConfig,
    lengths: LengthPolicy,
    dtype: Dtype,
    model: &ModelChecksums,
    inputs: ChecksumThread,
) -> Result<PendingIdentity, Error> {
    let auto = |number: Option<usize>| number.map_or("auto".to_owned(), |number| number.to_string());
    let LengthPolicy { max_length, min_length, long_records } = lengths;
    let mut identity = Identity::default();
    options.shard.iter().for_each(|shard| identity.set("shard", shard));
    identity.set("virpack", env!("CARGO_PKG_VERSION"));
    identity.set("model", model.sha256());
    identity.set("dtype", dtype);
    identity.set("pooling", options.embedder.pool_name());
    identity.set("layer", options.embedder.layer_of(config)?);
    identity.set("largest length", max_length);
    identity.set("smallest length", min_length);
    let long_records = match long_records {
        LongRecords::Truncate => "truncate".to_owned(),
        LongRecords::Window { overlap } => format!("windows that share {overlap}"),
        LongRecords::Skip => "skip".to_owned(),
        LongRecords::Error => "error".to_owned(),
    };
    identity.set("long records", long_records);
    identity.set("token budget", auto(options.embedder.token_budget.tokens()));
    identity.set("buffer size", auto(options.embedder.buffer_size));
    identity.set("packing", if options.embedder.packing { "on" } else { "off" });
    let names = options.inputs.iter().map(Input::to_string).collect::<Vec<_>>();
    let beside = model.beside.clone();
    Ok(Box::new(move || {
        let files: Vec<_> = inputs.finish()?.into_iter().chain(beside).collect();
        Ok(identity.with_files(&names, &files))
    }))
}

/// Returns the facts at the beginning of a shard; None if no shard is written.
pub(super) fn of_shard(
    options: &EmbedOptions,
    config: &ModelConfig,
    rows: &Identity,
    about: Vec<(String, String)>,
) -> Option<ShardFacts> {
    Some(ShardFacts {
        shard: options.shard?,
        identity: rows.without("shard"),
        hidden: options.embedder.width(config),
        residues: options.embedder.pool.is_none(),
        sources: options.inputs.iter().map(Input::to_string).collect(),
        about,
    })
}
