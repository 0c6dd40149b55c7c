//! Where a run's rows go: into the output, and into the parts that another run could resume from.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;
use virpack_device::Device;

use serde_json::{Map, Value};
use virpack_seq::{AsyncDataLoader, IndexSet, ReadProgress};

use super::model::EmbedModel;
use super::summary::EmbedSummary;
use super::{EmbedOptions, identity, report};
use crate::Error;
use crate::embedder::{self, WarmModel};
use crate::embeddings::Embeddings;
use crate::event::Event;
use crate::identity::{Identity, PendingIdentity};
use crate::output::{self, EmbeddingWriter, OutputError, Turn, encode};
use crate::resume::{Entries, HandOn, Session, describe};
use crate::runner::{AsyncInferenceRunner, RunnerItem};

/// The output of a run, and its session.
pub(super) struct EmbedOutput<'a> {
    options: &'a EmbedOptions,
    writer: EmbeddingWriter,
    session: Session,
    /// The facts at the beginning of a shard.
    shard: Option<Identity>,
    token_budget: usize,
    /// Records written or skipped.
    records: u64,
}

/// What a run measured.
pub(super) struct Times {
    /// Before its first record.
    pub(super) loading: Duration,
    /// From its first record on.
    pub(super) elapsed: Duration,
}

impl<'a> EmbedOutput<'a> {
    /// Creates the output, and begins to keep what is finished. The rows that an earlier run has finished are
    /// written in their turn.
    pub(super) fn create<B: Device + 'static>(
        options: &'a EmbedOptions,
        model: &mut EmbedModel<B>,
        mut session: Session,
        reading: Arc<ReadProgress>,
        on_event: &mut impl FnMut(Event),
    ) -> Result<Self, Error> {
        let warm = Arc::clone(&model.warm);
        let about = options.about(&warm.name, &warm.config, &warm.checksums.sha256())?;
        let mut layout = options.writing(about.clone(), session.replaces());
        let (mut pending, mut shard) = (model.identity.take(), None);
        if options.shard.is_some()
            && let Some(identity) = pending.take()
        {
            // A shard begins with the facts about its run.
            let rows = identity()?;
            layout.shard = identity::of_shard(options, &warm.config, &rows, about);
            shard = Some(rows.clone());
            pending = Some(Box::new(|| Ok(rows)) as PendingIdentity);
        }
        session.take(&output::names(&options.output, &layout)?)?;
        let (hidden, token_budget) = (options.embedder.width(&warm.config), model.token_budget);
        let mut writer = output::create(&options.output, hidden, layout)?;
        let writers = part_writers(warm.devices.len());
        let begin = |identity| session.begin(identity, vec![token_budget], reading, writers);
        let resumed = pending.map(begin).transpose()?.flatten();
        session.take_earlier().into_iter().for_each(|earlier| writer.go_on_from(earlier));
        let records = resumed.as_ref().map_or(0, |resumed| resumed.saved.finished);
        let devices = warm.devices.iter().flat_map(|device| device.events());
        devices.chain(resumed.map(Event::Kept)).for_each(on_event);
        Ok(EmbedOutput { options, writer, session, shard, token_budget, records })
    }

    /// Returns the records that an earlier run has finished.
    pub(super) fn finished(&self) -> Arc<IndexSet> {
        self.session.finished()
    }

    /// Writes what a runner yields, or reports it.
    pub(super) fn write(&mut self, item: RunnerItem, on_event: &mut impl FnMut(Event)) -> Result<(), Error> {
        let finished = match item {
            RunnerItem::Device(event) => {
                on_event(event.into());
                return Ok(());
            }
            RunnerItem::Embeddings(finished) => finished,
        };
        self.records += finished.skipped.len() as u64;
        finished.skipped.iter().try_for_each(|record| self.writer.skip(record))?;
        let earlier = self.session.finished();
        for (row, values) in finished.iter() {
            self.records += u64::from(!earlier.contains(row.record));
            self.writer.write_row(row, values)?;
        }
        if finished.rows.is_empty() { Ok(()) } else { self.session.keep(RowEntries(finished)) }
    }

    /// Returns how far the run is.
    pub(super) fn progress(&self, loader: &AsyncDataLoader, runner: &AsyncInferenceRunner) -> Event {
        embedder::progress(loader, runner, self.token_budget, self.records)
    }

    /// Makes all that is finished safe, as the run ends before its input.
    pub(super) fn interrupt(self) -> Error {
        drop(self.writer);
        self.session.interrupt()
    }

    /// Makes all that is finished safe, as the run ends with `error`, and gives that back.
    pub(super) fn end_with(self, error: Error) -> Error {
        drop(self.writer);
        self.session.end_with(error)
    }

    /// Completes the output, once each record read has its row or its reason, and gives it its name.
    pub(super) fn finish<B: Device + 'static>(
        self,
        model: &WarmModel<B>,
        loader: &AsyncDataLoader,
        runner: &AsyncInferenceRunner,
        times: &Times,
    ) -> Result<EmbedSummary, Error> {
        let (options, resumed) = (self.options, self.session.finished().len());
        let read = crate::run_json::read(loader.inputs(), loader.progress());
        let complete = self.writer.complete(loader.progress().records())?;
        // Without parts there is nothing to save from a name that is taken, and publishing looks for itself.
        let is_kept = self.session.is_kept();
        if is_kept && let Err(taken) = complete.check_names() {
            // Another process has taken a name. What is finished stays for a run that resumes, the open part
            // too.
            drop(complete);
            return Err(self.session.end_with(taken.into()));
        }
        // Parts first: of an input that has changed they are removed.
        let session = self.session.complete(&read)?;
        self.shard.map_or(Ok(()), |shard| shard.check_read(&read))?;
        let names = model.devices.iter().map(|device| device.backend.name());
        let devices = names.zip(runner.tallies()).collect();
        let written = complete.written().clone();
        let most = model.lengths.max_length;
        let mut summary = EmbedSummary::new(loader, most, read, written, times.elapsed, devices, resumed);
        let mut report: Map<String, Value> = report::of(options, model, times.loading, &summary)?;
        let identity = session.identity().map(|rows| options.of_output(rows.clone()));
        describe(&mut report, identity.as_ref(), &summary.written.files);
        if is_kept {
            // After that, the file there is this run's.
            complete.check_names()?;
        }
        summary.written = session.publish(|| complete.publish(&report))?;
        summary.report = report;
        Ok(summary)
    }
}

/// Most threads that write parts: each has one open, which a run that is killed loses.
const MOST_PART_WRITERS: usize = 4;

/// Threads that write parts: an H200 makes 119,000 rows of the smallest ESM-2 a second, and a thread writes
/// some 600,000.
fn part_writers(devices: usize) -> NonZeroUsize {
    NonZeroUsize::new(devices.div_ceil(2).min(MOST_PART_WRITERS)).unwrap_or(NonZeroUsize::MIN)
}

/// Records with their embeddings, for a part to hold.
struct RowEntries(Embeddings);

impl Entries for RowEntries {
    fn each(&self, hand_on: &mut HandOn<'_>) -> Result<(), OutputError> {
        let mut bytes = Vec::new();
        self.0.iter().try_for_each(|(row, values)| {
            bytes.clear();
            encode(&Turn::Row(row, values), self.0.hidden, &mut bytes);
            hand_on(row.record, &bytes)
        })
    }
}
