//! The thread that reads records and cuts them into chunks.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::counters::SharedCounters;
use super::framer::{FrameTask, FramedRun, Step};
use super::numbering::FrameNote;
use super::{AHEAD, FrameOptions, weight};
use crate::alphabet::{count_odd, expect_nucleotides};
use crate::chunk::chunks;
use crate::error::SeqError;
use crate::loader::{Credit, StopReason, TaskSender, guard, spawn};
use crate::reader::Records;
use crate::record::Record;

/// Steps after which a task is sent, and bases of their chunks: some 60 chunks of the usual length.
const MOST_STEPS: usize = 128;
const MOST_BASES: usize = 32 << 10;

/// Where records go.
pub(super) type FrameTasks = TaskSender<FrameTask, Result<FramedRun, SeqError>, FrameNote>;

/// The state of the thread.
pub(super) struct FrameReader {
    records: Records,
    /// Records that were read and not cut yet, and how the input ended, if it has.
    ahead: VecDeque<Record>,
    end: Option<Result<(), SeqError>>,
    /// Bytes of these records, and the most that they may have.
    ahead_bytes: u64,
    most_ahead: u64,
    length: NonZeroUsize,
    /// The fewest bases of a record that is cut.
    min_length: usize,
    tasks: FrameTasks,
    /// The next task, and bases of its chunks.
    task: FrameTask,
    task_bases: usize,
    credit: Arc<Credit>,
    /// Bytes of records after which all waiting sequences are sent.
    stretch: u64,
    /// Bytes of records since they were last sent.
    since: u64,
    counters: Arc<SharedCounters>,
    started: Instant,
    /// Time spent waiting for other threads.
    waited: Duration,
}

impl FrameReader {
    pub(super) fn new(
        records: Records,
        options: &FrameOptions,
        tasks: FrameTasks,
        credit: Arc<Credit>,
        counters: Arc<SharedCounters>,
    ) -> Self {
        FrameReader {
            // Records of a pipe arrive at any time: none is held back to wait for the next.
            most_ahead: if records.is_pipe() { 0 } else { AHEAD.min(options.most_waiting / 8) },
            records,
            ahead: VecDeque::new(),
            end: None,
            ahead_bytes: 0,
            length: options.length,
            min_length: options.min_length,
            tasks,
            task: FrameTask::default(),
            task_bases: 0,
            credit,
            // One half is read while the other one is computed.
            stretch: options.most_waiting / 2,
            since: 0,
            counters,
            started: Instant::now(),
            waited: Duration::ZERO,
        }
    }

    pub(super) fn start(mut self) -> Result<(), SeqError> {
        spawn("reading", move || {
            self.started = Instant::now();
            match guard("reading", || self.run()) {
                Err(StopReason::Failed(error)) => self.tasks.note(FrameNote::Failed(error)),
                end => end,
            }
        })
    }

    /// Runs to the end of the input, or to an error, which is returned after everything before it is sent.
    fn run(&mut self) -> Result<(), StopReason> {
        let end = self.records();
        if !matches!(end, Err(StopReason::ConsumerGone)) {
            self.send(FrameTask::default())?;
        }
        end
    }

    fn records(&mut self) -> Result<(), StopReason> {
        while let Some(record) = self.next()? {
            let odd_letters = count_odd(&record.sequence);
            // A record without odd letters cannot hold letters of proteins.
            if odd_letters > 0 {
                expect_nucleotides(&record, self.records.inputs())?;
                self.counters.add_odd(&record.id, odd_letters);
            }
            self.record(Arc::new(record))?;
        }
        Ok(())
    }

    /// Returns the next record, after reading as many records ahead as fit.
    fn next(&mut self) -> Result<Option<Record>, SeqError> {
        while self.end.is_none() && (self.ahead.is_empty() || self.ahead_bytes < self.most_ahead) {
            let mut record = Record::default();
            match self.records.read(&mut record) {
                Ok(true) => {
                    self.counters.add_read(record.sequence.len() as u64);
                    self.ahead_bytes += weight(&record);
                    self.ahead.push_back(record);
                }
                Ok(false) => self.end = Some(Ok(())),
                Err(error) => self.end = Some(Err(error)),
            }
        }
        match self.ahead.pop_front() {
            Some(record) => {
                self.ahead_bytes -= weight(&record);
                Ok(Some(record))
            }
            // An error of the input is returned once, after all records before it.
            None => self.end.replace(Ok(())).unwrap_or(Ok(())).map(|()| None),
        }
    }

    fn record(&mut self, record: Arc<Record>) -> Result<(), StopReason> {
        let bytes = weight(&record);
        if self.since.saturating_add(bytes) > self.stretch {
            // Sequences that wait for others of their length must be sent at some point, or their records
            // would never finish. The amount read decides when, not the amount finished: batches do not
            // depend on time.
            self.send(FrameTask::default())?;
            self.tasks.note(FrameNote::Flush)?;
            self.since = 0;
        }
        self.since = self.since.saturating_add(bytes);
        if !self.credit.try_take(bytes) {
            // What the records in progress wait for has been sent, except for those since the last flush.
            let start = Instant::now();
            self.credit.take(bytes)?;
            self.waited += start.elapsed();
        }
        self.task.steps.push(Step::Record(Arc::clone(&record)));
        let cut = if record.sequence.len() < self.min_length { 0 } else { record.sequence.len() };
        for chunk in chunks(cut, self.length) {
            let end = chunk.end;
            self.task_bases += chunk.len();
            self.task.steps.push(Step::Chunk(chunk));
            if self.is_full() {
                self.send(FrameTask { open: Some((Arc::clone(&record), end)), steps: Vec::new() })?;
            }
        }
        self.task.steps.push(Step::End);
        // A record without letters has no chunk, so the check in the loop does not run for it.
        if self.is_full() { self.send(FrameTask::default()) } else { Ok(()) }
    }

    fn is_full(&self) -> bool {
        self.task.steps.len() >= MOST_STEPS || self.task_bases >= MOST_BASES
    }

    /// Sends the open task, which `next` follows.
    fn send(&mut self, next: FrameTask) -> Result<(), StopReason> {
        let task = std::mem::replace(&mut self.task, next);
        self.task_bases = 0;
        if task.steps.is_empty() {
            return Ok(());
        }
        let start = Instant::now();
        self.tasks.task(task)?;
        self.waited += start.elapsed();
        self.counters.add_busy(self.started.elapsed().saturating_sub(self.waited));
        Ok(())
    }
}
