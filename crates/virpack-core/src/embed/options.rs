//! What a run of `embed` is asked for.

use std::path::PathBuf;
use std::time::Duration;

use virpack_device::{Pool, available_memory};
use virpack_model::weights::Weights;
use virpack_model::{ChecksumThread, Location, ModelConfig};
use virpack_seq::{
    CollatorOptions, GreedyPacker, Input, LengthPolicy, LongRecords, PackerOptions, ReadLimits, ReadOptions,
    Records, Shard, VarlenCollator,
};

use crate::Error;
use crate::devices::DeviceOptions;
use crate::event::Event;
use crate::identity::Identity;
use crate::memory;
use crate::options::{
    Downloads, FoundModel, LengthOptions, ModelSource, TokenBudget, downloads_setter, setters,
};
use crate::output::{self, OutputDtype, OutputError, OutputFormat, OutputOptions, is_stdout};
use crate::resume::{CheckpointOptions, ResumeDir, SavedWork, Session, pipe};

/// What to embed, with what, to where.
///
/// ```
/// use virpack_core::EmbedOptions;
/// use virpack_core::device::Pool;
///
/// let options = EmbedOptions::new(vec!["proteins.fasta".into()], "esm2_t33_650M_UR50D", "emb.parquet");
/// let options = options.pool(Pool::Cls).layer(-2).force(true);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EmbedOptions {
    pub(crate) inputs: Vec<Input>,
    pub(crate) model: ModelSource,
    pub(crate) downloads: Option<Downloads>,
    pub(crate) output: PathBuf,
    pub(crate) format: Option<OutputFormat>,
    pub(crate) dtype_out: OutputDtype,
    pub(crate) pool: Option<Pool>,
    pub(crate) layer: Option<i64>,
    pub(crate) limits: ReadLimits,
    pub(crate) lengths: LengthOptions,
    pub(crate) token_budget: TokenBudget,
    pub(crate) buffer_size: Option<usize>,
    pub(crate) packing: bool,
    pub(crate) device: DeviceOptions,
    pub(crate) device_timeout: Option<Duration>,
    pub(crate) shard: Option<Shard>,
    pub(crate) checkpoint: Option<CheckpointOptions>,
    pub(crate) force: bool,
}

impl EmbedOptions {
    /// Mean embeddings of the last layer, as `virpack embed` makes them without further options. `inputs` are
    /// FASTA, FASTQ or BAM, plain or compressed; `output` is `.npy`, `.parquet`, `.arrows`, `.safetensors` or
    /// `.h5`, or `-` for standard output (`.npy` and `.arrows`).
    pub fn new(inputs: Vec<Input>, model: impl Into<ModelSource>, output: impl Into<PathBuf>) -> Self {
        EmbedOptions {
            inputs,
            model: model.into(),
            downloads: None,
            output: output.into(),
            format: None,
            dtype_out: OutputDtype::F32,
            pool: Some(Pool::Mean),
            layer: None,
            limits: ReadLimits::fitting(available_memory()),
            lengths: LengthOptions::default(),
            token_budget: TokenBudget::Auto,
            buffer_size: None,
            packing: true,
            device: DeviceOptions::default(),
            device_timeout: None,
            shard: None,
            checkpoint: Some(CheckpointOptions::default()),
            force: false,
        }
    }

    setters! {
        /// Sets the inputs.
        inputs: Vec<Input>,
        /// Sets the output.
        output: impl Into<PathBuf>,
        /// Sets the format; None: what the name's ending says.
        format: impl Into<Option<OutputFormat>>,
        /// Sets the type of the values.
        dtype_out: OutputDtype,
        /// Sets how a record's rows become one; None: every residue keeps its own.
        pool: impl Into<Option<Pool>>,
        /// Sets after which layer, as fair-esm counts them; negative from the end. None: the last.
        layer: impl Into<Option<i64>>,
        /// Sets the largest record and the largest header of the inputs.
        limits: ReadLimits,
        /// Sets which lengths go through.
        lengths: impl Into<LengthOptions>,
        /// Sets the most tokens in a batch.
        token_budget: impl Into<TokenBudget>,
        /// Sets the records collected before packing; None: 2,000, or more where the token budget is large.
        buffer_size: impl Into<Option<usize>>,
        /// Packs several records into a batch, or one.
        packing: bool,
        /// Sets what runs the model.
        device: DeviceOptions,
        /// Sets how long a device may hold a batch without giving one back before it is given up; None: for
        /// ever.
        device_timeout: impl Into<Option<Duration>>,
        /// Embeds every N-th record only, into a `.shard`; None: all.
        shard: impl Into<Option<Shard>>,
        /// Keeps what is finished in `OUT.partial` during the run, if the inputs are files; None: does not.
        checkpoint: impl Into<Option<CheckpointOptions>>,
        /// Replaces an output that exists, and the parts of an unfinished run.
        force: bool,
    }

    downloads_setter! {
        /// Sets how the model is downloaded, and damaged files of the cache a second time. Without, a named
        /// model comes from the Hub of the environment, and a damaged file ends the run.
    }

    /// Checks all that needs no model: the inputs are there, the output's name is free, its format can hold what is
    /// asked for, lengths and token budget fit together.
    ///
    /// # Errors
    ///
    /// The first of them that is not so.
    pub fn check(&self) -> Result<(), Error> {
        virpack_seq::reader::open(&self.inputs)?;
        // The model's own largest length is known later.
        let lengths = self.lengths.up_to(LengthPolicy::default().max_length);
        self.check_lengths(&lengths)?;
        if self.pool.is_none() && matches!(lengths.long_records, LongRecords::Window { .. }) {
            return Err(Error::ResidueWindows);
        }
        self.check_stdout()?;
        self.check_shard()?;
        let replace = self.session()?.replaces();
        let options = self.writing(Vec::new(), replace);
        output::check(&self.output, &options, &self.inputs)?;
        Ok(())
    }

    /// Checks that lengths and token budget fit together.
    pub(super) fn check_lengths(&self, lengths: &LengthPolicy) -> Result<(), Error> {
        lengths.check()?;
        if let TokenBudget::Tokens(token_budget) = self.token_budget {
            GreedyPacker::new(PackerOptions::new(token_budget, lengths.max_tokens()))?;
        }
        Ok(())
    }

    /// Finds the model, and downloads it where it must be. Reports which built-in one the inputs' letters
    /// choose.
    pub(super) fn find_model(&self, on_event: &mut impl FnMut(Event)) -> Result<FoundModel, Error> {
        let Some(model) = self.model.built_in(&self.inputs, self.limits)? else {
            return Ok(self.model.find(self.downloads.as_ref())?);
        };
        on_event(Event::BuiltInModel { model });
        Ok(ModelSource::from(model).find(None)?)
    }

    /// Checks that no file of the output is one of the model's.
    pub(super) fn check_apart(&self, weights: &Weights) -> Result<(), Error> {
        let names = output::names(&self.output, &self.writing(Vec::new(), false))?;
        let files = weights.files().map(|(file, _)| file.clone()).chain(weights.beside());
        Ok(output::check_apart_from_models(names.iter().map(PathBuf::as_path), files)?)
    }

    /// What an unfinished run of this output has kept; None where it has finished nothing.
    #[must_use]
    pub fn saved(&self) -> Option<SavedWork> {
        ResumeDir::beside(&self.output).saved()
    }

    pub(super) fn layer_of(&self, config: &ModelConfig) -> Result<usize, Error> {
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
    pub(super) fn about(
        &self,
        model: &str,
        config: &ModelConfig,
        sha256: &str,
    ) -> Result<Vec<(String, String)>, Error> {
        let layer = self.layer_of(config)?.to_string();
        let facts =
            [("model", model), ("model_sha256", sha256), ("pool", self.pool_name()), ("layer", &*layer)];
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

    pub(super) fn writing(&self, metadata: Vec<(String, String)>, replace: bool) -> OutputOptions {
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

    pub(super) fn collator(
        &self,
        token_budget: usize,
        lengths: &LengthPolicy,
    ) -> Result<VarlenCollator, Error> {
        let packer = GreedyPacker::new(PackerOptions::new(token_budget, lengths.max_tokens()))?;
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
