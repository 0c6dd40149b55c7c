//! Writes the directory of a run whose scores exist already, as those of a plan's parts do. It takes records
//! and their scored chunks, in input order, and writes the files that one run over all inputs writes.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use virpack_device::Dtype;
use virpack_model::FileChecksum;
use virpack_seq::frames::{FrameCounters, Pair};
use virpack_seq::reader::{CutInput, ReadProgress};
use virpack_seq::{Input, Record};

use super::files::Files;
use super::tables::Tables;
use super::{PredictOptions, PredictSummary, identity, run_json};
use crate::Error;
use crate::calls::ScoredChunk;
use crate::files::NewDirectory;
use crate::identity::Identity;
use crate::output::is_stdout;
use crate::resume::{Remake, ResumeDir, describe};
use crate::run_json::read;

/// The tables of a run, while records and their scored chunks are added.
pub(crate) struct JoinedTables<'a> {
    options: &'a PredictOptions,
    length: NonZeroUsize,
    tables: Tables<'a>,
    begun: Instant,
    /// Standard output has none. `remake` removes its folder when it is dropped.
    remake: Option<Remake>,
    directory: Option<NewDirectory>,
    replace: bool,
}

/// Facts of the run that were recorded elsewhere.
pub(crate) struct JoinedFacts<'a> {
    /// The inputs as they were when they were scored.
    pub(crate) inputs: Vec<&'a CutInput>,
    /// How they were read the second time.
    pub(crate) reading: &'a ReadProgress,
    /// Models, classifiers and how records were cut.
    pub(crate) identity: Identity,
    /// The files of models and classifiers.
    pub(crate) files: Vec<FileChecksum>,
    pub(crate) dtype: Dtype,
    /// The kinds of devices that computed, as shown to people.
    pub(crate) device: String,
    pub(crate) frames: FrameCounters,
    pub(crate) first_odd: Option<Arc<str>>,
    pub(crate) tokens: Pair<u64>,
    /// The plan's entry in `run.json`.
    pub(crate) plan: Value,
}

impl PredictOptions {
    /// Checks that the tables can be written from existing scores: their names are free, and shares are at
    /// most 1. `inputs` are the paths of the inputs.
    ///
    /// # Errors
    ///
    /// Returns the first failed check.
    pub(crate) fn check_joined(&self, inputs: &[Input]) -> Result<(), Error> {
        self.calls.check()?;
        if is_stdout(&self.output) {
            return self.check_stdout();
        }
        NewDirectory::check(&self.output)?;
        // Only the locked directory can show whether a run was killed while it renamed its files.
        let may_be_torn = ResumeDir::inside(&self.output).is_there();
        self.check_names(self.force || may_be_torn, inputs)
    }
}

impl<'a> JoinedTables<'a> {
    /// Creates the directory if it is missing, locks it and opens the tables. Chunks have `length` bases;
    /// `inputs` are the paths of the inputs.
    ///
    /// # Errors
    ///
    /// Returns an error for a directory that is in use or holds an unfinished run, and for names that are
    /// taken.
    pub(crate) fn create(
        options: &'a PredictOptions,
        length: NonZeroUsize,
        inputs: &[Input],
    ) -> Result<Self, Error> {
        let (mut directory, mut remake, mut replace) = (None, None, options.force);
        if !is_stdout(&options.output) {
            directory = Some(NewDirectory::create(&options.output)?);
            let taken = Remake::take(&options.output, &Files::in_directory(&options.output).begun())?;
            replace |= taken.is_torn();
            options.check_names(replace, inputs)?;
            remake = Some(taken);
        }
        let tables = Tables::create(options, length.get())?;
        Ok(JoinedTables { options, length, tables, begun: Instant::now(), remake, directory, replace })
    }

    /// Writes the next record with all its chunks.
    pub(crate) fn write(&mut self, record: Arc<Record>, chunks: Vec<ScoredChunk>) -> Result<(), Error> {
        Ok(self.tables.write_record(record, chunks)?)
    }

    /// Completes all tables and renames them, `run.json` last.
    ///
    /// # Errors
    ///
    /// Returns the error of a file that cannot be written, or of a name that was taken meanwhile.
    pub(crate) fn finish(self, facts: JoinedFacts<'_>) -> Result<PredictSummary, Error> {
        let JoinedTables { options, length, tables, begun, remake, directory, replace } = self;
        let JoinedFacts { inputs, reading, identity, files, dtype, device, plan, .. } = facts;
        let mut joined = PredictSummary {
            calls: tables.calls.summary(),
            before: super::EarlierCounts::default(),
            frames: facts.frames,
            first_odd: facts.first_odd,
            packing: Pair::default(),
            tokens: facts.tokens,
            files: tables.names(),
            elapsed: begun.elapsed(),
            stages: PredictSummary::stages_of(Pair::default(), [Duration::ZERO; 2], begun.elapsed()),
            devices: Vec::new(),
            inputs: read(&options.inputs, reading),
            remarks: reading.remarks_on(&options.inputs),
            report: Map::new(),
        };
        let mut report = run_json::of(options, &options.frames_of(length), &device, &joined, &files);
        // The parts were computed elsewhere: their times are not this process's.
        report.insert("seconds".to_owned(), json!({ "all": joined.elapsed.as_secs_f64() }));
        report.insert("rates".to_owned(), Value::Null);
        report.insert("plan".to_owned(), plan);
        joined.report = report;
        let sums = inputs.into_iter().map(|input| (input.bytes, &*input.sha256));
        let scores = identity::with_sums(identity::of_scores(options, identity, dtype), sums);
        let identity = options.of_tables(scores, length.get());
        describe(&mut joined.report, Some(&identity), &tables.names());
        tables.calls.tell_plots(&mut joined.report);
        let Some(complete) = tables.complete(&joined.report)? else { return Ok(joined) };
        let publish = || {
            complete.publish(replace)?;
            directory.into_iter().for_each(NewDirectory::keep);
            Ok(())
        };
        match remake {
            Some(remake) => remake.publish(identity, publish)?,
            None => publish()?,
        }
        Ok(joined)
    }
}
