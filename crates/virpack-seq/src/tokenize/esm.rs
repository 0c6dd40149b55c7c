//! The alphabet of ESM-2: 33 tokens, one for each letter.

use memchr::memchr;

use super::{Alphabet, SpecialTokens, TokenCounts, Tokenizer};

/// The 33 tokens of ESM-2; a token's id is its place here (`vocab.txt` of the published models,
/// `Alphabet.from_architecture("ESM-1b")` of fair-esm).
pub const ALPHABET: [&str; 33] = [
    "<cls>", "<pad>", "<eos>", "<unk>", "L", "A", "G", "V", "S", "E", "R", "T", "I", "D", "P", "K", "Q", "N",
    "F", "Y", "M", "H", "W", "C", "X", "B", "U", "Z", "O", ".", "-", "<null_1>", "<mask>",
];

/// Id of `<cls>`, the start token.
pub const CLS: u16 = 0;
/// Id of `<pad>`.
pub const PAD: u16 = 1;
/// Id of `<eos>`, the end token.
pub const EOS: u16 = 2;
/// Id of `<unk>`, the token of a letter outside the alphabet.
pub const UNK: u16 = 3;
/// Id of `.`, a gap; that of `-` is the next one.
const DOT: u16 = 29;
/// Id of `<mask>`.
pub const MASK: u16 = 32;

/// Byte to id, both cases; everything outside the alphabet is `<unk>`.
const IDS: [u16; 256] = ids();

const fn ids() -> [u16; 256] {
    let mut ids = [UNK; 256];
    let mut id = 0;
    while id < ALPHABET.len() {
        let name = ALPHABET[id].as_bytes();
        if name.len() == 1 {
            ids[name[0] as usize] = id as u16;
            ids[name[0].to_ascii_lowercase() as usize] = id as u16;
        }
        id += 1;
    }
    ids
}

/// The tokenizer of every published ESM-2: `<cls>`, one token for each letter, `<eos>`.
///
/// The names of special tokens (`<mask>`, `<cls>`, `<pad>`, `<eos>`, `<unk>`, `<null_1>`, case-sensitive)
/// become their single id wherever they occur in a sequence, and are not unknown letters.
///
/// It agrees with `transformers.EsmTokenizer` (checked with 5.x) on every sequence of the alphabet's
/// letters and special names. It differs on purpose where `transformers` loses residues:
///
/// - lower-case (soft-masked) letters are upper-cased; `transformers` makes them `<unk>`;
/// - a run of unknown letters is one `<unk>` a letter, so that positions hold; `transformers` makes one
///   of the whole run (`MJJK` gives `[0, 20, 3, 15, 2]` there and `[0, 20, 3, 3, 15, 2]` here). `J` and a
///   `*` inside the sequence are unknown to both;
/// - one `*` at the end (a translated stop codon) is dropped; `transformers` makes it `<unk>`;
/// - a character outside ASCII is one `<unk>`.
///
/// `fair-esm` raises `KeyError` on all of these. Both leave out spaces, which is the reader's task here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EsmTokenizer;

impl EsmTokenizer {
    /// Returns the tokenizer, which has no settings.
    pub fn new() -> Self {
        EsmTokenizer
    }
}

impl Tokenizer for EsmTokenizer {
    fn length(&self, sequence: &[u8]) -> u64 {
        let letters = without_stop(sequence);
        if is_plain(letters) { letters.len() as u64 } else { Symbols(letters).count() as u64 }
    }

    fn tokenize(&self, sequence: &[u8], max_length: usize, tokens: &mut Vec<u16>) -> TokenCounts {
        let letters = without_stop(sequence);
        tokens.push(CLS);
        let first = tokens.len();
        let head = &letters[..letters.len().min(max_length)];
        tokens.extend(head.iter().map(|&letter| IDS[letter as usize]));
        let [mut unknown, mut gaps] = count_odd(&tokens[first..]);
        // The table does not know `<` and bytes above ASCII, so that a sequence without unknown letters
        // never pays for the search of special names.
        if unknown > 0 && !is_plain(head) {
            tokens.truncate(first);
            unknown = 0;
            for symbol in Symbols(letters).take(max_length) {
                unknown += u32::from(symbol.is_none());
                tokens.push(symbol.unwrap_or(UNK));
            }
            [_, gaps] = count_odd(&tokens[first..]);
        }
        let residues = tokens.len() - first;
        tokens.push(EOS);
        TokenCounts { residues, unknown, gaps }
    }

    fn special_tokens(&self) -> Option<SpecialTokens> {
        Some(SpecialTokens { start: CLS, end: EOS, unknown: UNK })
    }

    fn alphabet(&self) -> Option<Alphabet> {
        Some(Alphabet::Proteins)
    }
}

/// Returns the sequence without the one `*` that a translated stop codon leaves at its end.
fn without_stop(sequence: &[u8]) -> &[u8] {
    sequence.strip_suffix(b"*").unwrap_or(sequence)
}

/// Returns whether every byte is a symbol by itself.
fn is_plain(letters: &[u8]) -> bool {
    letters.is_ascii() && memchr(b'<', letters).is_none()
}

/// Counts `<unk>` and gap characters.
fn count_odd(tokens: &[u16]) -> [u32; 2] {
    // Most sequences have neither, as the least and the greatest id of a letter show. They are compared as
    // signed numbers of 16 bits, for which every processor has vector instructions.
    let ends = |(least, most): (i16, i16), &token: &u16| (least.min(token as i16), most.max(token as i16));
    let (least, most) = tokens.iter().fold((i16::MAX, 0), ends);
    if least > UNK as i16 && most < DOT as i16 {
        return [0, 0];
    }
    [count(tokens, |token| token == UNK), count(tokens, |token| token.wrapping_sub(DOT) < 2)]
}

/// Counts tokens in lanes of 16 bits, which the compiler vectorizes.
fn count(tokens: &[u16], is_counted: impl Fn(u16) -> bool) -> u32 {
    tokens
        .chunks(1 << 15)
        .map(|chunk| u32::from(chunk.iter().map(|&token| u16::from(is_counted(token))).sum::<u16>()))
        .sum()
}

/// Iterates over the symbols of a sequence, with special names and characters outside ASCII as one symbol
/// each: the id, or `None` for a symbol outside the alphabet.
struct Symbols<'a>(&'a [u8]);

impl Iterator for Symbols<'_> {
    type Item = Option<u16>;

    fn next(&mut self) -> Option<Option<u16>> {
        let &first = self.0.first()?;
        let (id, length) = match first {
            b'<' => special(self.0).map_or((None, 1), |(id, length)| (Some(id), length)),
            0x80.. => (None, 1 + self.0[1..].iter().take(3).take_while(|&&b| b & 0xC0 == 0x80).count()),
            letter => (Some(IDS[letter as usize]).filter(|&id| id != UNK), 1),
        };
        self.0 = &self.0[length..];
        Some(id)
    }
}

/// Returns the id and the length in bytes of the special name with which `text` begins.
fn special(text: &[u8]) -> Option<(u16, usize)> {
    ALPHABET.iter().enumerate().find_map(|(id, name)| {
        (name.len() > 1 && text.starts_with(name.as_bytes())).then_some((id as u16, name.len()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(sequence: &str) -> (Vec<u16>, u32) {
        let mut tokens = Vec::new();
        let counts = EsmTokenizer.tokenize(sequence.as_bytes(), usize::MAX, &mut tokens);
        assert_eq!(tokens.len(), counts.residues + 2);
        assert_eq!(EsmTokenizer.length(sequence.as_bytes()), counts.residues as u64, "{sequence}");
        (tokens, counts.unknown)
    }

    #[test]
    fn letters_are_those_of_the_published_vocabulary() {
        let all: String = ALPHABET.concat();
        let (ids, unknown) = tokens(&all);
        assert_eq!(ids[1..34], (0..33).collect::<Vec<u16>>());
        assert_eq!(unknown, 0);
        let plain = "LAGVSERTIDPKQNFYMHWCXBUZO.-";
        assert_eq!(tokens(plain).0[1..28], (4..31).collect::<Vec<u16>>());
        assert_eq!(tokens(&plain.to_lowercase()), tokens(plain));
    }

    /// The expected values are those of `transformers.EsmTokenizer` 5.x.
    #[test]
    fn odd_sequences_as_transformers_has_them() {
        for (sequence, expected) in [
            ("MKJ", &[0, 20, 15, 3, 2][..]),
            ("M*K", &[0, 20, 3, 15, 2]),
            ("M<mask>K", &[0, 20, 32, 15, 2]),
            ("<cls>M<eos>", &[0, 0, 20, 2, 2]),
            ("M<pad>K", &[0, 20, 1, 15, 2]),
            ("M<unk>K", &[0, 20, 3, 15, 2]),
            ("M<null_1>K", &[0, 20, 31, 15, 2]),
            ("M<", &[0, 20, 3, 2]),
            ("<<mask>>", &[0, 3, 32, 3, 2]),
            ("M-K.", &[0, 20, 30, 15, 29, 2]),
            ("M\u{e9}K", &[0, 20, 3, 15, 2]),
            ("M1<mask>2K", &[0, 20, 3, 32, 3, 15, 2]),
            ("", &[0, 2]),
        ] {
            assert_eq!(tokens(sequence).0, expected, "{sequence}");
        }
    }

    #[test]
    fn departures_from_transformers() {
        assert_eq!(tokens("MJJK"), (vec![0, 20, 3, 3, 15, 2], 2));
        assert_eq!(tokens("mk"), (vec![0, 20, 15, 2], 0));
        assert_eq!(tokens("MK*"), (vec![0, 20, 15, 2], 0));
        assert_eq!(tokens("M**"), (vec![0, 20, 3, 2], 1));
        assert_eq!(tokens("*"), (vec![0, 2], 0));
        assert_eq!(tokens("M<mask>*"), (vec![0, 20, 32, 2], 0));
        assert_eq!(tokens("M\u{1F9EC}K"), (vec![0, 20, 3, 15, 2], 1));
        // Special names are case-sensitive: this one is read letter by letter.
        assert_eq!(tokens("<MASK>"), (vec![0, 3, 20, 5, 8, 15, 3, 2], 2));
    }

    #[test]
    fn gaps_are_counted_on_their_own() {
        for (sequence, unknown, gaps) in [
            ("M-K.A--", 0, 4),
            ("M-KJ", 1, 1),
            ("-<mask>.J", 1, 2),
            ("MOUBZX", 0, 0),
            ("<unk><null_1>", 0, 0),
        ] {
            let counts = EsmTokenizer.tokenize(sequence.as_bytes(), usize::MAX, &mut Vec::new());
            assert_eq!((counts.unknown, counts.gaps), (unknown, gaps), "{sequence}");
        }
        let long = "M-".repeat(100_000);
        assert_eq!(EsmTokenizer.tokenize(long.as_bytes(), 150_000, &mut Vec::new()).gaps, 75_000);
    }

    #[test]
    fn bytes_that_are_not_utf8_are_unknown() {
        let mut tokens = Vec::new();
        let counts = EsmTokenizer.tokenize(b"M\xff\xffK\x80", usize::MAX, &mut tokens);
        assert_eq!((tokens, counts.unknown), (vec![0, 20, 3, 3, 15, 3, 2], 3));
    }

    #[test]
    fn appends_and_cuts() {
        let mut tokens = vec![7];
        let counts = EsmTokenizer.tokenize(b"MKLA", 2, &mut tokens);
        assert_eq!((&tokens[..], counts.residues), (&[7, 0, 20, 15, 2][..], 2));
        tokens.clear();
        EsmTokenizer.tokenize(b"M<mask>KLA", 3, &mut tokens);
        assert_eq!(tokens, [0, 20, 32, 15, 2]);
        tokens.clear();
        EsmTokenizer.tokenize(b"MK<mask>LA", 2, &mut tokens);
        assert_eq!(tokens, [0, 20, 15, 2]);
    }
}
