//! The way of sequences to one model.

use std::sync::Arc;

use super::unique_window::UniqueWindow;
use crate::batch::SequenceIndex;
use crate::index_set::IndexSet;
use crate::loader::{SlabSender, StopReason};
use crate::record::Record;
use crate::slab::TokenSlab;
use crate::tokenize::Tokenizer;
use crate::translate::Frame;

/// The way to one model.
pub(super) struct SequenceStream {
    tokenizer: Arc<dyn Tokenizer>,
    sender: SlabSender,
    slab: TokenSlab,
    unique: UniqueWindow,
    repeated: u64,
    /// Whether the chunk whose sequences come is not done.
    needs: bool,
    /// Sequences that need not come, even where a chunk needs their results.
    known: Arc<IndexSet>,
    /// What waits until it is known who needs it; None where all is needed from here on.
    held: Option<PendingSequences>,
}

/// The sequences of a window: behind a chunk that is done may come one that is not, and shares a
/// sequence with it.
#[derive(Debug, Default)]
struct PendingSequences {
    slabs: Vec<TokenSlab>,
    /// Whether a chunk that is not done needs it, for each sequence of the window.
    needed: Vec<bool>,
}

impl SequenceStream {
    /// `known` are sequences that need not come; `resumes`: whether there are chunks that are done.
    pub(super) fn new(
        tokenizer: Arc<dyn Tokenizer>,
        sender: SlabSender,
        window: usize,
        known: Arc<IndexSet>,
        resumes: bool,
    ) -> Self {
        let (slab, unique) = (sender.slab(), UniqueWindow::new(window));
        let held = (resumes || !known.is_empty()).then(PendingSequences::default);
        SequenceStream { tokenizer, sender, slab, unique, repeated: 0, needs: true, known, held }
    }

    /// Sequences in the open slab.
    pub(super) fn waiting(&self) -> usize {
        self.slab.len()
    }

    /// Sequences that were packed already.
    pub(super) fn repeated(&self) -> u64 {
        self.repeated
    }

    /// Makes room for the sequences of a chunk; gives the smallest number that one of them may
    /// have. `goes_on`: whether chunks from this one on are done.
    pub(super) fn begin_chunk(&mut self, is_done: bool, goes_on: bool) -> Result<u64, StopReason> {
        // The frames of a chunk wait for each other: one window must hold their sequences.
        if !self.unique.has_room(Frame::ALL.len()) {
            self.end_window(goes_on)?;
        }
        self.needs = !is_done;
        Ok(self.unique.oldest())
    }

    /// The number of a sequence, which is tokenized when it is new.
    pub(super) fn number(&mut self, record: &Record, letters: &[u8]) -> u64 {
        let (number, new) = self.unique.number(letters);
        if new {
            let counts = self.tokenizer.tokenize(letters, usize::MAX, self.slab.tokens());
            self.slab.close(SequenceIndex {
                source: record.source,
                unknown: counts.unknown,
                gaps: counts.gaps,
                ..SequenceIndex::new(number, Arc::clone(&record.id), letters.len() as u64)
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

    /// Sends on what there is, unless it is held.
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

    /// Sends everything on, to leave in batches at once.
    pub(super) fn send_all(&mut self, goes_on: bool) -> Result<(), StopReason> {
        self.end_window(goes_on)?;
        self.send()?;
        self.sender.flush()
    }

    /// Nothing of this window comes again: what is held is sent on, now that it is known which of
    /// it is needed.
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
