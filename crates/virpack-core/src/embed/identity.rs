//! What a run is of: all that shapes its rows, for another run to compare, and for a shard to say.

use virpack_device::Dtype;
use virpack_model::{ChecksumThread, ModelConfig};
use virpack_seq::{Input, LengthPolicy, LongRecords};

use super::EmbedOptions;
use crate::Error;
use crate::identity::{Identity, PendingIdentity};
use crate::output::Facts;

/// All that shapes the rows of a run: its options, its model, of weights with this checksum, its precision, and the inputs
/// and other files of the model. Hashing `files` may take a while.
pub(super) fn of_rows(
    options: &EmbedOptions,
    config: &ModelConfig,
    lengths: LengthPolicy,
    sha256: &str,
    dtype: Dtype,
    files: ChecksumThread,
) -> Result<PendingIdentity, Error> {
    let auto = |number: Option<usize>| number.map_or("auto".to_owned(), |number| number.to_string());
    let LengthPolicy { max_length, min_length, long_records } = lengths;
    let mut identity = Identity::default();
    options.shard.iter().for_each(|shard| identity.set("shard", shard));
    identity.set("virpack", env!("CARGO_PKG_VERSION"));
    identity.set("model", sha256);
    identity.set("dtype", dtype);
    identity.set("pooling", options.pool_name());
    identity.set("layer", options.layer_of(config)?);
    identity.set("largest length", max_length);
    identity.set("smallest length", min_length);
    let long_records = match long_records {
        LongRecords::Truncate => "truncate".to_owned(),
        LongRecords::Window { overlap } => format!("windows that share {overlap}"),
        LongRecords::Skip => "skip".to_owned(),
        LongRecords::Error => "error".to_owned(),
    };
    identity.set("long records", long_records);
    identity.set("token budget", auto(options.token_budget.tokens()));
    identity.set("buffer size", auto(options.buffer_size));
    identity.set("packing", if options.packing { "on" } else { "off" });
    let inputs = options.inputs.iter().map(Input::to_string).collect::<Vec<_>>();
    Ok(Box::new(move || Ok(identity.with_files(&inputs, &files.finish()?))))
}

/// What a shard says at its beginning; None where no shard is written.
pub(super) fn of_shard(
    options: &EmbedOptions,
    config: &ModelConfig,
    rows: &Identity,
    about: Vec<(String, String)>,
) -> Option<Facts> {
    Some(Facts {
        shard: options.shard?,
        identity: rows.without("shard"),
        hidden: config.hidden(),
        residues: options.pool.is_none(),
        sources: options.inputs.iter().map(Input::to_string).collect(),
        about,
    })
}
