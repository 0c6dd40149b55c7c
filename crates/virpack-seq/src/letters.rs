//! Nucleotide letters: upper case, U as T, and complements.

/// Returns a letter in upper case, U as T.
pub(crate) const fn unified(letter: u8) -> u8 {
    match letter.to_ascii_uppercase() {
        b'U' => b'T',
        capital => capital,
    }
}

/// Returns the number of an upper-case base, in NCBI's order T, C, A, G from 0; U is T. The numbers of
/// complementary bases differ by two.
pub(crate) const fn base_number(capital: u8) -> Option<u8> {
    match capital {
        b'T' | b'U' => Some(0),
        b'C' => Some(1),
        b'A' => Some(2),
        b'G' => Some(3),
        _ => None,
    }
}

/// The value in [`Tables::base`] for a byte that is not a base.
pub(crate) const NO_BASE: u8 = 4;

/// Properties of each byte, for loops over sequences.
pub(crate) struct Tables {
    /// The letter in upper case, U as T.
    pub(crate) unified: [u8; 256],
    /// The base's number by [`base_number`], in either case; [`NO_BASE`] for all others.
    pub(crate) base: [u8; 256],
    /// The unified letter on the other strand. Letters other than A, C, G, T and U are unchanged.
    pub(crate) complement: [u8; 256],
}

pub(crate) static TABLES: Tables = Tables::new();

impl Tables {
    const fn new() -> Self {
        let mut tables = Tables { unified: [0; 256], base: [NO_BASE; 256], complement: [0; 256] };
        let mut byte = 0;
        while byte < 256 {
            let letter = unified(byte as u8);
            tables.unified[byte] = letter;
            tables.complement[byte] = letter;
            if let Some(number) = base_number(letter) {
                tables.base[byte] = number;
                tables.complement[byte] = b"TCAG"[(number ^ 2) as usize];
            }
            byte += 1;
        }
        tables
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_a_base_in_either_case_or_itself() {
        for byte in 0..=u8::MAX {
            let i = usize::from(byte);
            let found = (TABLES.unified[i], TABLES.base[i], TABLES.complement[i]);
            let capital = byte.to_ascii_uppercase();
            let expected = match capital {
                b'T' | b'U' => (b'T', 0, b'A'),
                b'C' => (b'C', 1, b'G'),
                b'A' => (b'A', 2, b'T'),
                b'G' => (b'G', 3, b'C'),
                _ => (capital, NO_BASE, capital),
            };
            assert_eq!(found, expected, "{byte}");
        }
    }
}
