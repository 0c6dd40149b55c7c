//! The classifiers of open frames, and of chunks without any.

use virpack_seq::frames::Pair;

use super::features::{FeatureRows, Features};
use super::{BundleProblem, PredictOptions};
use crate::Error;
use crate::calls::Scores;
use virpack_model::ModelConfig;
use virpack_model::classifier::Classifier;

/// The classifiers of a run.
#[derive(Debug)]
pub(super) struct Classifiers {
    /// For open frames; a joint classifier also takes chunks without one.
    pub(super) frames: Classifier,
    /// For the nucleotides of chunks without an open frame.
    pub(super) nucleotides: Option<Classifier>,
}

impl Classifiers {
    /// Opens the classifiers and checks that they are for chunks of one length.
    pub(super) fn open(options: &PredictOptions) -> Result<Self, Error> {
        let frames = Classifier::at(&options.classifier)?;
        let nucleotides = options.nucleotide_classifier.as_ref().map(Classifier::at).transpose()?;
        if let Some(other) = &nucleotides
            && let (Some(length), Some(own)) = (frames.chunk_length(), other.chunk_length())
            && length != own
        {
            let paths = [frames.location().path(), other.location().path()];
            return Err(BundleProblem::Lengths { paths, lengths: [length, own] }.into());
        }
        Ok(Classifiers { frames, nucleotides })
    }

    /// Returns a copy for another thread. It shares the weights, and no thread waits for another's products.
    pub(super) fn beside(&self) -> Result<Self, Error> {
        let nucleotides = self.nucleotides.as_ref().map(Classifier::beside).transpose()?;
        Ok(Classifiers { frames: self.frames.beside()?, nucleotides })
    }

    /// Returns what the classifiers take from models with these settings.
    pub(super) fn features(&self, configs: &Pair<ModelConfig>) -> Result<Features, Error> {
        Features::of(configs, &self.frames, self.nucleotides.as_ref())
    }

    /// Returns the scores of rows of frames, and of rows of whole chunks.
    pub(super) fn scores(&self, rows: &FeatureRows) -> Result<[Vec<Scores>; 2], Error> {
        let scores = |classifier: &Classifier, features: &[f32]| -> Result<Vec<_>, Error> {
            Ok(classifier.scores(features)?.into_iter().map(Scores::of_classes).collect())
        };
        let of_chunks = self.nucleotides.as_ref().unwrap_or(&self.frames);
        Ok([scores(&self.frames, &rows.frames)?, scores(of_chunks, &rows.whole)?])
    }
}
