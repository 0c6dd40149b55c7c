//! Distinguishes nucleotide sequences from proteins.

use std::path::PathBuf;

use memchr::memchr;

use crate::error::SeqError;
use crate::input::Input;
use crate::letters::unified;
use crate::record::Record;

/// How a letter counts when sequences are classified.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A, C, G, T, U and N.
    Base,
    /// Another IUPAC code, which is also a residue.
    Ambiguous,
    /// A letter that only proteins use.
    Residue,
    /// A gap, a digit, or X, which masks both kinds.
    Other,
}

static KINDS: [Kind; 256] = kinds();

const fn kinds() -> [Kind; 256] {
    let mut kinds = [Kind::Other; 256];
    let mut byte = 0;
    while byte < 256 {
        kinds[byte] = match unified(byte as u8) {
            b'A' | b'C' | b'G' | b'T' | b'N' => Kind::Base,
            b'R' | b'Y' | b'S' | b'W' | b'K' | b'M' | b'B' | b'D' | b'H' | b'V' => Kind::Ambiguous,
            b'X' => Kind::Other,
            b'A'..=b'Z' => Kind::Residue,
            _ => Kind::Other,
        };
        byte += 1;
    }
    kinds
}

/// The kind of letters that a model reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alphabet {
    /// Residues.
    Proteins,
    /// Bases.
    Nucleotides,
}

impl Alphabet {
    /// Checks that a record is not plainly of the other kind. Its embedding would mean nothing, and no
    /// output would show that.
    ///
    /// [`expect_nucleotides`] refuses what is not a nucleotide sequence. A record is refused as a protein
    /// if it has at least 30 letters, none of them is a residue only, nine of ten are A, C, G, T, U or N,
    /// and each of the four bases makes up at least one letter of twenty. Proteins of two or three of these
    /// letters exist (antifreeze proteins of fish repeat A, A, T); none is known that has all four.
    ///
    /// The error takes the path from `inputs`.
    ///
    /// # Errors
    ///
    /// [`SeqError::NotNucleotides`], [`SeqError::NotProtein`].
    ///
    /// ```
    /// use virpack_seq::{Alphabet, Record};
    ///
    /// let record = |sequence: &str| Record { sequence: sequence.into(), ..Record::default() };
    /// let (gene, protein) = (record("ATGGCCAAAGAACTGCGTTTCGACGTTCAGATC"), record("MAKELRFDVQI"));
    /// assert!(Alphabet::Nucleotides.check(&gene, &[]).is_ok() && Alphabet::Proteins.check(&gene, &[]).is_err());
    /// assert!(Alphabet::Proteins.check(&protein, &[]).is_ok() && Alphabet::Nucleotides.check(&protein, &[]).is_err());
    /// ```
    pub fn check(self, record: &Record, inputs: &[Input]) -> Result<(), SeqError> {
        match self {
            Alphabet::Proteins => expect_protein(record, inputs),
            Alphabet::Nucleotides => expect_nucleotides(record, inputs),
        }
    }
}

/// Returns the path of the record's input.
fn path(record: &Record, inputs: &[Input]) -> PathBuf {
    inputs.get(record.source as usize).map(|input| input.path().into()).unwrap_or_default()
}

/// The fewest letters of a record that can be refused as a protein.
const LEAST_LETTERS: u64 = 30;

fn expect_protein(record: &Record, inputs: &[Input]) -> Result<(), SeqError> {
    // Most records end here, at their first letters.
    if first_residue(&record.sequence).is_some() {
        return Ok(());
    }
    let [bases, letters] = count_bases(&record.sequence);
    let mut each = [0u64; 4];
    for letter in &record.sequence {
        if let Some(base) = b"ACGT".iter().position(|base| base == &unified(*letter)) {
            each[base] += 1;
        }
    }
    if !are_mostly_bases(bases, letters) || each.iter().any(|base| 20 * base < letters) {
        return Ok(());
    }
    Err(SeqError::NotProtein {
        path: path(record, inputs),
        line: record.line,
        id: record.id.clone(),
        bases,
        letters,
    })
}

/// Returns whether there are enough letters, and enough bases among them, that this is not a protein by
/// chance.
fn are_mostly_bases(bases: u64, letters: u64) -> bool {
    letters >= LEAST_LETTERS && 10 * bases >= 9 * letters
}

/// Returns the position of the first letter that only proteins use.
fn first_residue(sequence: &[u8]) -> Option<usize> {
    sequence.iter().position(|&letter| KINDS[letter as usize] == Kind::Residue)
}

/// Checks that a record holds nucleotides. A record is refused if it has letters that are not nucleotide
/// codes and fewer than half of its letters are bases. A few stray letters in a genome are accepted.
///
/// The error takes the path from `inputs`.
///
/// # Errors
///
/// [`SeqError::NotNucleotides`].
///
/// ```
/// use virpack_seq::{Record, expect_nucleotides};
///
/// let record = |sequence: &str| Record { sequence: sequence.into(), ..Record::default() };
/// assert!(expect_nucleotides(&record("acguNNRYACGI"), &[]).is_ok());
/// assert!(expect_nucleotides(&record("MKTLLVAGGX"), &[]).is_err());
/// ```
pub fn expect_nucleotides(record: &Record, inputs: &[Input]) -> Result<(), SeqError> {
    // Most records end here.
    if are_bases(&record.sequence) {
        return Ok(());
    }
    // The name of a special token, such as `<mask>`, occurs in proteins only.
    let name = memchr(b'<', &record.sequence);
    let Some(place) = name.or_else(|| first_residue(&record.sequence)) else { return Ok(()) };
    let [bases, letters] = count_bases(&record.sequence);
    if name.is_none() && 2 * bases >= letters {
        return Ok(());
    }
    Err(SeqError::NotNucleotides {
        path: path(record, inputs),
        line: record.line,
        id: record.id.clone(),
        letter: char::from(record.sequence[place]),
        other: letters - bases,
        letters,
    })
}

/// Returns whether all letters are bases. It has no early exit, so that the compiler vectorizes the loop.
fn are_bases(sequence: &[u8]) -> bool {
    let is_base = |letter: u8| {
        let lower = letter | 0x20;
        (lower == b'a')
            | (lower == b'c')
            | (lower == b'g')
            | (lower == b't')
            | (lower == b'u')
            | (lower == b'n')
    };
    sequence.iter().fold(true, |all, &letter| all & is_base(letter))
}

/// A sample of letters, which shows whether an input holds proteins or nucleotides.
///
/// ```
/// use virpack_seq::{Alphabet, AlphabetSample};
///
/// let told = |sequences: &[&str]| {
///     let mut sample = AlphabetSample::default();
///     sequences.iter().for_each(|sequence| sample.add(sequence.as_bytes()));
///     sample.alphabet()
/// };
/// assert_eq!(told(&["MKTLLVAAAGG"]), Some(Alphabet::Proteins));
/// assert_eq!(told(&["ATGGCCAAAGAACTGCG", "TTTCGACGTTCAGATC"]), Some(Alphabet::Nucleotides));
/// assert_eq!(told(&["GATTACA"]), None);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct AlphabetSample {
    bases: u64,
    letters: u64,
    has_protein: bool,
}

impl AlphabetSample {
    /// Adds a sequence to the sample. A letter that only proteins use makes it a protein, unless the
    /// sequence is plainly nucleotides (at least 30 letters, nine of ten of them bases) and the letter is a
    /// stray one.
    pub fn add(&mut self, sequence: &[u8]) {
        let [bases, letters] = count_bases(sequence);
        self.bases += bases;
        self.letters += letters;
        self.has_protein |= !are_mostly_bases(bases, letters) && first_residue(sequence).is_some();
    }

    /// Returns the number of letters seen, without gaps and X.
    ///
    /// ```
    /// let mut sample = virpack_seq::AlphabetSample::default();
    /// sample.add(b"GAT-TACAX");
    /// assert_eq!(sample.letters(), 7);
    /// ```
    pub fn letters(&self) -> u64 {
        self.letters
    }

    /// Returns whether one of the sequences is certainly a protein.
    ///
    /// ```
    /// let mut sample = virpack_seq::AlphabetSample::default();
    /// sample.add(b"GATTACA");
    /// assert!(!sample.has_protein());
    /// sample.add(b"MKTLLV");
    /// assert!(sample.has_protein());
    /// ```
    pub fn has_protein(&self) -> bool {
        self.has_protein
    }

    /// Returns what the sequences are. `None` means that no letter is one that only proteins use, and that
    /// there are fewer than 30 letters, or fewer than nine bases in ten letters.
    pub fn alphabet(&self) -> Option<Alphabet> {
        if self.has_protein {
            return Some(Alphabet::Proteins);
        }
        are_mostly_bases(self.bases, self.letters).then_some(Alphabet::Nucleotides)
    }
}

/// Returns how many letters are bases (A, C, G, T, U, N), and how many are bases or residues. Gaps, digits
/// and X are neither.
pub(crate) fn count_bases(sequence: &[u8]) -> [u64; 2] {
    sequence.iter().fold([0, 0], |[bases, letters], &letter| {
        let kind = KINDS[letter as usize];
        [bases + u64::from(kind == Kind::Base), letters + u64::from(kind != Kind::Other)]
    })
}

/// Returns how many letters are not nucleotide codes.
pub(crate) fn count_odd(sequence: &[u8]) -> u64 {
    let is_odd = |letter: &&u8| matches!(KINDS[**letter as usize], Kind::Residue | Kind::Other);
    sequence.iter().filter(is_odd).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Hint;

    #[test]
    fn gaps_digits_and_x_are_not_letters() {
        assert_eq!(count_bases(b"acgu-MK"), [4, 6]);
        assert_eq!(count_bases(b"x1*X."), [0, 0]);
    }

    #[test]
    fn bases_are_those_of_the_table() {
        for byte in 0..=u8::MAX {
            let expected = KINDS[byte as usize] == Kind::Base;
            assert_eq!(are_bases(&[b'A', byte, b'C']), expected, "{byte}");
        }
    }

    #[test]
    fn odd_letters_are_those_that_are_not_nucleotides() {
        assert_eq!(count_odd(b"acgtunRYSWKMBDHV"), 0);
        assert_eq!(count_odd(b"AC-GT*1>bEX@"), 7);
    }

    #[test]
    fn a_sample_is_proteins_nucleotides_or_unclear() {
        let told = |sequences: &[&str]| {
            let mut sample = AlphabetSample::default();
            sequences.iter().for_each(|sequence| sample.add(sequence.as_bytes()));
            sample.alphabet()
        };
        let (proteins, nucleotides) = (Some(Alphabet::Proteins), Some(Alphabet::Nucleotides));
        let gene = "ATGGCCAAAGAACTGCGTTTCGACGTTCAGATC";
        // Proteins with a letter that only proteins use, though most of their letters are also codes of
        // bases.
        for protein in
            ["MKTLLVAAAGG", "GAVLKSTAAGGT", "GATTACAE", "mktp", "AAAAAAAAAAAAAAF", "ACGTI", "NNNNZ"]
        {
            assert_eq!(told(&[protein]), proteins, "{protein}");
            assert_eq!(told(&[gene, protein]), proteins, "{protein}");
        }
        // Under 30 letters, and none that only proteins use.
        for unclear in
            ["", "A", "GATTACA", "SKKGTGNAAVTKAATGKST", "MSTNKTGAAACTGGASMTKA", "XXXXX", "-----", &gene[..29]]
        {
            assert_eq!(told(&[unclear]), None, "{unclear}");
        }
        // Many letters, of which a third are not bases.
        assert_eq!(told(&["SKKGTGNAAVTKAATGKST"; 10]), None);
        for sure in [gene, &gene.to_lowercase(), &gene.replace('T', "U"), &format!("{gene}{gene}E")] {
            assert_eq!(told(&[sure]), nucleotides, "{sure}");
        }
        // Reads: each is short, but together they have enough letters.
        assert_eq!(told(&["GATTACA"; 5]), nucleotides);
    }

    fn check(sequence: &str) -> Result<(), SeqError> {
        let record = Record { line: 3, id: "r".into(), sequence: sequence.into(), ..Record::default() };
        expect_nucleotides(&record, &["p.fasta".into()])
    }

    #[test]
    fn proteins_are_recognised_beside_nucleotides() {
        for nucleotides in
            ["", "ACGT", "acgu", "NNNN", "XXXX", "RYSWKMBDHV", "AC-GT*1", "ACGTACGTIE", "A\u{e9}C"]
        {
            assert!(check(nucleotides).is_ok(), "{nucleotides}");
        }
        for protein in
            ["L", "MKTLLVAGGX", "mktllvaggx", "MAGSTCEE-W", "PPPP", "MKV*FAA", "ACGT<mask>ACGTACGT"]
        {
            let error = check(protein).unwrap_err();
            let said = error.to_string();
            assert!(said.starts_with("p.fasta:3: record r is not a nucleotide sequence"), "{said}");
            assert!(error.hint().unwrap().contains("a model of proteins"), "{error:?}");
        }
    }

    #[test]
    fn nucleotides_are_recognised_beside_proteins() {
        let check = |sequence: &str| {
            let record = Record { line: 3, id: "r".into(), sequence: sequence.into(), ..Record::default() };
            Alphabet::Proteins.check(&record, &["p.fasta".into()])
        };
        let gene = "ATGGCCAAAGAACTGCGTTTCGACGTTCAGATC";
        let written = [gene.to_owned(), gene.to_lowercase(), gene.replace('T', "U"), format!("{gene}RYN-X")];
        for nucleotides in written {
            let error = check(&nucleotides).unwrap_err();
            let said = error.to_string();
            assert!(said.starts_with("p.fasta:3: record r looks like nucleotides, not a protein"), "{said}");
            assert!(error.hint().unwrap().contains("zhihan1996/DNABERT-S"), "{error:?}");
        }
        let repeats = ["A", "AT", "GGC", "AAT", "GAGAGS", "NNNN", "X"].map(|repeat| repeat.repeat(100));
        for protein in repeats.iter().map(String::as_str).chain([
            "",
            "MKTLLVAGGX",
            // Too short to be sure.
            &gene[..29],
            // A metallothionein: a third of it is cysteine.
            "MDPNCSCATGGSCTCTGSCKCKECKCTSCKKSCCSCCPMSCAKCAQGCICKGASEKCSCCA",
            // One residue among bases is taken for a stray letter.
            &format!("{gene}E"),
        ]) {
            assert!(check(protein).is_ok(), "{protein}");
        }
    }
}
