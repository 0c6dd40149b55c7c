//! The names of the files of one output, and the index that lists their tensors.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{ClosedShard, Layout, name, part};
use crate::files::{FileProblem, PendingFile, directory_of, place};
use crate::output::{OutputError, about};

/// Returns `STEM-00001-of-00003.safetensors`; `shard` counts from 1.
pub(in crate::output) fn shard_path(target: &Path, shard: usize, shards: usize) -> PathBuf {
    let mut name = target.file_stem().unwrap_or_default().to_os_string();
    name.push(format!("-{shard:05}-of-{shards:05}"));
    if let Some(ending) = target.extension() {
        name.push(".");
        name.push(ending);
    }
    target.with_file_name(name)
}

/// Returns `STEM.safetensors.index.json`.
fn index_path(target: &Path) -> PathBuf {
    let mut name: OsString = target.file_name().unwrap_or_default().to_os_string();
    name.push(".index.json");
    target.with_file_name(name)
}

/// Returns the index and the files that an earlier run left beside `target`, and the index that this run may
/// write.
///
/// # Errors
///
/// Returns [`OutputError`] if a store does not list its objects. A directory that cannot be read has an error
/// of its own.
pub(in crate::output) fn older(target: &Path) -> Result<Vec<PathBuf>, OutputError> {
    let mut found = vec![index_path(target)];
    let names = match place::names(&directory_of(target)) {
        Err(source) if place::url_of(target).is_some() => {
            return Err(FileProblem::make(target, source).into());
        }
        names => names.unwrap_or_default(),
    };
    found.extend(names.into_iter().map(|name| target.with_file_name(name)).filter(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // `-00001-of-00003` before the extension.
        let Some((numbers, _)) = name.rsplit_once("-of-") else { return false };
        let Some((_, shard)) = numbers.rsplit_once('-') else { return false };
        let shards = &name[numbers.len() + "-of-".len()..];
        let shards = shards.split('.').next().unwrap_or_default();
        match (shard.parse(), shards.parse()) {
            (Ok(shard), Ok(shards)) => *path == shard_path(target, shard, shards),
            _ => false,
        }
    }));
    Ok(found)
}

/// Writes the index of files that are renamed, or will be.
pub(super) fn index(
    target: &Path,
    layout: &Layout,
    shards: &[ClosedShard],
) -> Result<PendingFile, OutputError> {
    let (pending, file) = PendingFile::create(&index_path(target))?;
    write(file, layout, shards).map_err(OutputError::write(pending.target()))?;
    Ok(pending)
}

fn write(file: File, layout: &Layout, shards: &[ClosedShard]) -> io::Result<()> {
    let mut out = BufWriter::new(file);
    let mut metadata = about::object(&layout.about);
    metadata.insert("total_size".to_owned(), shards.iter().map(|shard| shard.bytes).sum::<u64>().into());
    write!(out, "{{\n  \"metadata\": {},\n  \"weight_map\": {{", Value::Object(metadata))?;
    let mut row = 0;
    for (i, shard) in shards.iter().enumerate() {
        let file = shard.pending.target().file_name().unwrap_or_default();
        let file = Value::from(file.to_string_lossy());
        if layout.residues {
            for row in row..shard.end {
                write!(out, "{}\n    \"{}\": {file}", if row > 0 { "," } else { "" }, name(row))?;
            }
        } else {
            write!(out, "{}\n    \"{}\": {file}", if i > 0 { "," } else { "" }, part(i))?;
        }
        row = shard.end;
    }
    write!(out, "\n  }}\n}}\n")?;
    out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_of_this_output_are_found_and_no_others() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let theirs =
            ["emb.safetensors", "emb-a-of-b.safetensors", "my-emb-00001-of-00002.safetensors", "x-of-1"];
        let ours = ["emb-00001-of-00002.safetensors", "emb-00002-of-00002.safetensors"];
        for name in theirs.iter().chain(&ours).chain(&["emb-1-of-2.safetensors", "emb-00001-of-00002.npy"]) {
            std::fs::write(at(name), "").unwrap();
        }
        let mut found = older(&at("emb.safetensors")).unwrap();
        found.sort();
        assert_eq!(found, [at(ours[0]), at(ours[1]), at("emb.safetensors.index.json")]);
        assert_eq!(shard_path(&at("a.b.st"), 2, 100_000), at("a.b-00002-of-100000.st"));
        assert_eq!(shard_path(&at("emb"), 1, 2), at("emb-00001-of-00002"));
    }
}
