//! What a run is of: all that shapes the scores of its chunks, for another run to compare.
//!
//! What only shapes the tables is not in it (what is called viral, the columns, pictures, the inputs' names): whoever
//! goes on may change that, as nothing of it is in a part.

use virpack_device::Dtype;
use virpack_seq::frames::FrameOptions;

use super::PredictOptions;
use crate::Error;
use crate::identity::Identity;
use virpack_model::checksum::{FileChecksum, Summing, sum_of_all};

/// What is known of a run once its models are looked at.
pub(super) struct Known<'a> {
    pub(super) options: &'a PredictOptions,
    pub(super) frames: &'a FrameOptions,
    /// What each of `files` is here: a model's file, a classifier. Those of one kind stand side by side.
    pub(super) kinds: &'a [String],
    pub(super) files: &'a [FileChecksum],
    pub(super) dtype: Dtype,
}

impl PredictOptions {
    /// All that shapes the tables, from what shapes the scores in them.
    pub(super) fn of_tables(&self, scores: Identity) -> Identity {
        let mut identity = scores;
        let least = self.rule.min_score.map_or("none".to_owned(), |least| least.to_string());
        identity.set("least score", least);
        identity.set("least fraction", self.rule.min_fraction);
        identity.set("columns", self.compat.as_str());
        identity.set("pictures", if self.plot.is_some() { "drawn" } else { "none" });
        if self.inputs.len() > 1 {
            for (i, input) in (1..).zip(&self.inputs) {
                identity.set(format!("name of input {i}"), input);
            }
        }
        identity
    }
}

impl Known<'_> {
    /// All that shapes the scores but the inputs.
    fn without_inputs(&self) -> Identity {
        let auto = |number: Option<usize>| number.map_or("auto".to_owned(), |number| number.to_string());
        let mut identity = Identity::default();
        identity.set("virpack", env!("CARGO_PKG_VERSION"));
        let of_a_kind = self.kinds.chunk_by(|a, b| a == b);
        let mut files = self.files;
        for kind in of_a_kind {
            let (own, rest) = files.split_at(kind.len());
            identity.set(&*kind[0], sum_of_all(own));
            files = rest;
        }
        identity.set("dtype", self.dtype);
        identity.set("length", self.frames.length);
        identity.set("genetic code", self.frames.genetic_code.number());
        identity.set("token budget", auto(self.options.token_budget));
        identity.set("buffer size", auto(self.options.buffer_size));
        identity.set("bytes under way", self.frames.most_waiting);
        identity
    }

    /// All that shapes the scores; the sums of `inputs` may take a while.
    pub(super) fn identity(
        &self,
        inputs: Summing,
    ) -> impl FnOnce() -> Result<Identity, Error> + Send + 'static {
        let mut identity = self.without_inputs();
        move || {
            let sums = inputs.finish()?;
            let several = sums.len() > 1;
            for (i, input) in (1..).zip(&sums) {
                let name = if several { format!("input {i}") } else { "input".to_owned() };
                identity.set(name, input.sum());
            }
            Ok(identity)
        }
    }
}
