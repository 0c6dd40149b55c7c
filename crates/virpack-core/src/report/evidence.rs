//! Reads the scores of a finished run from its tables, record by record.

use virpack_seq::{Frame, Input, shown_id};

use super::ReportProblem;
use super::table::Table;
use crate::calls::{RecordFacts, ScoredChunk, ScoredFrame, Status, source_names};
use crate::predict::Files;

// Indices into the lists of columns below.
const ID: usize = 0;
const DESCRIPTION: usize = 1;
const LENGTH: usize = 2;
const CHUNKS: usize = 3;
const STATUS: usize = 4;
const SOURCE: usize = 5;

const CHUNK: usize = 0;
const START: usize = 1;
const END: usize = 2;
const FRAMES: usize = 3;
const FRAME: usize = 3;
const OTHER: usize = 4;
const CHUNK_STATUS: usize = 6;
const CHUNK_RECORD: usize = 7;
const FRAME_RECORD: usize = 6;
const CHUNK_ID: usize = 8;
const FRAME_ID: usize = 7;

/// The tables of a finished run, which are read in parallel.
pub(super) struct EvidenceTables {
    /// The names of the inputs, if there are several.
    sources: Vec<String>,
    sequences: Table<6>,
    chunks: Table<9>,
    frames: Table<8>,
    /// The number of records so far.
    records: u64,
}

impl EvidenceTables {
    pub(super) fn open(files: &Files, inputs: &[Input]) -> Result<Self, ReportProblem> {
        let sources = source_names(inputs);
        // The column exists with several inputs only; otherwise nothing is read from it.
        let source = if sources.is_empty() { "sequence_id" } else { "source" };
        Ok(EvidenceTables {
            sources,
            sequences: Table::open(
                &files.calls.sequences,
                ["sequence_id", "description", "length", "chunks", "status", source],
            )?,
            chunks: Table::open(
                &files.calls.chunks,
                [
                    "chunk",
                    "start",
                    "end",
                    "frames",
                    "max_score_other",
                    "max_score_virus",
                    "status",
                    "record",
                    "sequence_id",
                ],
            )?,
            frames: Table::open(
                &files.frames,
                ["chunk", "start", "end", "frame", "score_other", "score_virus", "record", "sequence_id"],
            )?,
            records: 0,
        })
    }

    /// Returns the error of a record that differs from that of the inputs, which are those of the run.
    pub(super) fn not_of_input(&self) -> ReportProblem {
        self.sequences.wrong("the id, the description or the length is not that of the input".to_owned())
    }

    /// Returns the error of rows that are missing, because the inputs have more records.
    pub(super) fn lacks_rows(&self) -> ReportProblem {
        self.sequences.wrong("rows are missing at the end".to_owned())
    }

    /// Returns the next record and its chunks; None after the last one.
    pub(super) fn next(&mut self) -> Result<Option<(RecordFacts, Vec<ScoredChunk>)>, ReportProblem> {
        if !self.sequences.next()? {
            self.chunks.expect_end()?;
            self.frames.expect_end()?;
            return Ok(None);
        }
        let (row, index) = (&self.sequences, self.records);
        let facts = RecordFacts {
            index,
            id: row.text(ID).into(),
            description: row.text(DESCRIPTION).to_owned(),
            source: source(row, &self.sources)?,
            length: row.number(LENGTH)?,
            is_left_out: row.text(STATUS) == Status::BelowMinLength.as_str(),
        };
        let count: u64 = row.number(CHUNKS)?;
        let chunks = (1..=count).map(|number| self.chunk(index, number)).collect::<Result<_, _>>()?;
        self.records += 1;
        Ok(Some((facts, chunks)))
    }

    /// Returns the next chunk, which must have this number, from 1, in this record.
    fn chunk(&mut self, record: u64, number: u64) -> Result<ScoredChunk, ReportProblem> {
        let row = &mut self.chunks;
        row.expect_next()?;
        row.expect(CHUNK_RECORD, record)?;
        row.expect(CHUNK, number)?;
        same_id(&self.sequences, row.text(CHUNK_ID), "chunks.tsv")?;
        let bases = row.number::<usize>(START)?.wrapping_sub(1)..row.number(END)?;
        if bases.start > bases.end {
            return Err(row.wrong("the chunk ends before it starts".to_owned()));
        }
        let count: u64 = row.number(FRAMES)?;
        let by_nucleotides = row.text(CHUNK_STATUS) == Status::ClassifiedNucleotide.as_str();
        let whole = by_nucleotides.then(|| row.scores(OTHER)).transpose()?;
        let frame = |_| frame(&mut self.frames, &self.sequences, record, number);
        let frames = (0..count).map(frame).collect::<Result<_, _>>()?;
        let chunk = ScoredChunk { bases, frames, whole };
        let fits = match chunk.highest() {
            None => self.chunks.text(OTHER) == "NA",
            Some(highest) => self.chunks.scores(OTHER)? == highest,
        };
        if fits {
            Ok(chunk)
        } else {
            Err(self.chunks.wrong("the scores are not those of frames.tsv".to_owned()))
        }
    }
}

/// Refuses a record whose id in another table is not that of `sequences.tsv`.
fn same_id(row: &Table<6>, id: &str, table: &str) -> Result<(), ReportProblem> {
    let own = row.text(ID);
    let problem = || format!("the id is {} here and {} in {table}", shown_id(own), shown_id(id));
    if own == id { Ok(()) } else { Err(row.wrong(problem())) }
}

/// Returns the number of the input in a row of `sequences.tsv`; 0 if there is one input.
fn source(row: &Table<6>, sources: &[String]) -> Result<u32, ReportProblem> {
    if sources.is_empty() {
        return Ok(0);
    }
    let place = sources.iter().position(|source| source == row.text(SOURCE));
    let place = place.and_then(|place| u32::try_from(place).ok());
    place.ok_or_else(|| row.wrong(format!("{:?} is no input of the run", row.text(SOURCE))))
}

/// Returns the next frame, which must belong to this chunk of this record.
fn frame(
    row: &mut Table<8>,
    sequences: &Table<6>,
    record: u64,
    chunk: u64,
) -> Result<ScoredFrame, ReportProblem> {
    row.expect_next()?;
    row.expect(FRAME_RECORD, record)?;
    row.expect(CHUNK, chunk)?;
    same_id(sequences, row.text(FRAME_ID), "frames.tsv")?;
    let frame = Frame::ALL.into_iter().find(|frame| frame.as_str() == row.text(FRAME));
    let frame = frame.ok_or_else(|| row.wrong(format!("{:?} is no reading frame", row.text(FRAME))))?;
    let codons = row.number::<usize>(START)?.wrapping_sub(1)..row.number(END)?;
    Ok(ScoredFrame { frame, codons, scores: row.scores(OTHER)? })
}
