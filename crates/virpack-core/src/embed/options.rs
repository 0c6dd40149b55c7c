//! What a run of `embed` is asked for.

use std::path::PathBuf;

use virpack_device::available_memory;
use virpack_model::{ChecksumThread, Location, ModelConfig};
use virpack_seq::{Input, ReadLimits, ReadOptions, Records, Shard};

use crate::Error;
use crate::embedder::EmbedderOptions;
use crate::event::Event;
use crate::identity::Identity;
use crate::options::{FoundModel, setters};
use crate::output::{self, OutputDtype, OutputFormat, OutputOptions, OutputProblem, is_object, is_stdout};
use crate::resume::{CheckpointOptions, ResumeDir, SavedWork, Session, pipe};

/// What to embed, with what, to where.
///
/// ```
/// use virpack_core::device::Pool;
/// use virpack_core::{EmbedOptions, EmbedderOptions};
///
/// let embedder = EmbedderOptions::new("esm2_t33_650M_UR50D").pool(Pool::Cls).layer(-2);
/// let options = EmbedOptions::new(vec!["proteins.fasta".into()], embedder, "emb.parquet").force(true);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EmbedOptions {
    pub(crate) inputs: Vec<Input>,
    /// The model, and what it does with a record.
    pub(crate) embedder: EmbedderOptions,
    pub(crate) output: PathBuf,
    pub(crate) format: Option<OutputFormat>,
    pub(crate) dtype_out: OutputDtype,
    pub(crate) limits: ReadLimits,
    pub(crate) shard: Option<Shard>,
    pub(crate) checkpoint: Option<CheckpointOptions>,
    pub(crate) report: bool,
    pub(crate) force: bool,
}

impl EmbedOptions {
    /// Returns the options that `virpack embed` has by default. `inputs` are FASTA, FASTQ or BAM, plain or
    /// compressed; `embedder` is a model, for mean embeddings of its last layer, or [`EmbedderOptions`];
    /// `output` is `.npy`, `.parquet`, `.arrows`, `.safetensors` or `.h5`, or `-` for standard output (`.npy`
    /// and `.arrows`).
    pub fn new(inputs: Vec<Input>, embedder: impl Into<EmbedderOptions>, output: impl Into<PathBuf>) -> Self {
        EmbedOptions {
            inputs,
            embedder: embedder.into(),
            output: output.into(),
            format: None,
            dtype_out: OutputDtype::F32,
            limits: ReadLimits::fitting(available_memory()),
            shard: None,
            checkpoint: Some(CheckpointOptions::default()),
            report: false,
            force: false,
        }
    }

    setters! {
        /// Sets the model, and what it does with a record.
        embedder: impl Into<EmbedderOptions>,
        /// Sets the inputs.
        inputs: Vec<Input>,
        /// Sets the output.
        output: impl Into<PathBuf>,
        /// Sets the format; None: by the name's ending.
        format: impl Into<Option<OutputFormat>>,
        /// Sets the type of the values.
        dtype_out: OutputDtype,
        /// Sets the largest record and the largest header of the inputs.
        limits: ReadLimits,
        /// Embeds every N-th record only, into a `.shard`; None: all.
        shard: impl Into<Option<Shard>>,
        /// Keeps what is finished in `OUT.partial` during the run, if the inputs are files; None: does not.
        checkpoint: impl Into<Option<CheckpointOptions>>,
        /// Writes `OUT.report.html` too: lengths, norms, duplicates and a plot of principal components.
        report: bool,
        /// Replaces an output that exists, and the parts of an unfinished run.
        force: bool,
    }

    /// Checks all that needs no model: the inputs are there, the output's name is free, its format can hold
    /// what is asked for, lengths and token budget fit together.
    ///
    /// ```
    /// use virpack_core::EmbedOptions;
    ///
    /// let inputs = vec!["../../examples/proteins.fasta".into()];
    /// // No format has this extension.
    /// let error = EmbedOptions::new(inputs, "virpack-mini", "emb.xyz").check().unwrap_err();
    /// assert!(error.to_string().contains("emb.xyz"));
    /// ```
    ///
    /// # Errors
    ///
    /// The first of them that is not so.
    pub fn check(&self) -> Result<(), Error> {
        virpack_seq::reader::open(&self.inputs)?;
        self.check_output()
    }

    /// Checks the same, but for the inputs.
    pub(super) fn check_output(&self) -> Result<(), Error> {
        self.embedder.check()?;
        self.check_stdout()?;
        self.check_store()?;
        self.check_shard()?;
        self.check_report()?;
        let replace = self.session()?.replaces();
        let options = self.writing(Vec::new(), replace);
        output::check(&self.output, &options, &self.inputs)?;
        Ok(())
    }

    /// Finds the model.
    pub(super) fn find_model(&self, on_event: &mut impl FnMut(Event)) -> Result<FoundModel, Error> {
        self.embedder.find_model_for(&self.inputs, self.limits, on_event)
    }

    /// Checks that no file of the output is one of the model's `files`.
    pub(super) fn check_apart(&self, files: Vec<Location>) -> Result<(), Error> {
        let names = output::names(&self.output, &self.writing(Vec::new(), false))?;
        Ok(output::check_apart_from_models(names.iter().map(PathBuf::as_path), files)?)
    }

    /// Returns what an unfinished run of this output has kept; None where it has finished nothing.
    ///
    /// ```
    /// use virpack_core::EmbedOptions;
    ///
    /// let options = EmbedOptions::new(vec!["proteins.fasta".into()], "virpack-mini", "no/emb.npy");
    /// assert!(options.saved().is_none());
    /// ```
    #[must_use]
    pub fn saved(&self) -> Option<SavedWork> {
        ResumeDir::beside(&self.output).saved()
    }

    /// Returns the facts about its run that a file states.
    pub(super) fn about(
        &self,
        model: &str,
        config: &ModelConfig,
        sha256: &str,
    ) -> Result<Vec<(String, String)>, Error> {
        let layer = self.embedder.layer_of(config)?.to_string();
        let facts = [
            ("model", model),
            ("model_sha256", sha256),
            ("pool", self.embedder.pool_name()),
            ("layer", &*layer),
        ];
        Ok(facts.map(|(name, value)| (format!("virpack.{name}"), value.to_owned())).to_vec())
    }

    pub(super) fn writing(&self, metadata: Vec<(String, String)>, replace: bool) -> OutputOptions {
        OutputOptions {
            force: self.force || replace,
            format: self.format,
            dtype: self.dtype_out,
            residues: self.embedder.pool.is_none(),
            sources: self.inputs.iter().map(Input::to_string).collect(),
            metadata,
            page: self.report,
            ..OutputOptions::default()
        }
    }

    /// Opens the inputs.
    pub(super) fn open_inputs(&self) -> Result<Records, Error> {
        let reading = ReadOptions::default().limits(self.limits).checksums(true);
        let records = virpack_seq::reader::open_with(&self.inputs, reading)?;
        Ok(records.shard(self.shard.unwrap_or(Shard::ALL)))
    }

    /// Returns all that shapes an output, from what shapes its rows.
    pub(super) fn of_output(&self, rows: Identity) -> Identity {
        let mut identity = rows;
        identity.set("values", self.dtype_out);
        let format = self.format.or_else(|| OutputFormat::of(&self.output).ok());
        format.iter().for_each(|format| identity.set("format", format.ending()));
        identity
    }

    /// Begins to hash the inputs.
    pub(super) fn hash_inputs(&self) -> Result<ChecksumThread, Error> {
        let inputs = self.inputs.iter().map(|input| Location::Disk(input.path().to_owned()));
        Ok(ChecksumThread::start(inputs.collect())?)
    }

    /// Returns what an earlier run has left; nothing is kept of what goes to standard output or to a store.
    pub(super) fn session(&self) -> Result<Session, Error> {
        let has_dir = !is_stdout(&self.output) && !is_object(&self.output);
        let dir = has_dir.then(|| ResumeDir::beside(&self.output));
        Ok(Session::open(dir, &self.inputs, self.checkpoint, self.force)?)
    }

    /// Checks that nothing is asked for that a store cannot give.
    fn check_store(&self) -> Result<(), Error> {
        if !is_object(&self.output) {
            return Ok(());
        }
        let resumes = self.checkpoint.is_some_and(|checkpoint| checkpoint.resume);
        let (option, reason) = match self.shard {
            _ if resumes => ("resume", "a checkpoint is appended to, and an object cannot be"),
            Some(_) => ("shard", "a shard is a file, which a merge reads"),
            None => return Ok(()),
        };
        Err(OutputProblem::NotToStore { option, reason }.into())
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
            None if self.report => ("report", "it is a file beside the output"),
            None => return Ok(()),
        };
        Err(OutputProblem::NotToStdout { option, reason }.into())
    }

    /// Checks that a report is asked for of an output that has one.
    fn check_report(&self) -> Result<(), Error> {
        let reason = match self.report {
            true if self.embedder.pool.is_none() => "a record has a row for each residue",
            true if self.shard.is_some() => "a shard has only some of the rows",
            _ => return Ok(()),
        };
        Err(OutputProblem::NoReport(reason).into())
    }

    /// Checks that a shard is written where one is asked for, and only there.
    pub(super) fn check_shard(&self) -> Result<(), Error> {
        // Any other wrong name is reported with the other formats.
        let format = self.format.or_else(|| OutputFormat::of(&self.output).ok());
        let Some(shard) = self.shard else {
            return match format {
                Some(OutputFormat::Shard) => Err(OutputProblem::NoShard(self.output.clone()).into()),
                _ => Ok(()),
            };
        };
        match pipe(&self.inputs) {
            Some(input) => Err(OutputProblem::ShardOfPipe(input.to_string()).into()),
            None if format != Some(OutputFormat::Shard) => {
                Err(OutputProblem::ShardName { path: self.output.clone(), shard }.into())
            }
            None if self.dtype_out != OutputDtype::F32 => {
                Err(OutputProblem::ShardDtype(self.dtype_out).into())
            }
            None => Ok(()),
        }
    }
}
