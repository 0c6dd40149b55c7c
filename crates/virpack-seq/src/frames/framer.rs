//! Translates and tokenizes the chunks of a few records, on one of several threads.

use std::hash::{BuildHasher, RandomState};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;

use super::counters::{FrameCounters, SharedCounters};
use super::run_sequences::{NO_SEQUENCE, RunSequences};
use super::{
    Chunk, ChunkFrame, ChunkReading, FrameItem, FrameOptions, Pair, SHORTEST_PARTIAL, SixFrames, WholeChunk,
};
use crate::alphabet::Alphabet;
use crate::error::SeqError;
use crate::loader::guard;
use crate::record::Record;
use crate::tokenize::Tokenizer;
use crate::translate::{Translator, gc_share};

/// A part of the input, in input order.
pub(super) enum Step {
    /// A record; its chunks follow.
    Record(Arc<Record>),
    /// The bases of the record's next chunk.
    Chunk(Range<usize>),
    /// The end of the record.
    End,
}

/// Successive steps.
#[derive(Default)]
pub(super) struct FrameTask {
    /// The record of the first steps if an earlier task began it, and where its last chunk there ends.
    pub(super) open: Option<(Arc<Record>, usize)>,
    pub(super) steps: Vec<Step>,
}

/// The items of a task, with their sequences.
pub(super) struct FramedRun {
    /// A sequence is known by its place among those of its chunk.
    pub(super) items: Vec<FrameItem>,
    pub(super) sequences: Pair<RunSequences>,
    /// For each chunk, how many sequences there are at its end.
    pub(super) ends: Vec<Pair<usize>>,
    /// The counts of these items.
    pub(super) counters: FrameCounters,
}

/// Makes [`FramedRun`]s of tasks.
pub(super) struct Framer {
    tokenizers: Pair<Option<Arc<dyn Tokenizer>>>,
    translator: Translator,
    reading: ChunkReading,
    /// The same for all threads.
    hasher: RandomState,
    /// Memory of earlier runs.
    recycled: Receiver<Pair<RunSequences>>,
    counters: Arc<SharedCounters>,
    busy: Duration,
}

impl Framer {
    pub(super) fn new(
        tokenizers: Pair<Option<Arc<dyn Tokenizer>>>,
        options: &FrameOptions,
        hasher: RandomState,
        recycled: Receiver<Pair<RunSequences>>,
        counters: Arc<SharedCounters>,
    ) -> Self {
        let translator = Translator::new(options.genetic_code);
        let reading = options.reading;
        Framer { tokenizers, translator, reading, hasher, recycled, counters, busy: Duration::ZERO }
    }

    /// Does a task.
    pub(super) fn run(&mut self, task: FrameTask) -> Result<FramedRun, SeqError> {
        let start = Instant::now();
        let run = guard("framing", || Ok(self.steps(task)));
        self.busy += start.elapsed();
        self.counters.add_busy(self.busy);
        run
    }

    fn steps(&mut self, FrameTask { open, steps }: FrameTask) -> FramedRun {
        let mut run = FramedRun {
            items: Vec::with_capacity(steps.len()),
            sequences: self.recycled.try_recv().unwrap_or_default(),
            ends: Vec::new(),
            counters: FrameCounters::default(),
        };
        let (mut record, mut end) = open.unzip();
        for step in steps {
            match step {
                Step::Record(next) => {
                    run.counters.records += 1;
                    run.counters.bases += next.sequence.len() as u64;
                    (record, end) = (Some(Arc::clone(&next)), Some(0));
                    run.items.push(FrameItem::Record(next));
                }
                Step::Chunk(bases) => {
                    let own = bases.end - end.replace(bases.end).unwrap_or(0);
                    let letters = record.as_ref().map_or(&[][..], |record| &record.sequence[bases.clone()]);
                    let chunk = self.chunk(letters, bases, &mut run.sequences);
                    run.counters.cut += own as u64;
                    run.counters.chunks += 1;
                    run.counters.frames += chunk.frames.len() as u64;
                    run.ends.push(run.sequences.as_ref().map(RunSequences::len));
                    run.items.push(FrameItem::Chunk(chunk));
                }
                Step::End => {
                    // The bases of a record that is too short to be cut need no more work.
                    let bases = record.take().map_or(0, |record| record.sequence.len());
                    run.counters.cut += (bases - end.take().unwrap_or(0)) as u64;
                    run.items.push(FrameItem::End);
                }
            }
        }
        run
    }

    /// Returns a chunk with these letters, which has these bases of its record.
    fn chunk(&mut self, letters: &[u8], bases: Range<usize>, to: &mut Pair<RunSequences>) -> Chunk {
        let first = to.as_ref().map(RunSequences::len);
        let mut sequences = ChunkSequences { tokenizers: &self.tokenizers, hasher: &self.hasher, first, to };
        let (frames, whole) = match self.reading {
            ChunkReading::OpenFrames { frames: readers, strands } => {
                let frames = open_frames(&mut self.translator, &mut sequences, letters, &bases, readers);
                let is_closed = frames.is_empty();
                let whole = (strands && is_closed)
                    .then(|| both_strands(&mut self.translator, &mut sequences, letters));
                (frames, whole.flatten().map_or(WholeChunk::Nothing, WholeChunk::Strands))
            }
            ChunkReading::SixFrames => six_frames(&mut self.translator, &mut sequences, letters, &bases),
        };
        Chunk { number: 0, bases, frames, whole, oldest: Pair::default() }
    }
}

/// Where the sequences of a chunk go.
struct ChunkSequences<'a> {
    tokenizers: &'a Pair<Option<Arc<dyn Tokenizer>>>,
    hasher: &'a RandomState,
    /// Sequences before the chunk.
    first: Pair<usize>,
    to: &'a mut Pair<RunSequences>,
}

impl ChunkSequences<'_> {
    /// Adds a sequence for a model, and returns its place in the chunk; None if the model is absent.
    fn add(&mut self, alphabet: Alphabet, letters: &[u8]) -> Option<u64> {
        let tokenizer = self.tokenizers[alphabet].as_deref()?;
        let to = &mut self.to[alphabet];
        let place = to.len() - self.first[alphabet];
        to.add(tokenizer, letters, self.hasher.hash_one(letters));
        Some(place as u64)
    }
}

/// The open frames of the chunk, with their places for the models that read them.
fn open_frames(
    translator: &mut Translator,
    to: &mut ChunkSequences<'_>,
    letters: &[u8],
    bases: &Range<usize>,
    readers: Pair<bool>,
) -> Vec<ChunkFrame> {
    let frame = |open: crate::translate::OpenFrame<'_>| {
        let codons = open.frame.codons(bases.len());
        let mut place = |alphabet, letters| {
            let added = if readers[alphabet] { to.add(alphabet, letters) } else { None };
            added.unwrap_or(NO_SEQUENCE)
        };
        let sequences = Pair {
            nucleotide: place(Alphabet::Nucleotides, open.nucleotides),
            protein: place(Alphabet::Proteins, open.protein),
        };
        let codons = bases.start + codons.start..bases.start + codons.end;
        ChunkFrame { frame: open.frame, codons, sequences }
    };
    translator.frames(letters).map(frame).collect()
}

/// Returns the open frames of the chunk, and the codons of all six frames. An open frame has the place of
/// its codons.
fn six_frames(
    translator: &mut Translator,
    to: &mut ChunkSequences<'_>,
    letters: &[u8],
    bases: &Range<usize>,
) -> (Vec<ChunkFrame>, WholeChunk) {
    let mut frames = open_frames(translator, to, letters, bases, Pair { nucleotide: false, protein: true });
    let Some(six) = translator.codons(letters) else { return (frames, WholeChunk::Nothing) };
    let six = six.into_iter().filter(|codons| !codons.is_empty());
    let codons: Vec<u64> = six.filter_map(|codons| to.add(Alphabet::Nucleotides, codons)).collect();
    for frame in &mut frames {
        // Later frames are shorter: those without a codon are last on each strand.
        let on_strand = codons.len() / 2;
        let place = frame.frame.offset() + if frame.frame.is_reverse() { on_strand } else { 0 };
        frame.sequences.nucleotide = codons.get(place).copied().unwrap_or(NO_SEQUENCE);
    }
    let gc = gc_share(letters);
    let partial = match to.tokenizers.protein.is_some() && frames.is_empty() {
        true => translator.longest_run(letters, SHORTEST_PARTIAL),
        false => None,
    };
    let partial = partial.and_then(|run| to.add(Alphabet::Proteins, run));
    (frames, WholeChunk::SixFrames(SixFrames { codons, partial, gc }))
}

/// Returns the places of both strands of the chunk.
fn both_strands(
    translator: &mut Translator,
    to: &mut ChunkSequences<'_>,
    letters: &[u8],
) -> Option<[u64; 2]> {
    let [own, other] = translator.strands(letters)?;
    Some([to.add(Alphabet::Nucleotides, own)?, to.add(Alphabet::Nucleotides, other)?])
}
