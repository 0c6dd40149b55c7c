//! Which files of a directory are a model's weights.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Component, Path};

use crate::Error;
use crate::model::location::Location;

/// The names of weights in Hugging Face layout, best first.
pub(crate) const NAMES: [&str; 4] = [
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
];

/// The weights files at `location`: the file itself, all shards of an index, or the best of a directory.
pub(super) fn find(location: &Location) -> Result<Vec<Location>, Error> {
    location.check()?;
    let path = location.path();
    if !location.is_directory() {
        return match path.extension().and_then(OsStr::to_str) {
            Some("json") => shards(location),
            Some("safetensors" | "bin" | "pt" | "pth" | "ckpt") => Ok(vec![location.clone()]),
            _ => Err(Error::UnknownWeights { path }),
        };
    }
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
        0 => Err(Error::NoWeights {
            path,
            looked_for: NAMES.iter().copied().chain(["*.pt"]).map(String::from).collect(),
        }),
        _ => Err(Error::ManyCheckpoints { path, found: checkpoints }),
    }
}

/// The shards that an index names, each once, in the directory of the index.
pub(crate) fn shards(index: &Location) -> Result<Vec<Location>, Error> {
    let json: serde_json::Value = serde_json::from_slice(&index.read()?)
        .map_err(|source| Error::Json { path: index.path(), source })?;
    let refused = |shard| Error::ShardIndex { path: index.path(), shard };
    let map = json.get("weight_map").and_then(serde_json::Value::as_object);
    let mut files = BTreeSet::new();
    for shard in map.filter(|map| !map.is_empty()).ok_or_else(|| refused(None))?.values() {
        // An index is somebody else's text: it names files beside itself and no others.
        let is_name = |name: &&str| {
            let mut parts = Path::new(name).components();
            matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None))
        };
        files.insert(shard.as_str().filter(is_name).ok_or_else(|| refused(Some(shard.to_string())))?);
    }
    Ok(files.into_iter().map(|name| index.parent().join(name)).collect())
}

/// Whether a directory has weights in Hugging Face layout, with all shards of its index.
pub(crate) fn are_whole(directory: &Path) -> bool {
    let best = NAMES.iter().map(|name| directory.join(name)).find(|file| file.exists());
    best.is_some_and(|file| match file.extension().and_then(OsStr::to_str) {
        Some("json") => shards(&file.into()).is_ok_and(|shards| shards.iter().all(Location::exists)),
        _ => true,
    })
}
