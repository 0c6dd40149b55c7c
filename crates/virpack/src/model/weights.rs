//! A model's tensors, read one at a time from any of the files that ESM-2 is published in.

mod file;
mod names;
pub mod pickle;
pub mod safetensors;
mod shards;
mod tensor;
pub mod torch;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use ::safetensors::Dtype;
pub(crate) use file::TensorFile;
pub use names::canonical;
pub(super) use shards::{NAMES, are_whole, shards};
pub use tensor::StoredTensor;
pub use torch::{CheckpointError, StoredModule, TensorProblem};

use crate::Error;
use crate::model::location::Location;

/// Layer and head counts, which no tensor's shape tells, out of a fair-esm checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FairEsmSettings {
    /// How many layers it has.
    pub layers: usize,
    /// Its width.
    pub hidden: usize,
    /// Attention heads in a layer.
    pub heads: usize,
    /// Whether embeddings are scaled as in training.
    pub token_dropout: bool,
}

/// The tensors of one model, mapped and not yet read.
///
/// Names are those of Hugging Face's bare encoder whatever the file's own are (see [`canonical`]): a model asks
/// for `encoder.layer.0.intermediate.dense.weight` and finds it in an `EsmForMaskedLM`, in shards and in a
/// fair-esm checkpoint.
///
/// ```no_run
/// use virpack::model::weights::Weights;
/// # fn main() -> Result<(), virpack::Error> {
/// let weights = Weights::open("esm2_t6_8M_UR50D".as_ref())?;
/// let words: Vec<f32> = weights.read("embeddings.word_embeddings.weight", &[33, 320])?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Weights {
    location: Location,
    /// The same for errors.
    path: PathBuf,
    files: Vec<TensorFile>,
    tensors: BTreeMap<String, Place>,
    fair_esm: Option<FairEsmSettings>,
}

/// Where a tensor lies.
#[derive(Debug)]
struct Place {
    file: usize,
    stored: StoredTensor,
}

impl Weights {
    /// Opens the weights in a directory, or one weights file.
    ///
    /// Of a directory the first of these is taken: `model.safetensors`, `model.safetensors.index.json`,
    /// `pytorch_model.bin`, `pytorch_model.bin.index.json`, a single `*.pt`. Headers are read and checked
    /// against the files; no tensor is read yet.
    ///
    /// # Errors
    ///
    /// [`Error::NoWeights`], [`Error::ManyCheckpoints`], [`Error::UnknownWeights`] where there is nothing to
    /// open; [`Error::ReadModel`], [`Error::Truncated`], [`Error::Safetensors`], [`Error::Checkpoint`],
    /// [`Error::Json`], [`Error::ShardIndex`], [`Error::DuplicateTensor`] for files that cannot be used.
    pub fn open(path: &Path) -> Result<Self, Error> {
        Self::at(&path.into())
    }

    /// As [`Weights::open`], on disk or in memory.
    ///
    /// # Errors
    ///
    /// As [`Weights::open`].
    pub fn at(location: &Location) -> Result<Self, Error> {
        let mut weights = Self {
            location: location.clone(),
            path: location.path(),
            files: Vec::new(),
            tensors: BTreeMap::new(),
            fair_esm: None,
        };
        for file in shards::find(location)? {
            weights.add_file(file)?;
        }
        Ok(weights)
    }

    fn add_file(&mut self, location: Location) -> Result<(), Error> {
        let mut opened = TensorFile::open(location)?;
        // Only a checkpoint has them, and a checkpoint is one file.
        self.fair_esm = opened.fair_esm.or(self.fair_esm);
        let file = self.files.len();
        for stored in std::mem::take(&mut opened.tensors) {
            let name = canonical(&stored.name).into_owned();
            if let Some(first) = self.tensors.get(&name) {
                return Err(Error::DuplicateTensor {
                    path: opened.path,
                    tensor: name,
                    first: first.stored.name.clone(),
                    second: stored.name,
                });
            }
            self.tensors.insert(name, Place { file, stored });
        }
        self.files.push(opened);
        Ok(())
    }

    /// The path that was opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The directory that holds the weights files, where config.json would be.
    #[must_use]
    pub fn directory(&self) -> Location {
        self.files.first().map_or_else(|| self.location.clone(), |file| file.location.parent())
    }

    /// Layer and head counts, where the weights are a fair-esm checkpoint.
    #[must_use]
    pub fn fair_esm(&self) -> Option<FairEsmSettings> {
        self.fair_esm
    }

    /// Whether the weights are a torch checkpoint, in which settings may stand.
    #[must_use]
    pub fn is_checkpoint(&self) -> bool {
        self.files.iter().any(|file| !file.is_safetensors())
    }

    /// The weights files, one or all shards, with their sizes in bytes.
    pub fn files(&self) -> impl Iterator<Item = (&Location, u64)> {
        self.files.iter().map(|file| (&file.location, file.len()))
    }

    /// All tensors' names in alphabetical order, heads and buffers included.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// A tensor's shape, or nothing where the model has no such tensor.
    #[must_use]
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.get(name).map(|place| place.stored.shape.as_slice())
    }

    /// What a tensor's values are stored as, or nothing where the model has no such tensor.
    #[must_use]
    pub fn dtype(&self, name: &str) -> Option<Dtype> {
        self.tensors.get(name).map(|place| place.stored.dtype)
    }

    /// Bytes of all tensors' values as stored, heads and buffers included.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.tensors.values().map(|place| place.stored.bytes() as u64).sum()
    }

    /// Checks that every tensor of `expected` is there, of its shape, and made of floats; reads none.
    ///
    /// # Errors
    ///
    /// [`Error::MissingTensor`], [`Error::TensorShape`] or [`Error::TensorDtype`] for the first that is not.
    pub fn check<'a>(&self, expected: impl IntoIterator<Item = (&'a str, &'a [usize])>) -> Result<(), Error> {
        for (name, shape) in expected {
            self.place(name, shape)?;
        }
        Ok(())
    }

    /// Reads one tensor as f32 in C order and gives its file pages back.
    ///
    /// # Errors
    ///
    /// [`Error::MissingTensor`], [`Error::TensorShape`] where the tensor has not `expected`'s shape, or
    /// [`Error::TensorDtype`] where its values are no floats of 16, 32 or 64 bits.
    pub fn read(&self, name: &str, expected: &[usize]) -> Result<Vec<f32>, Error> {
        let place = self.place(name, expected)?;
        Ok(self.files[place.file].read(&place.stored))
    }

    fn place(&self, name: &str, expected: &[usize]) -> Result<&Place, Error> {
        let missing = || Error::MissingTensor {
            path: self.path.clone(),
            tensor: name.to_owned(),
            expected: expected.to_vec(),
        };
        let place = self.tensors.get(name).ok_or_else(missing)?;
        let path = || self.files[place.file].path.clone();
        if place.stored.shape != expected {
            return Err(Error::TensorShape {
                path: path(),
                tensor: name.to_owned(),
                expected: expected.to_vec(),
                given: place.stored.shape.clone(),
            });
        }
        if !place.stored.is_float() {
            return Err(Error::TensorDtype {
                path: path(),
                tensor: name.to_owned(),
                dtype: place.stored.dtype,
            });
        }
        Ok(place)
    }
}
