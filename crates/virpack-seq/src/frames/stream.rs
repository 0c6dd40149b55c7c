//! Sends sequences to the collator of one model.

use std::sync::Arc;

use super::run_sequences::RunSequence;
use super::unique_window::UniqueWindow;
use crate::batch::SequenceIndex;
use crate::index_set::IndexSet;
use crate::loader::{SlabSender, StopReason};
use crate::record::Record;
use crate::slab::TokenSlab;
use crate::translate::Frame;

/// The stream of sequences to one model.
pub(super) struct SequenceStream {
    sender: SlabSender,
    slab: TokenSlab,
    unique: UniqueWindow,
    repeated: u64,
    /// Whether the chunk of the sequences that follow is unfinished.
    needs: bool,
    /// Numbers of sequences that need not be computed, even if a chunk needs their results.
    known: Arc<IndexSet>,
    /// Sequences held until it is known which are needed; None if all are needed from here on.
    held: Option<PendingSequences>,
}

/// The sequences of a window. A finished chunk may be followed by an unfinished one that shares a sequence
/// with it.
#[derive(Debug, Default)]
struct PendingSequences {
    slabs: Vec<TokenSlab>,
    /// Whether an unfinished chunk needs it, for each sequence of the window.
    needed: Vec<bool>,
}

impl SequenceStream {
    /// `known` are the numbers of sequences that need not be computed; `resumes` says whether there are
    /// finished chunks.
    pub(super) fn new(sender: SlabSender, window: usize, known: Arc<IndexSet>, resumes: bool) -> Self {
        let (slab, unique) = (sender.slab(), UniqueWindow::new(window));
        let held = (resumes || !known.is_empty()).then(PendingSequences::default);
        SequenceStream { sender, slab, unique, repeated: 0, needs: true, known, held }
    }

    /// Returns how many sequences were duplicates of packed ones.
    pub(super) fn repeated(&self) -> u64 {
        self.repeated
    }

    /// Makes room for the sequences of a chunk, and returns the smallest number that one of them may have.
    /// `goes_on` says whether any chunk from this one on is finished.
    pub(super) fn begin_chunk(&mut self, is_done: bool, goes_on: bool) -> Result<u64, StopReason> {
        // The frames of a chunk are joined together, so one window must hold their sequences.
        if !self.unique.has_room(Frame::ALL.len()) {
            self.end_window(goes_on)?;
        }
        self.needs = !is_done;
        Ok(self.unique.oldest())
    }

    /// Returns the number of a sequence, and takes the sequence if it is new.
    pub(super) fn number(&mut self, record: &Record, sequence: &RunSequence<'_>) -> u64 {
        let (number, new) = self.unique.number(sequence.letters, sequence.hash);
        if new {
            self.slab.tokens().extend_from_slice(sequence.tokens);
            self.slab.close(SequenceIndex {
                source: record.source,
                unknown: sequence.counts.unknown,
                gaps: sequence.counts.gaps,
                ..SequenceIndex::new(number, Arc::clone(&record.id), sequence.letters.len() as u64)
            });
            self.slab.counts.records += 1;
        } else {
            self.repeated += 1;
        }
        if let Some(held) = &mut self.held {
            let place = (number - self.unique.oldest()) as usize;
            held.needed.resize(held.needed.len().max(place + 1), false);
            held.needed[place] |= self.needs && !self.known.contains(number);
        }
        number
    }

    /// Sends the open slab, unless it must be held.
    pub(super) fn send(&mut self) -> Result<(), StopReason> {
        if self.slab.is_empty() {
            return Ok(());
        }
        let slab = std::mem::replace(&mut self.slab, self.sender.slab());
        match &mut self.held {
            Some(held) => held.slabs.push(slab),
            None => self.sender.send(slab)?,
        }
        Ok(())
    }

    /// Sends everything, to leave in batches at once.
    pub(super) fn send_all(&mut self, goes_on: bool) -> Result<(), StopReason> {
        self.end_window(goes_on)?;
        self.send()?;
        self.sender.flush()
    }

    /// Ends the window: none of its sequences can occur again. It is now known which are needed, so the
    /// held ones are sent.
    fn end_window(&mut self, goes_on: bool) -> Result<(), StopReason> {
        if self.held.is_some() {
            self.send()?;
        }
        let first = self.unique.oldest();
        self.unique.begin();
        let Some(PendingSequences { slabs, needed }) = self.held.take() else { return Ok(()) };
        let goes_on = goes_on || self.unique.oldest() < self.known.end();
        self.held = goes_on.then(PendingSequences::default);
        for mut slab in slabs {
            for index in slab.index_mut() {
                index.needed = needed[(index.number - first) as usize];
            }
            self.sender.send(slab)?;
        }
        Ok(())
    }
}
