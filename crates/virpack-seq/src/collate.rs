//! Records to packed batches: a buffer, a packer and a queue.

mod buffer;
mod store;

pub use buffer::CollatorOptions;
pub(crate) use buffer::{PackReason, PackingBuffer};

use std::collections::VecDeque;

use crate::batch::{PackedBatch, SequenceIndex};
use crate::error::SeqError;
use crate::pack::{GreedyPacker, PackStats, PackTally};
use store::TokenStore;

/// Collects tokenized records and hands them back as packed batches.
///
/// `push` fills a buffer; when [`CollatorOptions::buffer_size`] new records are in it, the whole
/// buffer is packed. Full batches go to the queue that [`VarlenCollator::pop`] empties; the records
/// of under-filled ones stay for the next window, so that efficiency does not depend on the window.
/// No record waits longer than [`CollatorOptions::max_windows`] windows. [`VarlenCollator::flush`]
/// returns all that remains.
///
/// At most two buffers of records stay for the next window. So a caller that pops what is ready
/// after every push has at most three buffers of records here, and one that pops only before the
/// next buffer is full has four.
///
/// ```
/// use virpack_seq::{CollatorOptions, GreedyPacker, PackerOptions, SequenceIndex, VarlenCollator};
///
/// let packer = GreedyPacker::new(PackerOptions::new(8, 6))?;
/// let mut collator = VarlenCollator::new(packer, CollatorOptions::default())?;
/// for (record, tokens) in [&[0, 20, 2][..], &[0, 5, 6, 7, 2], &[0, 9, 9, 9, 9, 2]].into_iter().enumerate() {
///     let index = SequenceIndex::new(record as u64, format!("protein_{record}"), tokens.len() as u64 - 2);
///     collator.push(tokens, index)?;
///     assert!(collator.pop().is_none()); // the buffer takes 2,000
/// }
/// let batches = collator.flush();
/// assert_eq!(batches.len(), 2);
/// assert_eq!(batches[1].cu_seqlens, [0, 5, 8]);
/// # Ok::<(), virpack_seq::SeqError>(())
/// ```
#[derive(Clone, Debug)]
pub struct VarlenCollator {
    enable_packing: bool,
    buffer: PackingBuffer,
    store: TokenStore,
    ready: VecDeque<PackedBatch>,
    tally: PackTally,
    counters: CollatorCounters,
}

/// What a collator took in, gave back and still holds; received = returned + waiting, always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CollatorCounters {
    /// Sequences pushed.
    pub received: u64,
    /// Sequences returned in batches, by `pop`, `release` or `flush`.
    pub returned: u64,
    /// Sequences here: in the buffer or in a batch that was not popped yet.
    pub waiting: u64,
    /// The most that ever waited.
    pub most_waiting: u64,
    /// Batches returned.
    pub batches: u64,
}

impl VarlenCollator {
    /// A collator with an empty buffer.
    ///
    /// # Errors
    ///
    /// [`SeqError::ZeroOption`] for a `buffer_size` of 0.
    pub fn new(packer: GreedyPacker, options: CollatorOptions) -> Result<Self, SeqError> {
        options.check()?;
        Ok(VarlenCollator {
            enable_packing: options.enable_packing,
            tally: PackTally::new(packer.options()),
            buffer: PackingBuffer::new(packer, options),
            store: TokenStore::default(),
            ready: VecDeque::new(),
            counters: CollatorCounters::default(),
        })
    }

    /// The packer it was built with.
    pub fn packer(&self) -> &GreedyPacker {
        self.buffer.packer()
    }

    /// The options it was built with.
    pub fn options(&self) -> &CollatorOptions {
        self.buffer.options()
    }

    /// Takes one tokenized sequence in: `tokens` `[length]`, special tokens included. With packing
    /// off it is a batch by itself.
    ///
    /// # Errors
    ///
    /// [`SeqError::OverBudget`], [`SeqError::OverAttentionCost`] or [`SeqError::NoTokens`] for a
    /// sequence that no batch can hold. It is not taken in, and the collator continues as if it had not been
    /// offered.
    pub fn push(&mut self, tokens: &[u16], index: SequenceIndex) -> Result<(), SeqError> {
        self.push_micro_batch(std::iter::once((tokens, index)))
    }

    /// Takes several sequences in; with packing off they become batches of their own in the order
    /// they come, a new one whenever the next sequence passes a limit.
    ///
    /// # Errors
    ///
    /// As [`VarlenCollator::push`]; the sequences before the one that is refused are taken in.
    ///
    /// ```
    /// use virpack_seq::{CollatorOptions, GreedyPacker, PackerOptions, SequenceIndex, VarlenCollator};
    ///
    /// let packer = GreedyPacker::new(PackerOptions::new(8, 6))?;
    /// let mut collator = VarlenCollator::new(packer, CollatorOptions::default().enable_packing(false))?;
    /// let index = |number| SequenceIndex::new(number, "id", 1);
    /// collator.push_micro_batch([(&[0, 5, 2][..], index(0)), (&[0, 6, 2][..], index(1))])?;
    /// assert_eq!(collator.pop().unwrap().cu_seqlens, [0, 3, 6]);
    /// # Ok::<(), virpack_seq::SeqError>(())
    /// ```
    pub fn push_micro_batch<'a, I>(&mut self, sequences: I) -> Result<(), SeqError>
    where
        I: IntoIterator<Item = (&'a [u16], SequenceIndex)>,
    {
        let mut result = Ok(());
        for (tokens, index) in sequences {
            result = self.check(tokens, &index);
            if result.is_err() {
                break;
            }
            let length = tokens.len() as u32;
            self.store.push(tokens, index);
            self.tally.receive(length);
            self.counters.received += 1;
            self.counters.waiting += 1;
            self.counters.most_waiting = self.counters.most_waiting.max(self.counters.waiting);
            if self.buffer.push(length) {
                self.close(PackReason::Full);
            }
        }
        if !self.enable_packing {
            self.close(PackReason::MicroBatch);
        }
        result
    }

    /// The next ready batch; `None` until enough records were pushed.
    ///
    /// ```
    /// use virpack_seq::{CollatorOptions, GreedyPacker, PackerOptions, SequenceIndex, VarlenCollator};
    ///
    /// let packer = GreedyPacker::new(PackerOptions::new(8, 6))?;
    /// let mut collator = VarlenCollator::new(packer, CollatorOptions::default().buffer_size(2))?;
    /// collator.push(&[0, 5, 5, 5, 5, 2], SequenceIndex::new(0, "a", 4))?;
    /// assert!(collator.pop().is_none()); // the buffer has room for one more
    /// collator.push(&[0, 5, 5, 5, 2], SequenceIndex::new(1, "b", 3))?;
    /// assert_eq!(collator.pop().unwrap().len(), 1);
    /// # Ok::<(), virpack_seq::SeqError>(())
    /// ```
    pub fn pop(&mut self) -> Option<PackedBatch> {
        let batch = self.ready.pop_front()?;
        self.counters.waiting -= batch.len() as u64;
        self.counters.returned += batch.len() as u64;
        self.counters.batches += 1;
        Some(batch)
    }

    /// The best batch that can be had now, without waiting for the buffer to fill: a ready one, or else the
    /// fullest that the buffer gives. `None` when nothing waits.
    ///
    /// For a slow source: how full it is depends on when it is asked for.
    ///
    /// ```
    /// use virpack_seq::{CollatorOptions, GreedyPacker, PackerOptions, SequenceIndex, VarlenCollator};
    ///
    /// let packer = GreedyPacker::new(PackerOptions::new(8, 6))?;
    /// let mut collator = VarlenCollator::new(packer, CollatorOptions::default())?;
    /// assert!(collator.release().is_none());
    /// collator.push(&[0, 5, 2], SequenceIndex::new(0, "a", 1))?;
    /// assert_eq!(collator.release().unwrap().len(), 1);
    /// # Ok::<(), virpack_seq::SeqError>(())
    /// ```
    pub fn release(&mut self) -> Option<PackedBatch> {
        if self.ready.is_empty() {
            self.close(PackReason::Release);
        }
        self.pop()
    }

    /// Returns all that remains, ready batches first; afterwards the collator is empty and can go on.
    ///
    /// ```
    /// use virpack_seq::{CollatorOptions, GreedyPacker, PackerOptions, SequenceIndex, VarlenCollator};
    ///
    /// let packer = GreedyPacker::new(PackerOptions::new(8, 6))?;
    /// let mut collator = VarlenCollator::new(packer, CollatorOptions::default())?;
    /// for number in 0..3 {
    ///     collator.push(&[0, 5, 5, 2], SequenceIndex::new(number, "id", 2))?;
    /// }
    /// let batches = collator.flush();
    /// assert_eq!(batches.iter().map(|batch| batch.len()).collect::<Vec<_>>(), [2, 1]);
    /// # Ok::<(), virpack_seq::SeqError>(())
    /// ```
    pub fn flush(&mut self) -> Vec<PackedBatch> {
        self.close(PackReason::Flush);
        std::iter::from_fn(|| self.pop()).collect()
    }

    /// What was taken in, given back and still waits.
    ///
    /// ```
    /// use virpack_seq::{CollatorOptions, GreedyPacker, PackerOptions, SequenceIndex, VarlenCollator};
    ///
    /// let packer = GreedyPacker::new(PackerOptions::new(8, 6))?;
    /// let mut collator = VarlenCollator::new(packer, CollatorOptions::default())?;
    /// collator.push(&[0, 5, 2], SequenceIndex::new(0, "a", 1))?;
    /// let counters = collator.counters();
    /// assert_eq!((counters.received, counters.returned, counters.waiting), (1, 0, 1));
    /// # Ok::<(), virpack_seq::SeqError>(())
    /// ```
    pub fn counters(&self) -> CollatorCounters {
        self.counters
    }

    /// Statistics of all batches made so far, including those that were not popped yet. The lower bound takes
    /// milliseconds: for progress, use [`VarlenCollator::counters`].
    ///
    /// ```
    /// use virpack_seq::{CollatorOptions, GreedyPacker, PackerOptions, SequenceIndex, VarlenCollator};
    ///
    /// let packer = GreedyPacker::new(PackerOptions::new(8, 6))?;
    /// let mut collator = VarlenCollator::new(packer, CollatorOptions::default())?;
    /// collator.push(&[0, 5, 5, 2], SequenceIndex::new(0, "a", 2))?;
    /// collator.push(&[0, 6, 6, 2], SequenceIndex::new(1, "b", 2))?;
    /// collator.flush();
    /// assert_eq!((collator.stats().batches, collator.stats().efficiency()), (1, 1.0));
    /// # Ok::<(), virpack_seq::SeqError>(())
    /// ```
    pub fn stats(&self) -> PackStats {
        self.tally.stats(Some(self.options().buffer_size), self.enable_packing)
    }

    fn check(&self, tokens: &[u16], index: &SequenceIndex) -> Result<(), SeqError> {
        let packer = self.buffer.packer();
        if (1..=packer.longest()).contains(&tokens.len()) {
            return Ok(());
        }
        let (id, tokens) = (index.id.clone(), tokens.len());
        Err(match packer.options().max_attention_cost {
            _ if tokens == 0 => SeqError::NoTokens { id },
            Some(max_attention_cost) if tokens <= packer.token_budget() => {
                SeqError::OverAttentionCost { id, tokens, max_attention_cost }
            }
            _ => SeqError::OverBudget { id, tokens, token_budget: packer.token_budget() },
        })
    }

    /// Packs the buffer and queues the batches that leave it.
    fn close(&mut self, why: PackReason) {
        self.buffer.close(why);
        for items in self.buffer.leaving() {
            let batch = self.store.batch(items);
            self.tally.batch(batch.len(), batch.total_tokens() as u64, why.into());
            self.ready.push_back(batch);
        }
        self.store.retain(self.buffer.staying());
    }
}
