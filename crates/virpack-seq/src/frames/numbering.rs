//! The thread that gives chunks and sequences their numbers, and sends both on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;

use super::counters::SharedCounters;
use super::framer::FramedRun;
use super::run_sequences::RunSequences;
use super::stream::SequenceStream;
use super::{Chunk, FrameItem, Pair, WholeChunk};
use crate::error::SeqError;
use crate::index_set::IndexSet;
use crate::loader::{InOrder, StopReason, Turn, guard, spawn};
use crate::record::Record;

/// What the reading thread says between runs.
pub(super) enum FrameNote {
    /// All sequences so far leave in batches as they are.
    Flush,
    /// The input ended with an error.
    Failed(SeqError),
}

/// The state of the thread.
pub(super) struct Numbering {
    pub(super) runs: InOrder<Result<FramedRun, SeqError>, FrameNote>,
    pub(super) streams: Pair<Option<SequenceStream>>,
    pub(super) items: Sender<Result<Vec<FrameItem>, SeqError>>,
    /// Memory of runs, to be filled again.
    pub(super) recycled: Sender<Pair<RunSequences>>,
    /// The numbers of finished chunks.
    pub(super) done: Arc<IndexSet>,
    pub(super) counters: Arc<SharedCounters>,
    /// The record whose chunks come.
    pub(super) record: Arc<Record>,
    /// The number of the next chunk.
    pub(super) number: u64,
    /// Time at work: not that spent waiting for other threads.
    pub(super) busy: Duration,
}

impl Numbering {
    pub(super) fn start(mut self) -> Result<(), SeqError> {
        spawn("numbering", move || match guard("numbering", || self.run()) {
            Err(StopReason::Failed(error)) => self.send_items(Err(error)),
            end => end,
        })
    }

    /// Runs to the end of the input, or to an error, which is returned after everything before it is sent.
    fn run(&mut self) -> Result<(), StopReason> {
        let end = self.take_all();
        if !matches!(end, Err(StopReason::ConsumerGone)) {
            self.send_all()?;
        }
        end
    }

    fn take_all(&mut self) -> Result<(), StopReason> {
        while let Some(turn) = self.runs.next()? {
            match turn {
                Turn::Done(run) => self.take(run?)?,
                Turn::Note(FrameNote::Flush) => self.send_all()?,
                Turn::Note(FrameNote::Failed(error)) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Numbers the chunks and the sequences of a run, and sends them.
    fn take(&mut self, run: FramedRun) -> Result<(), StopReason> {
        let start = Instant::now();
        let FramedRun { mut items, mut sequences, ends, counters } = run;
        let (mut ends, mut first) = (ends.into_iter(), Pair::default());
        for item in &mut items {
            match item {
                FrameItem::Record(record) => self.record = Arc::clone(record),
                FrameItem::Chunk(chunk) => {
                    let end = ends.next().unwrap_or(first);
                    self.chunk(chunk, &sequences, first.zip(end))?;
                    first = end;
                }
                FrameItem::End => {}
            }
        }
        sequences.as_mut().map(RunSequences::clear);
        // If there are enough, this one is dropped.
        let _ = self.recycled.try_send(sequences);
        self.busy += start.elapsed();
        self.streams.as_mut().try_map(|stream| stream.as_mut().map_or(Ok(()), SequenceStream::send))?;
        let repeated =
            self.streams.as_ref().map(|stream| stream.as_ref().map_or(0, SequenceStream::repeated));
        self.counters.add(&counters, repeated);
        self.counters.add_busy(self.busy);
        self.send_items(Ok(items))
    }

    /// Numbers a chunk and its sequences, which are at these places of the run.
    fn chunk(
        &mut self,
        chunk: &mut Chunk,
        sequences: &Pair<RunSequences>,
        places: Pair<(usize, usize)>,
    ) -> Result<(), StopReason> {
        let is_done = self.done.contains(self.number);
        let goes_on = self.number < self.done.end();
        chunk.oldest = self.streams.as_mut().try_map(|stream| match stream {
            Some(stream) => stream.begin_chunk(is_done, goes_on),
            None => Ok(0),
        })?;
        (chunk.number, self.number) = (self.number, self.number + 1);
        let record = &self.record;
        let numbers = self.streams.as_mut().zip(sequences.as_ref()).zip(places).map(
            |((stream, sequences), (first, end))| -> Vec<u64> {
                let Some(stream) = stream else { return Vec::new() };
                sequences.get(first..end).map(|sequence| stream.number(record, &sequence)).collect()
            },
        );
        // What has no place has no number that means anything.
        let number = |numbers: &Vec<u64>, place: &mut u64| {
            *place = numbers.get(*place as usize).copied().unwrap_or(0);
        };
        for frame in &mut chunk.frames {
            number(&numbers.nucleotide, &mut frame.sequences.nucleotide);
            number(&numbers.protein, &mut frame.sequences.protein);
        }
        match &mut chunk.whole {
            WholeChunk::Nothing => {}
            WholeChunk::Strands(both) => both.iter_mut().for_each(|own| number(&numbers.nucleotide, own)),
            WholeChunk::SixFrames(six) => {
                six.codons.iter_mut().for_each(|own| number(&numbers.nucleotide, own));
                six.partial.iter_mut().for_each(|own| number(&numbers.protein, own));
            }
        }
        Ok(())
    }

    /// Sends all sequences on. The resulting batches leave at once, and share no batch with later
    /// sequences.
    fn send_all(&mut self) -> Result<(), StopReason> {
        let goes_on = self.number < self.done.end();
        self.streams.as_mut().try_map(|stream| match stream {
            Some(stream) => stream.send_all(goes_on),
            None => Ok(()),
        })?;
        Ok(())
    }

    fn send_items(&self, items: Result<Vec<FrameItem>, SeqError>) -> Result<(), StopReason> {
        self.items.send(items).map_err(|_| StopReason::ConsumerGone)
    }
}
