//! Pages of HTML that show runs: `report.html` of `predict`, a comparison of runs, the page of `embed`, and a
//! file for MultiQC.
//!
//! A page is one file without any other: style, script and data are in it, and its Content-Security-Policy
//! allows nothing else. Templates are in `html/`, and `html/CONTRACT.md` lists what they take. Text of the
//! input is escaped wherever it goes.
//!
//! ```
//! use virpack_core::html::{PageBuilder, PageOptions, PageRecord, Rates};
//! use virpack_core::verdict::Call;
//! # let run = serde_json::json!({
//! #     "virpack": "0.1.0", "output": "soil", "inputs": [{"path": "soil.fasta"}],
//! #     "seconds": {"all": 1.0}, "devices": [],
//! #     "models": {"name": "virpack-mini", "protein": "a", "nucleotide": "b", "files": []},
//! #     "options": {"length": 500, "genetic_code": 1},
//! # });
//! # let run = run.as_object().expect("an object");
//! let mut page = PageBuilder::new(PageOptions { prevalence: Some(0.1), ..PageOptions::new(0.7, 0.5) });
//! page.add(&PageRecord {
//!     id: "contig_1",
//!     length: 4_200,
//!     status: "classified",
//!     call: Some(Call::Viral),
//!     score: Some(0.93),
//!     fdr: Some(0.02),
//!     ..PageRecord::default()
//! });
//! // `run` is the object of run.json, the closure a model's calibration.
//! let rates = Rates::new(|threshold| (0.1 * (1.0 - threshold), 1.0 - 0.3 * threshold));
//! let page = page.finish(run, Some(&rates))?;
//! assert!(page.html.contains("contig_1") && page.multiqc.contains("virpack_calls"));
//! # Ok::<(), virpack_core::html::HtmlError>(())
//! ```

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

pub use compare::{ComparedRun, compare_page};
pub use embed_page::EmbedPageBuilder;
#[doc(hidden)]
pub use filters::grouped;
pub use page::{Page, PageBuilder, PageOptions};
pub use rates::Rates;
pub use record::{PageChunk, PageFrame, PageRecord, PageRegion};
pub use summary::{BestRecord, Count, Summary};
use virpack_seq::Hint;

/// What can go wrong when a page is made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HtmlError {
    /// `run.json` lacks a value that every run has.
    #[error("run.json lacks `{path}`")]
    Fact {
        /// The names that lead to it.
        path: &'static str,
    },
    /// A template does not fit what it is given.
    #[error("a template of a page: {0}")]
    Template(#[from] minijinja::Error),
    /// The file for MultiQC could not be written as JSON.
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
