//! Derives everything that follows from the scores of a record's chunks: its score, call and regions, and
//! all files that list them.
//!
//! No model computes anything here. A record arrives with its scored chunks, is judged, and its rows are
//! written. A finished run can therefore be judged again from its tables.

mod best;
mod chunk;
mod chunk_table;
mod contigs;
mod counts;
mod external_sort;
mod files;
mod judged;
mod options;
mod page;
mod plots;
mod proviruses;
mod recorded;
mod score_text;
mod scores;
mod scoring;
mod summary;
mod table;
mod tables;
mod track;
mod virnucpro;

pub use best::NotedRecord;
pub(crate) use chunk::Status;
pub(crate) use chunk::{ScoredChunk, ScoredFrame};
pub use counts::{Counts, RecordCount};
pub(crate) use files::CallFiles;
pub(crate) use judged::{JudgedRecord, RecordFacts, judge};
pub use options::CallOptions;
pub(crate) use plots::is_plot;
pub(crate) use scores::Scores;
pub(crate) use scoring::RecordScoring;
pub use summary::CallSummary;
pub(crate) use table::{add_scores, begin_line, source_names, table};
pub(crate) use tables::{CallTables, CompleteCalls};
// What the program's drawing takes and gives.
#[doc(hidden)]
pub use track::{Draw, DrawError, Track};
pub use virnucpro::Compat;
