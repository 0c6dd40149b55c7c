//! What a run of `predict` is asked for.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use virpack_device::available_memory;
use virpack_model::hub::Refetch;
use virpack_model::{ChecksumThread, Location};
use virpack_seq::frames::FrameOptions;
use virpack_seq::{GeneticCode, Input, ReadLimits, ReadOptions, Records, reader};

use super::classifiers::Classifiers;
use super::files::Files;
use super::{Bundle, Compat, DEFAULT_LENGTH, Draw, Rule};
use crate::Error;
use crate::devices::DeviceOptions;
use crate::event::Event;
use crate::files::NewDirectory;
use crate::output::{OutputError, check_all, check_apart, check_stdout_apart, is_stdout};
use crate::resume::{CheckpointOptions, ResumeDir, Saved, Session};

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
    /// A device that returns nothing for this long is given up, where another is left.
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
    /// Replace tables that exist, and the parts of an unfinished run.
    pub force: bool,
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
        for (option, given) in [("min_fraction", self.rule.min_fraction), ("min_score", least)] {
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
        let replace = self.force || self.session()?.replaces();
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
            _ if resumes => ("resume", "nothing is kept of a run to standard output"),
            Some(_) => ("plot", "plots are files"),
            None => return Ok(check_stdout_apart(&self.inputs)?),
        };
        Err(OutputError::NotToStdout { option, reason }.into())
    }

    /// What an unfinished run into this directory has kept; None where it has finished nothing.
    #[must_use]
    pub fn saved(&self) -> Option<Saved> {
        ResumeDir::inside(&self.output).saved()
    }

    /// What an earlier run has left; nothing is kept of what goes to standard output.
    pub(super) fn session(&self) -> Result<Session, Error> {
        let dir = (!is_stdout(&self.output)).then(|| ResumeDir::inside(&self.output));
        Ok(Session::open(dir, &self.inputs, self.checkpoint, self.force)?)
    }

    /// Opens the inputs.
    pub(super) fn open_inputs(&self) -> Result<Records, Error> {
        Ok(reader::open_with(&self.inputs, ReadOptions::default().limits(self.limits).checksums(true))?)
    }

    /// Begins to hash the inputs.
    pub(super) fn hash_inputs(&self) -> Result<ChecksumThread, Error> {
        let inputs = self.inputs.iter().map(|input| Location::Disk(input.path().to_owned()));
        Ok(ChecksumThread::start(inputs.collect())?)
    }

    /// How records become frames, and the event that says which length is taken.
    pub(super) fn frames(&self, classifiers: &Classifiers) -> (FrameOptions, Event) {
        let trained = classifiers.frames.chunk_length().and_then(NonZeroUsize::new);
        let length = self.length.or(trained).unwrap_or(DEFAULT_LENGTH);
        let event = Event::ChunkLength { length, asked: self.length, trained };
        let default = FrameOptions::new(length);
        let unique_window = self.buffer_size.unwrap_or(default.unique_window);
        let frames = default
            .genetic_code(self.genetic_code)
            .most_waiting(self.most_waiting)
            .unique_window(unique_window)
            .frames(classifiers.takes())
            .whole_chunks(classifiers.nucleotides.is_some());
        (frames, event)
    }
}
