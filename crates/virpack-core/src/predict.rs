//! Nucleotide sequences to a verdict, virus or not, in one pass: all of what VirNucPro does.
//!
//! Records are cut into chunks, chunks into open reading frames; a frame's nucleotides go to one model, its peptide
//! to another, both packed; where the two embeddings of a frame meet, the classifier scores it. Chunks without an open
//! frame may have a classifier of their own, of both strands' nucleotides alone, which VirNucPro has not. Scores become
//! verdicts on chunks and records, in input order; they alone are kept while a run goes on, for another to go on from.

mod bundle;
mod classifiers;
mod files;
mod identity;
mod join;
mod load;
mod reference;
mod regions;
mod report;
mod results;
mod score;
mod scores;
mod sorted;
mod summary;
mod tables;
mod towers;
mod track;
mod vectors;
mod verdict;
mod waiting;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use virpack_device::{Device, available_memory};
use virpack_seq::frames::{FrameOptions, create_frame_loader};
use virpack_seq::{GeneticCode, Input, ReadLimits, ReadOptions, reader};

use crate::Error;
use crate::checkpoint::{CheckpointOptions, Found, Place, Resumed, Saved};
use crate::devices::{DeviceChoice, DeviceOptions};
use crate::files::NewDirectory;
use crate::for_devices;
use crate::model::checksum::Summing;
use crate::model::hub::Refetch;
use crate::model::location::Location;
use crate::output::{OutputError, check_all, check_apart, check_stdout_apart, is_stdout};
use crate::progress::Progress;
pub use bundle::Bundle;
use classifiers::Classifiers;
use files::Files;
use identity::Known;
use join::Join;
use load::Judges;
pub use reference::Compat;
pub use regions::Region;
use results::Results;
pub use summary::{Before, Counts, DeviceWork, Predicted, Stage};
pub use track::{Draw, Track};
pub use verdict::{Rule, Status};

/// Bases of a chunk where neither the options nor the classifier say.
pub const DEFAULT_LENGTH: NonZeroUsize = NonZeroUsize::new(500).expect("it is not 0");

/// What to judge, with what, to where.
#[derive(Clone, Debug)]
pub struct PredictOptions {
    /// FASTA or FASTQ of nucleotides, plain or compressed.
    pub inputs: Vec<Input>,
    /// The largest record and the largest header of the inputs.
    pub limits: ReadLimits,
    /// The directory of the tables; `-` sends `sequences.tsv` alone to standard output, row by row.
    pub output: PathBuf,
    /// What models and classifiers are called together, where they have a name.
    pub name: Option<String>,
    /// The classifier of open frames.
    pub classifier: Location,
    /// The classifier of chunks without an open frame, which takes the nucleotide model's vectors alone; None: they have
    /// no verdict, as in VirNucPro.
    pub nucleotide_classifier: Option<Location>,
    /// Bases of a chunk; None: what the classifier was trained on, else [`DEFAULT_LENGTH`].
    pub length: Option<NonZeroUsize>,
    /// How codons are read.
    pub genetic_code: GeneticCode,
    /// A directory or file of weights: DNABERT-S.
    pub nucleotide_model: Location,
    /// A directory or file of weights: ESM-2.
    pub protein_model: Location,
    /// Downloads damaged files of the models again, if they are in the Hub's cache; None: they end the run.
    pub refetch: Option<Refetch>,
    /// The two models as the user named them, the nucleotides' first.
    pub model_names: [String; 2],
    /// What runs the models.
    pub device: DeviceOptions,
    /// A device that gives nothing back for so long is given up, where another is left.
    pub device_timeout: Option<Duration>,
    /// Most tokens in a batch of either model; None: what fits the device's free memory and helps.
    pub token_budget: Option<usize>,
    /// Sequences collected before packing, and within which identical ones are computed once; None: 2,000, or more
    /// where the token budget is large.
    pub buffer_size: Option<usize>,
    /// Most bytes of records that are under way, by [`virpack_seq::frames::weight`], unless one record alone has more.
    pub most_waiting: u64,
    /// What is called viral.
    pub rule: Rule,
    /// Whose columns `prediction_results_highestscore.csv` has.
    pub compat: Compat,
    /// Draws the score along each record of several chunks, into `plots/`.
    pub plot: Option<Draw>,
    /// Keep scores in `DIR/run.partial` while the run goes on, where the inputs are files; None: do not.
    pub checkpoint: Option<CheckpointOptions>,
    /// Once set, the batches in flight are finished and kept, and the run ends with [`Error::Interrupted`].
    pub stop: Arc<AtomicBool>,
    /// Replace tables that exist, and the parts of an unfinished run.
    pub force: bool,
}

/// What a run tells while it goes on.
#[derive(Clone, Debug)]
pub enum Told {
    /// What a user should know of a model's weights, a sentence; before they are loaded.
    Weights(String),
    /// Bases of a chunk; before anything is read.
    Length {
        /// What is taken.
        length: NonZeroUsize,
        /// What was asked for.
        asked: Option<NonZeroUsize>,
        /// What the classifier was trained on, where it says so.
        classifier: Option<NonZeroUsize>,
    },
    /// What runs the models; before the first batch.
    Device {
        /// The device, for people.
        name: String,
        /// Most tokens in a batch of each model that takes part, the nucleotides' first.
        token_budgets: [Option<usize>; 2],
    },
    /// From here on scores are kept, and the run can be told to stop.
    Kept(Resumed),
    /// The device had no room: a model's batches have at most this many tokens from here on, and nothing is lost.
    Halved {
        /// Most tokens in a batch.
        token_budget: usize,
        /// What the device said.
        reason: String,
    },
    /// A device failed or hung and gets nothing more; what it held is run by the others.
    Lost {
        /// Its place among the devices of a model.
        device: usize,
        /// What went wrong.
        reason: String,
    },
    /// How far the run is; several times a second, whether anything is done or not.
    Progress(Progress),
}

/// Judges every record of the inputs.
///
/// `tell` is called when lengths and devices are known, as records are done, and when something happens that a user
/// should know.
///
/// # Errors
///
/// Everything that can go wrong is told with what, where and what to do; no table then has its name.
pub fn predict(options: &PredictOptions, tell: impl FnMut(Told)) -> Result<Predicted, Error> {
    options.check()?;
    for_devices!(options.device.open_all()?, |devices| {
        let seconds = devices.iter().map(beside).collect::<Result<_, _>>()?;
        predict_on([seconds, devices], options, tell)
    })
}

/// The device for the second model.
fn beside<B: Device>(device: &Arc<B>) -> Result<Arc<B>, Error> {
    let choice = device.ordinal().map_or(DeviceChoice::Cpu, |ordinal| DeviceChoice::Cuda(vec![ordinal]));
    match device.beside() {
        Ok(second) => Ok(second.map_or_else(|| Arc::clone(device), Arc::new)),
        Err(why) => Err(Error::Unavailable { device: choice, why }),
    }
}

/// [`predict`] on devices that are ready: those for the model of the nucleotides, and those for that of the peptides,
/// at least one of each. They may be the same.
///
/// # Errors
///
/// As [`predict`].
pub fn predict_on<B: Device + 'static>(
    devices: [Vec<Arc<B>>; 2],
    options: &PredictOptions,
    mut tell: impl FnMut(Told),
) -> Result<Predicted, Error> {
    let records =
        reader::open_with(&options.inputs, ReadOptions { limits: options.limits, checksums: true })?;
    let found = options.found()?;
    let Judges { classifiers, towers, mut frames, kinds, files, dtype } =
        Judges::load(&devices, options, found.as_ref(), &mut tell)?;
    drop(devices);
    let names = towers.device_names().join("; ");
    let mut results = Results::open(options, found)?;
    let known = Known { options, frames: &frames, kinds: &kinds, files: &files, dtype };
    let (scores, resumed) = results.keep(&known, towers.token_budgets(), records.progress())?;
    (frames.done, frames.known) = (scores.done(), scores.known());
    tell(Told::Device { name: names.clone(), token_budgets: towers.token_budgets() });
    resumed.map(Told::Kept).into_iter().for_each(&mut tell);
    let (start, mut writing) = (Instant::now(), Duration::ZERO);
    let loader = create_frame_loader(records, towers.packing(options)?, frames.clone())?;
    let mut join = Join::new(&classifiers, towers.start(&loader, options)?, loader, scores, &options.stop);
    while let Some(done) = join.next(&mut tell)? {
        writing += results.tables.write_all(done)?;
        join.tell(&mut tell);
    }
    join.tell(&mut tell);
    if options.stop.load(Ordering::Relaxed) {
        return Err(join.interrupt());
    }
    let mut predicted = Predicted::new(&join, &results.tables, writing, start.elapsed());
    predicted.report = report::of(options, &frames, &names, &predicted, &files);
    results.finish(&mut predicted, join.finish())?;
    Ok(predicted)
}

impl PredictOptions {
    /// What `virpack predict` does without further options; `models` are directories or files of weights, the
    /// nucleotides' first.
    pub fn new(inputs: Vec<Input>, models: [&Path; 2], classifier: &Path, output: &Path) -> Self {
        PredictOptions {
            inputs,
            limits: ReadLimits::fitting(available_memory()),
            output: output.to_owned(),
            name: None,
            classifier: classifier.into(),
            nucleotide_classifier: None,
            length: None,
            genetic_code: GeneticCode::STANDARD,
            nucleotide_model: models[0].into(),
            protein_model: models[1].into(),
            refetch: None,
            model_names: models.map(|path| path.display().to_string()),
            device: DeviceOptions::default(),
            device_timeout: None,
            token_budget: None,
            buffer_size: None,
            most_waiting: FrameOptions::new(DEFAULT_LENGTH).most_waiting,
            rule: Rule::default(),
            compat: Compat::default(),
            plot: None,
            checkpoint: Some(CheckpointOptions::default()),
            stop: Arc::default(),
            force: false,
        }
    }

    /// As [`PredictOptions::new`], with the models of a bundle, and those of its classifiers that are for chunks of
    /// about `length` bases, which are then cut; `name` is what the bundle is called.
    pub fn with_bundle(
        inputs: Vec<Input>,
        bundle: &Bundle,
        name: &str,
        length: Option<NonZeroUsize>,
        output: &Path,
    ) -> Self {
        let models = [bundle.nucleotide_model(), bundle.protein_model()];
        let (classifier, nucleotide_classifier) = bundle.classifiers(length);
        PredictOptions {
            name: Some(name.to_owned()),
            classifier,
            nucleotide_classifier,
            length,
            model_names: models.each_ref().map(ToString::to_string),
            nucleotide_model: models[0].clone(),
            protein_model: models[1].clone(),
            ..PredictOptions::new(inputs, [Path::new(""); 2], Path::new(""), output)
        }
    }

    /// Checks all that needs no model: the inputs are there, the classifiers are some, the tables' names are free, shares
    /// are shares.
    ///
    /// # Errors
    ///
    /// The first of them that is not so.
    pub fn check(&self) -> Result<(), Error> {
        let least = self.rule.min_score.map_or(0.0, f64::from);
        for (option, given) in [("--min-fraction", self.rule.min_fraction), ("--min-score", least)] {
            if !(0.0..=1.0).contains(&given) {
                return Err(Error::NoShare { option, given });
            }
        }
        reader::open(&self.inputs)?;
        Classifiers::open(self)?;
        if is_stdout(&self.output) {
            return self.check_stdout();
        }
        NewDirectory::check(&self.output)?;
        let replace = self.replaces(self.found()?.as_ref());
        if !self.output.exists() {
            return Ok(());
        }
        let files = Files::in_directory(&self.output);
        check_all(files.all().into_iter(), replace)?;
        check_apart(files.all(), &self.inputs)?;
        match self.plot {
            Some(_) if !replace && files.plots.exists() => {
                Err(OutputError::Exists { path: files.plots }.into())
            }
            _ => Ok(()),
        }
    }

    /// Checks that nothing is asked for that standard output cannot give.
    fn check_stdout(&self) -> Result<(), Error> {
        let resumes = self.checkpoint.is_some_and(|checkpoint| checkpoint.resume);
        let (option, reason) = match self.plot {
            _ if resumes => ("--resume", "nothing is kept of a run to standard output"),
            Some(_) => ("--plot", "plots are files"),
            None => return Ok(check_stdout_apart(&self.inputs)?),
        };
        Err(OutputError::NotToStdout { option, reason }.into())
    }

    /// What an unfinished run into this directory has kept; None where it has finished nothing.
    #[must_use]
    pub fn saved(&self) -> Option<Saved> {
        Place::inside(&self.output).saved()
    }

    /// What an earlier run has left; None where nothing is kept.
    fn found(&self) -> Result<Option<Found>, Error> {
        if is_stdout(&self.output) {
            return Ok(None);
        }
        Ok(Found::of(&self.inputs, Place::inside(&self.output), self.checkpoint, self.force)?)
    }

    /// Whether older tables give way: that is asked for, or they are those of a run that was killed as it named them. What
    /// is whole already is told of later.
    fn replaces(&self, found: Option<&Found>) -> bool {
        self.force || found.is_some_and(|found| found.is_publishing() || found.complete().is_some())
    }

    /// Begins to sum the inputs.
    fn sum_inputs(&self) -> Result<Summing, Error> {
        let inputs = self.inputs.iter().map(|input| Location::Disk(input.path().to_owned()));
        Ok(Summing::start(inputs.collect())?)
    }

    /// How records become frames, and which length is taken, to be told.
    fn frames(&self, classifiers: &Classifiers) -> (FrameOptions, Told) {
        let trained = classifiers.frames.chunk_length().and_then(NonZeroUsize::new);
        let length = self.length.or(trained).unwrap_or(DEFAULT_LENGTH);
        let told = Told::Length { length, asked: self.length, classifier: trained };
        let default = FrameOptions::new(length);
        let frames = FrameOptions {
            genetic_code: self.genetic_code,
            most_waiting: self.most_waiting,
            unique_window: self.buffer_size.unwrap_or(default.unique_window),
            frames: classifiers.takes(),
            whole_chunks: classifiers.nucleotides.is_some(),
            ..default
        };
        (frames, told)
    }
}
