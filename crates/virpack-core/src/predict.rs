//! Judges nucleotide sequences, virus or not, in one pass: everything that VirNucPro does.
//!
//! Records are cut into chunks and chunks into open reading frames. The nucleotides of a frame go to one
//! model and its protein to another, both packed. The classifier scores a frame once both embeddings exist. A
//! second classifier, which VirNucPro lacks, may score chunks without an open frame by the nucleotides of
//! both strands. Scores become verdicts on chunks and records, in input order. A run keeps its scores for
//! another run to resume from, and now and then the embeddings of chunks that have none yet.

mod bundle;
mod bundle_error;
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
use virpack_seq::Records;
use virpack_seq::frames::Pair;

use crate::Error;
use crate::cancel::CancelToken;
use crate::devices::{DeviceChoice, DeviceChoiceProblem};
use crate::event::Event;
use crate::for_devices;
pub use bundle::Bundle;
pub use bundle_error::BundleError;
use bundle_error::BundleProblem;
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

/// Bases of a chunk, if neither the options nor the classifier give a length.
const DEFAULT_LENGTH: NonZeroUsize = NonZeroUsize::new(500).expect("it is not 0");

/// Judges every record of the inputs.
///
/// Calls `on_event` when lengths and devices are known, as records are finished, and when something happens
/// that a user should know. Once `cancel` is cancelled, the batches in flight are finished and kept.
///
/// ```
/// use virpack_core::CancelToken;
/// use virpack_core::model::mini;
/// use virpack_core::predict::{Bundle, PredictOptions, predict};
///
/// # let folder = tempfile::tempdir()?;
/// let built_in = Bundle::open(&mini::location())?;
/// let inputs = vec!["../../examples/contigs.fasta".into()];
/// let options = PredictOptions::with_bundle(inputs, &built_in, None, folder.path().join("verdicts"));
/// let predicted = predict(&options, &CancelToken::new(), |_event| ())?;
/// for record in predicted.calls.best_viral {
///     println!("{}: {:.2}", record.id, record.score);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// Returns the first failure; no table is then published. Returns [`Error::Interrupted`] for a cancelled run.
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

/// Returns the device for the nucleotide model, given that of the protein model.
fn beside<B: Device>(device: &Arc<B>) -> Result<Arc<B>, Error> {
    let choice = device.ordinal().map_or(DeviceChoice::Cpu, |ordinal| DeviceChoice::Cuda(vec![ordinal]));
    match device.beside() {
        Ok(second) => Ok(second.map_or_else(|| Arc::clone(device), Arc::new)),
        Err(why) => Err(DeviceChoiceProblem::Unavailable { device: choice, why }.into()),
    }
}

/// As [`predict`], of `records` instead of the inputs that `options` name. They are in memory, so that
/// nothing is kept of an unfinished run. Their ids stay as they are.
///
/// ```
/// use virpack_core::CancelToken;
/// use virpack_core::model::mini;
/// use virpack_core::predict::{Bundle, PredictOptions, predict_records};
/// use virpack_core::seq::{Record, Records};
///
/// # let folder = tempfile::tempdir()?;
/// let built_in = Bundle::open(&mini::location())?;
/// let options = PredictOptions::with_bundle(Vec::new(), &built_in, None, folder.path().join("verdicts"));
/// let records = Records::from_records("sequences", [Record::new("contig 1", "ATGGCTAGC".repeat(60))]);
/// let predicted = predict_records(records, &options, &CancelToken::new(), |_event| ())?;
/// assert_eq!(predicted.calls.counts.records, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// As [`predict`].
pub fn predict_records(
    records: Records,
    options: &PredictOptions,
    cancel: &CancelToken,
    mut on_event: impl FnMut(Event),
) -> Result<PredictSummary, Error> {
    let options = options.of_records(&records);
    options.check_output()?;
    let devices = options.device.open_all_noting(|card| on_event(Event::LeftOut(card)))?;
    for_devices!(devices, |devices| {
        let nucleotide = devices.iter().map(beside).collect::<Result<_, _>>()?;
        run(Pair { nucleotide, protein: devices }, &options, || Ok(records), cancel, on_event)
    })
}

/// Runs [`predict`] on devices that are ready: at least one for each model. Both models may use the same.
///
/// # Errors
///
/// As [`predict`].
pub fn predict_on<B: Device + 'static>(
    devices: Pair<Vec<Arc<B>>>,
    options: &PredictOptions,
    cancel: &CancelToken,
    on_event: impl FnMut(Event),
) -> Result<PredictSummary, Error> {
    run(devices, options, || options.open_inputs(), cancel, on_event)
}

/// Judges the records that `open` returns, once the models are found.
fn run<B: Device + 'static>(
    devices: Pair<Vec<Arc<B>>>,
    options: &PredictOptions,
    open: impl FnOnce() -> Result<Records, Error>,
    cancel: &CancelToken,
    mut on_event: impl FnMut(Event),
) -> Result<PredictSummary, Error> {
    let models = options.find_models()?;
    let records = open()?;
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
