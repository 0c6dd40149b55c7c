//! A packed batch: several sequences end to end, as the packer makes it and a model takes it.

use std::sync::Arc;

/// Sequences laid end to end without padding, with the boundaries between them.
///
/// A batch holds `n` sequences and `total_tokens` tokens, special tokens included.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PackedBatch {
    /// Token ids, `[total_tokens]`.
    pub input_ids: Vec<u16>,
    /// Start of each sequence in `input_ids`, `[n + 1]`: starts at 0, strictly increases, ends at
    /// `total_tokens`.
    pub cu_seqlens: Vec<i32>,
    /// Tokens in the longest sequence.
    pub max_seqlen: usize,
    /// The origin of each sequence, `[n]`.
    pub index: Vec<SequenceIndex>,
}

/// The origin of a packed sequence: its record, and the part of it that was packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SequenceIndex {
    /// The number of the sequence, from 0: the record's place over all inputs, or in a [frame
    /// loader](crate::frames) the number of the sequence itself.
    pub number: u64,
    /// The number of the record's input, from 0.
    pub source: u32,
    /// The record's full id: the first word of its header.
    pub id: Arc<str>,
    /// Residues (or bases) in the complete record, before truncation.
    pub length: u64,
    /// Whether the record was truncated: only its beginning is packed.
    pub truncated: bool,
    /// Letters of the record outside the alphabet (they became `<unk>`), in the part that is packed. A
    /// letter in several windows counts once.
    pub unknown: u32,
    /// Gap characters (`-`, `.`) of the record, counted in the same way. They are not among the unknown
    /// letters.
    pub gaps: u32,
    /// Which window of the record this sequence is.
    pub window: Window,
    /// Whether a consumer needs the sequence's result. It is false if the number is in the loader's set of
    /// finished numbers ([`LoaderOptions::done`](crate::LoaderOptions::done)); the sequence is then in a
    /// batch only because another sequence of that batch is needed.
    pub needed: bool,
}

impl SequenceIndex {
    /// Returns the index of a needed record of the first input, `length` residues long, that is packed
    /// complete and has no unknown letter.
    ///
    /// ```
    /// use virpack_seq::{SequenceIndex, Window};
    ///
    /// let index = SequenceIndex::new(7, "sp|P69905", 142);
    /// assert_eq!((index.number, index.window, index.needed), (7, Window::WHOLE, true));
    /// ```
    pub fn new(number: u64, id: impl Into<Arc<str>>, length: u64) -> Self {
        SequenceIndex {
            number,
            source: 0,
            id: id.into(),
            length,
            truncated: false,
            unknown: 0,
            gaps: 0,
            window: Window::WHOLE,
            needed: true,
        }
    }
}

/// One of the overlapping windows that cover a long record; a record that fits is one window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Place of this window in its record, from 0.
    pub number: u32,
    /// Windows of this record.
    pub count: u32,
    /// The window's first residue, from 0.
    pub start: u64,
}

impl Window {
    /// The one window of a record that fits in one sequence.
    pub const WHOLE: Window = Window { number: 0, count: 1, start: 0 };
}

impl PackedBatch {
    /// Returns an empty batch with room for `tokens` tokens in `sequences` sequences.
    pub fn with_capacity(tokens: usize, sequences: usize) -> Self {
        let mut cu_seqlens = Vec::with_capacity(sequences + 1);
        cu_seqlens.push(0);
        PackedBatch {
            input_ids: Vec::with_capacity(tokens),
            cu_seqlens,
            max_seqlen: 0,
            index: Vec::with_capacity(sequences),
        }
    }

    /// Appends a sequence. `tokens` already has its special tokens.
    ///
    /// # Panics
    ///
    /// If `tokens` is empty or the batch would have more than `i32::MAX` tokens.
    ///
    /// ```
    /// use virpack_seq::{PackedBatch, SequenceIndex};
    ///
    /// let mut batch = PackedBatch::with_capacity(7, 2);
    /// batch.push(&[0, 20, 15, 2], SequenceIndex::new(0, "a", 2));
    /// batch.push(&[0, 20, 2], SequenceIndex::new(1, "b", 1));
    /// assert_eq!(batch.cu_seqlens, [0, 4, 7]);
    /// assert_eq!((batch.len(), batch.max_seqlen), (2, 4));
    /// ```
    pub fn push(&mut self, tokens: &[u16], index: SequenceIndex) {
        assert!(!tokens.is_empty(), "a packed sequence has at least its special tokens");
        self.input_ids.extend_from_slice(tokens);
        self.cu_seqlens
            .push(i32::try_from(self.input_ids.len()).expect("a batch holds fewer than 2^31 tokens"));
        self.max_seqlen = self.max_seqlen.max(tokens.len());
        self.index.push(index);
    }

    /// Returns the number of sequences in the batch.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Returns whether the batch is empty.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Returns the tokens in the batch, special tokens included.
    pub fn total_tokens(&self) -> usize {
        self.input_ids.len()
    }

    /// Splits the batch into batches of at most `tokens` tokens, with the sequences in the same order. A
    /// longer sequence is a batch of its own.
    ///
    /// ```
    /// use virpack_seq::*;
    ///
    /// let records = Records::from_reader("three.fasta", &b">a\nMKT\n>b\nMK\n>c\nM\n"[..])?;
    /// let options = LoaderOptions::default();
    /// let packer = GreedyPacker::new(PackerOptions::new(4096, options.lengths.max_tokens()))?;
    /// let collator = VarlenCollator::new(packer, CollatorOptions::default())?;
    /// let mut loader = create_async_dataloader(records, EsmTokenizer::new(), collator, options)?;
    /// let Some(LoaderItem::Batch(batch)) = loader.next().transpose()? else { panic!("three records make a batch") };
    /// let parts = batch.split(8);
    /// assert_eq!(parts[0].cu_seqlens, [0, 5]);
    /// assert_eq!(parts[1].cu_seqlens, [0, 4, 7]);
    /// # Ok::<(), SeqError>(())
    /// ```
    pub fn split(self, tokens: usize) -> Vec<PackedBatch> {
        if self.total_tokens() <= tokens || self.len() < 2 {
            return vec![self];
        }
        let mut parts: Vec<PackedBatch> = Vec::new();
        for (i, index) in self.index.iter().enumerate() {
            let own = self.tokens(i);
            match parts.last_mut() {
                Some(part) if part.total_tokens() + own.len() <= tokens => part.push(own, index.clone()),
                _ => {
                    let mut part = PackedBatch::with_capacity(tokens.max(own.len()), self.len() - i);
                    part.push(own, index.clone());
                    parts.push(part);
                }
            }
        }
        parts
    }

    /// Returns the tokens of sequence `i`.
    ///
    /// ```
    /// use virpack_seq::{PackedBatch, SequenceIndex};
    ///
    /// let mut batch = PackedBatch::with_capacity(7, 2);
    /// batch.push(&[0, 20, 15, 2], SequenceIndex::new(0, "a", 2));
    /// batch.push(&[0, 20, 2], SequenceIndex::new(1, "b", 1));
    /// assert_eq!(batch.tokens(1), [0, 20, 2]);
    /// ```
    pub fn tokens(&self, i: usize) -> &[u16] {
        &self.input_ids[self.cu_seqlens[i] as usize..self.cu_seqlens[i + 1] as usize]
    }
}
