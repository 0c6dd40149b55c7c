//! The identity of a run: everything that shapes the scores of its chunks, for another run to compare.
//!
//! It leaves out what shapes only the tables: the call thresholds, the columns, the plots and the inputs'
//! names. A resumed run may change these, because no part holds them.

use virpack_device::Dtype;
use virpack_model::{ChecksumThread, FileChecksum, sha256_of_all, size_and_sha256};
use virpack_seq::frames::FrameOptions;

use super::PredictOptions;
use crate::identity::{Identity, PendingIdentity};

impl PredictOptions {
    /// Returns everything that shapes the tables, given what shapes their scores.
    pub(super) fn of_tables(&self, scores: Identity, chunk_length: usize) -> Identity {
        let mut identity = scores;
        self.calls.identify(&self.scoring(chunk_length), &mut identity);
        if self.unique_ids {
            identity.set("ids", "made unique");
        }
        if self.inputs.len() > 1 {
            for (i, input) in (1..).zip(&self.inputs) {
                identity.set(format!("name of input {i}"), input);
            }
        }
        identity
    }
}

/// Returns models, classifiers and how records are cut. `kinds` describes each of `files`, as a model's file
/// or a classifier; files of one kind are adjacent.
pub(super) fn of_judges(frames: &FrameOptions, kinds: &[String], files: &[FileChecksum]) -> Identity {
    let mut identity = Identity::default();
    identity.set("virpack", env!("CARGO_PKG_VERSION"));
    let mut files = files;
    for kind in kinds.chunk_by(|a, b| a == b) {
        let (own, rest) = files.split_at(kind.len());
        identity.set(&*kind[0], sha256_of_all(own));
        files = rest;
    }
    identity.set("length", frames.length);
    if frames.min_length > 0 {
        identity.set("least bases of a record", frames.min_length);
    }
    identity.set("genetic code", frames.genetic_code.number());
    identity
}

/// Returns everything that shapes the scores, except the inputs.
pub(super) fn of_scores(options: &PredictOptions, judges: Identity, dtype: Dtype) -> Identity {
    let auto = |number: Option<usize>| number.map_or("auto".to_owned(), |number| number.to_string());
    let mut identity = judges;
    identity.set("dtype", dtype);
    identity.set("token budget", auto(options.token_budget.tokens()));
    identity.set("buffer size", auto(options.buffer_size));
    identity.set("bytes under way", options.most_waiting);
    identity
}

/// Adds the inputs. The result hashes them, which may take a while.
pub(super) fn with_inputs(identity: Identity, inputs: ChecksumThread) -> PendingIdentity {
    Box::new(move || {
        let checksums = inputs.finish()?;
        Ok(with_sums(identity, checksums.iter().map(|input| (input.bytes, &*input.sha256))))
    })
}

/// Adds inputs of these sizes and SHA-256.
pub(super) fn with_sums<'a>(
    mut identity: Identity,
    inputs: impl ExactSizeIterator<Item = (u64, &'a str)>,
) -> Identity {
    let several = inputs.len() > 1;
    for (i, (bytes, sha256)) in (1..).zip(inputs) {
        let name = if several { format!("input {i}") } else { "input".to_owned() };
        identity.set(name, size_and_sha256(bytes, sha256));
    }
    identity
}
