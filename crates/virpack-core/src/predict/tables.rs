//! Writes the tables of a run, from items in input order. Standard output gets only the table of records.

use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Map, Value};
use virpack_seq::Record;

use super::PredictOptions;
use super::files::Files;
use super::pairing::ScoredItem;
use crate::Error;
use crate::calls::{
    CallTables, CompleteCalls, RecordFacts, RecordScoring, ScoredChunk, add_scores, begin_line, is_plot,
    judge, table,
};
use crate::files::StagedFiles;
use crate::output::{OutputError, TextTable, about, is_stdout};

/// The tables of a run, not yet published.
pub(super) struct Tables<'a> {
    options: &'a PredictOptions,
    scoring: RecordScoring,
    /// The tables that follow from the scores.
    pub(super) calls: CallTables,
    /// `frames.tsv`; `None` if `calls` go to standard output.
    frames: Option<TextTable>,
    /// Memory that its lines reuse.
    line: String,
    record: Option<OpenRecord>,
}

/// Complete tables that are not renamed yet.
pub(super) struct CompleteTables {
    whole: StagedFiles,
    calls: CompleteCalls,
}

/// The current record and its chunks.
struct OpenRecord {
    record: Arc<Record>,
    chunks: Vec<ScoredChunk>,
}

impl<'a> Tables<'a> {
    /// Opens all tables under temporary names, or one to standard output. Chunks have `chunk_length` bases.
    pub(super) fn create(options: &'a PredictOptions, chunk_length: usize) -> Result<Self, Error> {
        const COLUMNS: &str =
            "sequence_id source chunk frame start end strand prediction score_other score_virus record";
        let scoring = options.scoring(chunk_length);
        let calls = CallTables::create(&options.output, &options.inputs, &options.calls, &scoring, true)?;
        let frames =
            || table(&Files::in_directory(&options.output).frames, options.inputs.len() > 1, COLUMNS);
        let frames = (!is_stdout(&options.output)).then(frames).transpose()?;
        Ok(Tables { options, scoring, calls, frames, line: String::new(), record: None })
    }

    /// Writes a record with all its chunks.
    pub(super) fn write_record(
        &mut self,
        record: Arc<Record>,
        chunks: Vec<ScoredChunk>,
    ) -> Result<(), OutputError> {
        self.write(ScoredItem::Record(record))?;
        chunks.into_iter().try_for_each(|chunk| self.write(ScoredItem::Chunk(chunk)))?;
        self.write(ScoredItem::End)
    }

    /// Writes items and returns the time that it took.
    pub(super) fn write_all(&mut self, done: Vec<ScoredItem>) -> Result<Duration, OutputError> {
        let start = Instant::now();
        done.into_iter().try_for_each(|done| self.write(done))?;
        if self.frames.is_none() {
            // The reader of a pipe gets every finished row.
            self.calls.flush()?;
        }
        Ok(start.elapsed())
    }

    /// Returns the files of the published output, and the directory of plots.
    pub(super) fn names(&self) -> Vec<PathBuf> {
        let files = Files::in_directory(&self.options.output);
        let own = self.frames.as_ref().map(|_| [files.frames, files.run_json]);
        let mut names: Vec<_> = own.into_iter().flatten().chain(self.calls.names()).collect();
        names.sort();
        names
    }

    fn write(&mut self, done: ScoredItem) -> Result<(), OutputError> {
        match done {
            ScoredItem::Record(record) => self.record = Some(OpenRecord { record, chunks: Vec::new() }),
            ScoredItem::Chunk(chunk) => {
                let OpenRecord { record, chunks } = self.record.as_mut().expect("a chunk follows its record");
                if let Some(frames) = &mut self.frames {
                    let (line, sources, number) = (&mut self.line, self.calls.sources(), chunks.len() + 1);
                    write_frames(frames, line, record, sources, (number, &chunk))?;
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

    /// Completes all files and `run.json`, which holds `report`. Returns `None` for standard output.
    pub(super) fn complete(self, report: &Map<String, Value>) -> Result<Option<CompleteTables>, Error> {
        let Some(mut calls) = self.calls.complete(report)? else { return Ok(None) };
        let mut sides = std::mem::take(&mut calls.whole);
        sides.extend(self.frames.map(TextTable::finish).transpose()?.flatten());
        let main = about::write_run(&Files::in_directory(&self.options.output).run_json, report, &sides)?;
        Ok(Some(CompleteTables { whole: StagedFiles { main, sides }, calls }))
    }
}

impl CompleteTables {
    /// Renames the files into place, `run.json` last. With `replace`, existing ones are replaced.
    pub(super) fn publish(mut self, replace: bool) -> Result<(), OutputError> {
        self.calls.publish_plots(|name| replace && is_plot(name))?;
        Ok(self.whole.publish(replace, &self.calls.stale)?)
    }
}

/// Writes the frames of a chunk, whose number in its record counts from 1. Reuses the memory of `line`.
fn write_frames(
    table: &mut TextTable,
    line: &mut String,
    record: &Record,
    sources: &[String],
    (number, chunk): (usize, &ScoredChunk),
) -> Result<(), OutputError> {
    if chunk.frames.is_empty() {
        return Ok(());
    }
    begin_line(line, &record.id, record.source, sources);
    let first = line.len();
    for frame in &chunk.frames {
        let strand = if frame.frame.is_reverse() { "-" } else { "+" };
        let (name, start, end) = (frame.frame.as_str(), frame.codons.start + 1, frame.codons.end);
        let label = frame.scores.label();
        line.truncate(first);
        write!(line, "\t{number}\t{name}\t{start}\t{end}\t{strand}\t{label}")
            .expect("a string takes any text");
        add_scores(line, Some(frame.scores));
        writeln!(line, "\t{}", record.index).expect("a string takes any text");
        table.whole_line(line)?;
    }
    Ok(())
}
