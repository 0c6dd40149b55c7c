//! The tables of a run: what is done goes in, in input order. Standard output gets that of the records alone.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Map, Value};
use virpack_seq::Record;

use super::PredictOptions;
use super::files::Files;
use super::pairing::ScoredItem;
use super::reference::Reference;
use crate::Error;
use crate::calls::{
    CallTables, CompleteCalls, RecordFacts, RecordScoring, ScoreText, ScoredChunk, ScoredFrame, judge,
    record_columns, score_columns, table, truth,
};
use crate::files::{PendingFile, StagedFiles};
use crate::output::{OutputError, TextTable, about, is_stdout};

/// The tables on their way into their directory.
pub(super) struct Tables<'a> {
    options: &'a PredictOptions,
    scoring: RecordScoring,
    /// What follows from the scores.
    pub(super) calls: CallTables,
    /// The scores themselves. None: `calls` go to standard output, and these nowhere.
    scores: Option<ScoreTables>,
    record: Option<OpenRecord>,
}

/// The files that hold scores.
struct ScoreTables {
    files: Files,
    frames: TextTable,
    chunks: TextTable,
    reference: Option<Reference>,
}

/// Tables that are whole and have no names yet.
pub(super) struct CompleteTables {
    whole: StagedFiles,
    calls: CompleteCalls,
    /// Files of another run, which are removed: they do not belong to these tables.
    stale: Vec<PathBuf>,
}

/// The record whose chunks come.
struct OpenRecord {
    record: Arc<Record>,
    chunks: Vec<ScoredChunk>,
}

impl<'a> Tables<'a> {
    /// Opens all tables under temporary names, or one to standard output; chunks have so many bases.
    pub(super) fn create(options: &'a PredictOptions, chunk_length: usize) -> Result<Self, Error> {
        let has_files = !is_stdout(&options.output);
        let draw = options.plot.map(|draw| (draw, options.max_plots));
        let calls = CallTables::create(&options.output, &options.inputs, options.calls, draw)?;
        Ok(Tables {
            options,
            scoring: options.scoring(chunk_length),
            calls,
            scores: has_files.then(|| ScoreTables::create(options)).transpose()?,
            record: None,
        })
    }

    /// Writes what is done; gives the time that took.
    pub(super) fn write_all(&mut self, done: Vec<ScoredItem>) -> Result<Duration, OutputError> {
        let start = Instant::now();
        done.into_iter().try_for_each(|done| self.write(done))?;
        if self.scores.is_none() {
            // A reader of a pipe gets what is there.
            self.calls.flush()?;
        }
        Ok(start.elapsed())
    }

    /// The files that stand there in the end.
    pub(super) fn names(&self) -> Vec<PathBuf> {
        let scores = self.scores.iter().flat_map(|scores| scores.files.own(self.options.compat.is_some()));
        scores.map(Path::to_owned).chain(self.calls.names()).collect()
    }

    fn write(&mut self, done: ScoredItem) -> Result<(), OutputError> {
        match done {
            ScoredItem::Record(record) => self.record = Some(OpenRecord { record, chunks: Vec::new() }),
            ScoredItem::Chunk(chunk) => {
                let OpenRecord { record, chunks } = self.record.as_mut().expect("a chunk follows its record");
                if let Some(scores) = &mut self.scores {
                    let number = chunks.len() as u64 + 1;
                    let verdict = chunk.highest().map(|highest| self.options.calls.is_viral(highest));
                    scores.chunk(record, self.calls.sources(), number, &chunk, verdict)?;
                }
                chunks.push(chunk);
            }
            ScoredItem::End => {
                let OpenRecord { record, chunks } = self.record.take().expect("a record ends once");
                let facts = RecordFacts::of(&record, self.options.min_length);
                let judged = judge(facts, chunks, &self.options.calls, &self.scoring);
                self.calls.add(&judged, &record.sequence)?;
            }
        }
        Ok(())
    }

    /// Makes all files whole, `run.json`, which holds `report`, too. None where all went to standard output.
    pub(super) fn complete(self, report: &Map<String, Value>) -> Result<Option<CompleteTables>, Error> {
        let Some(mut calls) = self.calls.complete()? else { return Ok(None) };
        let Some(scores) = self.scores else { return Ok(None) };
        let stale = scores.files.reference().into_iter().filter(|_| scores.reference.is_none());
        let stale = stale.map(Path::to_owned).collect();
        let main = about::write(&scores.files.report, report)?;
        let mut sides = scores.finish()?;
        sides.append(&mut calls.whole);
        Ok(Some(CompleteTables { whole: StagedFiles { main, sides }, calls, stale }))
    }
}

impl ScoreTables {
    fn create(options: &PredictOptions) -> Result<Self, OutputError> {
        let files = Files::in_directory(&options.output);
        let has_sources = options.inputs.len() > 1;
        let reference = options.compat.map(|compat| Reference::create(&files, compat)).transpose()?;
        Ok(ScoreTables {
            frames: table(
                &files.frames,
                has_sources,
                "sequence_id source chunk frame start end strand prediction score_other score_virus record",
            )?,
            chunks: table(
                &files.chunks,
                has_sources,
                "sequence_id source chunk start end frames is_virus max_score_other max_score_virus status \
                 record",
            )?,
            reference,
            files,
        })
    }

    /// Writes a chunk and its frames: the chunk of that number in its record, from 1.
    fn chunk(
        &mut self,
        record: &Record,
        sources: &[String],
        number: u64,
        chunk: &ScoredChunk,
        verdict: Option<bool>,
    ) -> Result<(), OutputError> {
        let mut row = record_columns(&record.id, record.source, sources);
        row.push(number.to_string());
        let beginning = row.len();
        for frame in &chunk.frames {
            row.truncate(beginning);
            row.extend(frame_columns(frame));
            row.push(record.index.to_string());
            self.frames.line(&row)?;
        }
        row.truncate(beginning);
        row.extend([(chunk.bases.start + 1).to_string(), chunk.bases.end.to_string()]);
        row.extend([chunk.frames.len().to_string(), truth(verdict).to_owned()]);
        row.extend(score_columns(chunk.highest()));
        row.extend([chunk.status().as_str().to_owned(), record.index.to_string()]);
        self.chunks.line(&row)?;
        self.reference.as_mut().map_or(Ok(()), |reference| reference.chunk(record, number, chunk))
    }

    fn finish(self) -> Result<Vec<PendingFile>, OutputError> {
        let tables = [self.frames.finish()?, self.chunks.finish()?].into_iter().flatten();
        let reference = self.reference.map(Reference::finish).transpose()?;
        Ok(tables.chain(reference.into_iter().flatten()).collect())
    }
}

impl CompleteTables {
    /// Gives the files their names, `run.json` last; with `replace`, older ones give way.
    pub(super) fn publish(mut self, replace: bool) -> Result<(), OutputError> {
        self.calls.publish_plots(replace)?;
        Ok(self.whole.publish(replace, &self.stale)?)
    }
}

fn frame_columns(frame: &ScoredFrame) -> [String; 7] {
    let strand = if frame.frame.is_reverse() { "-" } else { "+" };
    let [other, virus] = ScoreText::both(frame.scores).map(|score| score.to_string());
    [
        frame.frame.as_str().to_owned(),
        (frame.codons.start + 1).to_string(),
        frame.codons.end.to_string(),
        strand.to_owned(),
        frame.scores.label().to_owned(),
        other,
        virus,
    ]
}
