//! Models and classifiers that stay on their devices for several streams of records.

use std::sync::Arc;
use std::time::Duration;

use virpack_device::{Device, Dtype};
use virpack_seq::Records;
use virpack_seq::frames::{FrameCounters, Pair};
use virpack_seq::reader::ReadProgress;

use super::judges::Judges;
use super::kept_scores::KeptScores;
use super::pairing::{PairingStage, ScoredItem};
use super::{PredictOptions, beside};
use crate::Error;
use crate::cancel::CancelToken;
use crate::event::Event;
use crate::for_devices;
use crate::identity::Identity;
use crate::resume::Session;

/// Models and classifiers on their devices, for the parts of a plan.
///
/// [`Plan::predict_part`](crate::plan::Plan::predict_part) computes parts with it.
pub struct Predictor {
    judges: Box<dyn ScoreRecords>,
    options: PredictOptions,
}

/// Counts and facts of scored records.
pub(crate) struct ScoredRecords {
    /// How they were read.
    pub(crate) reading: Arc<ReadProgress>,
    pub(crate) frames: FrameCounters,
    /// The id of the first record with a letter that is not a nucleotide.
    pub(crate) first_odd: Option<Arc<str>>,
    /// Tokens computed with each model.
    pub(crate) tokens: Pair<u64>,
    /// What the bits depend on, for each device.
    pub(crate) computed_by: Vec<Vec<String>>,
}

/// [`Judges`] for any backend.
trait ScoreRecords: Send {
    fn dtype(&self) -> Dtype;

    fn own_identity(&self) -> &Identity;

    fn score(
        &self,
        options: &PredictOptions,
        records: Records,
        cancel: &CancelToken,
        each: &mut dyn FnMut(ScoredItem) -> Result<(), Error>,
        on_event: &mut dyn FnMut(Event),
    ) -> Result<ScoredRecords, Error>;
}

impl Predictor {
    /// Loads models and classifiers. Ignores the inputs and the output of the options.
    ///
    /// # Errors
    ///
    /// Returns an error for a device that cannot be used, and for models and classifiers that cannot be
    /// loaded or do not belong together.
    pub fn new(options: PredictOptions, mut on_event: impl FnMut(Event)) -> Result<Self, Error> {
        let devices = options.device.open_all_noting(|card| on_event(Event::LeftOut(card)))?;
        let judges: Box<dyn ScoreRecords> = for_devices!(devices, |devices| {
            let nucleotide = devices.iter().map(beside).collect::<Result<_, _>>()?;
            let devices = Pair { nucleotide, protein: devices };
            let judges = Judges::load(&devices, &options.find_models()?, &options, &off()?, &mut on_event)?;
            on_event(Event::ready(judges.device_names(), judges.faster_dtype(), judges.token_budgets()));
            Box::new(judges)
        });
        Ok(Predictor { judges, options })
    }

    /// Returns the precision of the computation.
    pub(crate) fn dtype(&self) -> Dtype {
        self.judges.dtype()
    }

    /// Returns the identity of models, classifiers and how records are cut.
    pub(crate) fn identity(&self) -> &Identity {
        self.judges.own_identity()
    }

    /// Scores records and passes them with their scored chunks to `each`, in order.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`predict`](super::predict) and of `each`.
    pub(crate) fn score(
        &self,
        records: Records,
        cancel: &CancelToken,
        mut each: impl FnMut(ScoredItem) -> Result<(), Error>,
        mut on_event: impl FnMut(Event),
    ) -> Result<ScoredRecords, Error> {
        self.judges.score(&self.options, records, cancel, &mut each, &mut on_event)
    }
}

impl std::fmt::Debug for Predictor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Predictor").field("options", &self.options).finish_non_exhaustive()
    }
}

impl<B: Device + 'static> ScoreRecords for Judges<B> {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn own_identity(&self) -> &Identity {
        &self.own_identity
    }

    fn score(
        &self,
        options: &PredictOptions,
        records: Records,
        cancel: &CancelToken,
        each: &mut dyn FnMut(ScoredItem) -> Result<(), Error>,
        on_event: &mut dyn FnMut(Event),
    ) -> Result<ScoredRecords, Error> {
        let mut on_event = on_event;
        let reading = records.progress();
        let scores = KeptScores::open(off()?, Duration::MAX);
        let loader = self.loader(options, records, &scores)?;
        let runners = self.runners(options, &loader, cancel)?;
        let mut pairing = PairingStage::start(&self.classifiers, self.features, runners, loader, scores)?;
        while let Some(done) = pairing.next(cancel, &mut on_event)? {
            done.into_iter().try_for_each(&mut *each)?;
            pairing.report(&mut on_event);
        }
        pairing.report(&mut on_event);
        if cancel.is_cancelled() {
            return Err(pairing.interrupt());
        }
        Ok(ScoredRecords {
            reading,
            frames: pairing.loader().counters(),
            first_odd: pairing.loader().first_odd(),
            tokens: pairing.tokens(),
            computed_by: computed_by(&pairing),
        })
    }
}

/// Returns a session that keeps nothing.
fn off() -> Result<Session, Error> {
    Ok(Session::open(None, &[], None, false)?)
}

/// Returns what the bits depend on, for each device with both models.
fn computed_by(pairing: &PairingStage) -> Vec<Vec<String>> {
    let mut devices: Vec<Vec<String>> = Vec::new();
    for runner in pairing.runners().present() {
        for (i, own) in runner.runner.computed_by().into_iter().enumerate() {
            devices.resize_with(devices.len().max(i + 1), Vec::new);
            let new = own.into_iter().filter(|line| !devices[i].contains(line)).collect::<Vec<_>>();
            devices[i].extend(new);
        }
    }
    devices.sort();
    devices.dedup();
    devices
}
