//! Pages of HTML that show runs: `report.html` of `predict`, a comparison of runs, the page of `embed`, and
//! a file for MultiQC.
//!
//! A page is one self-contained file with style, script and data, and its Content-Security-Policy allows
//! nothing else. Templates are in `html/`, and `html/CONTRACT.md` lists their variables. Text of the input
//! is escaped everywhere.

mod assets;
mod axis;
mod best;
mod charts;
mod compare;
mod data_block;
mod embed_page;
mod facts;
mod filters;
mod multiqc;
mod page;
mod pca;
mod rates;
mod record;
mod rows;
mod summary;
#[cfg(test)]
mod tests;
mod tracks;

use std::borrow::Cow;

pub(crate) use compare::{ComparedRun, compare_page, is_comparison};
pub(crate) use embed_page::EmbedPageBuilder;
pub(crate) use page::{Page, PageBuilder, PageOptions};
pub(crate) use rates::Rates;
pub(crate) use record::{PageChunk, PageFrame, PageRecord, PageRegion};
pub(crate) use summary::Summary;
use virpack_seq::Hint;

/// The errors of a page.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HtmlError {
    /// `run.json` lacks a value that every run has.
    #[error("run.json lacks `{path}`")]
    Fact {
        /// The names that lead to it.
        path: &'static str,
    },
    /// A template whose variables do not match its values.
    #[error("a template of a page: {0}")]
    Template(#[from] minijinja::Error),
    /// The file for MultiQC that could not be written as JSON.
    #[error("a file for MultiQC: {0}")]
    Json(#[source] serde_json::Error),
}

impl Hint for HtmlError {
    fn hint(&self) -> Option<Cow<'_, str>> {
        match self {
            HtmlError::Fact { .. } => {
                Some("run `predict` again: the file is of another version or was changed".into())
            }
            HtmlError::Template(_) | HtmlError::Json(_) => None,
        }
    }
}
