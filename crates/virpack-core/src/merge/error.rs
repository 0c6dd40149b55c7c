//! Why shards cannot be merged.

use std::borrow::Cow;
use std::io;
use std::path::PathBuf;

use virpack_seq::{Hint, Shard, shown_path};

use crate::error::{Error, opaque};
use crate::identity::IdentityDifference;

opaque! {
    /// Shards cannot be merged.
    pub struct MergeError(MergeProblem) in Error::Merge;
}

impl MergeError {
    /// Returns whether a file is not a shard.
    ///
    /// ```
    /// use virpack_core::{Error, MergeOptions, merge};
    ///
    /// let options = MergeOptions::new(vec!["../../examples/proteins.fasta".into()], "emb.npy");
    /// assert!(matches!(merge(&options), Err(Error::Merge(error)) if error.is_no_shard()));
    /// ```
    #[must_use]
    pub fn is_no_shard(&self) -> bool {
        matches!(self.0, MergeProblem::NoShard { .. })
    }

    /// Returns how many shards the input has, if some of them were not named.
    ///
    /// ```
    /// use virpack_core::seq::Shard;
    /// use virpack_core::{CancelToken, EmbedOptions, Error, MergeOptions, embed, merge};
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let [first, output] = ["1.shard", "emb.npy"].map(|name| folder.path().join(name));
    /// let inputs = vec!["../../examples/proteins.fasta".into()];
    /// let options = EmbedOptions::new(inputs, "virpack-mini", &first).shard("1/3".parse::<Shard>()?);
    /// embed(&options, &CancelToken::new(), |_event| ())?;
    /// let merged = merge(&MergeOptions::new(vec![first], output));
    /// let Err(Error::Merge(error)) = merged else { panic!("a shard of three is all") };
    /// assert_eq!(error.missing_of(), Some(3));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn missing_of(&self) -> Option<u32> {
        match self.0 {
            MergeProblem::Missing { of, .. } => Some(of),
            _ => None,
        }
    }
}

/// The reason why shards cannot be merged, with the facts that are needed to correct it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MergeProblem {
    /// No shard was named.
    #[error("no shards to join")]
    NoShards,
    /// A file that is not a shard.
    #[error("{}: not a shard", shown_path(path))]
    NoShard {
        /// The file.
        path: PathBuf,
    },
    /// A shard that another version of virpack wrote.
    #[error("{}: a shard in the format of another version of virpack", shown_path(path))]
    Version {
        /// The shard.
        path: PathBuf,
    },
    /// A shard that cannot be read.
    #[error("cannot read {}: {source}", shown_path(path))]
    Read {
        /// The shard.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A shard that was changed after it was written.
    #[error("{}: {what}", shown_path(path))]
    Damaged {
        /// The shard.
        path: PathBuf,
        /// The problem.
        what: &'static str,
    },
    /// Two shards of different runs.
    #[error(
        "{} and {} come from different runs:\n  {}", shown_path(first), shown_path(second),
        differences.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n  ")
    )]
    Different {
        /// The first shard: `there`.
        first: PathBuf,
        /// The second shard: `here`.
        second: PathBuf,
        /// The differences.
        differences: Vec<IdentityDifference>,
    },
    /// One shard named twice.
    #[error("{} and {} are both shard {shard}", shown_path(first), shown_path(second))]
    Twice {
        /// The first of them.
        first: PathBuf,
        /// The second.
        second: PathBuf,
        /// The shard that both are.
        shard: Shard,
    },
    /// Shards that were not named.
    #[error(
        "of {of} shards these are missing: {}",
        missing.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
    )]
    Missing {
        /// Their numbers, from 1.
        missing: Vec<u32>,
        /// The number of all shards.
        of: u32,
    },
    /// A shard with more records than all shards together account for.
    #[error("{}: it has records beyond the {records} that all shards hold together", shown_path(path))]
    Longer {
        /// The shard.
        path: PathBuf,
        /// Records that were read of all shards.
        records: u64,
    },
    /// A shard made from another number of records.
    #[error("{}: it was made from {total} records, but all shards together hold {records}", shown_path(path))]
    Records {
        /// The shard.
        path: PathBuf,
        /// Records of its input.
        total: u64,
        /// Records of all shards.
        records: u64,
    },
}

impl Hint for MergeProblem {
    fn hint(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(match self {
            MergeProblem::NoShards => return None,
            MergeProblem::NoShard { .. } => "a shard is the output NAME.shard of a run that computes one",
            MergeProblem::Version { .. } => {
                "make the shards again with this version, or merge them with the one that made them"
            }
            MergeProblem::Read { .. } => "check the path and its permissions",
            MergeProblem::Damaged { .. } => "copy it again, or make it again",
            MergeProblem::Different { .. } => "all shards need the same inputs, model and options",
            MergeProblem::Twice { .. } => "name each shard once",
            MergeProblem::Missing { .. } => "name all of them; a run makes each that is not there",
            MergeProblem::Longer { .. } => {
                "the shards are of unlike inputs: make them again, all from the same inputs"
            }
            MergeProblem::Records { .. } => "make the shards again, all from the same inputs",
        }))
    }
}
