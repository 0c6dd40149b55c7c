//! Turns records into the open reading frames of their chunks, packed for two models at once.
//!
//! One thread reads and cuts, several translate and tokenize, and one numbers what they make, in input order.
//! Two more collate: one for the nucleotide model, one for the protein model. A list of items accompanies
//! the batches: records, chunks, frames, and the numbers of their packed sequences. Identical sequences that
//! occur near each other are packed once.

mod counters;
mod frame_reader;
mod framer;
mod numbering;
mod pair;
mod reading;
mod run_sequences;
mod stream;
mod unique_window;

use std::hash::RandomState;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

use crate::collate::VarlenCollator;
use crate::error::SeqError;
use crate::index_set::IndexSet;
use crate::input::Input;
use crate::loader::{
    AsyncDataLoader, Credit, LoaderOptions, MOST_ASKED, create_slab_loader, half_of_cores, in_order,
};
use crate::reader::{ReadProgress, Records};
use crate::record::Record;
use crate::tokenize::Tokenizer;
use crate::translate::{Frame, GeneticCode};
pub use counters::FrameCounters;
use counters::SharedCounters;
use frame_reader::FrameReader;
use framer::Framer;
use numbering::Numbering;
pub use pair::Pair;
pub use reading::{ChunkReading, SHORTEST_PARTIAL, SixFrames, WholeChunk};
use stream::SequenceStream;

/// Bytes of records that are read ahead of cutting. The size of a small input is then known early, and with
/// it the finished fraction of the work.
const AHEAD: u64 = 8 << 20;

/// Bytes of a record and its items, measured on records of two bases: 480.
const PER_RECORD: usize = 512;

/// How records are cut into chunks and frames.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FrameOptions {
    /// Bases of a chunk.
    pub length: NonZeroUsize,
    /// The fewest bases of a record that is cut. A shorter record has no chunk.
    pub min_length: usize,
    /// The genetic code that translates codons.
    pub genetic_code: GeneticCode,
    /// How many distinct sequences the duplicate filter remembers.
    pub unique_window: usize,
    /// The most bytes of unfinished records, by [`weight`]; a single larger record is admitted alone. After
    /// each half of that, finished or not, all waiting sequences leave in batches as they are.
    pub most_waiting: u64,
    /// The most batches that wait for each model.
    pub prefetch: usize,
    /// Threads that translate and tokenize; None: half of the cores, at most eight. The results do not
    /// depend on it.
    pub threads: Option<NonZeroUsize>,
    /// What the models read of a chunk.
    pub reading: ChunkReading,
    /// The numbers of finished chunks. A batch that only such chunks need is built, because it shapes the
    /// batches after it, but it is not handed out.
    pub done: Arc<IndexSet>,
    /// For each model, the numbers of the sequences whose results exist already: no chunk needs them.
    pub known: Pair<Arc<IndexSet>>,
}

impl FrameOptions {
    /// Returns the options for chunks of `length` bases, the standard genetic code and 256 MB of records in
    /// progress. Both models read open frames and nothing else.
    pub fn new(length: NonZeroUsize) -> Self {
        FrameOptions {
            length,
            min_length: 0,
            genetic_code: GeneticCode::STANDARD,
            unique_window: 2_000,
            most_waiting: 256 << 20,
            prefetch: LoaderOptions::default().prefetch,
            threads: None,
            reading: ChunkReading::OpenFrames {
                frames: Pair { nucleotide: true, protein: true },
                strands: false,
            },
            done: Arc::default(),
            known: Pair::default(),
        }
    }

    /// Sets the fewest bases of a record that is cut.
    #[must_use]
    pub fn min_length(mut self, min_length: usize) -> Self {
        self.min_length = min_length;
        self
    }

    /// Sets the genetic code.
    #[must_use]
    pub fn genetic_code(mut self, genetic_code: GeneticCode) -> Self {
        self.genetic_code = genetic_code;
        self
    }

    /// Sets how many distinct sequences the duplicate filter remembers.
    #[must_use]
    pub fn unique_window(mut self, unique_window: usize) -> Self {
        self.unique_window = unique_window;
        self
    }

    /// Sets the most bytes of records in progress.
    #[must_use]
    pub fn most_waiting(mut self, most_waiting: u64) -> Self {
        self.most_waiting = most_waiting;
        self
    }

    /// Sets the most batches that wait for each model.
    #[must_use]
    pub fn prefetch(mut self, prefetch: usize) -> Self {
        self.prefetch = prefetch;
        self
    }

    /// Sets the number of threads that translate and tokenize.
    #[must_use]
    pub fn threads(mut self, threads: NonZeroUsize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// Sets what the models read of a chunk.
    #[must_use]
    pub fn reading(mut self, reading: ChunkReading) -> Self {
        self.reading = reading;
        self
    }

    /// Sets the numbers of finished chunks: no sequence is needed for them.
    #[must_use]
    pub fn done(mut self, done: Arc<IndexSet>) -> Self {
        self.done = done;
        self
    }

    /// Sets, for each model, the numbers of the sequences whose results exist already: no chunk needs them.
    #[must_use]
    pub fn known(mut self, known: Pair<Arc<IndexSet>>) -> Self {
        self.known = known;
        self
    }

    /// Returns the most letters in a sequence for each model.
    ///
    /// ```
    /// use virpack_seq::frames::{FrameOptions, Pair};
    ///
    /// assert_eq!(FrameOptions::new(500.try_into()?).longest(), Pair { nucleotide: 500, protein: 166 });
    /// # Ok::<(), std::num::TryFromIntError>(())
    /// ```
    pub fn longest(&self) -> Pair<usize> {
        Pair { nucleotide: self.length.get(), protein: self.length.get() / 3 }
    }
}

/// The tokenizer and the collator of one model.
pub struct EncoderInput {
    /// Turns letters into tokens.
    pub tokenizer: Arc<dyn Tokenizer>,
    /// Turns tokens into batches.
    pub collator: VarlenCollator,
}

/// An item of the input, in input order.
#[derive(Clone, Debug, PartialEq)]
pub enum FrameItem {
    /// A record; its chunks follow.
    Record(Arc<Record>),
    /// The next chunk of the record.
    Chunk(Chunk),
    /// The end of the record.
    End,
}

/// A chunk and its open frames.
#[derive(Clone, Debug, PartialEq)]
pub struct Chunk {
    /// Its place among the chunks of all inputs, from 0.
    pub number: u64,
    /// Its bases in the record, from 0.
    pub bases: Range<usize>,
    /// Its open frames, in the order of [`Frame::ALL`].
    pub frames: Vec<ChunkFrame>,
    /// What else is read of it, if it has a codon that can be translated.
    pub whole: WholeChunk,
    /// For each model, the smallest sequence number that this chunk or any later one can have.
    pub oldest: Pair<u64>,
}

/// An open frame of a chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkFrame {
    /// Which one.
    pub frame: Frame,
    /// The bases of the record that its codons cover, from 0, on the record's own strand.
    pub codons: Range<usize>,
    /// For each model, the number of its sequence: `number` in the index of that model's batches. It has no
    /// meaning for a model that does not read frames.
    pub sequences: Pair<u64>,
}

/// Packed batches for two models, and the records, chunks and frames that they come from.
///
/// Each open frame of the input is in exactly one [`Chunk`]. Each sequence number named there is in exactly
/// one batch of that model, or in none if no unfinished chunk needs it. Batches depend only on the input
/// and the options. The consumer must keep taking from all three, and report finished records
/// ([`FrameLoader::done`]): nothing else limits how far the reader runs ahead.
pub struct FrameLoader {
    items: Receiver<Result<Vec<FrameItem>, SeqError>>,
    batches: Pair<Option<AsyncDataLoader>>,
    credit: Arc<Credit>,
    counters: Arc<SharedCounters>,
    progress: Arc<ReadProgress>,
    inputs: Arc<[Input]>,
    /// Nothing is sent here: the threads stop when it is dropped.
    _stop: Sender<()>,
}

/// Starts the threads. A model that is absent gets no batches, and its sequence numbers have no meaning.
///
/// # Errors
///
/// If a token budget cannot hold the longest sequence of a chunk, or a thread does not start.
///
/// ```
/// use virpack_seq::*;
/// use virpack_seq::frames::*;
///
/// let records = Records::from_reader("one.fasta", &b">r\nATGGCC\n"[..])?;
/// let collator = VarlenCollator::new(GreedyPacker::new(PackerOptions::new(512, 512))?, CollatorOptions::default())?;
/// let protein = EncoderInput { tokenizer: std::sync::Arc::new(EsmTokenizer::new()), collator };
/// let encoders = Pair { nucleotide: None, protein: Some(protein) };
/// let frames = create_frame_loader(records, encoders, FrameOptions::new(500.try_into()?))?;
/// let [FrameItem::Record(record), FrameItem::Chunk(chunk), FrameItem::End] = &frames.items().recv()??[..] else { panic!() };
/// assert_eq!((&*record.id, chunk.bases.clone(), chunk.frames.len()), ("r", 0..6, 6));
/// let proteins = frames.batches().protein.as_ref().unwrap();
/// let Some(LoaderItem::Batch(batch)) = proteins.receive().transpose()? else { panic!() };
/// // MA, W, G, GH, A, P: the second G and the second A are there already.
/// assert!(batch.len() < 7);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn create_frame_loader(
    records: Records,
    encoders: Pair<Option<EncoderInput>>,
    options: FrameOptions,
) -> Result<FrameLoader, SeqError> {
    let (mut streams, mut batches, mut tokenizers) = (Pair::default(), Pair::default(), Pair::default());
    for (alphabet, encoder) in encoders {
        let Some(EncoderInput { tokenizer, collator }) = encoder else { continue };
        let longest = options.longest()[alphabet] + 2;
        if longest > collator.packer().longest() {
            return Err(SeqError::BudgetTooSmall { token_budget: collator.packer().token_budget(), longest });
        }
        let loader = LoaderOptions::default().prefetch(options.prefetch);
        let (sender, loader) = create_slab_loader(&records, collator, &loader)?;
        let known = Arc::clone(&options.known[alphabet]);
        let resumes = !options.done.is_empty();
        streams[alphabet] = Some(SequenceStream::new(sender, options.unique_window, known, resumes));
        (batches[alphabet], tokenizers[alphabet]) = (Some(loader), Some(tokenizer));
    }
    let (send, items) = unbounded();
    let (stop, stopped) = bounded(0);
    let loader = FrameLoader {
        items,
        batches,
        credit: Arc::new(Credit::new(options.most_waiting)),
        counters: Arc::default(),
        progress: records.progress(),
        inputs: Arc::clone(records.inputs()),
        _stop: stop,
    };
    let counters = &loader.counters;
    let threads = options.threads.unwrap_or_else(half_of_cores).get().min(MOST_ASKED);
    let (hasher, (recycle, recycled)) = (RandomState::new(), bounded(2 * threads));
    let worker = |_| {
        let (recycled, counters) = (recycled.clone(), Arc::clone(counters));
        let mut framer = Framer::new(tokenizers.clone(), &options, hasher.clone(), recycled, counters);
        move |task| framer.run(task)
    };
    let (tasks, runs) = in_order("framing", (0..threads).map(worker).collect(), &stopped)?;
    let numbering = Numbering {
        runs,
        streams,
        items: send,
        recycled: recycle,
        done: Arc::clone(&options.done),
        counters: Arc::clone(counters),
        record: Arc::default(),
        number: 0,
        busy: Duration::ZERO,
    };
    numbering.start()?;
    FrameReader::new(records, &options, tasks, Arc::clone(&loader.credit), Arc::clone(counters)).start()?;
    Ok(loader)
}

impl FrameLoader {
    /// Returns the channel of records, chunks and frames, in input order. An error follows everything that
    /// precedes it in the input, and is the last item.
    pub fn items(&self) -> &Receiver<Result<Vec<FrameItem>, SeqError>> {
        &self.items
    }

    /// Returns the batches of each model that is present.
    pub fn batches(&self) -> &Pair<Option<AsyncDataLoader>> {
        &self.batches
    }

    /// Reports that a record of that [`weight`] is finished.
    pub fn done(&self, weight: u64) {
        self.credit.give(weight);
    }

    /// Returns what has been counted so far.
    pub fn counters(&self) -> FrameCounters {
        self.counters.snapshot()
    }

    /// Returns the id of the first record with a letter that is not a nucleotide code.
    pub fn first_odd(&self) -> Option<Arc<str>> {
        self.counters.first_odd()
    }

    /// Returns how far the reader is.
    pub fn progress(&self) -> &Arc<ReadProgress> {
        &self.progress
    }

    /// Returns the inputs, as the user named them.
    pub fn inputs(&self) -> &[Input] {
        &self.inputs
    }
}

/// Returns the bytes that a record takes until it is finished: its letters, its header, and a constant that
/// even an empty record takes.
///
/// ```
/// use virpack_seq::{Record, frames::weight};
///
/// let record = Record { id: "r".into(), sequence: b"ACGT".to_vec(), ..Record::default() };
/// assert_eq!(weight(&record), 512 + 1 + 4);
/// ```
pub fn weight(record: &Record) -> u64 {
    (PER_RECORD + record.id.len() + record.description.len() + record.sequence.len()) as u64
}

impl Drop for FrameLoader {
    fn drop(&mut self) {
        self.credit.close();
    }
}
