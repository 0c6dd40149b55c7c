//! The options of a run of `predict`.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use virpack_device::available_memory;
use virpack_model::ChecksumThread;
use virpack_model::Location;
use virpack_seq::frames::{FrameOptions, Pair};
use virpack_seq::{GeneticCode, Input, ReadLimits, ReadOptions, Records, reader};

use super::classifiers::Classifiers;
use super::features::Features;
use super::files::Files;
use super::{Bundle, DEFAULT_LENGTH};
use crate::Error;
use crate::calls::{CallOptions, RecordScoring};
use crate::devices::DeviceOptions;
use crate::event::Event;
use crate::files::NewDirectory;
use crate::options::{Downloads, ModelSource, TokenBudget, downloads_setter, setters};
use crate::output::{OutputProblem, check_all, check_apart, check_stdout_apart, is_stdout};
use crate::resume::{CheckpointOptions, ResumeDir, SavedWork, Session};
use crate::verdict::RecordCalibration;

/// Inputs, models, classifiers, output and settings of a run.
///
/// ```
/// use virpack_core::model::mini;
/// use virpack_core::calls::CallOptions;
/// use virpack_core::predict::{Bundle, PredictOptions};
/// use virpack_core::verdict::CallThresholds;
///
/// let built_in = Bundle::open(&mini::location())?;
/// let options = PredictOptions::with_bundle(vec!["contigs.fasta".into()], &built_in, None, "verdicts");
/// let options = options.calls(CallOptions::default().thresholds(CallThresholds::STRICT));
/// # Ok::<(), virpack_core::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PredictOptions {
    pub(crate) inputs: Vec<Input>,
    pub(crate) limits: ReadLimits,
    pub(crate) output: PathBuf,
    pub(crate) name: Option<String>,
    pub(crate) classifier: Location,
    pub(crate) nucleotide_classifier: Option<Location>,
    pub(super) length: Option<NonZeroUsize>,
    pub(crate) genetic_code: GeneticCode,
    pub(crate) nucleotide_model: ModelSource,
    pub(crate) protein_model: ModelSource,
    pub(super) downloads: Option<Downloads>,
    pub(crate) device: DeviceOptions,
    pub(super) device_timeout: Option<Duration>,
    pub(super) token_budget: TokenBudget,
    pub(super) buffer_size: Option<usize>,
    pub(super) most_waiting: u64,
    pub(crate) calibration: Option<RecordCalibration>,
    pub(crate) min_length: usize,
    pub(crate) unique_ids: bool,
    pub(crate) calls: CallOptions,
    pub(super) checkpoint: Option<CheckpointOptions>,
    pub(super) force: bool,
    pub(super) command: Option<String>,
}

impl PredictOptions {
    /// Returns the options that `virpack predict` has by default. `inputs` are FASTA, FASTQ or BAM of
    /// nucleotides, plain or compressed; `models` are DNABERT-S and ESM-2; `classifier` scores open frames.
    /// `output` is the directory of the tables; `-` sends only `sequences.tsv` to standard output, row by
    /// row.
    ///
    /// ```
    /// use std::path::Path;
    /// use virpack_core::predict::PredictOptions;
    ///
    /// let models = ["zhihan1996/DNABERT-S", "facebook/esm2_t36_3B_UR50D"];
    /// let classifier = Path::new("500_model.pth");
    /// let options = PredictOptions::new(vec!["contigs.fasta".into()], models, classifier, "verdicts");
    /// assert!(options.check().is_err(), "neither file exists");
    /// ```
    pub fn new<M: Into<ModelSource>>(
        inputs: Vec<Input>,
        models: [M; 2],
        classifier: impl Into<Location>,
        output: impl Into<PathBuf>,
    ) -> Self {
        let [nucleotide_model, protein_model] = models.map(Into::into);
        PredictOptions {
            inputs,
            limits: ReadLimits::fitting(available_memory()),
            output: output.into(),
            name: None,
            classifier: classifier.into(),
            nucleotide_classifier: None,
            length: None,
            genetic_code: GeneticCode::STANDARD,
            nucleotide_model,
            protein_model,
            downloads: None,
            device: DeviceOptions::default(),
            device_timeout: None,
            token_budget: TokenBudget::Auto,
            buffer_size: None,
            most_waiting: FrameOptions::new(DEFAULT_LENGTH).most_waiting,
            calibration: None,
            min_length: 0,
            unique_ids: false,
            calls: CallOptions::default(),
            checkpoint: Some(CheckpointOptions::default()),
            force: false,
            command: None,
        }
    }

    /// Returns [`PredictOptions::new`] with the name and the models of a bundle, and with its classifiers for
    /// chunks of about `length` bases, which also sets the chunk length.
    ///
    /// ```
    /// use std::num::NonZeroUsize;
    /// use virpack_core::model::mini;
    /// use virpack_core::predict::{Bundle, PredictOptions};
    ///
    /// let built_in = Bundle::open(&mini::location())?;
    /// let inputs = vec!["../../examples/contigs.fasta".into()];
    /// let options = PredictOptions::with_bundle(inputs, &built_in, NonZeroUsize::new(300), "verdicts");
    /// options.check()?;
    /// # Ok::<(), virpack_core::Error>(())
    /// ```
    pub fn with_bundle(
        inputs: Vec<Input>,
        bundle: &Bundle,
        length: Option<NonZeroUsize>,
        output: impl Into<PathBuf>,
    ) -> Self {
        let models = [bundle.nucleotide_model(), bundle.protein_model()];
        let (classifier, nucleotide_classifier) = bundle.classifiers(length);
        let options = PredictOptions::new(inputs, models, classifier, output);
        let options = options.nucleotide_classifier(nucleotide_classifier).length(length);
        options.name(bundle.name()).calibration(bundle.calibration().cloned())
    }

    /// Sets the calibration of record scores, for the chunk lengths that it holds. With `None` scores are not
    /// calibrated, and `fdr` is unknown.
    pub(crate) fn calibration(self, calibration: Option<RecordCalibration>) -> Self {
        PredictOptions { calibration, ..self }
    }

    setters! {
        /// Sets the inputs.
        inputs: Vec<Input>,
        /// Sets the largest record and the largest header of the inputs.
        limits: ReadLimits,
        /// Sets the directory of the tables.
        output: impl Into<PathBuf>,
        /// Sets one name for models and classifiers together.
        name: impl Into<Option<String>>,
        /// Sets the classifier of open frames. A joint one, which takes all six frames of a convolutional
        /// codon model, also scores chunks without an open frame.
        classifier: impl Into<Location>,
        /// Sets the classifier of chunks without an open frame, which takes only the nucleotide model's
        /// embeddings. With `None` these chunks have no verdict, as in VirNucPro.
        nucleotide_classifier: impl Into<Option<Location>>,
        /// Sets the bases of a chunk; `None`: the length that the classifier was trained on, else 500.
        length: impl Into<Option<NonZeroUsize>>,
        /// Sets the genetic code.
        genetic_code: GeneticCode,
        /// Sets the nucleotide model: DNABERT-S, or a convolutional codon model with its joint classifier.
        nucleotide_model: impl Into<ModelSource>,
        /// Sets the protein model, an ESM-2.
        protein_model: impl Into<ModelSource>,
        /// Sets the devices and their precision.
        device: DeviceOptions,
        /// Sets how long a device may hold a batch before the run continues without it, if another device is
        /// left. `None`: without limit.
        device_timeout: impl Into<Option<Duration>>,
        /// Sets the most tokens in a batch, for both models.
        token_budget: impl Into<TokenBudget>,
        /// Sets how many sequences are collected before packing. Identical ones among them are computed once.
        /// `None`: 2,000, or more for a large token budget.
        buffer_size: impl Into<Option<usize>>,
        /// Sets the most bytes of records in progress, counted by [`virpack_seq::frames::weight`]. A single
        /// larger record is still admitted.
        most_waiting: u64,
        /// Sets the minimum length of a record, in bases. Shorter records have a row and are not computed.
        min_length: usize,
        /// Makes ids unique: a repeated id, in any input, gets a number appended, as by
        /// [`ReadOptions::unique_ids`].
        unique_ids: bool,
        /// Sets what is called viral, and which files list it.
        calls: CallOptions,
        /// Keeps scores in `DIR/run.partial` during the run, if the inputs are files; None: does not.
        checkpoint: impl Into<Option<CheckpointOptions>>,
        /// Replaces existing tables and the parts of an unfinished run.
        force: bool,
        /// Sets the command line that `run.json` and the report show.
        command: impl Into<Option<String>>,
    }

    downloads_setter! {
        /// Sets how models are downloaded, and damaged files of the cache downloaded again. Without it, named
        /// models come from the Hub of the environment, and a damaged file ends the run.
    }

    /// Finds the models, and downloads those that are missing.
    pub(super) fn find_models(&self) -> Result<Pair<Location>, Error> {
        let models = Pair { nucleotide: &self.nucleotide_model, protein: &self.protein_model };
        models.try_map(|model| Ok(model.find(self.downloads.as_ref())?.location))
    }

    /// Checks everything that needs no model: the inputs and classifiers can be opened, the names of the
    /// tables are free, and shares are between 0 and 1.
    ///
    /// # Errors
    ///
    /// Returns the first failed check.
    pub fn check(&self) -> Result<(), Error> {
        reader::open(&self.inputs)?;
        self.check_output()
    }

    /// Checks everything that needs neither a model nor the inputs.
    pub(super) fn check_output(&self) -> Result<(), Error> {
        self.calls.check()?;
        Classifiers::open(self)?;
        if is_stdout(&self.output) {
            return self.check_stdout();
        }
        NewDirectory::check(&self.output)?;
        self.check_names(self.force || self.session()?.replaces(), &self.inputs)
    }

    /// Returns these options for records in memory, of which nothing is kept if the run is not finished.
    pub(super) fn of_records(&self, records: &Records) -> Self {
        PredictOptions { inputs: records.inputs().to_vec(), checkpoint: None, ..self.clone() }
    }

    /// Checks that the names of the tables are free, unless they may be replaced, and are not those of
    /// `inputs`.
    pub(super) fn check_names(&self, replace: bool, inputs: &[Input]) -> Result<(), Error> {
        if !self.output.exists() {
            return Ok(());
        }
        let files = Files::in_directory(&self.output);
        check_all(files.all(), replace)?;
        check_apart(files.all(), inputs)?;
        match self.calls.plot {
            Some(_) if !replace && files.calls.plots.exists() => {
                Err(OutputProblem::Exists(files.calls.plots).into())
            }
            _ => Ok(()),
        }
    }

    /// Checks that the options ask for nothing that standard output cannot hold.
    pub(super) fn check_stdout(&self) -> Result<(), Error> {
        let resumes = self.checkpoint.is_some_and(|checkpoint| checkpoint.resume);
        let (option, reason) = match self.calls.plot {
            _ if resumes => ("resume", "nothing is kept of a run to standard output"),
            Some(_) => ("plot", "plots are files"),
            None if self.calls.contigs.is_some() => ("contigs", "contigs.tsv is a file"),
            None if self.calls.compat.is_some() => ("compat", "VirNucPro's tables are files"),
            None => return Ok(check_stdout_apart(&self.inputs)?),
        };
        Err(OutputProblem::NotToStdout { option, reason }.into())
    }

    /// Returns what an unfinished run into this directory has kept; `None` if it has finished nothing.
    ///
    /// ```
    /// use virpack_core::model::mini;
    /// use virpack_core::predict::{Bundle, PredictOptions};
    ///
    /// let built_in = Bundle::open(&mini::location())?;
    /// let options = PredictOptions::with_bundle(vec!["contigs.fasta".into()], &built_in, None, "no/run");
    /// assert!(options.saved().is_none());
    /// # Ok::<(), virpack_core::Error>(())
    /// ```
    #[must_use]
    pub fn saved(&self) -> Option<SavedWork> {
        ResumeDir::inside(&self.output).saved()
    }

    /// Opens the session of an earlier run. Output to standard output has none.
    pub(super) fn session(&self) -> Result<Session, Error> {
        let dir = (!is_stdout(&self.output)).then(|| ResumeDir::inside(&self.output));
        Ok(Session::open(dir, &self.inputs, self.checkpoint, self.force)?)
    }

    /// Returns how records are scored from chunks of this length, in bases.
    pub(super) fn scoring(&self, chunk_length: usize) -> RecordScoring {
        RecordScoring::new(self.calibration.as_ref(), chunk_length)
    }

    /// Opens the inputs.
    pub(super) fn open_inputs(&self) -> Result<Records, Error> {
        let options = ReadOptions::default().limits(self.limits).checksums(true).unique_ids(self.unique_ids);
        Ok(reader::open_with(&self.inputs, options)?)
    }

    /// Starts to hash the inputs.
    pub(super) fn hash_inputs(&self) -> Result<ChecksumThread, Error> {
        let inputs = self.inputs.iter().map(|input| Location::Disk(input.path().to_owned()));
        Ok(ChecksumThread::start(inputs.collect())?)
    }

    /// Returns how records are cut into frames, and the event that reports the chunk length.
    pub(super) fn frames(&self, classifiers: &Classifiers, features: Features) -> (FrameOptions, Event) {
        let trained = classifiers.frames.chunk_length().and_then(NonZeroUsize::new);
        let length = self.length.or(trained).unwrap_or(DEFAULT_LENGTH);
        let event = Event::ChunkLength { length, asked: self.length, trained };
        let default = FrameOptions::new(length);
        let unique_window = self.buffer_size.unwrap_or(default.unique_window);
        let frames = default
            .genetic_code(self.genetic_code)
            .min_length(self.min_length)
            .most_waiting(self.most_waiting)
            .unique_window(unique_window)
            .reading(features.reading());
        (frames, event)
    }
}
