//! Writes VirNucPro's two files, in its layout.

use std::borrow::Cow;

use virpack_seq::escaped;

use super::chunk::ScoredChunk;
use super::external_sort::ExternalSort;
use super::files::CallFiles;
use super::judged::JudgedRecord;
use super::score_text::ScoreText;
use super::scores::Scores;
use crate::files::PendingFile;
use crate::output::{OutputError, TextFile};

/// Which program's columns VirNucPro's file of chunks has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compat {
    /// VirNucPro's: `Modified_ID`, `Is_Virus`.
    #[default]
    VirNucPro,
    /// Those of the rewrite (virnucpro-broad): with `max_score_0` and `max_score_1` too.
    Broad,
}

impl Compat {
    /// Returns the layout of this name.
    pub(crate) fn named(word: &str) -> Option<Self> {
        [Compat::VirNucPro, Compat::Broad].into_iter().find(|compat| compat.as_str() == word)
    }

    /// Returns the name of the layout.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Compat::VirNucPro => "virnucpro",
            Compat::Broad => "broad",
        }
    }
}

/// The writers of `prediction_results.txt` and `prediction_results_highestscore.csv`.
pub(super) struct VirNucProFiles {
    frames: TextFile,
    chunks: TextFile,
    sorted: ExternalSort<Scores>,
    compat: Compat,
}

impl VirNucProFiles {
    pub(super) fn create(files: &CallFiles, compat: Compat) -> Result<Self, OutputError> {
        let sorted = ExternalSort::new(&files.highest);
        let (mut frames, mut chunks) = (TextFile::create(&files.results)?, TextFile::create(&files.highest)?);
        frames.write(&[b"Sequence_ID\tPrediction\tscore1\tscore2\n"])?;
        chunks.write(&[match compat {
            Compat::VirNucPro => b"Modified_ID\tIs_Virus\n" as &[u8],
            Compat::Broad => b"Modified_ID\tIs_Virus\tmax_score_0\tmax_score_1\n",
        }])?;
        Ok(VirNucProFiles { frames, chunks, sorted, compat })
    }

    /// Writes the chunks of a record. VirNucPro leaves chunks without an open frame out of both files.
    pub(super) fn add(&mut self, record: &JudgedRecord) -> Result<(), OutputError> {
        let mut chunks = (1_u64..).zip(&record.chunks);
        chunks.try_for_each(|(number, chunk)| self.chunk(&record.facts.id, number, chunk))
    }

    fn chunk(&mut self, id: &str, number: u64, chunk: &ScoredChunk) -> Result<(), OutputError> {
        let Some(highest) = chunk.highest_of_frames() else { return Ok(()) };
        let id = format!("{}_chunk_{number}", escaped(id));
        for frame in &chunk.frames {
            let [other, virus] = ScoreText::both(frame.scores);
            let (name, label) = (frame.frame.as_str(), frame.scores.label());
            let row = format!("{id}{name}\t{label}\t{other}\t{virus}\n");
            self.frames.write(&[row.as_bytes()])?;
        }
        self.sorted.push(id, highest)
    }

    /// Writes the chunks, sorted by id, a row for each. VirNucPro treats chunks with equal ids as one, and
    /// so merges records with duplicate ids. Here each record keeps its rows, in input order.
    pub(super) fn finish(self) -> Result<Vec<PendingFile>, OutputError> {
        let VirNucProFiles { frames, mut chunks, sorted, compat } = self;
        sorted.finish(|id, highest| {
            let verdict = if highest.is_viral() { "True" } else { "False" };
            let [other, virus] = ScoreText::both(highest);
            let row = match compat {
                Compat::VirNucPro => format!("{}\t{verdict}\n", quoted(id)),
                Compat::Broad => format!("{}\t{verdict}\t{other}\t{virus}\n", quoted(id)),
            };
            chunks.write(&[row.as_bytes()])
        })?;
        Ok([frames.finish()?, chunks.finish()?].into_iter().flatten().collect())
    }
}

/// Returns a field as pandas writes it: in quotes if it contains a quote.
fn quoted(id: &str) -> Cow<'_, str> {
    if id.contains('"') { format!("\"{}\"", id.replace('"', "\"\"")).into() } else { id.into() }
}
