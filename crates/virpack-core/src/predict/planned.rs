//! What a plan records about models and classifiers: their files, and how records are cut for them. No device
//! is needed.

use std::num::NonZeroUsize;

use virpack_model::hub::load_again;
use virpack_model::{ChecksumThread, FileChecksum};
use virpack_seq::frames::FrameOptions;

use super::classifiers::Classifiers;
use super::encoders::EncoderFiles;
use super::{PredictOptions, identity};
use crate::Error;
use crate::event::Event;
use crate::identity::Identity;
use crate::options::Downloads;

/// What a plan records about models and classifiers.
pub(crate) struct JudgeFacts {
    /// Bases of a chunk.
    pub(crate) length: NonZeroUsize,
    /// Their files and how records are cut: everything that shapes scores, except inputs and precision.
    pub(crate) identity: Identity,
    /// The files of models and classifiers.
    pub(crate) files: Vec<FileChecksum>,
}

impl PredictOptions {
    /// Finds and hashes models and classifiers, and reports the length of chunks.
    ///
    /// # Errors
    ///
    /// Returns an error for a file that cannot be found or read, and for models and classifiers that do not
    /// belong together.
    pub(crate) fn judge_facts(&self, on_event: &mut impl FnMut(Event)) -> Result<JudgeFacts, Error> {
        let models = self.find_models()?;
        let refetch = self.downloads.as_ref().map(Downloads::refetch);
        let mut is_told = false;
        load_again(refetch.as_ref(), &[&models.nucleotide, &models.protein], || {
            let classifiers = Classifiers::open(self)?;
            let encoders = EncoderFiles::open(&models, &classifiers)?;
            let (frames, event) = self.frames(&classifiers, encoders.features());
            if !std::mem::replace(&mut is_told, true) {
                encoders.notes().into_iter().map(Event::Weights).chain([event]).for_each(&mut *on_event);
            }
            let (kinds, files): (Vec<_>, Vec<_>) = encoders.files(&classifiers).into_iter().unzip();
            let files = ChecksumThread::start(files)?.finish()?;
            let identity = identity::of_judges(&frames, &kinds, &files);
            Ok::<_, Error>(JudgeFacts { length: frames.length, identity, files })
        })
    }

    /// Returns how records are cut into frames of chunks of `length` bases, as far as tables and `run.json`
    /// depend on it.
    pub(super) fn frames_of(&self, length: NonZeroUsize) -> FrameOptions {
        FrameOptions::new(length).genetic_code(self.genetic_code).min_length(self.min_length)
    }
}
