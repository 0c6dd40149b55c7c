//! Models and classifiers: loading them, and the identity of their files and of the run.

use std::sync::Arc;
use virpack_device::{Device, Dtype};

use virpack_seq::Records;
use virpack_seq::frames::{FrameLoader, FrameOptions, Pair, create_frame_loader};

use super::classifiers::Classifiers;
use super::encoder_runner::EncoderRunner;
use super::encoders::{EncoderFiles, Encoders};
use super::features::Features;
use super::files::Files;
use super::kept_scores::KeptScores;
use super::{PredictOptions, identity};
use crate::Error;
use crate::calls::CallOptions;
use crate::cancel::CancelToken;
use crate::event::{Event, ModelBudget};
use crate::identity::Identity;
use crate::options::Downloads;
use crate::output::check_apart_from_models;
use crate::resume::Session;
use virpack_model::hub::load_again;
use virpack_model::{ChecksumThread, FileChecksum, Location};

/// The loaded models and classifiers of a run.
pub(super) struct Judges<B: Device> {
    pub(super) classifiers: Classifiers,
    /// What the models read from a chunk, and how it becomes rows.
    pub(super) features: Features,
    encoders: Encoders<B>,
    /// How records are cut into frames.
    pub(super) frames: FrameOptions,
    /// The files of models and classifiers.
    pub(super) files: Vec<FileChecksum>,
    /// These files, and how records are cut.
    pub(super) own_identity: Identity,
    /// Everything that shapes the scores, except the inputs.
    pub(super) identity: Identity,
    /// The precision of the computation.
    pub(super) dtype: Dtype,
}

impl<B: Device + 'static> Judges<B> {
    /// Loads models and classifiers. Downloads damaged files again, if the options allow it.
    ///
    /// # Errors
    ///
    /// Returns the first failure, and an error if the output of the run is already complete.
    pub(super) fn load(
        devices: &Pair<Vec<Arc<B>>>,
        models: &Pair<Location>,
        options: &PredictOptions,
        session: &Session,
        on_event: &mut impl FnMut(Event),
    ) -> Result<Self, Error> {
        let refetch = options.downloads.as_ref().map(Downloads::refetch);
        let mut is_told = false;
        load_again(refetch.as_ref(), &[&models.nucleotide, &models.protein], || {
            let classifiers = Classifiers::open(options)?;
            let encoders = EncoderFiles::open(models, &classifiers)?;
            let (frames, event) = options.frames(&classifiers, encoders.features());
            if !std::mem::replace(&mut is_told, true) {
                encoders.notes().into_iter().map(Event::Weights).chain([event]).for_each(&mut *on_event);
            }
            Self::load_once(encoders, classifiers, frames, devices, options, session)
        })
    }

    fn load_once(
        encoders: EncoderFiles,
        classifiers: Classifiers,
        frames: FrameOptions,
        devices: &Pair<Vec<Arc<B>>>,
        options: &PredictOptions,
        session: &Session,
    ) -> Result<Self, Error> {
        let (kinds, files): (Vec<_>, Vec<_>) = encoders.files(&classifiers).into_iter().unzip();
        let tables = Files::in_directory(&options.output);
        check_apart_from_models(tables.all(), files.iter().cloned())?;
        let hashing = ChecksumThread::of_model(files)?;
        let dtype = devices.protein.first().expect("a model has a device").dtype();
        let of_judges = |files: &[FileChecksum]| identity::of_judges(&frames, &kinds, files);
        if let Some(complete) = session.complete_run() {
            let own = identity::of_scores(options, of_judges(&hashing.finish()?), dtype);
            let scores = identity::with_inputs(own, options.hash_inputs()?)()?;
            let identity = options.of_tables(scores, frames.length.get());
            return Err(complete.end(&identity, CallOptions::shapes_files_alone).into());
        }
        let features = encoders.features();
        let encoders = Encoders::load(encoders, devices.clone(), options, &frames, session.token_budgets())?;
        let files = hashing.finish()?;
        let own_identity = of_judges(&files);
        let identity = identity::of_scores(options, own_identity.clone(), dtype);
        Ok(Judges { classifiers, features, encoders, frames, files, own_identity, identity, dtype })
    }

    /// Returns the devices, as shown to people.
    pub(super) fn device_names(&self) -> String {
        self.encoders.device_names().join("; ")
    }

    /// Returns a precision that would be faster on this machine.
    pub(super) fn faster_dtype(&self) -> Option<Dtype> {
        self.encoders.faster_dtype()
    }

    /// Returns the most tokens in a batch, for each model that is needed.
    pub(super) fn token_budgets(&self) -> Vec<ModelBudget> {
        self.encoders.token_budgets()
    }

    /// Starts to read, cut and translate records and to pack their frames. Skips what `scores` already holds.
    pub(super) fn loader(
        &self,
        options: &PredictOptions,
        records: Records,
        scores: &KeptScores,
    ) -> Result<FrameLoader, Error> {
        let frames = self.frames.clone().done(scores.done()).known(scores.known());
        Ok(create_frame_loader(records, self.encoders.inputs(options)?, frames)?)
    }

    /// Starts to run the batches of `loader`.
    pub(super) fn runners(
        &self,
        options: &PredictOptions,
        loader: &FrameLoader,
        cancel: &CancelToken,
    ) -> Result<Pair<Option<EncoderRunner>>, Error> {
        self.encoders.start(loader, options, cancel)
    }
}
