//! What the fuzz targets call, as it is private otherwise. No part of the library's interface.

use std::path::Path;

use crate::output::ShardFacts;
use crate::output::cell;
use crate::resume::Manifest;

/// The cells of a row as text tables have them, TAB between them, without the line's end.
#[must_use]
pub fn row(cells: &[String]) -> String {
    cells.iter().map(|text| cell(text)).collect::<Vec<_>>().join("\t")
}

/// A checkpoint's manifest, read and written, with the entries of its parts and the largest number of a file; None for
/// anything else.
#[must_use]
pub fn manifest(text: &[u8]) -> Option<(String, u64, u64)> {
    let manifest = Manifest::of_json(text, Path::new("")).ok()?;
    let last = manifest.numbers().max().unwrap_or(0);
    Some((manifest.to_json().to_string(), manifest.entries(), last))
}

/// A text with the checksum of a manifest that holds what it holds; None for what is no JSON object.
#[must_use]
pub fn signed_manifest(text: &[u8]) -> Option<String> {
    Manifest::signed(text)
}

/// What a shard says of itself, read and written; None for anything else.
#[must_use]
pub fn shard(text: &[u8]) -> Option<String> {
    ShardFacts::of_json(text).map(|facts| facts.to_json())
}
