//! What a run of `embed` is asked for.

use std::path::{Path, PathBuf};
use std::time::Duration;

use virpack_device::{Pool, available_memory};
use virpack_model::hub::Refetch;
use virpack_model::weights::Weights;
use virpack_model::{ChecksumThread, Location, ModelConfig};
use virpack_seq::{
    CollatorOptions, GreedyPacker, Input, LengthPolicy, LongRecords, PackerOptions, ReadLimits, ReadOptions,
    Records, Shard, VarlenCollator,
};

use crate::Error;
use crate::devices::DeviceOptions;
use crate::identity::Identity;
use crate::memory;
use crate::output::{self, OutputDtype, OutputError, OutputFormat, OutputOptions, is_stdout};
use crate::resume::{CheckpointOptions, ResumeDir, Saved, Session, pipe};

/// What to embed, with what, to where.
#[derive(Clone, Debug)]
pub struct EmbedOptions {
    /// FASTA or FASTQ, plain or compressed.
    pub inputs: Vec<Input>,
    /// A directory or file of weights.
    pub model: Location,
    /// Downloads a damaged file of the model again, if it is in the Hub's cache; None: it ends the run.
    pub refetch: Option<Refetch>,
    /// The model as the user named it, for the output's metadata.
    pub model_name: String,
    /// `.npy`, `.parquet`, `.arrows`, `.safetensors` or `.h5`; `-` is standard output, for `.npy` and `.arrows`.
    pub output: PathBuf,
    /// Its format; None: what its name's ending says.
    pub format: Option<OutputFormat>,
    /// The type of its values.
    pub dtype_out: OutputDtype,
    /// How a record's rows become one; None: every residue keeps its own.
    pub pool: Option<Pool>,
    /// After which layer, as fair-esm counts them; negative from the end. None: the last.
    pub layer: Option<i64>,
    /// The largest record and the largest header of the inputs.
    pub limits: ReadLimits,
    /// Which lengths go through.
    pub lengths: LengthPolicy,
    /// Most tokens in a batch; None: what fits the device's free memory, at most where more brings no speed.
    pub token_budget: Option<usize>,
    /// Records collected before packing; None: 2,000, or more where the token budget is large.
    pub buffer_size: Option<usize>,
    /// Off: one record a batch.
    pub packing: bool,
    /// What runs the model.
    pub device: DeviceOptions,
    /// How long a device may hold a batch without giving one back before it is given up; None: for ever.
    pub device_timeout: Option<Duration>,
    /// Every N-th record only, into a `.shard`; None: all.
    pub shard: Option<Shard>,
    /// Keep what is finished in `OUT.partial` while the run goes on, where the inputs are files; None: do not.
    pub checkpoint: Option<CheckpointOptions>,
    /// Replace an output that exists, and the parts of an unfinished run.
    pub force: bool,
}

impl EmbedOptions {
    /// Mean embeddings of the last layer by `model`, a directory or file of weights, as `virpack embed`
    /// makes them without further options. Lengths are ESM-2's; for another model `lengths.max_length` is
    /// [`ModelConfig::max_length`].
    pub fn new(inputs: Vec<Input>, model: &Path, output: &Path) -> Self {
        EmbedOptions {
            inputs,
            model: model.into(),
            refetch: None,
            model_name: model.display().to_string(),
            output: output.to_owned(),
            format: None,
            dtype_out: OutputDtype::F32,
            pool: Some(Pool::Mean),
            layer: None,
            limits: ReadLimits::fitting(available_memory()),
            lengths: LengthPolicy::default(),
            token_budget: None,
            buffer_size: None,
            packing: true,
            device: DeviceOptions::default(),
            device_timeout: None,
            shard: None,
            checkpoint: Some(CheckpointOptions::default()),
            force: false,
        }
    }

    /// Checks all that needs no model: the inputs are there, the output's name is free, its format can hold what is
    /// asked for, lengths and token budget fit together.
    ///
    /// # Errors
    ///
    /// The first of them that is not so.
    pub fn check(&self) -> Result<(), Error> {
        virpack_seq::reader::open(&self.inputs)?;
        self.lengths.check()?;
        if let Some(token_budget) = self.token_budget {
            GreedyPacker::new(PackerOptions::new(token_budget, self.lengths.max_tokens()))?;
        }
        if self.pool.is_none() && matches!(self.lengths.long_records, LongRecords::Window { .. }) {
            return Err(Error::ResidueWindows);
        }
        self.check_stdout()?;
        self.check_shard()?;
        let replace = self.session()?.replaces();
        let options = self.output(Vec::new(), replace);
        output::check(&self.output, &options, &self.inputs)?;
        Ok(())
    }

    /// Checks that no file of the output is one of the model's.
    pub(super) fn check_apart(&self, weights: &Weights) -> Result<(), Error> {
        let names = output::names(&self.output, &self.output(Vec::new(), false))?;
        let files = weights.files().map(|(file, _)| file.clone()).chain(weights.beside());
        Ok(output::check_apart_from_models(names.iter().map(PathBuf::as_path), files)?)
    }

    /// What an unfinished run of this output has kept; None where it has finished nothing.
    #[must_use]
    pub fn saved(&self) -> Option<Saved> {
        ResumeDir::beside(&self.output).saved()
    }

    pub(super) fn layer(&self, config: &ModelConfig) -> Result<usize, Error> {
        let layers = config.layers() as i64;
        let asked = self.layer.unwrap_or(layers);
        // fair-esm counts 0 (the embeddings) to the number of layers, and -1 is the last.
        let layer = if asked < 0 { asked + layers + 1 } else { asked };
        if !(0..=layers).contains(&layer) {
            return Err(Error::NoLayer { layer: asked, layers: config.layers() });
        }
        Ok(layer as usize)
    }

    /// What a file says of the run it comes from.
    pub(super) fn about(&self, config: &ModelConfig, sha256: &str) -> Result<Vec<(String, String)>, Error> {
        let layer = self.layer(config)?.to_string();
        let facts = [
            ("model", &*self.model_name),
            ("model_sha256", sha256),
            ("pool", self.pool_name()),
            ("layer", &*layer),
        ];
        Ok(facts.map(|(name, value)| (format!("virpack.{name}"), value.to_owned())).to_vec())
    }

    pub(super) fn pool_name(&self) -> &'static str {
        match self.pool {
            Some(Pool::Mean) => "mean",
            Some(Pool::Cls) => "cls",
            Some(Pool::Max) => "max",
            None => "none",
        }
    }

    pub(super) fn output(&self, metadata: Vec<(String, String)>, replace: bool) -> OutputOptions {
        OutputOptions {
            force: self.force || replace,
            format: self.format,
            dtype: self.dtype_out,
            residues: self.pool.is_none(),
            sources: self.inputs.iter().map(Input::to_string).collect(),
            metadata,
            ..OutputOptions::default()
        }
    }

    pub(super) fn collator(&self, token_budget: usize) -> Result<VarlenCollator, Error> {
        let packer = GreedyPacker::new(PackerOptions::new(token_budget, self.lengths.max_tokens()))?;
        let buffer_size = self.buffer_size.unwrap_or_else(|| memory::buffer_size(token_budget));
        let options = CollatorOptions::default().buffer_size(buffer_size).enable_packing(self.packing);
        Ok(VarlenCollator::new(packer, options)?)
    }

    /// Opens the inputs.
    pub(super) fn open_inputs(&self) -> Result<Records, Error> {
        let reading = ReadOptions::default().limits(self.limits).checksums(true);
        let records = virpack_seq::reader::open_with(&self.inputs, reading)?;
        Ok(records.shard(self.shard.unwrap_or(Shard::ALL)))
    }

    /// All that shapes an output, from what shapes its rows.
    pub(super) fn of_output(&self, rows: Identity) -> Identity {
        let mut identity = rows;
        identity.set("values", self.dtype_out);
        let format = self.format.or_else(|| OutputFormat::of(&self.output).ok());
        format.iter().for_each(|format| identity.set("format", format.ending()));
        identity
    }

    /// Begins to hash the inputs, and a model's files that are no weights.
    pub(super) fn hash_files(&self, weights: &Weights) -> Result<ChecksumThread, Error> {
        let inputs = self.inputs.iter().map(|input| Location::Disk(input.path().to_owned()));
        Ok(ChecksumThread::start(inputs.chain(weights.beside()).collect())?)
    }

    /// What an earlier run has left; nothing is kept of what goes to standard output.
    pub(super) fn session(&self) -> Result<Session, Error> {
        let dir = (!is_stdout(&self.output)).then(|| ResumeDir::beside(&self.output));
        Ok(Session::open(dir, &self.inputs, self.checkpoint, self.force)?)
    }

    /// Checks that nothing is asked for that standard output cannot give.
    pub(super) fn check_stdout(&self) -> Result<(), Error> {
        if !is_stdout(&self.output) {
            return Ok(());
        }
        let resumes = self.checkpoint.is_some_and(|checkpoint| checkpoint.resume);
        let (option, reason) = match self.shard {
            _ if resumes => ("resume", "nothing is kept of a run to standard output"),
            Some(_) => ("shard", "a shard is a file, which a merge reads"),
            None => return Ok(()),
        };
        Err(OutputError::NotToStdout { option, reason }.into())
    }

    /// Checks that a shard is written where one is asked for, and only there.
    pub(super) fn check_shard(&self) -> Result<(), Error> {
        // Any other wrong name is reported with the other formats.
        let format = self.format.or_else(|| OutputFormat::of(&self.output).ok());
        let Some(shard) = self.shard else {
            return match format {
                Some(OutputFormat::Shard) => Err(OutputError::NoShard { path: self.output.clone() }.into()),
                _ => Ok(()),
            };
        };
        match pipe(&self.inputs) {
            Some(input) => Err(Error::ShardOfPipe { input: input.to_string() }),
            None if format != Some(OutputFormat::Shard) => {
                Err(Error::ShardName { path: self.output.clone(), shard })
            }
            None if self.dtype_out != OutputDtype::F32 => Err(Error::ShardDtype { dtype: self.dtype_out }),
            None => Ok(()),
        }
    }
}
