//! A model's tensors, read one at a time from any of the files that ESM-2 is published in.

pub(crate) mod adapters;
mod alternatives;
mod file;
mod names;
pub(crate) mod pickle;
pub(crate) mod safetensors;
mod shards;
mod tensor;
pub(crate) mod torch;
mod unread;
mod wrappers;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

pub use ::safetensors::Dtype as StoredDtype;
pub(crate) use file::TensorFile;
use names::canonical;
pub use pickle::PickleError;
pub(super) use shards::{NAMES, are_whole, check_safetensors, damage, find as files, shards};
pub(crate) use tensor::StoredTensor;
pub(crate) use torch::StoredModule;
pub use torch::{CheckpointError, TensorProblem};

use crate::ModelError;
use crate::location::{CONFIG, Location, TOKENIZER};
use wrappers::Wrappers;

/// Layer and head counts, which no tensor's shape shows, from a fair-esm checkpoint.
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
/// Names are those of Hugging Face's bare encoder whatever the file's own are: a model asks
/// for `encoder.layer.0.intermediate.dense.weight` and finds it in an `EsmForMaskedLM`, in shards and in a
/// fair-esm checkpoint.
///
/// ```no_run
/// use virpack_model::weights::Weights;
/// # fn main() -> Result<(), virpack_model::ModelError> {
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
    tensors: BTreeMap<String, TensorLocation>,
    fair_esm: Option<FairEsmSettings>,
    /// What a user should know of them.
    notes: Vec<String>,
}

/// The place of a tensor.
#[derive(Debug)]
struct TensorLocation {
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
    /// [`ModelError::NoWeights`], [`ModelError::ManyCheckpoints`], [`ModelError::UnknownWeights`] where there is nothing to
    /// open; [`ModelError::ReadModel`], [`ModelError::Truncated`], [`ModelError::Safetensors`], [`ModelError::Checkpoint`],
    /// [`ModelError::Json`], [`ModelError::ShardIndex`], [`ModelError::IndexedTensor`], [`ModelError::DuplicateTensor`],
    /// [`ModelError::LfsPointer`] for files that cannot be used; [`ModelError::Adapter`] and [`ModelError::UnlikeWeights`] where what a
    /// directory means is not what the file in it holds.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        Self::at(&path.into())
    }

    /// As [`Weights::open`], on disk or in memory.
    ///
    /// # Errors
    ///
    /// As [`Weights::open`].
    ///
    /// ```
    /// use virpack_model::mini;
    /// use virpack_model::weights::Weights;
    ///
    /// let weights = Weights::at(&mini::location().join("peptide"))?;
    /// let words = weights.read("embeddings.word_embeddings.weight", &[33, 128])?;
    /// assert_eq!(words.len(), 33 * 128);
    /// assert!(weights.read("embeddings.word_embeddings.weight", &[33, 320]).is_err());
    /// # Ok::<(), virpack_model::ModelError>(())
    /// ```
    pub fn at(location: &Location) -> Result<Self, ModelError> {
        let found = shards::find(location)?.into_iter();
        let mut files = found.map(TensorFile::open).collect::<Result<Vec<_>, _>>()?;
        if let Some(index) = shards::index(location) {
            shards::check_index(&index, &files)?;
        }
        let names = files.iter().flat_map(|file| file.tensors.iter().map(|stored| &*stored.name));
        let wrappers = Wrappers::find(names);
        let mut tensors = BTreeMap::new();
        for (file, opened) in files.iter_mut().enumerate() {
            for stored in std::mem::take(&mut opened.tensors) {
                let name = wrappers.strip(&stored.name);
                adapters::refuse_tensor(opened.path.clone(), &name)?;
                let name = canonical(&name).into_owned();
                match tensors.entry(name) {
                    Entry::Vacant(place) => {
                        place.insert(TensorLocation { file, stored });
                    }
                    Entry::Occupied(first) => {
                        return Err(ModelError::DuplicateTensor {
                            path: opened.path.clone(),
                            tensor: first.key().clone(),
                            first: first.get().stored.name.clone(),
                            second: stored.name,
                        });
                    }
                }
            }
        }
        // Only a checkpoint has them, and a checkpoint is one file.
        let fair_esm = files.iter().find_map(|file| file.fair_esm);
        let (location, path) = (location.clone(), location.path());
        let notes = wrappers.note().into_iter().collect();
        let mut weights = Self { location, path, files, tensors, fair_esm, notes };
        if weights.location.is_directory() {
            let directory = weights.location.clone();
            weights.refuse_unlike_alternatives(&directory)?;
        }
        Ok(weights)
    }

    /// Returns what a user should know of these weights, a sentence each: names that were changed, tensors
    /// that no embedding needs.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let heads: BTreeSet<_> = self.tensors.keys().filter_map(|name| unread::harmless(name)).collect();
        let heads: Vec<_> = heads.into_iter().collect();
        let heads = (!heads.is_empty()).then(|| format!("{} take no part in embeddings", heads.join(", ")));
        self.notes.iter().cloned().chain(heads).collect()
    }

    /// Returns the names that end so, in alphabetical order.
    pub(crate) fn ending(&self, end: &str) -> Vec<&str> {
        self.names().filter(|name| name.ends_with(end)).collect()
    }

    /// Refuses weights with a tensor that is neither one of `read` nor a known head's: it would have no part in the
    /// embeddings, and the program that saved it meant it to.
    pub(crate) fn refuse_unread<'a>(
        &self,
        read: impl IntoIterator<Item = &'a str>,
    ) -> Result<(), ModelError> {
        let read: BTreeSet<&str> = read.into_iter().collect();
        let is_unread = |name: &&str| !read.contains(name) && unread::harmless(name).is_none();
        let unread: Vec<&str> = self.names().filter(is_unread).collect();
        match unread.first() {
            None => Ok(()),
            Some(_) => Err(ModelError::UnreadTensors {
                path: self.path.clone(),
                tensors: unread.iter().take(3).map(|name| self.tensors[*name].stored.name.clone()).collect(),
                more: unread.len().saturating_sub(3),
            }),
        }
    }

    /// Returns the names in the files that are most like `name`: those that end as it does, for the
    /// longest.
    fn like(&self, name: &str) -> Vec<String> {
        let alike =
            |other: &str| name.bytes().rev().zip(other.bytes().rev()).take_while(|(a, b)| a == b).count();
        let mut names: Vec<&str> = self.tensors.values().map(|place| &*place.stored.name).collect();
        names.sort_by_key(|other| (std::cmp::Reverse(alike(other)), *other));
        names.into_iter().take(3).map(str::to_owned).collect()
    }

    /// Returns the path that was opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the directory that holds the weights files, where config.json would be.
    #[must_use]
    pub fn directory(&self) -> Location {
        self.files.first().map_or_else(|| self.location.clone(), |file| file.location.parent())
    }

    /// Layer and head counts, where the weights are a fair-esm checkpoint.
    #[must_use]
    pub fn fair_esm(&self) -> Option<FairEsmSettings> {
        self.fair_esm
    }

    /// Returns whether the weights are a torch checkpoint, which may hold settings.
    pub(crate) fn is_checkpoint(&self) -> bool {
        self.files.iter().any(|file| !file.is_safetensors())
    }

    /// Returns the weights files, one or all shards, with their sizes in bytes.
    pub fn files(&self) -> impl Iterator<Item = (&Location, u64)> {
        self.files.iter().map(|file| (&file.location, file.len()))
    }

    /// Returns the files in the weights' directory that virpack reads beside them.
    pub fn beside(&self) -> impl Iterator<Item = Location> {
        let beside = [CONFIG, TOKENIZER].map(|name| self.directory().join(name));
        beside.into_iter().filter(|file| file.exists() && !file.is_directory())
    }

    /// Returns all tensors' names in alphabetical order, heads and buffers included.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Returns a tensor's shape, or nothing where the model has no such tensor.
    #[must_use]
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.get(name).map(|place| place.stored.shape.as_slice())
    }

    /// Returns what a tensor's values are stored as, or nothing where the model has no such tensor.
    ///
    /// ```
    /// use virpack_model::mini;
    /// use virpack_model::weights::{StoredDtype, Weights};
    ///
    /// let weights = Weights::at(&mini::location().join("peptide"))?;
    /// assert_eq!(weights.dtype("embeddings.word_embeddings.weight"), Some(StoredDtype::F16));
    /// assert_eq!(weights.shape("embeddings.word_embeddings.weight"), Some(&[33, 128][..]));
    /// # Ok::<(), virpack_model::ModelError>(())
    /// ```
    #[must_use]
    pub fn dtype(&self, name: &str) -> Option<StoredDtype> {
        self.tensors.get(name).map(|place| place.stored.dtype)
    }

    /// Returns whether every matrix is stored in float16 or bfloat16.
    pub(crate) fn are_in_16_bits(&self) -> bool {
        let mut matrices = self.tensors.values().filter(|place| place.stored.shape.len() > 1);
        matrices.all(|place| matches!(place.stored.dtype, StoredDtype::F16 | StoredDtype::BF16))
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
    /// [`ModelError::MissingTensor`], [`ModelError::TensorShape`] or [`ModelError::TensorDtype`] for the first that is not.
    ///
    /// ```
    /// use virpack_model::mini;
    /// use virpack_model::weights::Weights;
    ///
    /// let weights = Weights::at(&mini::location().join("peptide"))?;
    /// weights.check([("encoder.emb_layer_norm_after.bias", &[128][..])])?;
    /// let error = weights.check([("pooler.dense.weight", &[128, 128][..])]).unwrap_err();
    /// assert!(error.to_string().contains("no tensor pooler.dense.weight of shape [128, 128]"));
    /// # Ok::<(), virpack_model::ModelError>(())
    /// ```
    pub fn check<'a>(
        &self,
        expected: impl IntoIterator<Item = (&'a str, &'a [usize])>,
    ) -> Result<(), ModelError> {
        for (name, shape) in expected {
            self.place(name, shape)?;
        }
        Ok(())
    }

    /// Reads one tensor as f32 in C order and gives its file pages back.
    ///
    /// # Errors
    ///
    /// [`ModelError::MissingTensor`], [`ModelError::TensorShape`] where the tensor has not `expected`'s shape, or
    /// [`ModelError::TensorDtype`] if its values are not floats of 16, 32 or 64 bits.
    pub fn read(&self, name: &str, expected: &[usize]) -> Result<Vec<f32>, ModelError> {
        let place = self.place(name, expected)?;
        Ok(self.files[place.file].read(&place.stored))
    }

    fn place(&self, name: &str, expected: &[usize]) -> Result<&TensorLocation, ModelError> {
        let missing = || ModelError::MissingTensor {
            path: self.path.clone(),
            tensor: name.to_owned(),
            expected: expected.to_vec(),
            there: self.like(name),
        };
        let place = self.tensors.get(name).ok_or_else(missing)?;
        let path = || self.files[place.file].path.clone();
        if place.stored.shape != expected {
            return Err(ModelError::TensorShape {
                path: path(),
                tensor: name.to_owned(),
                expected: expected.to_vec(),
                given: place.stored.shape.clone(),
            });
        }
        if !place.stored.is_float() {
            return Err(ModelError::TensorDtype {
                path: path(),
                tensor: name.to_owned(),
                dtype: place.stored.dtype,
            });
        }
        Ok(place)
    }
}
