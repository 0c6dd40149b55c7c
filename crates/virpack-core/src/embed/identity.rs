//! What a run is of: all that shapes its rows, for another run to compare, and for a shard to say.

use virpack_device::Dtype;
use virpack_seq::{Input, LengthPolicy, LongRecords};

use super::EmbedOptions;
use crate::Error;
use crate::checkpoint::{Found, Place, pipe};
use crate::identity::Identity;
use crate::output::Facts;
use crate::output::{OutputDtype, OutputError, OutputFormat, is_stdout};
use virpack_model::ModelConfig;
use virpack_model::checksum::Summing;
use virpack_model::location::Location;
use virpack_model::weights::Weights;

/// What is known of a run once its model is looked at.
pub(super) struct Known<'a> {
    pub(super) options: &'a EmbedOptions,
    pub(super) config: &'a ModelConfig,
    /// Of the weights.
    pub(super) sha256: String,
    pub(super) dtype: Dtype,
}

/// All that shapes a run's rows, once its files are summed.
pub(super) type Named = Box<dyn FnOnce() -> Result<Identity, Error> + Send>;

impl Known<'_> {
    /// All that shapes the rows; the sums of `files` may take a while.
    pub(super) fn identity(&self, files: Summing) -> Result<Named, Error> {
        let options = self.options;
        let auto = |number: Option<usize>| number.map_or("auto".to_owned(), |number| number.to_string());
        let LengthPolicy { max_length, min_length, long_records } = options.lengths;
        let mut identity = Identity::default();
        options.shard.iter().for_each(|shard| identity.set("shard", shard));
        identity.set("virpack", env!("CARGO_PKG_VERSION"));
        identity.set("model", &self.sha256);
        identity.set("dtype", self.dtype);
        identity.set("pooling", options.pool_name());
        identity.set("layer", options.layer(self.config)?);
        identity.set("largest length", max_length);
        identity.set("smallest length", min_length);
        let long_records = match long_records {
            LongRecords::Truncate => "truncate".to_owned(),
            LongRecords::Window { overlap } => format!("windows that share {overlap}"),
            LongRecords::Skip => "skip".to_owned(),
            LongRecords::Error => "error".to_owned(),
        };
        identity.set("long records", long_records);
        identity.set("token budget", auto(options.token_budget));
        identity.set("buffer size", auto(options.buffer_size));
        identity.set("packing", if options.packing { "on" } else { "off" });
        let inputs = options.inputs.iter().map(Input::to_string).collect::<Vec<_>>();
        Ok(Box::new(move || Ok(identity.with_files(&inputs, &files.finish()?))))
    }

    /// What the shard says that is written, where one is.
    pub(super) fn facts(&self, identity: &Identity, about: Vec<(String, String)>) -> Option<Facts> {
        let options = self.options;
        Some(Facts {
            shard: options.shard?,
            identity: identity.without("shard"),
            hidden: self.config.hidden(),
            residues: options.pool.is_none(),
            sources: options.inputs.iter().map(Input::to_string).collect(),
            about,
        })
    }
}

impl EmbedOptions {
    /// All that shapes an output, from what shapes its rows.
    pub(super) fn of_output(&self, rows: Identity) -> Identity {
        let mut identity = rows;
        identity.set("values", self.dtype_out);
        let format = self.format.or_else(|| OutputFormat::of(&self.output).ok());
        format.iter().for_each(|format| identity.set("format", format.ending()));
        identity
    }

    /// Begins to sum the inputs, and a model's files that are no weights.
    pub(super) fn sum_files(&self, weights: &Weights) -> Result<Summing, Error> {
        let inputs = self.inputs.iter().map(|input| Location::Disk(input.path().to_owned()));
        Ok(Summing::start(inputs.chain(weights.beside()).collect())?)
    }

    /// What an earlier run has left; None where nothing is kept, as of what goes to standard output.
    pub(super) fn found(&self) -> Result<Option<Found>, Error> {
        if is_stdout(&self.output) {
            return Ok(None);
        }
        Ok(Found::of(&self.inputs, Place::beside(&self.output), self.checkpoint, self.force)?)
    }

    /// Checks that nothing is asked for that standard output cannot give.
    pub(super) fn check_stdout(&self) -> Result<(), Error> {
        if !is_stdout(&self.output) {
            return Ok(());
        }
        let resumes = self.checkpoint.is_some_and(|checkpoint| checkpoint.resume);
        let (option, reason) = match self.shard {
            _ if resumes => ("--resume", "nothing is kept of a run to standard output"),
            Some(_) => ("--shard", "a shard is a file, which `virpack merge` reads"),
            None => return Ok(()),
        };
        Err(OutputError::NotToStdout { option, reason }.into())
    }

    /// Checks that a shard is written where one is asked for, and only there.
    pub(super) fn check_shard(&self) -> Result<(), Error> {
        // A name that is wrong otherwise is told of with the other formats.
        let format = self.format.or_else(|| OutputFormat::of(&self.output).ok());
        let Some(shard) = self.shard else {
            return match format {
                Some(OutputFormat::Shard) => Err(OutputError::NoShard { path: self.output.clone() }.into()),
                _ => Ok(()),
            };
        };
        let (problem, hint) = match pipe(&self.inputs) {
            Some(input) => {
                let problem =
                    format!("--shard deals out inputs that can be read again, and {input} is a pipe");
                (problem, "give files")
            }
            None if format != Some(OutputFormat::Shard) => {
                let problem = format!(
                    "{} would pass for all rows, and has those of shard {shard}",
                    self.output.display()
                );
                (problem, "name it NAME.shard; `virpack merge` joins all shards to any format")
            }
            None if self.dtype_out != OutputDtype::F32 => {
                ("a shard holds float32".to_owned(), "give --dtype-out to `virpack merge`")
            }
            None => return Ok(()),
        };
        Err(Error::Shard { problem, hint })
    }
}
