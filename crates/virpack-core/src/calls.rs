//! What follows from the scores of a record's chunks: its score and call, its regions, and all files that
//! tell of them.
//!
//! Nothing here is computed by a model. A record comes with its scored chunks, is judged, and its rows are
//! written, so that a finished run could be judged again from its tables.

mod best;
mod chunk;
mod counts;
mod files;
mod judged;
mod options;
mod plots;
mod proviruses;
mod score_text;
mod scores;
mod scoring;
mod tables;
mod track;

pub use best::NotedRecord;
pub use chunk::Status;
pub(crate) use chunk::{ScoredChunk, ScoredFrame};
pub use counts::{Counts, RecordCount};
pub(crate) use files::CallFiles;
pub(crate) use judged::{RecordFacts, judge};
pub use options::CallOptions;
pub(crate) use score_text::ScoreText;
pub(crate) use scores::{SCORES_BYTES, Scores};
pub(crate) use scoring::RecordScoring;
pub(crate) use tables::{CallTables, CompleteCalls, record_columns, score_columns, table, truth};
pub use track::{Draw, Track};
