//! Byte-pair encoding, as DNABERT-S and DNABERT-2 use it: runs of nucleotides become one of up to 4,096
//! tokens.

mod words;

use std::io;
use std::path::Path;
use std::str::FromStr;

use serde_json::Value;
use tokenizers::{ModelWrapper, PreTokenizerWrapper, SplitDelimiterBehavior};

use super::{Alphabet, SpecialTokens, TokenCounts, Tokenizer};
use crate::error::{BpeProblem, SeqError};
use crate::letters::TABLES;
use crate::small_file::read_small;
use words::Words;

/// The tokenizer in a `tokenizer.json` of Hugging Face, of the BPE kind.
///
/// It agrees with `transformers` on every sequence of upper-case letters. It differs on purpose where
/// `transformers` loses bases: lower-case (soft-masked) letters are upper-cased, and U counts as T. Each
/// other letter that the vocabulary lacks (N, the ambiguous bases) is one unknown token in both. Truncation
/// and padding, which published copies of the file request, are turned off.
#[derive(Clone, Debug)]
pub struct BpeTokenizer {
    inner: tokenizers::Tokenizer,
    /// The fast path, for a vocabulary that contains only words of bases.
    words: Option<Words>,
    special: SpecialTokens,
    vocabulary: usize,
    /// Whether a letter, in the case of the vocabulary, is a token by itself.
    known: Box<[bool; 256]>,
}

impl BpeTokenizer {
    /// The most bytes of a `tokenizer.json`; files of large vocabularies have 35 MB.
    pub const LARGEST_FILE: u64 = 100_000_000;

    /// Reads a `tokenizer.json`.
    ///
    /// # Errors
    ///
    /// [`SeqError::Open`] for a file that cannot be read. [`SeqError::Tokenizer`] for a file that is not a
    /// BPE tokenizer with a start, an end and an unknown token, or that could give more tokens than
    /// letters.
    pub fn open(path: &Path) -> Result<Self, SeqError> {
        let text = read_small(path, BpeTokenizer::LARGEST_FILE)
            .and_then(|text| String::from_utf8(text).map_err(|_| io::ErrorKind::InvalidData.into()))
            .map_err(|source| SeqError::Open { path: path.to_owned(), source })?;
        text.parse().map_err(|problem| SeqError::Tokenizer { path: path.to_owned(), problem })
    }
}

impl FromStr for BpeTokenizer {
    type Err = BpeProblem;

    /// Returns the tokenizer in the text of a `tokenizer.json`.
    fn from_str(text: &str) -> Result<Self, BpeProblem> {
        // The crate expects files that it wrote itself: unusual ones make it panic.
        let caught = std::panic::catch_unwind(|| BpeTokenizer::read(text));
        caught.unwrap_or_else(|_| Err(BpeProblem::Unreadable("the tokenizers crate panicked".to_owned())))
    }
}

impl BpeTokenizer {
    fn read(text: &str) -> Result<Self, BpeProblem> {
        refuse_odd(text)?;
        let unreadable = |error: tokenizers::Error| BpeProblem::Unreadable(error.to_string());
        let refuse = |setting: String, expected| Err(BpeProblem::Setting { setting, expected });
        let mut inner = tokenizers::Tokenizer::from_str(text).map_err(unreadable)?;
        inner.with_truncation(None).map_err(unreadable)?;
        inner.with_padding(None);
        let ModelWrapper::BPE(model) = inner.get_model() else {
            return refuse("a model of another kind".to_owned(), "BPE");
        };
        if let Some(dropout) = model.dropout {
            return refuse(format!("a dropout of {dropout}"), "no dropout");
        }
        if model.byte_fallback {
            return refuse("byte fallback".to_owned(), "a token for unknown letters");
        }
        // A normalizer rewrites text before it is cut, and could make many letters of one.
        if inner.get_normalizer().is_some() {
            return refuse("a normalizer".to_owned(), "none");
        }
        // Pre-tokenizers of other kinds insert or remove letters.
        let keeps_letters = |cut: &PreTokenizerWrapper| match cut {
            PreTokenizerWrapper::Whitespace(_) | PreTokenizerWrapper::WhitespaceSplit(_) => true,
            PreTokenizerWrapper::Split(split) => split.behavior != SplitDelimiterBehavior::Removed,
            _ => false,
        };
        if !inner.get_pre_tokenizer().is_none_or(keeps_letters) {
            return refuse("a pre_tokenizer that changes letters".to_owned(), "Whitespace or Split");
        }
        let unknown = model.unk_token.as_ref().and_then(|token| inner.token_to_id(token));
        let Some(unknown) = unknown else {
            return refuse("no unknown token in the vocabulary".to_owned(), "one");
        };
        let vocabulary = inner.get_vocab(true).values().max().map_or(0, |id| *id as usize + 1);
        if vocabulary > usize::from(u16::MAX) {
            return refuse(format!("{vocabulary} tokens"), "at most 65,535");
        }
        let empty = inner.encode_fast("", true).map_err(unreadable)?;
        let &[start, end] = empty.get_ids() else {
            return refuse(
                format!("{} special tokens around a sequence", empty.len()),
                "two, [CLS] and [SEP]",
            );
        };
        if let Some(id) = [start, end].into_iter().find(|id| *id as usize >= vocabulary) {
            return refuse(format!("a special token with the id {id}"), "an id of the vocabulary");
        }
        let [start, end, unknown] = [start, end, unknown].map(|id| id as u16);
        let words = Words::of(&inner, model, unknown);
        let is_known = |byte: usize| inner.token_to_id(&char::from(byte as u8).to_string()).is_some();
        // Letters beyond ASCII have several bytes. Each such letter is unknown.
        let known = Box::new(std::array::from_fn(|byte| byte < 128 && is_known(byte)));
        Ok(BpeTokenizer { inner, words, special: SpecialTokens { start, end, unknown }, vocabulary, known })
    }
}

/// Refuses files on which the crate would panic or give wrong tokens: it removes a prefix of merged words
/// without a check, and does not check that the parts of a template exist.
fn refuse_odd(text: &str) -> Result<(), BpeProblem> {
    let json: Value =
        serde_json::from_str(text).map_err(|error| BpeProblem::Unreadable(error.to_string()))?;
    for name in ["continuing_subword_prefix", "end_of_word_suffix"] {
        let value = json.pointer("/model").and_then(|model| model.get(name)).unwrap_or(&Value::Null);
        if !(value.is_null() || value == "") {
            return Err(BpeProblem::Setting { setting: format!("{name} {value}"), expected: "none" });
        }
    }
    let Some(template) = json.get("post_processor") else { return Ok(()) };
    let pieces = ["single", "pair"].into_iter().filter_map(|name| template.get(name)?.as_array()).flatten();
    for special in pieces.filter_map(|piece| piece.pointer("/SpecialToken/id")?.as_str()) {
        if template.pointer("/special_tokens").and_then(|all| all.get(special)).is_none() {
            let setting = format!("the special token {special:?} without its id");
            return Err(BpeProblem::Setting {
                setting,
                expected: "one of the post_processor's special_tokens",
            });
        }
    }
    Ok(())
}

impl BpeTokenizer {
    /// Appends the ids of letters in the case of the vocabulary, and returns how many are unknown.
    fn encode(&self, letters: &[u8], tokens: &mut Vec<u16>) -> u32 {
        let text = String::from_utf8_lossy(letters);
        let encoded = self.inner.encode_fast(text.as_ref(), false);
        let encoded = encoded.expect("a BPE with an unknown token encodes any text");
        // The vocabulary fits in 16 bits: this was checked when it was read.
        tokens.extend(encoded.get_ids().iter().map(|&id| id as u16));
        encoded.get_ids().iter().filter(|&&id| id == u32::from(self.special.unknown)).count() as u32
    }

    /// Returns the number of gap characters that the vocabulary contains, which are not unknown tokens.
    fn known_gaps(&self, letters: &[u8]) -> u32 {
        letters.iter().filter(|&&letter| is_gap(letter) && self.known[usize::from(letter)]).count() as u32
    }

    /// Returns the rows that a model's embedding table needs: one more than the largest id, special tokens
    /// included.
    pub fn vocabulary(&self) -> usize {
        self.vocabulary
    }
}

impl Tokenizer for BpeTokenizer {
    fn length(&self, sequence: &[u8]) -> u64 {
        sequence.len() as u64
    }

    fn tokenize(&self, sequence: &[u8], max_length: usize, tokens: &mut Vec<u16>) -> TokenCounts {
        let head = &sequence[..sequence.len().min(max_length)];
        let letters: Vec<u8> = head.iter().map(|&letter| TABLES.unified[usize::from(letter)]).collect();
        tokens.push(self.special.start);
        let first = tokens.len();
        let unknown = self.words.as_ref().and_then(|words| words.tokenize(&letters, tokens));
        let unknown = unknown.unwrap_or_else(|| self.encode(&letters, tokens));
        let residues = tokens.len() - first;
        tokens.push(self.special.end);
        let gaps = count_gaps(&letters);
        let known_gaps = if gaps == 0 { 0 } else { self.known_gaps(&letters) };
        TokenCounts { residues, unknown: unknown.saturating_sub(gaps - known_gaps), gaps }
    }

    fn counts(&self, sequence: &[u8]) -> TokenCounts {
        // Each letter is unknown by itself, however the others merge, so no tokens are needed to count
        // them.
        let is_unknown = |letter: &&u8| {
            let is_letter = !(0x80..0xC0).contains(*letter) && !is_gap(**letter);
            is_letter && !self.known[usize::from(TABLES.unified[usize::from(**letter)])]
        };
        let unknown = sequence.iter().filter(is_unknown).count() as u32;
        TokenCounts { residues: sequence.len(), unknown, gaps: count_gaps(sequence) }
    }

    fn special_tokens(&self) -> Option<SpecialTokens> {
        Some(self.special)
    }

    fn alphabet(&self) -> Option<Alphabet> {
        Some(Alphabet::Nucleotides)
    }

    fn merges_letters(&self) -> bool {
        true
    }
}

fn is_gap(letter: u8) -> bool {
    matches!(letter, b'-' | b'.')
}

fn count_gaps(letters: &[u8]) -> u32 {
    letters.iter().filter(|letter| is_gap(**letter)).count() as u32
}

#[cfg(test)]
mod tests;
