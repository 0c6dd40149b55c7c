//! Embeds a few records on the CPU.

use std::num::NonZeroUsize;
use virpack_core::output::Row;
use virpack_core::{DeviceChoice, DeviceOptions, Embedder, EmbedderOptions};
use virpack_seq::Records;

/// Returns each record's row and its values, computed by `threads`; by one for each core where None.
pub(crate) fn embed(
    records: Records,
    options: EmbedderOptions,
    threads: Option<NonZeroUsize>,
) -> Vec<(Row, Vec<f32>)> {
    let device = DeviceOptions::default().device(DeviceChoice::Cpu).threads(threads);
    let embedder = Embedder::new(options.device(device), |_| ()).unwrap();
    let embeddings = embedder.embed(records).unwrap();
    embeddings.iter().map(|(row, values)| (row.clone(), values.to_vec())).collect()
}
