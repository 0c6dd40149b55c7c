//! Which files of a directory are a model's weights.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use crate::Error;

/// The names of weights in Hugging Face layout, best first.
pub(crate) const NAMES: [&str; 4] = [
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
];

/// The weights files at `path`: the file itself, all shards of an index, or the best of a directory.
pub(super) fn find(path: &Path) -> Result<Vec<PathBuf>, Error> {
    let read_error = |source| Error::ReadModel { path: path.to_owned(), source };
    if !std::fs::metadata(path).map_err(read_error)?.is_dir() {
        return match path.extension().and_then(OsStr::to_str) {
            Some("json") => shards(path),
            Some("safetensors" | "bin" | "pt" | "pth" | "ckpt") => Ok(vec![path.to_owned()]),
            _ => Err(Error::UnknownWeights { path: path.to_owned() }),
        };
    }
    for name in NAMES {
        let file = path.join(name);
        if file.exists() {
            return if name.ends_with(".json") { shards(&file) } else { Ok(vec![file]) };
        }
    }
    let mut checkpoints: Vec<PathBuf> = std::fs::read_dir(path)
        .map_err(read_error)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        // fair-esm keeps a model's contact regression beside it, under the model's name.
        .filter(|file| {
            let name = file.file_name().and_then(OsStr::to_str).unwrap_or_default();
            name.ends_with(".pt") && !name.ends_with("-contact-regression.pt")
        })
        .collect();
    checkpoints.sort();
    match checkpoints.len() {
        1 => Ok(checkpoints),
        0 => Err(Error::NoWeights {
            path: path.to_owned(),
            looked_for: NAMES.iter().copied().chain(["*.pt"]).map(String::from).collect(),
        }),
        _ => Err(Error::ManyCheckpoints {
            path: path.to_owned(),
            found: checkpoints
                .iter()
                .filter_map(|file| Some(file.file_name()?.to_string_lossy().into_owned()))
                .collect(),
        }),
    }
}

/// The shards that an index names, each once, in the directory of the index.
pub(crate) fn shards(index: &Path) -> Result<Vec<PathBuf>, Error> {
    let text = std::fs::read(index).map_err(|source| Error::ReadModel { path: index.to_owned(), source })?;
    let json: serde_json::Value =
        serde_json::from_slice(&text).map_err(|source| Error::Json { path: index.to_owned(), source })?;
    let refused = |shard| Error::ShardIndex { path: index.to_owned(), shard };
    let map = json.get("weight_map").and_then(serde_json::Value::as_object);
    let mut files = BTreeSet::new();
    for shard in map.filter(|map| !map.is_empty()).ok_or_else(|| refused(None))?.values() {
        // An index is somebody else's text: it names files beside itself and no others.
        let is_name = |name: &&str| {
            let mut parts = Path::new(name).components();
            matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None))
        };
        let name = shard.as_str().filter(is_name).ok_or_else(|| refused(Some(shard.to_string())))?;
        files.insert(index.with_file_name(name));
    }
    Ok(files.into_iter().collect())
}

/// Whether a directory has weights in Hugging Face layout, with all shards of its index.
pub(crate) fn are_whole(directory: &Path) -> bool {
    let best = NAMES.iter().map(|name| directory.join(name)).find(|file| file.exists());
    best.is_some_and(|file| match file.extension().and_then(OsStr::to_str) {
        Some("json") => shards(&file).is_ok_and(|shards| shards.iter().all(|shard| shard.exists())),
        _ => true,
    })
}
