//! The page about an output's rows, made while they pass by.

use std::path::Path;

use serde_json::{Map, Value};

use super::{OutputError, Row};
use crate::files::PendingFile;
use crate::html::EmbedPageBuilder;

/// What the page is made of.
pub(super) struct PageOfRows(EmbedPageBuilder);

impl PageOfRows {
    /// Begins a page of rows of `hidden` values.
    pub(super) fn new(hidden: usize) -> Self {
        PageOfRows(EmbedPageBuilder::new(hidden))
    }

    /// Takes the next row of the output, `[hidden]`.
    pub(super) fn add(&mut self, row: &Row, values: &[f32]) {
        self.0.add(&row.id, row.length, row.truncated, values);
    }

    /// Makes `target`, the page of the run that `facts` describes; it has no name yet.
    pub(super) fn write(self, target: &Path, facts: &Map<String, Value>) -> Result<PendingFile, OutputError> {
        Ok(PendingFile::whole(target, self.0.finish(facts)?.as_bytes())?)
    }
}
