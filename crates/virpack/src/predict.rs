//! Nucleotide sequences to a verdict, virus or not, in one pass: all of what VirNucPro does.
//!
//! Records are cut into chunks, chunks into open reading frames; a frame's nucleotides go to one model, its peptide
//! to another, both packed; where the two embeddings of a frame meet, the classifier scores it. Chunks without an open
//! frame may have a classifier of their own, of both strands' nucleotides alone, which VirNucPro has not. Scores become
//! verdicts on chunks and records, in input order, and nothing is kept in between.

mod bundle;
mod classifiers;
mod files;
mod join;
mod reference;
mod regions;
mod report;
mod score;
mod sorted;
mod summary;
mod tables;
mod towers;
mod track;
mod vectors;
mod verdict;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use virpack_device::Cuda;
use virpack_seq::frames::{FrameOptions, create_frame_loader};
use virpack_seq::{GeneticCode, Input, reader};

use crate::Error;
use crate::devices::{DeviceChoice, DeviceOptions, Devices};
use crate::memory::Memory;
use crate::model::checksum::Summing;
use crate::model::location::Location;
use crate::output::{Folder, OutputError, check_all, check_apart};
use crate::progress::Progress;
pub use bundle::Bundle;
use classifiers::Classifiers;
use files::Files;
use join::Join;
pub use reference::Compat;
pub use regions::Region;
pub use summary::{Counts, DeviceWork, Predicted, Stage};
use tables::Tables;
use towers::{Loaded, Opened};
pub use track::{Draw, Track};
pub use verdict::{Rule, Status};

/// Bases of a chunk where neither the options nor the classifier say.
pub const DEFAULT_LENGTH: NonZeroUsize = NonZeroUsize::new(500).expect("it is not 0");

/// What to judge, with what, to where.
#[derive(Clone, Debug)]
pub struct PredictOptions {
    /// FASTA or FASTQ of nucleotides, plain or compressed.
    pub inputs: Vec<Input>,
    /// The directory of the tables.
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
    /// Replace tables that exist.
    pub force: bool,
}

/// What a run tells while it goes on.
#[derive(Clone, Debug)]
pub enum Told {
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
    /// How far the run is.
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
    match options.device.open_all()? {
        Devices::Cpu(cpu) => predict_on([vec![Arc::clone(&cpu)], vec![cpu]], options, tell),
        Devices::Cuda(cards) => {
            // A stream and an arena for each model: neither waits for the other.
            let second = |cuda: &Arc<Cuda>| {
                let device = DeviceChoice::Cuda(vec![cuda.ordinal()]);
                let second = Cuda::new(cuda.ordinal(), cuda.options());
                second.map(Arc::new).map_err(|why| Error::Unavailable { device, why })
            };
            let seconds = cards.iter().map(second).collect::<Result<_, _>>()?;
            predict_on([seconds, cards], options, tell)
        }
    }
}

/// [`predict`] on devices that are ready: those for the model of the nucleotides, and those for that of the peptides,
/// at least one of each. They may be the same.
///
/// # Errors
///
/// As [`predict`].
pub fn predict_on<B: Memory + 'static>(
    devices: [Vec<Arc<B>>; 2],
    options: &PredictOptions,
    mut tell: impl FnMut(Told),
) -> Result<Predicted, Error> {
    let records = reader::open_with_checksums(&options.inputs)?;
    let mut classifiers = Classifiers::open(options)?;
    let models = Opened::open(options, &mut classifiers)?;
    let frames = options.frames(&classifiers, &mut tell);
    let mut tables = Tables::create(options)?;
    let sums = Summing::start(models.files(&classifiers))?;
    let towers = Loaded::load(models, devices, options, &frames)?;
    let names = towers.device_names().join("; ");
    tell(Told::Device { name: names.clone(), token_budgets: towers.token_budgets() });
    let (start, mut writing) = (Instant::now(), Duration::ZERO);
    let loader = create_frame_loader(records, towers.packing(options)?, frames.clone())?;
    let mut join = Join::new(&classifiers, towers.start(&loader, options)?, loader);
    while let Some(done) = join.next()? {
        writing += tables.write_all(done)?;
        join.tell(tables.counts.records, &mut tell);
    }
    let mut predicted = Predicted::new(&join, &tables, writing, start.elapsed());
    predicted.report = report::of(options, &frames, &names, &predicted, &sums.finish()?);
    tables.finish(&predicted.report)?;
    Ok(predicted)
}

impl PredictOptions {
    /// What `virpack predict` does without further options; `models` are directories or files of weights, the
    /// nucleotides' first.
    pub fn new(inputs: Vec<Input>, models: [&Path; 2], classifier: &Path, output: &Path) -> Self {
        PredictOptions {
            inputs,
            output: output.to_owned(),
            name: None,
            classifier: classifier.into(),
            nucleotide_classifier: None,
            length: None,
            genetic_code: GeneticCode::STANDARD,
            nucleotide_model: models[0].into(),
            protein_model: models[1].into(),
            model_names: models.map(|path| path.display().to_string()),
            device: DeviceOptions::default(),
            device_timeout: None,
            token_budget: None,
            buffer_size: None,
            most_waiting: FrameOptions::new(DEFAULT_LENGTH).most_waiting,
            rule: Rule::default(),
            compat: Compat::default(),
            plot: None,
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
        Folder::check(&self.output)?;
        if !self.output.exists() {
            return Ok(());
        }
        let files = Files::in_directory(&self.output);
        check_all(files.all().into_iter(), self.force)?;
        check_apart(files.all(), &self.inputs)?;
        match self.plot {
            Some(_) if !self.force && files.plots.exists() => {
                Err(OutputError::Exists { path: files.plots }.into())
            }
            _ => Ok(()),
        }
    }

    /// How records become frames; says which length is taken.
    fn frames(&self, classifiers: &Classifiers, tell: &mut impl FnMut(Told)) -> FrameOptions {
        let trained = classifiers.frames.chunk_length().and_then(NonZeroUsize::new);
        let length = self.length.or(trained).unwrap_or(DEFAULT_LENGTH);
        tell(Told::Length { length, asked: self.length, classifier: trained });
        let default = FrameOptions::new(length);
        FrameOptions {
            genetic_code: self.genetic_code,
            most_waiting: self.most_waiting,
            unique_window: self.buffer_size.unwrap_or(default.unique_window),
            frames: classifiers.takes(),
            whole_chunks: classifiers.nucleotides.is_some(),
            ..default
        }
    }
}
