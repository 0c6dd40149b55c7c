//! Turns letters into token ids.

mod bpe;
mod codon;
pub mod esm;

use std::sync::Arc;

use crate::alphabet::Alphabet;
pub use crate::error::BpeProblem;
pub use bpe::BpeTokenizer;
pub use codon::CodonTokenizer;
pub use esm::EsmTokenizer;

/// Turns the letters of a record into the token ids of one model.
///
/// `length` counts what length limits count. `tokenize` appends ids to a buffer of its caller, so that
/// tokenizing need not allocate for each record. A tokenizer with one token for each letter (ESM-2) and one
/// that merges letters (byte-pair encoding) both fit this trait. The second gives at most as many tokens,
/// so a limit on letters is also one on tokens.
///
/// ```
/// use virpack_seq::tokenize::{EsmTokenizer, Tokenizer};
///
/// let mut tokens = Vec::new();
/// let counts = EsmTokenizer::new().tokenize(b"MK1", usize::MAX, &mut tokens);
/// assert_eq!(tokens, [0, 20, 15, 3, 2]);
/// assert_eq!((counts.residues, counts.unknown), (3, 1));
/// ```
pub trait Tokenizer: Send + Sync {
    /// Returns the residues (or bases) in `sequence`, as length limits count them. A special token that is
    /// spelled out in the text counts as one.
    ///
    /// ```
    /// use virpack_seq::{EsmTokenizer, Tokenizer};
    ///
    /// assert_eq!(EsmTokenizer::new().length(b"MK<mask>L*"), 4); // the stop at the end is not a residue
    /// ```
    fn length(&self, sequence: &[u8]) -> u64;

    /// Appends the start token, the tokens of the first `max_length` letters of `sequence` and the end
    /// token, if the tokenizer has them, to `tokens`, and returns their counts.
    fn tokenize(&self, sequence: &[u8], max_length: usize, tokens: &mut Vec<u16>) -> TokenCounts;

    /// Returns the counts that `tokenize` has for the complete sequence, without its tokens. It is for a
    /// record that is cut into windows, which share letters.
    ///
    /// ```
    /// use virpack_seq::{EsmTokenizer, Tokenizer};
    ///
    /// let counts = EsmTokenizer::new().counts(b"MJ-K");
    /// assert_eq!((counts.residues, counts.unknown, counts.gaps), (4, 1, 1));
    /// ```
    fn counts(&self, sequence: &[u8]) -> TokenCounts {
        self.tokenize(sequence, usize::MAX, &mut Vec::new())
    }

    /// Returns the special tokens that frame every sequence; None if a sequence has none around it.
    ///
    /// ```
    /// use virpack_seq::{EsmTokenizer, Tokenizer};
    ///
    /// let special = EsmTokenizer::new().special_tokens().expect("ESM-2 has some");
    /// assert_eq!((special.start, special.end, special.unknown), (0, 2, 3));
    /// ```
    fn special_tokens(&self) -> Option<SpecialTokens>;

    /// Returns what the model reads, so that records of the other kind are refused; None: anything.
    fn alphabet(&self) -> Option<Alphabet> {
        None
    }

    /// Returns whether a token may represent several letters. A letter is then a byte of the sequence, and
    /// long records are cut between letters before they are tokenized, not between tokens.
    fn merges_letters(&self) -> bool {
        false
    }
}

impl<T: Tokenizer + ?Sized> Tokenizer for Arc<T> {
    fn length(&self, sequence: &[u8]) -> u64 {
        (**self).length(sequence)
    }

    fn tokenize(&self, sequence: &[u8], max_length: usize, tokens: &mut Vec<u16>) -> TokenCounts {
        (**self).tokenize(sequence, max_length, tokens)
    }

    fn counts(&self, sequence: &[u8]) -> TokenCounts {
        (**self).counts(sequence)
    }

    fn special_tokens(&self) -> Option<SpecialTokens> {
        (**self).special_tokens()
    }

    fn alphabet(&self) -> Option<Alphabet> {
        (**self).alphabet()
    }

    fn merges_letters(&self) -> bool {
        (**self).merges_letters()
    }
}

/// The counts of one call of [`Tokenizer::tokenize`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenCounts {
    /// Tokens between the start and the end token.
    pub residues: usize,
    /// How many letters are outside the alphabet, without gap characters.
    pub unknown: u32,
    /// How many letters are gap characters, `-` and `.`, whether or not the alphabet contains them: no
    /// model was trained on aligned sequences.
    pub gaps: u32,
}

/// The special tokens around every sequence, and the token of unknown letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpecialTokens {
    /// The token before the first letter.
    pub start: u16,
    /// The token after the last letter.
    pub end: u16,
    /// The token of a letter outside the alphabet.
    pub unknown: u16,
}
