//! What happens to records longer (or shorter) than the model takes.

use std::sync::Arc;

use crate::alphabet::Alphabet;
use crate::batch::{SequenceIndex, Window};
use crate::error::SeqError;
use crate::input::Input;
use crate::record::{Record, SkipReason, SkippedRecord};
use crate::slab::TokenSlab;
use crate::tokenize::{TokenCounts, Tokenizer};

/// What happens to a record longer than the maximum length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LongRecords {
    /// Keep its beginning (N-terminal side) and flag it.
    #[default]
    Truncate,
    /// Cut it into windows of the maximum length, each with its own start and end token. The first begins
    /// at residue 0. The last ends with the record and may be shorter. If tokens merge letters, each window
    /// is tokenized separately.
    Window {
        /// Residues that a window shares with the window before it.
        overlap: usize,
    },
    /// Leave it out, with a row in the table of skipped records.
    Skip,
    /// End the run with an error.
    Error,
}

impl LongRecords {
    /// The default overlap of windows, in residues.
    pub const DEFAULT_OVERLAP: usize = 128;
}

/// The lengths that are accepted, and what happens to longer records. Lengths are in residues (or bases),
/// without special tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LengthPolicy {
    /// Most residues in a sequence.
    pub max_length: usize,
    /// Fewest residues in a record; shorter records are left out.
    pub min_length: usize,
    /// What happens to records longer than `max_length`.
    pub long_records: LongRecords,
}

impl Default for LengthPolicy {
    /// Returns the policy of ESM-2: at most 1,022 residues, longer records truncated.
    fn default() -> Self {
        LengthPolicy { max_length: 1022, min_length: 0, long_records: LongRecords::Truncate }
    }
}

impl LengthPolicy {
    /// Checks the policy itself.
    ///
    /// # Errors
    ///
    /// If the maximum length is 0, or windows overlap by more than half of it: a residue would then be in
    /// more than two windows.
    ///
    /// ```
    /// use virpack_seq::{LengthPolicy, LongRecords};
    ///
    /// let windows = |overlap| LengthPolicy {
    ///     max_length: 100,
    ///     long_records: LongRecords::Window { overlap },
    ///     ..LengthPolicy::default()
    /// };
    /// assert!(windows(50).check().is_ok() && windows(51).check().is_err());
    /// ```
    pub fn check(&self) -> Result<(), SeqError> {
        if self.max_length == 0 {
            return Err(SeqError::MaxLengthZero);
        }
        match self.long_records {
            LongRecords::Window { overlap } if overlap > self.max_length / 2 => {
                Err(SeqError::WindowOverlap { overlap, most: self.max_length / 2 })
            }
            _ => Ok(()),
        }
    }

    /// Returns the most tokens in a sequence that this policy accepts, special tokens included. Tokenizers
    /// that merge letters stay well below it.
    ///
    /// ```
    /// assert_eq!(virpack_seq::LengthPolicy::default().max_tokens(), 1_024);
    /// ```
    pub fn max_tokens(&self) -> usize {
        self.max_length.saturating_add(2)
    }

    /// Tokenizes a record into `slab`: as one sequence, as several windows, or as a skipped record.
    ///
    /// Windows are cut between tokens, so the start of a window counts residues if each token is a letter.
    /// The error takes the path from `inputs`.
    ///
    /// # Errors
    ///
    /// If a record is plainly of another kind than the model reads
    /// ([`Alphabet::check`](crate::Alphabet::check)), or exceeds the maximum length under
    /// [`LongRecords::Error`].
    #[doc(hidden)]
    pub fn apply(
        &self,
        tokenizer: &dyn Tokenizer,
        record: &Record,
        inputs: &[Input],
        slab: &mut TokenSlab,
    ) -> Result<(), SeqError> {
        if let Some(alphabet) = tokenizer.alphabet() {
            alphabet.check(record, inputs)?;
        }
        let length = tokenizer.length(&record.sequence);
        let is_long = length > self.max_length as u64;
        slab.counts.records += 1;
        if length == 0 {
            slab.counts.empty += 1;
            slab.skipped.push(skipped(record, length, SkipReason::Empty));
        } else if length < self.min_length as u64 {
            slab.counts.too_short += 1;
            slab.skipped.push(skipped(record, length, SkipReason::TooShort));
        } else if !is_long {
            whole(tokenizer, record, length, slab);
        } else {
            match self.long_records {
                LongRecords::Truncate => self.truncate(tokenizer, record, length, slab),
                LongRecords::Window { overlap } => self.windows(overlap, tokenizer, record, length, slab),
                LongRecords::Skip => {
                    slab.counts.too_long += 1;
                    slab.skipped.push(skipped(record, length, SkipReason::TooLong));
                }
                LongRecords::Error => {
                    return Err(SeqError::TooLong {
                        path: inputs.get(record.source as usize).map(|i| i.path().into()).unwrap_or_default(),
                        line: record.line,
                        id: record.id.clone(),
                        length,
                        max_length: self.max_length,
                        unit: match tokenizer.alphabet() {
                            Some(Alphabet::Nucleotides) => "bases",
                            _ => "residues",
                        },
                    });
                }
            }
        }
        Ok(())
    }

    fn truncate(&self, tokenizer: &dyn Tokenizer, record: &Record, length: u64, slab: &mut TokenSlab) {
        let counts = tokenizer.tokenize(&record.sequence, self.max_length, slab.tokens());
        slab.counts.truncated += 1;
        let TokenCounts { unknown, gaps, .. } = counts;
        slab.close(SequenceIndex { truncated: true, unknown, gaps, ..index(record, length) });
    }

    fn windows(
        &self,
        overlap: usize,
        tokenizer: &dyn Tokenizer,
        record: &Record,
        length: u64,
        slab: &mut TokenSlab,
    ) {
        let stride = self.max_length - overlap.min(self.max_length / 2);
        let letters = length as usize;
        let count = 1 + letters.saturating_sub(self.max_length).div_ceil(stride);
        let window = |number: usize, counts: TokenCounts| {
            let start = (number * stride) as u64;
            let window = Window { number: number as u32, count: count as u32, start };
            let TokenCounts { unknown, gaps, .. } = counts;
            SequenceIndex { unknown, gaps, window, ..index(record, length) }
        };
        let cut = |number: usize| number * stride..letters.min(number * stride + self.max_length);
        if tokenizer.merges_letters() {
            let counts = tokenizer.counts(&record.sequence);
            for number in 0..count {
                tokenizer.tokenize(&record.sequence[cut(number)], usize::MAX, slab.tokens());
                slab.close(window(number, counts));
            }
        } else {
            let mut scratch = std::mem::take(&mut slab.scratch);
            scratch.clear();
            let counts = tokenizer.tokenize(&record.sequence, usize::MAX, &mut scratch);
            let special = tokenizer.special_tokens();
            for number in 0..count {
                let part = &scratch[usize::from(special.is_some())..][cut(number)];
                let tokens = slab.tokens();
                tokens.extend(special.map(|special| special.start));
                tokens.extend_from_slice(part);
                tokens.extend(special.map(|special| special.end));
                slab.close(window(number, counts));
            }
            slab.scratch = scratch;
        }
        slab.counts.windowed += 1;
        slab.counts.windows += count as u64;
    }
}

fn whole(tokenizer: &dyn Tokenizer, record: &Record, length: u64, slab: &mut TokenSlab) {
    let counts = tokenizer.tokenize(&record.sequence, usize::MAX, slab.tokens());
    let TokenCounts { unknown, gaps, .. } = counts;
    slab.close(SequenceIndex { unknown, gaps, ..index(record, length) });
}

fn index(record: &Record, length: u64) -> SequenceIndex {
    SequenceIndex {
        source: record.source,
        ..SequenceIndex::new(record.index, Arc::clone(&record.id), length)
    }
}

fn skipped(record: &Record, length: u64, reason: SkipReason) -> SkippedRecord {
    SkippedRecord {
        record: record.index,
        source: record.source,
        line: record.line,
        id: record.id.clone(),
        length,
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Hint;
    use crate::tokenize::{EsmTokenizer, SpecialTokens};

    fn record(sequence: impl AsRef<[u8]>) -> Record {
        Record { line: 7, id: "r".into(), sequence: sequence.as_ref().to_vec(), ..Record::default() }
    }

    fn apply(policy: LengthPolicy, sequence: impl AsRef<[u8]>) -> TokenSlab {
        policy.check().unwrap();
        let mut slab = TokenSlab::default();
        policy.apply(&EsmTokenizer, &record(sequence), &["f.fasta".into()], &mut slab).unwrap();
        slab
    }

    fn policy(max_length: usize, long_records: LongRecords) -> LengthPolicy {
        LengthPolicy { max_length, min_length: 0, long_records }
    }

    #[test]
    fn truncation_keeps_the_beginning() {
        let mut slab = apply(policy(3, LongRecords::Truncate), "LAGV1");
        assert_eq!((slab.counts.truncated, slab.counts.unknown), (1, 0));
        let (tokens, index) = slab.drain().next().unwrap();
        assert_eq!(tokens, [0, 4, 5, 6, 2]);
        assert!(index.truncated && index.length == 5 && index.window == Window::WHOLE);
        // A special name is one residue; a final stop is not a residue.
        for fits in ["<mask>LA", "LAG*"] {
            let mut slab = apply(policy(3, LongRecords::Truncate), fits);
            let (tokens, index) = slab.drain().next().unwrap();
            assert!(tokens.len() == 5 && !index.truncated && index.length == 3, "{fits}");
        }
    }

    #[test]
    fn windows_cover_every_residue_at_most_twice() {
        let letters: Vec<u8> = (0..400).map(|i| b"LAGVSERTIDPKQNFYMHWC"[i * 7 % 20]).collect();
        for max_length in [1, 2, 3, 10, 33, 100] {
            for overlap in 0..=max_length / 2 {
                for length in (1..130).chain([399, 400]) {
                    let mut slab =
                        apply(policy(max_length, LongRecords::Window { overlap }), &letters[..length]);
                    let whole = {
                        let mut tokens = Vec::new();
                        EsmTokenizer.tokenize(&letters[..length], usize::MAX, &mut tokens);
                        tokens
                    };
                    let mut seen = vec![0; length];
                    let (mut end, mut number, mut count) = (0, 0, 0);
                    for (tokens, index) in slab.drain() {
                        let start = index.window.start as usize;
                        let inner = &tokens[1..tokens.len() - 1];
                        assert!(inner.len() <= max_length && (tokens[0], tokens[tokens.len() - 1]) == (0, 2));
                        assert_eq!(inner, &whole[1 + start..1 + start + inner.len()]);
                        assert!(start + inner.len() > end, "no window inside the one before it");
                        assert!(number == 0 || end - start == overlap);
                        end = start + inner.len();
                        seen[start..end].iter_mut().for_each(|n| *n += 1);
                        assert_eq!(index.window.number, number);
                        assert!(!index.truncated && index.length == length as u64);
                        number += 1;
                        count = index.window.count;
                    }
                    assert_eq!((end, number), (length, count));
                    assert!(seen.iter().all(|&n| n == 1 || n == 2));
                }
            }
        }
    }

    #[test]
    fn odd_letters_of_windows_are_those_of_the_record_each_counted_once() {
        let sequence = "M-J".repeat(50);
        let mut slab = apply(policy(30, LongRecords::Window { overlap: 15 }), &sequence);
        assert_eq!((slab.counts.unknown, slab.counts.gaps), (50, 50));
        assert!(slab.drain().all(|(_, index)| (index.unknown, index.gaps) == (50, 50)));
        let mut slab = apply(policy(30, LongRecords::Truncate), &sequence);
        assert_eq!((slab.counts.unknown, slab.counts.gaps), (10, 10));
        let (_, index) = slab.drain().next().unwrap();
        assert_eq!((index.unknown, index.gaps, index.truncated), (10, 10, true));
    }

    /// Two equal letters are one token.
    struct Pairs;

    impl Tokenizer for Pairs {
        fn length(&self, sequence: &[u8]) -> u64 {
            sequence.len() as u64
        }

        fn tokenize(&self, sequence: &[u8], max_length: usize, tokens: &mut Vec<u16>) -> TokenCounts {
            let head = &sequence[..sequence.len().min(max_length)];
            tokens.push(0);
            let pairs = head.chunk_by(|a, b| a == b).flat_map(|run| run.chunks(2));
            let before = tokens.len();
            tokens.extend(pairs.map(|pair| 10 * u16::from(pair[0] - b'A' + 1) + pair.len() as u16));
            let residues = tokens.len() - before;
            tokens.push(2);
            TokenCounts { residues, unknown: 0, gaps: 0 }
        }

        fn special_tokens(&self) -> Option<SpecialTokens> {
            Some(SpecialTokens { start: 0, end: 2, unknown: 1 })
        }

        fn merges_letters(&self) -> bool {
            true
        }
    }

    #[test]
    fn where_tokens_merge_letters_cuts_go_between_letters() {
        let apply = |long_records| {
            let mut slab = TokenSlab::default();
            policy(4, long_records).apply(&Pairs, &record("AAAAAABC"), &[], &mut slab).unwrap();
            slab.drain().map(|(tokens, index)| (tokens.to_vec(), index)).collect::<Vec<_>>()
        };
        let truncated = apply(LongRecords::Truncate);
        assert_eq!(truncated.len(), 1);
        assert!(truncated[0].0 == [0, 12, 12, 2] && truncated[0].1.truncated);
        // AAAA, then AAAA from letter 1, ... each tokenized separately.
        let windows = apply(LongRecords::Window { overlap: 1 });
        let tokens: Vec<_> = windows.iter().map(|(tokens, _)| tokens.as_slice()).collect();
        assert_eq!(tokens, [&[0, 12, 12, 2][..], &[0, 12, 11, 21, 2], &[0, 21, 31, 2]]);
        let starts: Vec<_> = windows.iter().map(|(_, index)| index.window.start).collect();
        assert_eq!(starts, [0, 3, 6]);
        assert!(windows.iter().all(|(_, index)| index.window.count == 3 && index.length == 8));
    }

    #[test]
    fn overlap_over_half_a_window_is_refused() {
        let error = policy(100, LongRecords::Window { overlap: 51 }).check().unwrap_err();
        assert!(matches!(error, SeqError::WindowOverlap { overlap: 51, most: 50 }));
        assert!(error.hint().unwrap().ends_with("half of the largest length, 50"), "{error:?}");
        assert!(matches!(policy(0, LongRecords::Skip).check(), Err(SeqError::MaxLengthZero)));
    }

    #[test]
    fn what_is_left_out_has_a_row() {
        for (sequence, reason) in [
            ("", SkipReason::Empty),
            ("*", SkipReason::Empty),
            ("L", SkipReason::TooShort),
            ("LAGVS", SkipReason::TooLong),
        ] {
            let slab = apply(LengthPolicy { min_length: 2, ..policy(4, LongRecords::Skip) }, sequence);
            assert!(slab.is_empty() && slab.total_tokens() == 0);
            assert_eq!((slab.skipped.len(), slab.skipped[0].reason), (1, reason));
            let counts = slab.counts;
            assert_eq!(counts.records, 1);
            assert_eq!(counts.empty + counts.too_short + counts.too_long, 1);
        }
    }

    #[test]
    fn the_error_policy_names_the_record() {
        let mut slab = TokenSlab::default();
        let policy = policy(4, LongRecords::Error);
        let error =
            policy.apply(&EsmTokenizer, &record("LAGVS"), &["f.fasta".into()], &mut slab).unwrap_err();
        assert!(error.to_string().starts_with("f.fasta:7: record r: 5 residues"), "{error}");
        assert!(policy.apply(&EsmTokenizer, &record("LAGV"), &[], &mut slab).is_ok());
    }
}
