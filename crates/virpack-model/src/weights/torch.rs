//! torch checkpoints: which tensors a pickle describes, and where in the file their values lie.
//!
//! Two containers are read. Since torch 1.6 a checkpoint is a zip archive whose entries are stored as they are:
//! `NAME/data.pkl` describes the tensors, `NAME/data/KEY` holds the values of one storage, and is mapped in place.
//! Before, it was five pickles in a row with the storages behind them. Sources: torch's
//! `serialization.py` (`_save`, `_legacy_save`) and `_utils.py` (`_rebuild_tensor_v2`).

mod legacy;
mod module;
mod rebuild;
mod zip;

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use virpack_seq::Hint;

use super::pickle::{Id, Node, Pickle, PickleError};
use super::{FairEsmSettings, StoredTensor};

/// What is wrong with a torch checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// A file that begins like no checkpoint.
    #[error("neither a zip archive nor a pickle, so not a torch checkpoint")]
    NotACheckpoint,
    /// A zip archive whose directory cannot be read, mostly because the file was cut short.
    #[error("damaged or cut short: {reason}")]
    Archive {
        /// The zip reader's message.
        reason: String,
    },
    /// A zip archive without an entry that every checkpoint has.
    #[error("a zip archive without {entry}, so not a torch checkpoint")]
    NoEntry {
        /// The entry.
        entry: &'static str,
    },
    /// An archive packed again by another program, or one written on a big-endian machine.
    #[error("{entry} is {problem}")]
    Entry {
        /// The entry in the archive.
        entry: String,
        /// What it is and cannot be: `compressed`, `big-endian`.
        problem: &'static str,
    },
    /// A pickle that cannot be read.
    #[error("{source}")]
    Pickle {
        /// What is wrong with it.
        #[from]
        source: PickleError,
    },
    /// A pickle with neither a dict of tensors nor a module that holds some.
    #[error("it holds {found}, not a dict of tensors")]
    NoStateDict {
        /// What it holds instead: a Python class, or a kind of value.
        found: String,
    },
    /// Modules that hold each other, far beyond any model.
    #[error(
        "its modules hold more than {} tensors and modules, counted by their places",
        module::MOST_PLACES
    )]
    TooManyModules,
    /// A tensor whose description makes no sense.
    #[error("tensor {tensor}: {problem}")]
    Tensor {
        /// Its name in the file.
        tensor: String,
        /// What is wrong.
        problem: TensorProblem,
    },
}

impl Hint for CheckpointError {
    fn hint(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(match self {
            CheckpointError::NotACheckpoint | CheckpointError::Archive { .. } => "copy or download it again",
            CheckpointError::Entry { .. } => "load it with torch and save it again",
            CheckpointError::Pickle { .. } => {
                "copy or download it again; if that does not help, load it with torch and save it again"
            }
            CheckpointError::NoStateDict { .. } => "save the model's state_dict() rather than the model",
            CheckpointError::Tensor { .. } => "load the checkpoint with torch and save it again",
            CheckpointError::NoEntry { .. } | CheckpointError::TooManyModules => return None,
        }))
    }
}

/// The error that holds it has the hint.
impl Hint for TensorProblem {}

/// What is wrong with the description of one tensor in a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TensorProblem {
    /// Its type of storage is unknown to torch, or its arguments are not those that torch writes.
    #[error("described in a way that virpack does not know")]
    Unknown,
    /// Its storage is not in the file.
    #[error("its values are not in the file")]
    NoStorage,
    /// Its shape and strides reach beyond its storage.
    #[error("its shape reaches beyond its values")]
    OutOfStorage,
}

/// What a checkpoint holds for virpack.
#[derive(Debug)]
#[non_exhaustive]
pub struct Checkpoint {
    /// All tensors of its state dict.
    pub tensors: Vec<StoredTensor>,
    /// Its modules, each after the one that holds it, if a complete model was saved instead of a state dict.
    pub modules: Vec<StoredModule>,
    /// Layer and head counts, where it is fair-esm's.
    pub fair_esm: Option<FairEsmSettings>,
}

/// One module of a model that was saved as a whole: what its pickle states, because no code is run.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredModule {
    /// Its place in the model, as the names of tensors have it: `head.norm`; empty for the whole model.
    pub name: String,
    /// Its class: `torch.nn.modules.linear.Linear`.
    pub class: String,
    /// What it adds to a variance, where it has such a number.
    pub eps: Option<f64>,
    /// Modules that it holds.
    pub children: usize,
}

/// The place of each storage in the file, by its key.
type Storages = HashMap<String, Range<usize>>;

/// Reads what a complete checkpoint file describes; its values stay where they are.
///
/// Every tensor returned lies within `file`.
///
/// # Errors
///
/// [`CheckpointError`] for a file that is not a checkpoint, is damaged, or holds no dict of tensors.
pub fn checkpoint(file: &[u8]) -> Result<Checkpoint, CheckpointError> {
    match file {
        [b'P', b'K', ..] => {
            let (pickle, storages) = zip::open(file)?;
            describe(&Pickle::parse(pickle)?, &storages)
        }
        [0x80, ..] => {
            let (pickle, storages) = legacy::open(file)?;
            describe(&pickle, &storages)
        }
        _ => Err(CheckpointError::NotACheckpoint),
    }
}

/// Compares a checkpoint's values with the sums that its archive has of them; other files have none.
///
/// # Errors
///
/// [`CheckpointError::Archive`] for the first entry that differs.
pub(crate) fn check_sums(mut file: std::fs::File) -> Result<(), CheckpointError> {
    use std::io::{BufReader, Read, Seek};
    let mut start = [0; 2];
    if file.read_exact(&mut start).is_err() || start != *b"PK" || file.rewind().is_err() {
        return Ok(());
    }
    zip::check(BufReader::with_capacity(1 << 20, file))
}

/// Names under which training programs keep the state dict.
const STATE_DICT_KEYS: [&str; 3] = ["model", "state_dict", "model_state_dict"];

fn describe(pickle: &Pickle<'_>, storages: &Storages) -> Result<Checkpoint, CheckpointError> {
    let root = pickle.root();
    let nested = STATE_DICT_KEYS.iter().filter_map(|key| pickle.get(root, key));
    let candidates: Vec<Id> = std::iter::once(root).chain(nested).collect();
    let is_state_dict = |dict: &&Id| {
        matches!(pickle.node(**dict), Node::Dict(_))
            && pickle.items(**dict).iter().any(|(_, value)| rebuild::is_tensor(pickle, *value))
    };
    let (tensors, modules) = if let Some(state_dict) = candidates.iter().find(is_state_dict) {
        (state_dict_tensors(pickle, *state_dict, storages)?, Vec::new())
    } else if let Some(model) = candidates.iter().find(|id| module::is_module(pickle, **id)) {
        module::contents(pickle, *model, storages)?
    } else {
        return Err(CheckpointError::NoStateDict { found: describe_value(pickle, root) });
    };
    Ok(Checkpoint { tensors, modules, fair_esm: fair_esm(pickle) })
}

fn state_dict_tensors(
    pickle: &Pickle<'_>,
    state_dict: Id,
    storages: &Storages,
) -> Result<Vec<StoredTensor>, CheckpointError> {
    let mut tensors = Vec::new();
    for (name, value) in pickle.items(state_dict) {
        // An object that is not a tensor, whatever it would have run, holds no weights and stays inert.
        if let Some(name) = pickle.str(*name)
            && rebuild::is_tensor(pickle, *value)
        {
            tensors.push(named_tensor(pickle, *value, name.to_owned(), storages)?);
        }
    }
    Ok(tensors)
}

fn named_tensor(
    pickle: &Pickle<'_>,
    id: Id,
    name: String,
    storages: &Storages,
) -> Result<StoredTensor, CheckpointError> {
    rebuild::tensor(pickle, id, &name, storages)
        .map_err(|problem| CheckpointError::Tensor { tensor: name, problem })
}

fn describe_value(pickle: &Pickle<'_>, id: Id) -> String {
    match pickle.node(id) {
        Node::Object { .. } => module::class(pickle, id)
            .map_or_else(|| "an object".to_owned(), |class| format!("an object of {class}")),
        Node::Dict(_) => "a dict of other values".to_owned(),
        _ => "a plain value".to_owned(),
    }
}

/// fair-esm's settings: those of `cfg["model"]` (ESM-2), or of `args` (its older form).
fn fair_esm(pickle: &Pickle<'_>) -> Option<FairEsmSettings> {
    let root = pickle.root();
    let settings = pickle
        .get(root, "cfg")
        .and_then(|cfg| pickle.attribute(cfg, "model"))
        .or_else(|| pickle.get(root, "args"))?;
    let number = |name| match pickle.node(pickle.attribute(settings, name)?) {
        Node::Int(number) => u32::try_from(*number).ok().map(|number| number as usize),
        _ => None,
    };
    let token_dropout = pickle.attribute(settings, "token_dropout").map(|id| pickle.node(id));
    Some(FairEsmSettings {
        layers: number("encoder_layers")?,
        hidden: number("encoder_embed_dim")?,
        heads: number("encoder_attention_heads")?,
        token_dropout: matches!(token_dropout, Some(Node::Bool(true))),
    })
}
