//! Makes the page about an output's rows while they are written.

use std::path::Path;

use serde_json::{Map, Value};

use super::{OutputError, Row};
use crate::files::PendingFile;
use crate::html::EmbedPageBuilder;

/// The builder of the page.
pub(super) struct PageOfRows(EmbedPageBuilder);

impl PageOfRows {
    /// Begins a page of rows of `hidden` values.
    pub(super) fn new(hidden: usize) -> Self {
        PageOfRows(EmbedPageBuilder::new(hidden))
    }

    /// Adds the next row of the output, `[hidden]`.
    pub(super) fn add(&mut self, row: &Row, values: &[f32]) {
        self.0.add(&row.id, row.length, row.truncated, values);
    }

    /// Writes the page of the run that `facts` describe, for `target`, which is not renamed yet.
    pub(super) fn write(self, target: &Path, facts: &Map<String, Value>) -> Result<PendingFile, OutputError> {
        Ok(PendingFile::whole(target, self.0.finish(facts)?.as_bytes())?)
    }
}
