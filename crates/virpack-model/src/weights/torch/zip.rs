//! The zip archive that torch writes since 1.6.

use std::io::{self, Cursor, Read, Seek};

use zip::{CompressionMethod, ZipArchive};

use super::{CheckpointError, Storages};

/// Finds the pickle and the storages in an archive.
pub(super) fn open(file: &[u8]) -> Result<(&[u8], Storages), CheckpointError> {
    let damaged = |error: zip::result::ZipError| CheckpointError::Archive { reason: error.to_string() };
    let mut archive = ZipArchive::new(Cursor::new(file)).map_err(damaged)?;
    let mut pickle = None;
    let mut storages = Storages::new();
    for index in 0..archive.len() {
        let entry = archive.by_index_raw(index).map_err(damaged)?;
        // Everything is in one folder, named after the file that was first written.
        let full_name = entry.name().map_err(damaged)?;
        let Some((_, name)) = full_name.split_once('/') else { continue };
        let key = name.strip_prefix("data/");
        if key.is_none() && !matches!(name, "data.pkl" | "byteorder") {
            continue;
        }
        let problem = |problem| CheckpointError::Entry { entry: full_name.to_string(), problem };
        if entry.compression() != CompressionMethod::Stored {
            return Err(problem("compressed"));
        }
        let start = entry.data_start().and_then(|start| usize::try_from(start).ok());
        let range = start.and_then(|start| Some(start..start.checked_add(entry.size().try_into().ok()?)?));
        let range = range.filter(|range| range.end <= file.len()).ok_or_else(|| problem("cut short"))?;
        match key {
            Some(key) => {
                storages.insert(key.to_owned(), range);
            }
            None if name == "byteorder" && &file[range.clone()] == b"big" => {
                return Err(problem("big-endian"));
            }
            None if name == "data.pkl" => pickle = Some(&file[range]),
            None => {}
        }
    }
    Ok((pickle.ok_or(CheckpointError::NoEntry { entry: "data.pkl" })?, storages))
}

/// Compares every entry of an archive with the CRC-32 that the archive has of it.
pub(super) fn check(file: impl Read + Seek) -> Result<(), CheckpointError> {
    let damaged = |reason: String| CheckpointError::Archive { reason };
    let mut archive = ZipArchive::new(file).map_err(|error| damaged(error.to_string()))?;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(|error| damaged(error.to_string()))?;
        io::copy(&mut entry, &mut io::sink()).map_err(|error| damaged(format!("entry {index}: {error}")))?;
    }
    Ok(())
}
