//! Records to the open reading frames of their chunks, packed for two models at once.
//!
//! One thread reads, cuts, translates and tokenizes; two more collate, one for the nucleotide model, one
//! for the protein model. Beside the batches goes the list of what there is: records, chunks,
//! frames, and which packed sequences are theirs. Identical sequences that come near each other are
//! packed once.

mod counters;
mod pair;
mod reading;
mod stream;
mod unique_window;
mod worker;

use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::Arc;

use crossbeam_channel::{Receiver, unbounded};

use crate::collate::VarlenCollator;
use crate::error::SeqError;
use crate::index_set::IndexSet;
use crate::input::Input;
use crate::loader::{AsyncDataLoader, Credit, LoaderOptions, create_slab_loader};
use crate::reader::{ReadProgress, Records};
use crate::record::Record;
use crate::tokenize::Tokenizer;
use crate::translate::{Frame, GeneticCode};
pub use counters::FrameCounters;
use counters::SharedCounters;
pub use pair::Pair;
pub use reading::{ChunkReading, SHORTEST_PARTIAL, SixFrames, WholeChunk};
use stream::SequenceStream;
use worker::FrameWorker;

/// Bytes of records that are read before they are cut: of a small input the whole size is known
/// soon, and so how much of the work is done.
const AHEAD: u64 = 8 << 20;

/// Bytes of a record and its items, measured on records of two bases: 480.
const PER_RECORD: usize = 512;

/// How records become frames.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FrameOptions {
    /// Bases of a chunk.
    pub length: NonZeroUsize,
    /// The least bases of a record that is cut: a shorter one has no chunk.
    pub min_length: usize,
    /// How codons are read.
    pub genetic_code: GeneticCode,
    /// How many distinct sequences the duplicate filter remembers.
    pub unique_window: usize,
    /// Most bytes of records that are not done yet, by [`weight`], unless one record alone has
    /// more. After half of them, done or not, all that waits leaves in batches as they are.
    pub most_waiting: u64,
    /// Most batches that wait for each model.
    pub prefetch: usize,
    /// What the models read of a chunk.
    pub reading: ChunkReading,
    /// Chunks that are done, by their numbers: a batch that nothing but such chunks needs is made,
    /// as it shapes those after it, and not handed out.
    pub done: Arc<IndexSet>,
    /// For each model, the sequences whose results are there already, by their numbers: no chunk needs them.
    pub known: Pair<Arc<IndexSet>>,
}

impl FrameOptions {
    /// Chunks of `length` bases by the standard code, with 256 MB of records under way; both models
    /// read open frames and nothing else.
    pub fn new(length: NonZeroUsize) -> Self {
        FrameOptions {
            length,
            min_length: 0,
            genetic_code: GeneticCode::STANDARD,
            unique_window: 2_000,
            most_waiting: 256 << 20,
            prefetch: LoaderOptions::default().prefetch,
            reading: ChunkReading::OpenFrames {
                frames: Pair { nucleotide: true, protein: true },
                strands: false,
            },
            done: Arc::default(),
            known: Pair::default(),
        }
    }

    /// Cuts no record of fewer bases.
    #[must_use]
    pub fn min_length(mut self, min_length: usize) -> Self {
        self.min_length = min_length;
        self
    }

    /// Reads codons by this code.
    #[must_use]
    pub fn genetic_code(mut self, genetic_code: GeneticCode) -> Self {
        self.genetic_code = genetic_code;
        self
    }

    /// Remembers this many different sequences to find those that come again.
    #[must_use]
    pub fn unique_window(mut self, unique_window: usize) -> Self {
        self.unique_window = unique_window;
        self
    }

    /// Lets records of this many bytes be in progress.
    #[must_use]
    pub fn most_waiting(mut self, most_waiting: u64) -> Self {
        self.most_waiting = most_waiting;
        self
    }

    /// Lets this many batches wait for each model.
    #[must_use]
    pub fn prefetch(mut self, prefetch: usize) -> Self {
        self.prefetch = prefetch;
        self
    }

    /// Says what the models read of a chunk.
    #[must_use]
    pub fn reading(mut self, reading: ChunkReading) -> Self {
        self.reading = reading;
        self
    }

    /// Marks chunks as done: no sequence is needed for them.
    #[must_use]
    pub fn done(mut self, done: Arc<IndexSet>) -> Self {
        self.done = done;
        self
    }

    /// Marks sequences as known, for each model: no chunk needs them.
    #[must_use]
    pub fn known(mut self, known: Pair<Arc<IndexSet>>) -> Self {
        self.known = known;
        self
    }

    /// Most letters in a sequence for each model.
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

/// How one model wants its sequences.
pub struct EncoderInput {
    /// Letters to tokens.
    pub tokenizer: Arc<dyn Tokenizer>,
    /// Tokens to batches.
    pub collator: VarlenCollator,
}

/// What there is, in input order.
#[derive(Clone, Debug, PartialEq)]
pub enum FrameItem {
    /// A record; its chunks follow.
    Record(Arc<Record>),
    /// The next chunk of the record.
    Chunk(Chunk),
    /// The record is over.
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
    /// What else is read of it, where it has a codon that can be read.
    pub whole: WholeChunk,
    /// For each model: nothing from this chunk on has a sequence with a smaller number.
    pub oldest: Pair<u64>,
}

/// An open frame of a chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkFrame {
    /// Which one.
    pub frame: Frame,
    /// The bases of the record that its codons cover, from 0, on the record's own strand.
    pub codons: Range<usize>,
    /// For each model, the number of its sequence: `number` in the index of that model's batches.
    /// It means nothing for a model that does not read frames.
    pub sequences: Pair<u64>,
}

/// Packed batches for two models, and what they are of.
///
/// Each open frame of the input is in exactly one [`Chunk`], and each sequence number named there in
/// exactly one batch of that model, or in none if no unfinished chunk needs it. Batches depend on the
/// input and the options alone. The consumer must go on taking from all three, and report which
/// records are done ([`FrameLoader::done`]): nothing else bounds how far the reading runs ahead.
pub struct FrameLoader {
    items: Receiver<Result<Vec<FrameItem>, SeqError>>,
    batches: Pair<Option<AsyncDataLoader>>,
    credit: Arc<Credit>,
    counters: Arc<SharedCounters>,
    progress: Arc<ReadProgress>,
    inputs: Arc<[Input]>,
}

/// Starts the threads. A model that is not there gets no batches, and its sequence numbers mean nothing.
///
/// # Errors
///
/// A token budget that cannot hold the longest sequence of a chunk, or no threads.
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
    let (mut streams, mut batches) = (Pair::default(), Pair::default());
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
        streams[alphabet] =
            Some(SequenceStream::new(tokenizer, sender, options.unique_window, known, resumes));
        batches[alphabet] = Some(loader);
    }
    let (send, items) = unbounded();
    let loader = FrameLoader {
        items,
        batches,
        credit: Arc::new(Credit::new(options.most_waiting)),
        counters: Arc::default(),
        progress: records.progress(),
        inputs: Arc::clone(records.inputs()),
    };
    let (credit, counters) = (Arc::clone(&loader.credit), Arc::clone(&loader.counters));
    FrameWorker::new(records, streams, &options, send, credit, counters).start()?;
    Ok(loader)
}

impl FrameLoader {
    /// Records, chunks and frames as they come, in input order. An error comes after all that
    /// stands before it, and is the last.
    pub fn items(&self) -> &Receiver<Result<Vec<FrameItem>, SeqError>> {
        &self.items
    }

    /// The batches for each model that is there.
    pub fn batches(&self) -> &Pair<Option<AsyncDataLoader>> {
        &self.batches
    }

    /// Says that a record of that [`weight`] is done.
    pub fn done(&self, weight: u64) {
        self.credit.give(weight);
    }

    /// What was done so far.
    pub fn counters(&self) -> FrameCounters {
        self.counters.snapshot()
    }

    /// The id of the first record with a letter that stands for no nucleotide.
    pub fn first_odd(&self) -> Option<Arc<str>> {
        self.counters.first_odd()
    }

    /// How far the reading is.
    pub fn progress(&self) -> &Arc<ReadProgress> {
        &self.progress
    }

    /// The inputs, as they were named.
    pub fn inputs(&self) -> &[Input] {
        &self.inputs
    }
}

/// Bytes that a record takes until it is done: its letters, its header, and what any record takes,
/// be it empty.
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
