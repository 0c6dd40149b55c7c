//! What scores open frames, and chunks without any.

use virpack_seq::frames::Pair;

use super::PredictOptions;
use crate::Error;
use crate::calls::Scores;
use virpack_model::classifier::{Classifier, Towers};

/// The classifiers of a run.
#[derive(Debug)]
pub(super) struct Classifiers {
    /// Of open frames.
    pub(super) frames: Classifier,
    /// Of the nucleotides of chunks without one.
    pub(super) nucleotides: Option<Classifier>,
    /// Whose vectors of an open frame are taken.
    takes: Pair<bool>,
}

impl Classifiers {
    /// Opens them, and checks that they are for chunks of one length.
    pub(super) fn open(options: &PredictOptions) -> Result<Self, Error> {
        let frames = Classifier::at(&options.classifier)?;
        let nucleotides = options.nucleotide_classifier.as_ref().map(Classifier::at).transpose()?;
        if let Some(other) = &nucleotides
            && let (Some(length), Some(own)) = (frames.chunk_length(), other.chunk_length())
            && length != own
        {
            let paths = [frames.location().path(), other.location().path()];
            return Err(Error::ClassifierLengths { paths, lengths: [length, own] });
        }
        Ok(Classifiers { frames, nucleotides, takes: Pair { nucleotide: true, protein: true } })
    }

    /// Checks that they take what models of these widths give.
    pub(super) fn check_widths(&mut self, widths: Pair<usize>) -> Result<(), Error> {
        let Pair { nucleotide, protein } = widths;
        let takes = self.frames.check_widths(nucleotide, protein)?;
        self.takes = Pair { nucleotide: takes != Towers::Peptide, protein: takes != Towers::Nucleotide };
        match &self.nucleotides {
            Some(other) if other.input_width() != nucleotide => Err(Error::NucleotideClassifierWidth {
                path: other.location().path(),
                width: other.input_width(),
                nucleotide,
            }),
            _ => Ok(()),
        }
    }

    /// Whose vectors of an open frame are taken.
    pub(super) fn takes(&self) -> Pair<bool> {
        self.takes
    }

    /// Which models take part.
    pub(super) fn needs(&self) -> Pair<bool> {
        Pair { nucleotide: self.takes.nucleotide || self.nucleotides.is_some(), ..self.takes }
    }

    /// The scores of frames and of strands.
    pub(super) fn scores(&self, frames: &[f32], strands: &[f32]) -> Result<[Vec<Scores>; 2], Error> {
        let scores = |classifier: &Classifier, features| -> Result<Vec<_>, Error> {
            Ok(classifier.scores(features)?.into_iter().map(Scores::of_classes).collect())
        };
        let of_strands =
            self.nucleotides.as_ref().map(|classifier| scores(classifier, strands)).transpose()?;
        Ok([scores(&self.frames, frames)?, of_strands.unwrap_or_default()])
    }
}
