//! Tells nucleotide sequences from proteins.

use crate::error::SeqError;
use crate::reader::Input;
use crate::record::Record;

/// How a letter counts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A, C, G, T, U and N.
    Base,
    /// Another of IUPAC's codes, which stand for residues too.
    Ambiguous,
    /// A letter that stands for residues alone.
    Residue,
    /// A gap, a digit; X, which masks both kinds.
    Other,
}

static KINDS: [Kind; 256] = kinds();

const fn kinds() -> [Kind; 256] {
    let mut kinds = [Kind::Other; 256];
    let mut byte = 0;
    while byte < 256 {
        kinds[byte] = match (byte as u8).to_ascii_uppercase() {
            b'A' | b'C' | b'G' | b'T' | b'U' | b'N' => Kind::Base,
            b'R' | b'Y' | b'S' | b'W' | b'K' | b'M' | b'B' | b'D' | b'H' | b'V' => Kind::Ambiguous,
            b'X' => Kind::Other,
            b'A'..=b'Z' => Kind::Residue,
            _ => Kind::Other,
        };
        byte += 1;
    }
    kinds
}

/// Checks that a record holds nucleotides: a protein has letters that stand for no nucleotide, and fewer than half
/// of its letters are bases. A stray letter in a genome is none of our business.
///
/// `inputs` give the path for the error.
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
    let kinds = || record.sequence.iter().map(|&letter| KINDS[letter as usize]);
    // Most records end here.
    let Some(place) = kinds().position(|kind| kind == Kind::Residue) else { return Ok(()) };
    let [bases, letters] = count_bases(&record.sequence);
    if 2 * bases >= letters {
        return Ok(());
    }
    Err(SeqError::NotNucleotides {
        path: inputs.get(record.source as usize).map(|input| input.path().into()).unwrap_or_default(),
        line: record.line,
        id: record.id.clone(),
        letter: char::from(record.sequence[place]),
        other: letters - bases,
        letters,
    })
}

/// How many letters are bases (A, C, G, T, U, N), and how many are bases or residues at all: gaps, digits and X are
/// neither.
///
/// ```
/// assert_eq!(virpack_seq::count_bases(b"acgu-MK"), [4, 6]);
/// ```
pub fn count_bases(sequence: &[u8]) -> [u64; 2] {
    sequence.iter().fold([0, 0], |[bases, letters], &letter| {
        let kind = KINDS[letter as usize];
        [bases + u64::from(kind == Kind::Base), letters + u64::from(kind != Kind::Other)]
    })
}

/// How many letters no code for nucleotides stands for.
pub(crate) fn count_odd(sequence: &[u8]) -> u64 {
    let is_odd = |letter: &&u8| matches!(KINDS[**letter as usize], Kind::Residue | Kind::Other);
    sequence.iter().filter(is_odd).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_letters_are_those_of_no_nucleotide() {
        assert_eq!(count_odd(b"acgtunRYSWKMBDHV"), 0);
        assert_eq!(count_odd(b"AC-GT*1>bEX@"), 7);
    }

    fn check(sequence: &str) -> Result<(), SeqError> {
        let record = Record { line: 3, id: "r".into(), sequence: sequence.into(), ..Record::default() };
        expect_nucleotides(&record, &["p.fasta".into()])
    }

    #[test]
    fn proteins_are_told_from_nucleotides() {
        for nucleotides in
            ["", "ACGT", "acgu", "NNNN", "XXXX", "RYSWKMBDHV", "AC-GT*1", "ACGTACGTIE", "A\u{e9}C"]
        {
            assert!(check(nucleotides).is_ok(), "{nucleotides}");
        }
        for protein in ["L", "MKTLLVAGGX", "mktllvaggx", "MAGSTCEE-W", "PPPP", "MKV*FAA"] {
            let error = check(protein).unwrap_err().to_string();
            assert!(error.starts_with("p.fasta:3: record r is no nucleotide sequence"), "{error}");
            assert!(error.contains("hint: "), "{error}");
        }
    }
}
