//! The thread that reads, cuts, translates and tokenizes records.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;

use super::counters::SharedCounters;
use super::stream::SequenceStream;
use super::{
    AHEAD, Chunk, ChunkFrame, ChunkReading, FrameItem, FrameOptions, Pair, SHORTEST_PARTIAL, SixFrames,
    WholeChunk, weight,
};
use crate::alphabet::{count_odd, expect_nucleotides};
use crate::chunk::chunks;
use crate::error::SeqError;
use crate::index_set::IndexSet;
use crate::loader::{Credit, StopReason, guard, spawn};
use crate::reader::Records;
use crate::record::Record;
use crate::translate::{Translator, gc_share};

/// Sequences after which a slab is sent, and items after which a message is sent.
const AT_ONCE: usize = 128;

/// The state of the thread.
pub(super) struct FrameWorker {
    records: Records,
    /// Records that were read and not cut yet, and how the input ended, if it has.
    ahead: VecDeque<Record>,
    end: Option<Result<(), SeqError>>,
    /// Bytes of these records, and the most that they may have.
    ahead_bytes: u64,
    most_ahead: u64,
    streams: Pair<Option<SequenceStream>>,
    translator: Translator,
    length: std::num::NonZeroUsize,
    /// The fewest bases of a record that is cut.
    min_length: usize,
    reading: ChunkReading,
    items: Sender<Result<Vec<FrameItem>, SeqError>>,
    /// The items of the next message.
    pending: Vec<FrameItem>,
    credit: Arc<Credit>,
    /// Bytes of records after which all waiting sequences are sent.
    stretch: u64,
    /// Bytes of records since they were last sent.
    since: u64,
    /// The number of the next chunk.
    number: u64,
    /// The numbers of finished chunks.
    done: Arc<IndexSet>,
    counters: Arc<SharedCounters>,
    started: Instant,
    /// Time spent waiting for other threads.
    waited: Duration,
}

impl FrameWorker {
    pub(super) fn new(
        records: Records,
        streams: Pair<Option<SequenceStream>>,
        options: &FrameOptions,
        items: Sender<Result<Vec<FrameItem>, SeqError>>,
        credit: Arc<Credit>,
        counters: Arc<SharedCounters>,
    ) -> Self {
        FrameWorker {
            // Records of a pipe arrive at any time: none is held back to wait for the next.
            most_ahead: if records.is_pipe() { 0 } else { AHEAD.min(options.most_waiting / 8) },
            records,
            ahead: VecDeque::new(),
            end: None,
            ahead_bytes: 0,
            streams,
            translator: Translator::new(options.genetic_code),
            length: options.length,
            min_length: options.min_length,
            reading: options.reading,
            items,
            pending: Vec::new(),
            credit,
            // One half is read while the other one is computed.
            stretch: options.most_waiting / 2,
            since: 0,
            number: 0,
            done: Arc::clone(&options.done),
            counters,
            started: Instant::now(),
            waited: Duration::ZERO,
        }
    }

    pub(super) fn start(mut self) -> Result<(), SeqError> {
        spawn("framing", move || {
            self.started = Instant::now();
            match guard("framing", || self.run()) {
                Err(StopReason::Failed(error)) => self.send_items(Err(error)),
                end => end,
            }
        })
    }

    /// Runs to the end of the input, or to an error, which is returned after everything before it is sent.
    fn run(&mut self) -> Result<(), StopReason> {
        let end = self.records();
        if !matches!(end, Err(StopReason::ConsumerGone)) {
            self.send_all()?;
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
                    self.counters.update(|counters| counters.read += record.sequence.len() as u64);
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
        let (bases, bytes) = (record.sequence.len() as u64, weight(&record));
        if self.since.saturating_add(bytes) > self.stretch {
            // Sequences that wait for others of their length must be sent at some point, or their records
            // would never finish. The amount read decides when, not the amount finished: batches do not
            // depend on time.
            self.send_all()?;
            self.since = 0;
        }
        self.since = self.since.saturating_add(bytes);
        if !self.credit.try_take(bytes) {
            let start = Instant::now();
            self.credit.take(bytes)?;
            self.waited += start.elapsed();
        }
        self.counters.update(|counters| {
            counters.records += 1;
            counters.bases += bases;
        });
        self.pending.push(FrameItem::Record(Arc::clone(&record)));
        let mut end = 0;
        let cut = if record.sequence.len() < self.min_length { 0 } else { record.sequence.len() };
        if cut == 0 {
            // These bases need no more work.
            self.counters.update(|counters| counters.cut += bases);
        }
        for chunk in chunks(cut, self.length) {
            let own = (chunk.end - end) as u64;
            end = chunk.end;
            self.chunk(&record, chunk)?;
            self.counters.update(|counters| counters.cut += own);
            self.send_when_full()?;
        }
        self.pending.push(FrameItem::End);
        // A record without letters has no chunk, so the check in the loop does not run for it.
        self.send_when_full()
    }

    fn send_when_full(&mut self) -> Result<(), StopReason> {
        let is_full = |stream: &SequenceStream| stream.waiting() >= AT_ONCE;
        if self.pending.len() >= AT_ONCE || self.streams.present().any(is_full) {
            self.send(SequenceStream::send)?;
        }
        Ok(())
    }

    fn chunk(&mut self, record: &Record, bases: Range<usize>) -> Result<(), StopReason> {
        let (number, is_done) = (self.number, self.done.contains(self.number));
        let goes_on = number < self.done.end();
        let oldest = self.streams.as_mut().try_map(|stream| match stream {
            Some(stream) => stream.begin_chunk(is_done, goes_on),
            None => Ok(0),
        })?;
        self.number += 1;
        let (frames, whole) = match self.reading {
            ChunkReading::OpenFrames { frames: readers, strands } => {
                let frames = self.open_frames(record, bases.clone(), readers);
                let is_closed = frames.is_empty();
                let whole = (strands && is_closed).then(|| self.strands(record, bases.clone())).flatten();
                (frames, whole.map_or(WholeChunk::Nothing, WholeChunk::Strands))
            }
            ChunkReading::SixFrames => self.six_frames(record, bases.clone()),
        };
        self.counters.update(|counters| {
            counters.chunks += 1;
            counters.frames += frames.len() as u64;
        });
        self.pending.push(FrameItem::Chunk(Chunk { number, bases, frames, whole, oldest }));
        Ok(())
    }

    /// The open frames of the chunk, with their numbers for the models that read them.
    fn open_frames(&mut self, record: &Record, bases: Range<usize>, readers: Pair<bool>) -> Vec<ChunkFrame> {
        let mut frames = Vec::new();
        for open in self.translator.frames(&record.sequence[bases.clone()]) {
            let codons = open.frame.codons(bases.len());
            let letters = Pair { nucleotide: open.nucleotides, protein: open.protein };
            let readers = self.streams.as_mut().zip(readers);
            let sequences = readers.zip(letters).map(|((stream, reads_frames), letters)| match stream {
                Some(stream) if reads_frames => stream.number(record, letters),
                _ => 0,
            });
            let codons = bases.start + codons.start..bases.start + codons.end;
            frames.push(ChunkFrame { frame: open.frame, codons, sequences });
        }
        frames
    }

    /// Returns the open frames of the chunk, and the codons of all six frames. An open frame has the number
    /// of its codons.
    fn six_frames(&mut self, record: &Record, bases: Range<usize>) -> (Vec<ChunkFrame>, WholeChunk) {
        let letters = &record.sequence[bases.clone()];
        let mut frames = self.open_frames(record, bases.clone(), Pair { nucleotide: false, protein: true });
        let Some(six) = self.translator.codons(letters) else { return (frames, WholeChunk::Nothing) };
        let nucleotides = self.streams.nucleotide.as_mut();
        let codons = nucleotides.map_or_else(Vec::new, |stream| {
            six.into_iter()
                .filter(|codons| !codons.is_empty())
                .map(|codons| stream.number(record, codons))
                .collect()
        });
        for frame in &mut frames {
            // Later frames are shorter: those without a codon are last on each strand.
            let on_strand = codons.len() / 2;
            let place = frame.frame.offset() + if frame.frame.is_reverse() { on_strand } else { 0 };
            frame.sequences.nucleotide = codons.get(place).copied().unwrap_or(0);
        }
        let gc = gc_share(letters);
        let proteins = self.streams.protein.as_mut().filter(|_| frames.is_empty());
        let partial = proteins.and_then(|stream| {
            let run = self.translator.longest_run(letters, SHORTEST_PARTIAL)?;
            Some(stream.number(record, run))
        });
        (frames, WholeChunk::SixFrames(SixFrames { codons, partial, gc }))
    }

    /// Returns the numbers of both strands of the chunk.
    fn strands(&mut self, record: &Record, bases: Range<usize>) -> Option<[u64; 2]> {
        let stream = self.streams.nucleotide.as_mut()?;
        let strands = self.translator.strands(&record.sequence[bases])?;
        Some(strands.map(|letters| stream.number(record, letters)))
    }

    /// Sends all pending sequences and items. The resulting batches leave at once, and share no batch with
    /// later sequences.
    fn send_all(&mut self) -> Result<(), StopReason> {
        let goes_on = self.number < self.done.end();
        self.send(|stream| stream.send_all(goes_on))
    }

    /// Sends pending items, and the sequences of each model by `send`.
    fn send(
        &mut self,
        send: impl Fn(&mut SequenceStream) -> Result<(), StopReason>,
    ) -> Result<(), StopReason> {
        let start = Instant::now();
        self.streams.as_mut().try_map(|stream| stream.as_mut().map_or(Ok(()), &send))?;
        self.waited += start.elapsed();
        let repeated =
            self.streams.as_ref().map(|stream| stream.as_ref().map_or(0, SequenceStream::repeated));
        let busy = self.started.elapsed().saturating_sub(self.waited);
        self.counters.update(|counters| (counters.repeated, counters.busy) = (repeated, busy));
        if !self.pending.is_empty() {
            let items = std::mem::take(&mut self.pending);
            self.send_items(Ok(items))?;
        }
        Ok(())
    }

    fn send_items(&self, items: Result<Vec<FrameItem>, SeqError>) -> Result<(), StopReason> {
        self.items.send(items).map_err(|_| StopReason::ConsumerGone)
    }
}
