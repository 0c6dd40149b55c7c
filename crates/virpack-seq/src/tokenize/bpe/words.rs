//! Words of bases: tokenizers whose tokens are all runs of up to N bases, cut from the left.
//!
//! `tokenizers` gives the same result at about a thousandth of the speed: it copies, hashes and allocates
//! every word. Here the letters of a word are its number.

use tokenizers::models::bpe::BPE;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::split::SplitPattern;
use tokenizers::{SplitDelimiterBehavior, Tokenizer};

/// The longest word: 4^8 words would not fit in ids of 16 bits.
const LONGEST: usize = 7;

/// The ids of all words of one base to N bases.
#[derive(Clone, Debug)]
pub(super) struct Words {
    /// The ids of the words of one base, of two, and so on. The index is the word's number: two bits for
    /// each base, the first base in the highest bits.
    ids: Vec<Vec<u16>>,
    unknown: u16,
}

impl Words {
    /// Returns the words of a tokenizer that contains nothing else: a split by `[ACGT]{1,N}`, words that
    /// are tokens unchanged, and special tokens in brackets.
    pub(super) fn of(tokenizer: &Tokenizer, model: &BPE, unknown: u16) -> Option<Self> {
        let Some(PreTokenizerWrapper::Split(split)) = tokenizer.get_pre_tokenizer() else { return None };
        let SplitPattern::Regex(pattern) = &split.pattern else { return None };
        let longest: usize = pattern.strip_prefix("[ACGT]{1,")?.strip_suffix('}')?.parse().ok()?;
        let plain = model.ignore_merges
            && !model.fuse_unk
            && model.continuing_subword_prefix.is_none()
            && model.end_of_word_suffix.is_none()
            && !split.invert
            && split.behavior == SplitDelimiterBehavior::Isolated;
        if !plain || !(1..=LONGEST).contains(&longest) {
            return None;
        }
        let id = |word: &str| tokenizer.token_to_id(word).and_then(|id| u16::try_from(id).ok());
        let ids: Option<Vec<Vec<u16>>> =
            (1..=longest).map(|length| words(length).map(|word| id(&word)).collect()).collect();
        let ids = ids?;
        // Every token that is not a word is in brackets, so that no letter of a sequence matches it.
        let vocabulary = tokenizer.get_vocab(true);
        let special = vocabulary.keys().filter(|token| token.starts_with('[')).count();
        let words: usize = ids.iter().map(Vec::len).sum();
        (vocabulary.len() == special + words).then_some(Words { ids, unknown })
    }

    /// Appends the ids of `letters`, which must be capitals, and returns how many are unknown. Returns
    /// `None`, and appends nothing, if the input contains bytes that may be part of a multi-byte character.
    pub(super) fn tokenize(&self, letters: &[u8], tokens: &mut Vec<u16>) -> Option<u32> {
        let start = tokens.len();
        let (mut number, mut length, mut unknown) = (0, 0, 0);
        for &letter in letters {
            let kind = KINDS[usize::from(letter)];
            if kind < OTHER {
                number = number << 2 | usize::from(kind);
                length += 1;
                if length < self.ids.len() {
                    continue;
                }
            }
            if length > 0 {
                tokens.push(self.ids[length - 1][number]);
                (number, length) = (0, 0);
            }
            match kind {
                REFUSED => {
                    tokens.truncate(start);
                    return None;
                }
                OTHER => {
                    tokens.push(self.unknown);
                    unknown += 1;
                }
                _ => {}
            }
        }
        if length > 0 {
            tokens.push(self.ids[length - 1][number]);
        }
        Some(unknown)
    }
}

/// The bases, by their numbers.
const BASES: [u8; 4] = *b"ACGT";
/// A letter or a gap that is not a base.
const OTHER: u8 = 4;
/// Any other byte: brackets may begin a special token, and bytes above ASCII are parts of characters.
const REFUSED: u8 = 5;

static KINDS: [u8; 256] = kinds();

const fn kinds() -> [u8; 256] {
    let mut kinds = [REFUSED; 256];
    let mut byte = 0;
    while byte < 256 {
        if (byte as u8).is_ascii_alphabetic() || matches!(byte as u8, b'-' | b'*' | b'.') {
            kinds[byte] = OTHER;
        }
        byte += 1;
    }
    let mut base = 0;
    while base < 4 {
        kinds[BASES[base] as usize] = base as u8;
        base += 1;
    }
    kinds
}

/// Returns all words of `length` bases, by their numbers.
fn words(length: usize) -> impl Iterator<Item = String> {
    let base = |number: usize, place: usize| char::from(BASES[number >> (2 * place) & 3]);
    (0..1 << (2 * length)).map(move |number| (0..length).rev().map(|place| base(number, place)).collect())
}
