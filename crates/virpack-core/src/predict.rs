//! Nucleotide sequences to a verdict, virus or not, in one pass: all of what VirNucPro does.
//!
//! Records are cut into chunks, chunks into open reading frames; a frame's nucleotides go to one model, its
//! protein to another, both packed; where the two embeddings of a frame meet, the classifier scores it.
//! Chunks without an open frame may have a classifier of their own, of both strands' nucleotides alone, which
//! VirNucPro has not. Scores become verdicts on chunks and records, in input order; they alone are kept while
//! a run goes on, for another to resume from.

mod bundle;
mod chunk_scores;
mod classifiers;
mod earlier_counts;
mod embedding;
mod encoder_runner;
mod encoders;
mod features;
mod files;
mod identity;
mod joined;
mod judges;
mod kept_scores;
mod options;
mod output;
mod pairing;
mod pending_items;
mod planned;
mod predictor;
mod reporter;
mod run_json;
mod scorers;
mod summary;
mod tables;
mod vectors;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Instant;

use virpack_device::Device;
use virpack_seq::frames::Pair;

use crate::Error;
use crate::cancel::CancelToken;
use crate::devices::DeviceChoice;
use crate::event::Event;
use crate::for_devices;
pub use bundle::Bundle;
pub use earlier_counts::EarlierCounts;
pub(crate) use files::Files;
pub(crate) use joined::{JoinedFacts, JoinedTables};
use judges::Judges;
pub use options::PredictOptions;
use output::PredictOutput;
use pairing::PairingStage;
pub(crate) use pairing::ScoredItem;
pub(crate) use planned::JudgeFacts;
pub use predictor::Predictor;
pub(crate) use predictor::ScoredRecords;
pub use summary::PredictSummary;

/// Bases of a chunk where neither the options nor the classifier say.
pub const DEFAULT_LENGTH: NonZeroUsize = NonZeroUsize::new(500).expect("it is not 0");

/// Judges every record of the inputs.
///
/// `on_event` is called when lengths and devices are known, as records are done, and when something happens that a user
/// should know. Once `cancel` is cancelled, the batches in flight are finished and kept.
///
/// # Errors
///
/// Returns the first failure; no table then has its name. [`Error::Interrupted`] of a run that was cancelled.
pub fn predict(
    options: &PredictOptions,
    cancel: &CancelToken,
    mut on_event: impl FnMut(Event),
) -> Result<PredictSummary, Error> {
    options.check()?;
    let devices = options.device.open_all_noting(|card| on_event(Event::LeftOut(card)))?;
    for_devices!(devices, |devices| {
        let nucleotide = devices.iter().map(beside).collect::<Result<_, _>>()?;
        predict_on(Pair { nucleotide, protein: devices }, options, cancel, on_event)
    })
}

/// The device for the nucleotide model, beside that for the protein model.
fn beside<B: Device>(device: &Arc<B>) -> Result<Arc<B>, Error> {
    let choice = device.ordinal().map_or(DeviceChoice::Cpu, |ordinal| DeviceChoice::Cuda(vec![ordinal]));
    match device.beside() {
        Ok(second) => Ok(second.map_or_else(|| Arc::clone(device), Arc::new)),
        Err(why) => Err(Error::Unavailable { device: choice, why }),
    }
}

/// [`predict`] on devices that are ready: those for each model, at least one. Both may have the same.
///
/// # Errors
///
/// As [`predict`].
pub fn predict_on<B: Device + 'static>(
    devices: Pair<Vec<Arc<B>>>,
    options: &PredictOptions,
    cancel: &CancelToken,
    mut on_event: impl FnMut(Event),
) -> Result<PredictSummary, Error> {
    let models = options.find_models()?;
    let records = options.open_inputs()?;
    let session = options.session()?;
    let mut judges = Judges::load(&devices, &models, options, &session, &mut on_event)?;
    drop(devices);
    let (mut output, scores) =
        PredictOutput::create(options, &mut judges, session, records.progress(), &mut on_event)?;
    let start = Instant::now();
    let loader = judges.loader(options, records, &scores)?;
    let runners = judges.runners(options, &loader, cancel)?;
    let mut pairing = PairingStage::start(&judges.classifiers, judges.features, runners, loader, scores)?;
    loop {
        match pairing.next(cancel, &mut on_event) {
            Ok(Some(done)) => {
                if let Err(error) = output.write(done) {
                    return Err(pairing.end_with(error));
                }
            }
            Ok(None) => break,
            Err(error) => return Err(pairing.end_with(error)),
        }
        pairing.report(&mut on_event);
    }
    pairing.report(&mut on_event);
    if cancel.is_cancelled() {
        return Err(pairing.interrupt());
    }
    output.finish(&judges, pairing, start.elapsed())
}
