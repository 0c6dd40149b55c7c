//! Words of three bases, cut from the first base on: codons, where a sequence is a reading frame.

use std::str::FromStr;

use serde_json::Value;

use super::{Alphabet, SpecialTokens, TokenCounts, Tokenizer};
use crate::error::BpeProblem;
use crate::letters::{NO_BASE, TABLES};

/// Bases of a word.
const WORD: usize = 3;

/// Ids of all words of one, two and three letters, by their numbers: three bits a letter, those of
/// [`TABLES`], the first the highest.
type WordIds = [Vec<u16>; WORD];

/// Letters that a number of three bits may have: four bases, and what is none.
const LETTERS: usize = 8;

/// What a word has that holds any other letter; no vocabulary has this id.
const ODD: u16 = u16::MAX;

/// The tokenizer of convolutional codon models: words of three bases from the first on, the last of which may
/// be shorter, each a token. A word that holds any other letter is the unknown token. Nothing stands around a
/// sequence.
///
/// Letters count in either case, and U as T.
///
/// ```
/// use virpack_seq::{CodonTokenizer, Tokenizer};
///
/// let words = |length: u32| (0..4usize.pow(length)).map(move |number| {
///     (0..length).rev().map(|place| ["T", "C", "A", "G"][number >> (2 * place) & 3]).collect::<String>()
/// });
/// let vocabulary: Vec<String> =
///     ["[UNK]".to_owned()].into_iter().chain((1..=3).flat_map(words)).collect();
/// let entries: Vec<_> = (0..).zip(&vocabulary).map(|(id, word)| format!("{word:?}: {id}")).collect();
/// let file = format!(r#"{{"model": {{"unk_token": "[UNK]", "vocab": {{{}}}}}}}"#, entries.join(", "));
///
/// let tokenizer: CodonTokenizer = file.parse()?;
/// let mut tokens = Vec::new();
/// let counts = tokenizer.tokenize(b"atgNCAuu", usize::MAX, &mut tokens);
/// assert_eq!(tokens.iter().map(|id| &*vocabulary[usize::from(*id)]).collect::<Vec<_>>(), ["ATG", "[UNK]",
/// "TT"]); assert_eq!((counts.residues, counts.unknown), (3, 1));
/// # Ok::<(), virpack_seq::tokenize::BpeProblem>(())
/// ```
#[derive(Clone, Debug)]
pub struct CodonTokenizer {
    words: WordIds,
    unknown: u16,
    vocabulary: usize,
}

impl FromStr for CodonTokenizer {
    type Err = BpeProblem;

    /// The tokenizer whose vocabulary is in the text of a `tokenizer.json`.
    fn from_str(text: &str) -> Result<Self, BpeProblem> {
        let json: Value =
            serde_json::from_str(text).map_err(|error| BpeProblem::Unreadable(error.to_string()))?;
        let id = |word: &str| {
            let id = json.pointer("/model/vocab").and_then(|words| words.get(word)?.as_u64());
            id.and_then(|id| u16::try_from(id).ok()).filter(|id| *id < ODD).ok_or_else(|| {
                let setting = format!("no id of 16 bits for {word:?} in the vocabulary");
                BpeProblem::Setting { setting, expected: "all words of one to three bases, and [UNK]" }
            })
        };
        let unknown = json.pointer("/model/unk_token").and_then(Value::as_str).unwrap_or("[UNK]");
        let unknown = id(unknown)?;
        let mut words = WordIds::default();
        for (ids, length) in words.iter_mut().zip(1..) {
            *ids = vec![ODD; LETTERS.pow(length as u32)];
            for word in (0..1 << (2 * length)).map(|number| word(number, length)) {
                ids[number(word.as_bytes())] = id(&word)?;
            }
        }
        let known = words.iter().flatten().copied().filter(|id| *id != ODD);
        let largest = known.chain([unknown]).max().unwrap_or(0);
        Ok(CodonTokenizer { words, unknown, vocabulary: usize::from(largest) + 1 })
    }
}

/// The word of so many bases and this number.
fn word(number: usize, length: usize) -> String {
    (0..length).rev().map(|place| char::from(b"TCAG"[number >> (2 * place) & 3])).collect()
}

impl CodonTokenizer {
    /// Rows that a model's table of embeddings needs: one more than the largest id.
    #[must_use]
    pub fn vocabulary(&self) -> usize {
        self.vocabulary
    }
}

/// The number of a word of one to three letters.
fn number(letters: &[u8]) -> usize {
    letters.iter().fold(0, |number, &letter| number << 3 | usize::from(TABLES.base[usize::from(letter)]))
}

impl Tokenizer for CodonTokenizer {
    fn length(&self, sequence: &[u8]) -> u64 {
        sequence.len() as u64
    }

    fn tokenize(&self, sequence: &[u8], max_length: usize, tokens: &mut Vec<u16>) -> TokenCounts {
        let first = tokens.len();
        let letters = &sequence[..sequence.len().min(max_length)];
        let (codons, rest) = letters.as_chunks::<WORD>();
        let whole: &[u16; LETTERS.pow(WORD as u32)] =
            self.words[WORD - 1][..].try_into().expect("its length");
        tokens.extend(codons.iter().map(|codon| whole[number(codon) % whole.len()]));
        if !rest.is_empty() {
            tokens.push(self.words[rest.len() - 1][number(rest)]);
        }
        let (mut unknown, mut gaps) = (0, 0);
        if tokens[first..].contains(&ODD) {
            for (token, letters) in tokens[first..].iter_mut().zip(letters.chunks(WORD)) {
                if *token == ODD {
                    *token = self.unknown;
                    for &letter in letters {
                        match letter {
                            b'-' | b'.' => gaps += 1,
                            letter => unknown += u32::from(TABLES.base[usize::from(letter)] == NO_BASE),
                        }
                    }
                }
            }
        }
        TokenCounts { residues: tokens.len() - first, unknown, gaps }
    }

    fn special_tokens(&self) -> Option<SpecialTokens> {
        None
    }

    fn alphabet(&self) -> Option<Alphabet> {
        Some(Alphabet::Nucleotides)
    }

    fn merges_letters(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `training/` writes it: special tokens first, then all words, shorter ones first, in the order of
    /// TCAG.
    fn file(unknown: &str, longest: usize) -> String {
        let words = (1..=longest).flat_map(|length| (0..1 << (2 * length)).map(move |n| word(n, length)));
        let special = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"].map(str::to_owned);
        let vocabulary: serde_json::Map<String, Value> =
            special.into_iter().chain(words).zip((0u64..).map(Value::from)).collect();
        serde_json::json!({ "model": { "unk_token": unknown, "vocab": vocabulary } }).to_string()
    }

    fn tokens(tokenizer: &CodonTokenizer, sequence: &str) -> (Vec<u16>, TokenCounts) {
        let mut tokens = vec![9];
        let counts = tokenizer.tokenize(sequence.as_bytes(), usize::MAX, &mut tokens);
        assert_eq!(tokens.remove(0), 9);
        (tokens, counts)
    }

    #[test]
    fn words_are_of_three_letters_whatever_these_are() {
        let tokenizer: CodonTokenizer = file("[UNK]", 3).parse().unwrap();
        let codon = |a: u16, b: u16, c: u16| 25 + 16 * a + 4 * b + c;
        assert_eq!(tokenizer.vocabulary(), 89);
        let (given, counts) = tokens(&tokenizer, "TTTgggAANacuRYKC-AAC");
        assert_eq!(given, [25, codon(3, 3, 3), 0, codon(2, 1, 0), 0, 0, 9 + 4 * 2 + 1]);
        assert_eq!(counts, TokenCounts { residues: 7, unknown: 4, gaps: 1 });
        let (_, counts) = tokens(&tokenizer, "ACGNNNACG---ACGN");
        assert_eq!(counts, TokenCounts { residues: 6, unknown: 4, gaps: 3 });
        assert_eq!(tokens(&tokenizer, "GG").0, [9 + 15]);
        assert_eq!(tokens(&tokenizer, "A").0, [7]);
        assert!(tokens(&tokenizer, "").0.is_empty());
        let mut cut = Vec::new();
        tokenizer.tokenize(b"TTTTTT", 4, &mut cut);
        assert_eq!(cut, [25, 5]);
        assert!(tokenizer.special_tokens().is_none() && tokenizer.merges_letters());
    }

    #[test]
    fn a_vocabulary_without_all_words_is_refused() {
        let refused = |text: &str| text.parse::<CodonTokenizer>().unwrap_err().to_string();
        assert!(refused(&file("[UNK]", 2)).starts_with("no id of 16 bits for \"TTT\""));
        assert!(refused(&file("[NO]", 3)).contains("\"[NO]\""));
        assert!(refused("{").starts_with("not a readable tokenizer"));
        let large = file("[UNK]", 3).replace("\"GGG\":88", "\"GGG\":65535");
        assert!(refused(&large).contains("\"GGG\""));
    }
}
