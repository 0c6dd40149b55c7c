//! A pair of values, one for each of the two models.

use std::array;
use std::ops::{Index, IndexMut};

use crate::alphabet::Alphabet;

/// A pair of values, one for each of the two models that read frames. An [`Alphabet`] selects one of them.
/// Iteration visits the nucleotide model's first.
///
/// ```
/// use virpack_seq::Alphabet;
/// use virpack_seq::frames::Pair;
///
/// let letters = Pair { nucleotide: 500, protein: 166 };
/// let tokens = letters.map(|letters| letters + 2);
/// assert_eq!(tokens[Alphabet::Proteins], 168);
/// for (alphabet, (letters, tokens)) in letters.zip(tokens) {
///     println!("{alphabet:?}: {tokens} tokens for {letters} letters");
/// }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pair<T> {
    /// The value of the nucleotide model.
    pub nucleotide: T,
    /// The value of the protein model.
    pub protein: T,
}

impl Pair<Alphabet> {
    /// The kind of letters that each model reads.
    pub const ALPHABETS: Self = Pair { nucleotide: Alphabet::Nucleotides, protein: Alphabet::Proteins };
}

impl<T> Pair<T> {
    /// Maps both values.
    pub fn map<U>(self, mut each: impl FnMut(T) -> U) -> Pair<U> {
        Pair { nucleotide: each(self.nucleotide), protein: each(self.protein) }
    }

    /// Maps both values, up to the first failure.
    ///
    /// # Errors
    ///
    /// Returns the first failure.
    pub fn try_map<U, E>(self, mut each: impl FnMut(T) -> Result<U, E>) -> Result<Pair<U>, E> {
        Ok(Pair { nucleotide: each(self.nucleotide)?, protein: each(self.protein)? })
    }

    /// Pairs each value with that of another pair.
    pub fn zip<U>(self, other: Pair<U>) -> Pair<(T, U)> {
        Pair { nucleotide: (self.nucleotide, other.nucleotide), protein: (self.protein, other.protein) }
    }

    /// Returns references to both values.
    pub fn as_ref(&self) -> Pair<&T> {
        Pair { nucleotide: &self.nucleotide, protein: &self.protein }
    }

    /// Returns mutable references to both values.
    pub fn as_mut(&mut self) -> Pair<&mut T> {
        Pair { nucleotide: &mut self.nucleotide, protein: &mut self.protein }
    }
}

impl<T> Pair<Option<T>> {
    /// Iterates over the values that are present.
    pub fn present(&self) -> impl DoubleEndedIterator<Item = &T> {
        [&self.nucleotide, &self.protein].into_iter().flatten()
    }
}

impl<T> Index<Alphabet> for Pair<T> {
    type Output = T;

    fn index(&self, alphabet: Alphabet) -> &T {
        match alphabet {
            Alphabet::Nucleotides => &self.nucleotide,
            Alphabet::Proteins => &self.protein,
        }
    }
}

impl<T> IndexMut<Alphabet> for Pair<T> {
    fn index_mut(&mut self, alphabet: Alphabet) -> &mut T {
        match alphabet {
            Alphabet::Nucleotides => &mut self.nucleotide,
            Alphabet::Proteins => &mut self.protein,
        }
    }
}

impl<T> IntoIterator for Pair<T> {
    type Item = (Alphabet, T);
    type IntoIter = array::IntoIter<(Alphabet, T), 2>;

    fn into_iter(self) -> Self::IntoIter {
        [(Alphabet::Nucleotides, self.nucleotide), (Alphabet::Proteins, self.protein)].into_iter()
    }
}
