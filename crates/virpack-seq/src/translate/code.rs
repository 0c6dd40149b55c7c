//! The genetic codes of NCBI.

use std::fmt;

use crate::error::SeqError;
use crate::letters::base_number;

/// A genetic code, by NCBI's number (`transl_table`).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct GeneticCode {
    number: u8,
    /// The residue of each codon; `*` is a stop. Bases count in the order T, C, A, G, the first one slowest.
    residues: &'static [u8; 64],
}

/// Every code that NCBI has numbered (`gc.prt`, version 4.6). A codon that is a stop or a residue depending
/// on its context, in 27, 28 and 31, is the residue.
const CODES: [GeneticCode; 27] = [
    code(1, b"FFLLSSSSYY**CC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG"),
    code(2, b"FFLLSSSSYY**CCWWLLLLPPPPHHQQRRRRIIMMTTTTNNKKSS**VVVVAAAADDEEGGGG"),
    code(3, b"FFLLSSSSYY**CCWWTTTTPPPPHHQQRRRRIIMMTTTTNNKKSSRRVVVVAAAADDEEGGGG"),
    code(4, b"FFLLSSSSYY**CCWWLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG"),
    code(5, b"FFLLSSSSYY**CCWWLLLLPPPPHHQQRRRRIIMMTTTTNNKKSSSSVVVVAAAADDEEGGGG"),
    code(6, b"FFLLSSSSYYQQCC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG"),
    code(9, b"FFLLSSSSYY**CCWWLLLLPPPPHHQQRRRRIIIMTTTTNNNKSSSSVVVVAAAADDEEGGGG"),
    code(10, b"FFLLSSSSYY**CCCWLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG"),
    code(11, b"FFLLSSSSYY**CC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG"),
    code(12, b"FFLLSSSSYY**CC*WLLLSPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG"),
    code(13, b"FFLLSSSSYY**CCWWLLLLPPPPHHQQRRRRIIMMTTTTNNKKSSGGVVVVAAAADDEEGGGG"),
    code(14, b"FFLLSSSSYYY*CCWWLLLLPPPPHHQQRRRRIIIMTTTTNNNKSSSSVVVVAAAADDEEGGGG"),
    code(15, b"FFLLSSSSYY*QCC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG"),
    code(16, b"FFLLSSSSYY*LCC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG"),
    code(21, b"FFLLSSSSYY**CCWWLLLLPPPPHHQQRRRRIIMMTTTTNNNKSSSSVVVVAAAADDEEGGGG"),
    code(22, b"FFLLSS*SYY*LCC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG"),
    code(23, b"FF*LSSSSYY**CC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG"),
    code(24, b"FFLLSSSSYY**CCWWLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSSKVVVVAAAADDEEGGGG"),
    code(25, b"FFLLSSSSYY**CCGWLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG"),
    code(26, b"FFLLSSSSYY**CC*WLLLAPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG"),
    code(27, b"FFLLSSSSYYQQCCWWLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG"),
    code(28, b"FFLLSSSSYYQQCCWWLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG"),
    code(29, b"FFLLSSSSYYYYCC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG"),
    code(30, b"FFLLSSSSYYEECC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG"),
    code(31, b"FFLLSSSSYYEECCWWLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG"),
    code(32, b"FFLLSSSSYY*WCC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG"),
    code(33, b"FFLLSSSSYYY*CCWWLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSSKVVVVAAAADDEEGGGG"),
];

const fn code(number: u8, residues: &'static [u8; 64]) -> GeneticCode {
    GeneticCode { number, residues }
}

impl GeneticCode {
    /// The standard code, number 1, the only one that VirNucPro has.
    pub const STANDARD: GeneticCode = CODES[0];

    /// Returns the code with this NCBI number.
    ///
    /// # Errors
    ///
    /// [`SeqError::GeneticCode`] for a number without a code.
    ///
    /// ```
    /// use virpack_seq::GeneticCode;
    ///
    /// assert_eq!(GeneticCode::ncbi(1)?.residue(*b"TGA"), Some(b'*'));
    /// assert_eq!(GeneticCode::ncbi(4)?.residue(*b"TGA"), Some(b'W'));
    /// assert_eq!(GeneticCode::ncbi(1)?.residue(*b"TGN"), None);
    /// assert!(GeneticCode::ncbi(7).is_err());
    /// # Ok::<(), virpack_seq::SeqError>(())
    /// ```
    pub fn ncbi(number: u8) -> Result<GeneticCode, SeqError> {
        let known = CODES.iter().find(|code| code.number == number);
        known.copied().ok_or_else(|| SeqError::GeneticCode {
            number,
            known: CODES.iter().map(|code| code.number.to_string()).collect::<Vec<_>>().join(", "),
        })
    }

    /// Returns the NCBI number.
    pub fn number(self) -> u8 {
        self.number
    }

    /// Returns the residue of a codon in capitals, U as T; `*` is a stop. None for a codon with any other
    /// letter.
    ///
    /// ```
    /// use virpack_seq::GeneticCode;
    ///
    /// assert_eq!(GeneticCode::STANDARD.residue(*b"ATG"), Some(b'M'));
    /// assert_eq!(GeneticCode::STANDARD.residue(*b"TAA"), Some(b'*'));
    /// ```
    pub fn residue(self, codon: [u8; 3]) -> Option<u8> {
        let mut place = 0;
        for base in codon {
            place = 4 * place + usize::from(base_number(base)?);
        }
        Some(self.residues[place])
    }
}

impl fmt::Debug for GeneticCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GeneticCode({})", self.number)
    }
}
