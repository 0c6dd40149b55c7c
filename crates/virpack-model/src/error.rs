//! Errors between a model's name and its weights on a device.

mod hints;

use std::path::PathBuf;

use virpack_device::DeviceError;
use virpack_seq::{SeqError, ThreadError, shown_path};

use crate::classifier::ClassifierProblem;
use crate::hub::{Damage, HubError};
use crate::weights::{CheckpointError, StoredDtype};

/// Errors between a model's name and its weights on a device, with the facts to mend it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A model could not be found or fetched.
    #[error(transparent)]
    Hub(#[from] HubError),

    /// A file of a model could not be opened or read.
    #[error("cannot read {}: {source}", shown_path(path))]
    ReadModel {
        /// The file or directory.
        path: PathBuf,
        /// The system's message.
        source: std::io::Error,
    },
    /// A directory without weights in any form that virpack reads.
    #[error(
        "{}: no weights here; looked for {}", shown_path(path), looked_for.join(", ")
    )]
    NoWeights {
        /// The directory.
        path: PathBuf,
        /// The file names that were looked for, best first.
        looked_for: Vec<String>,
        /// Other weights and folders with weights that are there.
        found: Vec<String>,
    },
    /// A directory with several .pt files, any of which could be meant.
    #[error("{}: several checkpoints: {}", shown_path(path), found.join(", "))]
    ManyCheckpoints {
        /// The directory.
        path: PathBuf,
        /// The names of the .pt files.
        found: Vec<String>,
    },
    /// A file whose name does not say that it holds weights.
    #[error("{}: not a weights file by its name", shown_path(path))]
    UnknownWeights {
        /// The file.
        path: PathBuf,
    },
    /// A weights file shorter than its own header states.
    #[error("{}: cut short: its header promises {promised} bytes, the file has {found}", shown_path(path))]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Bytes that the file should have.
        promised: u64,
        /// Bytes that it has.
        found: u64,
    },
    /// A safetensors header that contradicts itself or its file.
    #[error("{}: damaged safetensors header: {source}", shown_path(path))]
    Safetensors {
        /// The file.
        path: PathBuf,
        /// The message of the header's check.
        source: safetensors::SafeTensorError,
    },
    /// Files in the Hub's cache that are not what their names there say.
    #[error(transparent)]
    DamagedInCache(#[from] Damage),
    /// A torch checkpoint that cannot be read.
    #[error("{}: {source}", shown_path(path))]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: CheckpointError,
    },
    /// An index of shards, or a config.json, that is not JSON or lacks a field.
    #[error("{}: {source}", shown_path(path))]
    Json {
        /// The file.
        path: PathBuf,
        /// The message of the parser, with line and column.
        source: serde_json::Error,
    },
    /// A shard's index without a `weight_map`, or one that names a file outside its directory.
    #[error("{}: {}", shown_path(path), match shard {
        Some(shard) => format!("names the shard {shard:?}, which is not a file name"),
        None => "no weight_map of tensor names to shards".to_owned(),
    })]
    ShardIndex {
        /// The index.
        path: PathBuf,
        /// The refused file name, where there is one.
        shard: Option<String>,
    },
    /// Two tensors of a model with one name, once their prefixes are taken off.
    #[error("{}: the tensors {first} and {second} are both {tensor}", shown_path(path))]
    DuplicateTensor {
        /// The file that holds the second one.
        path: PathBuf,
        /// The name they share in virpack.
        tensor: String,
        /// The first one's name in its file.
        first: String,
        /// The second one's name in its file.
        second: String,
    },
    /// An index that names the wrong shard for a tensor.
    #[error("{}: names the shard {shard} for the tensor {tensor}, which is not in it", shown_path(path))]
    IndexedTensor {
        /// The index.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// The file that should hold it.
        shard: String,
    },
    /// A pointer of Git LFS where the file itself should be.
    #[error(
        "{}: a Git LFS pointer, not the file{}", shown_path(path),
        bytes.map_or_else(String::new, |bytes| format!(", which has {bytes} bytes"))
    )]
    LfsPointer {
        /// The file.
        path: PathBuf,
        /// Bytes of what it points to, if it states it.
        bytes: Option<u64>,
    },
    /// An adapter, whose values are added to those of a base model.
    #[error(
        "{}: {found} belongs to an adapter (PEFT), whose weights must be merged into those of {}",
        shown_path(path), base.as_deref().unwrap_or("a base model")
    )]
    Adapter {
        /// The directory, file or repository.
        path: PathBuf,
        /// The file or tensor that gives it away.
        found: String,
        /// The model that it is for, if it states it.
        base: Option<String>,
    },
    /// A directory of sentence-transformers of which virpack would run another part than it means.
    #[error(
        "{}: the module {kind} in {folder:?} is a part of this model that virpack does not run",
        shown_path(path)
    )]
    Modules {
        /// The list of modules.
        path: PathBuf,
        /// The module's class.
        kind: String,
        /// Its folder.
        folder: String,
    },
    /// A directory with two sets of weights that are not the same model.
    #[error(
        "{}: {} and {} hold different models: {tensor} differs", shown_path(path), names[0], names[1]
    )]
    UnlikeWeights {
        /// The directory.
        path: PathBuf,
        /// The two files.
        names: [String; 2],
        /// The first tensor with other values.
        tensor: String,
    },
    /// Tensors that the model, by its settings, has no place for.
    #[error(
        "{}: {}{} would not be used, and embeddings would be wrong without them",
        shown_path(path), tensors.join(", "),
        if *more > 0 { format!(" and {more} more tensors") } else { String::new() }
    )]
    UnreadTensors {
        /// The file or directory.
        path: PathBuf,
        /// The first few, as the file names them.
        tensors: Vec<String>,
        /// How many there are beyond those.
        more: usize,
    },
    /// Rotary frequencies that differ between layers.
    #[error(
        "{}: {} and {} hold different rotary frequencies", shown_path(path), tensors[0], tensors[1]
    )]
    UnlikeFrequencies {
        /// The file or directory.
        path: PathBuf,
        /// Two of the tensors.
        tensors: [String; 2],
    },
    /// A tensor that the model needs and its files lack.
    #[error(
        "{}: no tensor {tensor} of shape {expected:?}{}", shown_path(path),
        match &there[..] {
            [] => ": it holds no tensor".to_owned(),
            there => format!("; the most similar ones: {}", there.join(", ")),
        }
    )]
    MissingTensor {
        /// The file or directory.
        path: PathBuf,
        /// The tensor, named as Hugging Face's bare encoder has it.
        tensor: String,
        /// Its shape, by the model's settings.
        expected: Vec<usize>,
        /// Three names in the files that are most like it.
        there: Vec<String>,
    },
    /// A tensor whose shape is not the one that the model's settings ask for.
    #[error("{}: tensor {tensor} has shape {given:?}, expected {expected:?}", shown_path(path))]
    TensorShape {
        /// The file that holds it.
        path: PathBuf,
        /// The tensor, named as Hugging Face's bare encoder has it.
        tensor: String,
        /// The shape asked for.
        expected: Vec<usize>,
        /// The shape it has.
        given: Vec<usize>,
    },
    /// A tensor of numbers that are not weights, such as integers or 8-bit floats.
    #[error("{}: tensor {tensor} holds {dtype} values, expected F32, F16, BF16 or F64", shown_path(path))]
    TensorDtype {
        /// The file that holds it.
        path: PathBuf,
        /// The tensor, named as Hugging Face's bare encoder has it.
        tensor: String,
        /// What it holds.
        dtype: StoredDtype,
    },

    /// Weights without the settings that say what to do with them.
    #[error(
        "{}: no settings for the model; looked for config.json{}", shown_path(path),
        if *in_checkpoint { " and, in the checkpoint, for cfg.model or args" } else { "" }
    )]
    NoConfig {
        /// The directory.
        path: PathBuf,
        /// Whether a fair-esm checkpoint was searched too.
        in_checkpoint: bool,
    },
    /// A setting that the model cannot be built without.
    #[error("{}: no usable {setting}: {given}", shown_path(path))]
    BadSetting {
        /// The file that holds the settings.
        path: PathBuf,
        /// The setting's name there.
        setting: &'static str,
        /// The value found, as JSON, or `missing`.
        given: String,
    },
    /// A model that virpack would run wrongly, and therefore not at all.
    #[error("{}: {setting} is {given}; virpack runs {supported}", shown_path(path))]
    UnsupportedModel {
        /// The file that holds the settings.
        path: PathBuf,
        /// The setting's name there.
        setting: &'static str,
        /// What it is.
        given: String,
        /// What it may be.
        supported: &'static str,
    },
    /// A name of two models where one is run.
    #[error("{model} is two models")]
    TwoModels {
        /// The name.
        model: String,
        /// Their own names.
        models: [&'static str; 2],
    },
    /// An input whose first records cannot choose the model, because it cannot be read a second time.
    #[error("{} is {kind}, which cannot be read twice to tell proteins from nucleotides", shown_path(path))]
    AlphabetOfPipe {
        /// The input.
        path: PathBuf,
        /// What it is: a pipe, a device or a socket.
        kind: &'static str,
    },
    /// Letters that may be those of proteins or of nucleotides.
    #[error(
        "cannot tell whether these are proteins or nucleotides: the first {records} records have {letters} letters, and \
         both kinds have letters such as these"
    )]
    AlphabetUnclear {
        /// Records looked at.
        records: u64,
        /// Letters in them.
        letters: u64,
    },
    /// A file that holds no classifier, or one that virpack would run wrongly.
    #[error("{}: not a classifier that virpack can run: {problem}", shown_path(path))]
    Classifier {
        /// The file.
        path: PathBuf,
        /// What is in it instead.
        problem: ClassifierProblem,
    },
    /// A classifier that takes vectors of other widths than the models give.
    #[error(
        "{} takes {width} features, but the nucleotide model gives {nucleotide} and the protein model \
         {protein}, {} together",
        shown_path(path), nucleotide + protein
    )]
    ClassifierWidths {
        /// The classifier's file.
        path: PathBuf,
        /// Features that it takes.
        width: usize,
        /// Width of the nucleotide model.
        nucleotide: usize,
        /// Width of the protein model.
        protein: usize,
    },
    /// A device refused or failed.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// A tokenizer, or the letters of an input, could not be read.
    #[error(transparent)]
    Seq(#[from] SeqError),
    /// A thread did not start, or panicked.
    #[error(transparent)]
    Thread(#[from] ThreadError),
}

impl ModelError {
    /// Returns whether virpack is at fault, and neither the model nor the machine.
    #[must_use]
    pub fn is_fault(&self) -> bool {
        match self {
            ModelError::Device(error) => error.is_fault(),
            ModelError::Thread(error) => error.is_fault(),
            ModelError::Seq(error) => error.is_fault(),
            _ => false,
        }
    }
}

/// An error that may be one of a model.
pub trait HoldsModelError: From<ModelError> {
    /// Returns the model's error, or the error itself.
    ///
    /// # Errors
    ///
    /// The error itself, if it is not a model's.
    fn into_model(self) -> Result<ModelError, Self>;
}

impl HoldsModelError for ModelError {
    fn into_model(self) -> Result<ModelError, ModelError> {
        Ok(self)
    }
}
