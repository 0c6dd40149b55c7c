//! Which files of a directory are a model's weights.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Component, Path};

use super::{TensorFile, adapters};
use crate::ModelError;
use crate::location::Location;

/// The names of weights in Hugging Face layout, best first.
pub(crate) const NAMES: [&str; 4] = [
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
];

/// Returns the index that names the weights at `location`, where one does.
pub(super) fn index(location: &Location) -> Option<Location> {
    let is_index = |path: &Path| path.extension().is_some_and(|kind| kind == "json");
    if !location.is_directory() {
        return is_index(&location.path()).then(|| location.clone());
    }
    let best = NAMES.iter().map(|name| location.join(name)).find(Location::exists);
    best.filter(|file| is_index(&file.path()))
}

/// Returns the weights files at `location`: the file itself, all shards of an index, or the best of a
/// directory.
pub(crate) fn find(location: &Location) -> Result<Vec<Location>, ModelError> {
    location.check()?;
    let path = location.path();
    if !location.is_directory() {
        return match path.extension().and_then(OsStr::to_str) {
            Some("json") => shards(location),
            Some("safetensors" | "bin" | "pt" | "pth" | "ckpt") => Ok(vec![location.clone()]),
            _ => Err(ModelError::UnknownWeights { path }),
        };
    }
    adapters::refuse_beside(location)?;
    adapters::refuse_modules(location)?;
    for name in NAMES {
        let file = location.join(name);
        if file.exists() {
            return if name.ends_with(".json") { shards(&file) } else { Ok(vec![file]) };
        }
    }
    let mut checkpoints = location.names()?;
    // fair-esm keeps a model's contact regression beside it, under the model's name.
    checkpoints.retain(|name| name.ends_with(".pt") && !name.ends_with("-contact-regression.pt"));
    match checkpoints.len() {
        1 => Ok(vec![location.join(&checkpoints[0])]),
        0 => Err(ModelError::NoWeights {
            path,
            looked_for: NAMES.iter().copied().chain(["*.pt"]).map(String::from).collect(),
            found: others(location)?,
        }),
        _ => Err(ModelError::ManyCheckpoints { path, found: checkpoints }),
    }
}

/// Weights under names that nothing is looked for by (variants such as `model.fp16.safetensors`), and folders with
/// weights, of a directory; the first few.
fn others(directory: &Location) -> Result<Vec<String>, ModelError> {
    let is_weights = |name: &String| {
        [".safetensors", ".bin", ".pth", ".ckpt", ".h5", ".msgpack"].iter().any(|end| name.ends_with(end))
    };
    let holds_weights = |name: &String| NAMES.iter().any(|file| directory.join(name).join(file).exists());
    let is_shown = |name: &String| match directory.join(name).is_directory() {
        true => holds_weights(name),
        false => is_weights(name) && !name.starts_with("training_args"),
    };
    Ok(directory.names()?.into_iter().filter(is_shown).take(5).collect())
}

/// Checks that each tensor of an index is in the shard that it names for it, as another program would look there.
pub(super) fn check_index(index: &Location, files: &[TensorFile]) -> Result<(), ModelError> {
    for (tensor, shard) in weight_map(index)?.into_iter().flatten() {
        let shard = shard.as_str().unwrap_or_default();
        let file = files.iter().find(|file| file.path.file_name().is_some_and(|name| name == shard));
        if !file.is_some_and(|file| file.tensors.iter().any(|stored| stored.name == tensor)) {
            let (path, shard) = (index.path(), shard.to_owned());
            return Err(ModelError::IndexedTensor { path, tensor, shard });
        }
    }
    Ok(())
}

/// Which shard an index names for each tensor; None where it has no such table.
fn weight_map(index: &Location) -> Result<Option<serde_json::Map<String, serde_json::Value>>, ModelError> {
    let json: serde_json::Value = serde_json::from_slice(&index.read()?)
        .map_err(|source| ModelError::Json { path: index.path(), source })?;
    Ok(json.get("weight_map").and_then(serde_json::Value::as_object).cloned())
}

/// Returns the shards that an index names, each once, in the directory of the index.
pub(crate) fn shards(index: &Location) -> Result<Vec<Location>, ModelError> {
    let refused = |shard| ModelError::ShardIndex { path: index.path(), shard };
    let map = weight_map(index)?.filter(|map| !map.is_empty()).ok_or_else(|| refused(None))?;
    let mut files = BTreeSet::new();
    for shard in map.values() {
        // An index is somebody else's text: it names files beside itself and no others.
        let is_name = |name: &&str| {
            let mut parts = Path::new(name).components();
            matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None))
        };
        files.insert(shard.as_str().filter(is_name).ok_or_else(|| refused(Some(shard.to_string())))?);
    }
    Ok(files.into_iter().map(|name| index.parent().join(name)).collect())
}

/// Returns whether a directory has weights in Hugging Face layout, with all shards of its index, none of
/// them truncated.
pub(crate) fn are_whole(directory: &Path) -> bool {
    let best = NAMES.iter().map(|name| directory.join(name)).find(|file| file.exists());
    best.is_some_and(|file| match file.extension().and_then(OsStr::to_str) {
        Some("json") => shards(&file.into()).is_ok_and(|shards| shards.iter().all(is_whole)),
        _ => is_whole(&file.into()),
    })
}

/// Returns what is wrong with the first damaged weights file of a directory.
pub(crate) fn damage(directory: &Path) -> Option<ModelError> {
    let files = find(&directory.into()).unwrap_or_default();
    files.into_iter().filter(Location::exists).find_map(|file| TensorFile::open(file).err())
}

/// Returns whether a file is as long as its own header states; for a checkpoint, whether the directory at
/// its end exists.
fn is_whole(file: &Location) -> bool {
    file.exists() && TensorFile::open(file.clone()).is_ok()
}

/// Checks that a safetensors file agrees with its own header.
pub(crate) fn check_safetensors(file: &Location) -> Result<(), ModelError> {
    let bytes = file.open()?;
    super::safetensors::tensors(bytes.bytes(0..bytes.len()).unwrap_or_default(), &file.path()).map(drop)
}
