//! Makes a part with a loaded model: its file, then its report.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use virpack_device::{Device, Dtype};
use virpack_model::size_and_sha256;
use virpack_seq::reader::{self, Change, ReadProgress};
use virpack_seq::{ReadLimits, Record, Records, SkippedRecord};

use super::part_report::{PartReport, ScoredCounts};
use super::part_state::{Look, PartProblem};
use super::planned::PlannedPart;
use super::score_table::ScoreTable;
use super::{Plan, PlanProblem};
use crate::Error;
use crate::calls::ScoredChunk;
use crate::cancel::CancelToken;
use crate::embedder::{Embedder, for_model};
use crate::event::Event;
use crate::files::{FileProblem, PendingFile, place, sha256_of};
use crate::output::{OutputOptions, PartWriter, about};
use crate::predict::{Predictor, ScoredItem};

/// Rows that a model returns at once.
const ROWS: NonZeroUsize = NonZeroUsize::new(256).expect("it is not 0");

/// The results of making a part.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PartSummary {
    /// Its number, from 1.
    pub number: u64,
    /// Its file.
    pub path: PathBuf,
    /// Whether it existed and was left unchanged.
    pub was_there: bool,
    /// Its records.
    pub records: u64,
    /// Records with an embedding; for `predict` all records, each with the scores that it can have.
    pub rows: u64,
    /// Records without an embedding, each with a reason.
    pub skipped: u64,
    /// Tokens computed for it, special tokens included.
    pub tokens: u64,
    /// SHA-256 of its file, in hexadecimal digits.
    pub sha256: String,
    /// The time that this call took.
    pub elapsed: Duration,
}

/// What a part consists of, beside its file.
struct Made {
    dtype: Dtype,
    computed_by: Vec<Vec<String>>,
    rows: u64,
    tokens: u64,
    skipped: Vec<SkippedRecord>,
    scored: Option<ScoredCounts>,
}

impl Plan {
    /// Returns the parts that do not exist yet, by the sizes of their files.
    ///
    /// ```
    /// use virpack_core::plan::{PlanOptions, plan};
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let directory = folder.path().join("plan");
    /// # let inputs = vec!["../../examples/proteins.fasta".into()];
    /// let options = PlanOptions::new(inputs, "virpack-mini", &directory).part_tokens(400_u64);
    /// let plan = plan(&options, |_event| ())?;
    /// assert_eq!(plan.missing()?, [1, 2]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`PlanError`](super::PlanError) if the plan's store does not answer, or fails.
    pub fn missing(&self) -> Result<Vec<u64>, Error> {
        let mut missing = Vec::new();
        for (number, state) in self.states(Look::Size) {
            match state {
                Ok(_) => {}
                Err(PartProblem::NoAnswer { path, source }) => {
                    return Err(PlanProblem::Read { path, source }.into());
                }
                Err(_) => missing.push(number),
            }
        }
        Ok(missing)
    }

    /// Returns the report of a part that exists with all its bytes; None if it must be made. A part that is
    /// torn or belongs to another plan must be made.
    ///
    /// # Errors
    ///
    /// [`PlanError`](super::PlanError) if the plan has no such part, or its store does not answer or fails.
    pub fn part_that_is_there(&self, number: u64) -> Result<Option<PartSummary>, Error> {
        match self.state(self.part(number)?, Look::Bytes) {
            Ok(report) => Ok(Some(self.summary(&report, true, Duration::ZERO))),
            Err(PartProblem::NoAnswer { path, source }) => Err(PlanProblem::Read { path, source }.into()),
            Err(_) => Ok(None),
        }
    }

    /// Makes a part with the plan's model, and replaces an existing one. Two processes that make it at once
    /// write the same bytes. If `cancel` is cancelled, nothing of the part remains.
    ///
    /// Only the part's own bytes are read from the inputs.
    ///
    /// ```
    /// use virpack_core::plan::{PlanOptions, plan};
    /// use virpack_core::seq::ReadLimits;
    /// use virpack_core::{CancelToken, Embedder};
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let directory = folder.path().join("plan");
    /// # let inputs = vec!["../../examples/proteins.fasta".into()];
    /// let options = PlanOptions::new(inputs, "virpack-mini", &directory).part_tokens(400_u64);
    /// let plan = plan(&options, |_event| ())?;
    /// let embedder = Embedder::new(plan.embedder_options()?, |_event| ())?;
    /// let part = plan.embed_part(&embedder, 2, ReadLimits::default(), &CancelToken::new(), |_event| ())?;
    /// assert!(part.path.ends_with("part-000002.parquet"));
    /// assert_eq!(plan.part_that_is_there(2)?.unwrap().sha256, part.sha256);
    /// assert_eq!(plan.missing()?, [1]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`PlanError`](super::PlanError) for a model or options that differ from the plan's; an error for an
    /// input that changed after the plan was made, at once if its size or time shows it, otherwise at the
    /// end; [`Error::Interrupted`]; and the errors of [`embed`](crate::embed).
    pub fn embed_part(
        &self,
        embedder: &Embedder,
        number: u64,
        limits: ReadLimits,
        cancel: &CancelToken,
        mut on_event: impl FnMut(Event),
    ) -> Result<PartSummary, Error> {
        let (begun, part) = (Instant::now(), self.part(number)?);
        self.check(embedder)?;
        place::check(&self.part_path(number))?;
        let records = self.open_part(part, limits)?;
        let reading = records.progress();
        let (to, events) = channel();
        let mut stream = embedder.stream(records, ROWS, cancel)?.on_event(move |event| {
            // The receiver is gone once the part has failed.
            let _ = to.send(event);
        });
        let hidden = self.rows()?.0.hidden;
        let mut out = PartWriter::create(&self.part_path(number), hidden, &self.layout()?)?;
        let (mut rows, mut skipped) = (0, Vec::new());
        for piece in stream.by_ref() {
            let piece = piece?;
            for (row, values) in piece.iter() {
                out.write(row, values)?;
                rows += 1;
            }
            skipped.extend(piece.skipped);
            events.try_iter().for_each(&mut on_event);
        }
        let tokens = stream.tokens();
        drop(stream);
        events.try_iter().for_each(&mut on_event);
        let pending = out.finish()?;
        let (dtype, mut computed_by) = for_model!(embedder.any_model(), |warm| {
            (warm.devices[0].backend.dtype(), warm.computed_by())
        });
        computed_by.sort();
        computed_by.dedup();
        let made = Made { dtype, computed_by, rows, tokens, skipped, scored: None };
        self.end_part(part, &reading, pending, made, begun)
    }

    /// Makes a part with the models and classifiers of a plan of `predict`, as [`Plan::embed_part`] does.
    ///
    /// [`plan_predict`](super::plan_predict) has an example.
    ///
    /// # Errors
    ///
    /// Those of [`Plan::embed_part`] and of [`predict`](crate::predict::predict).
    pub fn predict_part(
        &self,
        predictor: &Predictor,
        number: u64,
        limits: ReadLimits,
        cancel: &CancelToken,
        on_event: impl FnMut(Event),
    ) -> Result<PartSummary, Error> {
        let (begun, part) = (Instant::now(), self.part(number)?);
        self.check_predictor(predictor)?;
        place::check(&self.part_path(number))?;
        let records = self.open_part(part, limits)?;
        let (sources, about) = (self.facts.sources(), self.facts.work.about());
        let mut out = ScoreTable::create(&self.part_path(number), &sources, &about)?;
        let mut open: Option<(Arc<Record>, Vec<ScoredChunk>)> = None;
        let each = |item| match (item, &mut open) {
            (ScoredItem::Record(record), open) => {
                *open = Some((record, Vec::new()));
                Ok(())
            }
            (ScoredItem::Chunk(chunk), Some((_, chunks))) => {
                chunks.push(chunk);
                Ok(())
            }
            (ScoredItem::End, open) => {
                let whole = open.take();
                whole.map_or(Ok(()), |(record, chunks)| Ok(out.write(&record, &chunks)?))
            }
            (ScoredItem::Chunk(_), None) => unreachable!("a chunk follows its record"),
        };
        let done = predictor.score(records, cancel, each, on_event)?;
        let pending = out.finish()?;
        let made = Made {
            dtype: predictor.dtype(),
            rows: part.range.records,
            tokens: done.tokens.nucleotide + done.tokens.protein,
            skipped: Vec::new(),
            scored: Some(ScoredCounts::of(&done)),
            computed_by: done.computed_by,
        };
        self.end_part(part, &done.reading, pending, made, begun)
    }

    /// Opens the records of a part.
    fn open_part(&self, part: &PlannedPart, limits: ReadLimits) -> Result<Records, Error> {
        let planned = &self.facts.inputs[part.range.source as usize].cut;
        let opened = reader::open_range(&self.inputs(), &part.range, planned, limits);
        opened.map_err(PlanProblem::of_opening)
    }

    /// Checks that the records read are those that were planned, and gives a part its names.
    fn end_part(
        &self,
        part: &PlannedPart,
        reading: &ReadProgress,
        pending: PendingFile,
        made: Made,
        begun: Instant,
    ) -> Result<PartSummary, Error> {
        let (number, range) = (part.number, &part.range);
        let read = reading.checksums().pop();
        let is_planned = read.as_ref().is_some_and(|read| read.sha256 == range.sha256);
        if !is_planned || reading.records() != range.records {
            let hashed = size_and_sha256(range.bytes.end - range.bytes.start, &range.sha256);
            let read = read.map_or_else(String::new, |read| size_and_sha256(read.bytes, &read.sha256));
            let change = Change::Content { hashed, read };
            let path = self.inputs()[range.source as usize].path().into();
            return Err(PlanProblem::Changed { path, change }.into());
        }
        let failed = FileProblem::write(&self.part_path(number));
        let mut file = pending.open().map_err(&failed)?;
        let bytes = file.metadata().map_err(&failed)?.len();
        let report = PartReport {
            number,
            plan: self.name.clone(),
            bytes,
            sha256: sha256_of(&mut file).map_err(&failed)?,
            records: range.records,
            rows: made.rows,
            tokens: made.tokens,
            dtype: made.dtype.to_string(),
            computed_by: made.computed_by,
            skipped: made.skipped,
            scored: made.scored,
        };
        // The report is written last: without it the part is made again.
        let said = about::write(&self.report_path(number), &report.to_json())?;
        pending.publish_synced()?;
        said.publish_synced()?;
        Ok(self.summary(&report, false, begun.elapsed()))
    }

    /// Returns the layout of the file of a part of `embed`.
    pub(super) fn layout(&self) -> Result<OutputOptions, PlanProblem> {
        let (_, options) = self.rows()?;
        Ok(OutputOptions {
            dtype: options.dtype_out,
            residues: options.pool.is_none(),
            sources: self.facts.sources(),
            metadata: self.facts.work.about(),
            ..OutputOptions::default()
        })
    }

    fn summary(&self, report: &PartReport, was_there: bool, elapsed: Duration) -> PartSummary {
        PartSummary {
            number: report.number,
            path: self.part_path(report.number),
            was_there,
            records: report.records,
            rows: report.rows,
            skipped: report.skipped.len() as u64,
            tokens: report.tokens,
            sha256: report.sha256.clone(),
            elapsed,
        }
    }
}
