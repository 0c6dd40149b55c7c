//! Which sequences are in which batch.

/// Batches of positions. Every position occurs once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packing {
    /// Positions, batch by batch, `[n]`.
    pub(super) order: Vec<u32>,
    /// Start of each batch in `order`, `[batches + 1]`; empty before the first packing.
    pub(super) starts: Vec<u32>,
}

impl Packing {
    /// Returns the number of batches.
    pub fn len(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// Returns whether there is no batch.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the positions in batch `i`.
    ///
    /// ```
    /// use virpack_seq::{GreedyPacker, PackerOptions};
    ///
    /// let packing = GreedyPacker::new(PackerOptions::new(100, 60))?.pack(&[50, 60, 40])?;
    /// assert_eq!(packing.batch(0), [1, 2]); // 60 + 40
    /// # Ok::<(), virpack_seq::SeqError>(())
    /// ```
    pub fn batch(&self, i: usize) -> &[u32] {
        &self.order[self.starts[i] as usize..self.starts[i + 1] as usize]
    }

    /// Iterates over the batches, in the order in which they were opened.
    pub fn iter(&self) -> Batches<'_> {
        Batches { packing: self, next: 0 }
    }

    /// Returns all positions, batch by batch, `[n]`.
    ///
    /// ```
    /// use virpack_seq::{GreedyPacker, PackerOptions};
    ///
    /// let packing = GreedyPacker::new(PackerOptions::new(100, 60))?.pack(&[50, 60, 40])?;
    /// assert_eq!((packing.order(), packing.starts()), (&[1, 2, 0][..], &[0, 2, 3][..]));
    /// # Ok::<(), virpack_seq::SeqError>(())
    /// ```
    pub fn order(&self) -> &[u32] {
        &self.order
    }

    /// Returns the start of each batch in [`Packing::order`], `[batches + 1]` (empty before the first
    /// packing).
    pub fn starts(&self) -> &[u32] {
        &self.starts
    }

    /// Returns [`Packing::order`] and [`Packing::starts`] without a copy.
    ///
    /// ```
    /// use virpack_seq::{GreedyPacker, PackerOptions};
    ///
    /// let packing = GreedyPacker::new(PackerOptions::new(100, 60))?.pack(&[50, 60, 40])?;
    /// assert_eq!(packing.into_arrays(), (vec![1, 2, 0], vec![0, 2, 3]));
    /// # Ok::<(), virpack_seq::SeqError>(())
    /// ```
    #[must_use]
    pub fn into_arrays(self) -> (Vec<u32>, Vec<u32>) {
        (self.order, self.starts)
    }
}

impl<'a> IntoIterator for &'a Packing {
    type Item = &'a [u32];
    type IntoIter = Batches<'a>;

    fn into_iter(self) -> Batches<'a> {
        self.iter()
    }
}

/// The batches of a [`Packing`], each as the positions in it.
#[derive(Clone, Debug)]
pub struct Batches<'a> {
    packing: &'a Packing,
    next: usize,
}

impl<'a> Iterator for Batches<'a> {
    type Item = &'a [u32];

    fn next(&mut self) -> Option<&'a [u32]> {
        (self.next < self.packing.len()).then(|| {
            self.next += 1;
            self.packing.batch(self.next - 1)
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.packing.len() - self.next;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Batches<'_> {}
