//! One mapped file of tensors, whatever its format.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::tensor::StoredTensor;
use super::torch::StoredModule;
use super::{FairEsmSettings, safetensors, torch};
use crate::ModelError;
use crate::location::{Bytes, Location};

/// One mapped file of tensors: safetensors by its name, a torch checkpoint otherwise.
#[derive(Debug)]
pub(crate) struct TensorFile {
    pub(crate) location: Location,
    /// The same for errors.
    pub(crate) path: PathBuf,
    bytes: Bytes,
    /// In the order of the file: for safetensors by place, for a checkpoint as it was saved.
    pub(crate) tensors: Vec<StoredTensor>,
    /// The modules, if a complete model was saved.
    pub(crate) modules: Vec<StoredModule>,
    pub(super) fair_esm: Option<FairEsmSettings>,
}

impl TensorFile {
    /// Opens a file and checks its list of tensors; none is read yet.
    pub(crate) fn open(location: Location) -> Result<Self, ModelError> {
        let path = location.path();
        let opened = location.open()?;
        let bytes = whole(&opened);
        let (tensors, modules, fair_esm) = if is_safetensors(&path) {
            (safetensors::tensors(bytes, &path)?, Vec::new(), None)
        } else {
            let checkpoint = torch::checkpoint(bytes)
                .map_err(|source| ModelError::Checkpoint { path: path.clone(), source })?;
            (checkpoint.tensors, checkpoint.modules, checkpoint.fair_esm)
        };
        // Headers lie between the values of a checkpoint: reading them mapped a piece around each.
        opened.release(0..opened.len());
        Ok(Self { location, path, bytes: opened, tensors, modules, fair_esm })
    }

    /// One tensor of this file as f32 in C order; its pages are given back.
    ///
    /// # Panics
    ///
    /// Where the tensor is of another file, or no floats.
    pub(crate) fn read(&self, tensor: &StoredTensor) -> Vec<f32> {
        tensor.read(&self.bytes)
    }

    /// Returns the first and last values of one tensor of this file, as bits.
    pub(super) fn ends(&self, tensor: &StoredTensor) -> Vec<u32> {
        tensor.ends(&self.bytes)
    }

    /// Returns the facts that a safetensors file carries beside its tensors.
    pub(crate) fn metadata(&self) -> Result<HashMap<String, String>, ModelError> {
        if self.is_safetensors() {
            safetensors::metadata(whole(&self.bytes), &self.path)
        } else {
            Ok(HashMap::new())
        }
    }

    pub(super) fn is_safetensors(&self) -> bool {
        is_safetensors(&self.path)
    }

    /// Bytes of the file.
    pub(super) fn len(&self) -> u64 {
        self.bytes.len() as u64
    }
}

fn whole(bytes: &Bytes) -> &[u8] {
    bytes.bytes(0..bytes.len()).expect("a file holds its own length")
}

fn is_safetensors(path: &Path) -> bool {
    path.extension().is_some_and(|kind| kind == "safetensors")
}
