//! Embeds a few records on the CPU.

use virpack_core::output::Row;
use virpack_core::{Embedder, EmbedderOptions};
use virpack_seq::Records;

/// Returns each record's row and its values.
pub(crate) fn embed(records: Records, options: EmbedderOptions) -> Vec<(Row, Vec<f32>)> {
    let embeddings = Embedder::new(options, |_| ()).unwrap().embed(records).unwrap();
    embeddings.iter().map(|(row, values)| (row.clone(), values.to_vec())).collect()
}
