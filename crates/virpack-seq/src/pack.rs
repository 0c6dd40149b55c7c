//! Packs lengths into batches: bin packing under a token budget, exact and in nearly linear time.
//!
//! Lengths are small integers, so equal ones are placed as a run: the batch that takes the first of them
//! takes more until it is full. This holds for first fit and for best fit (SPFHP packs histograms the same
//! way, arXiv 2107.02027). The result is that of the textbook algorithm, batch by batch; the property tests
//! in `tests/it/pack.rs` compare it with the textbook loops.

mod best_fit;
mod bound;
mod first_fit;
mod histogram;
mod limits;
mod next_fit;
mod packing;
mod sort;
mod stats;
mod warning;
mod workspace;

use bound::lower_bound;
pub use histogram::LengthHistogram;
pub use packing::{Batches, Packing};
pub use stats::PackStats;
pub use warning::{EfficiencyLevel, EfficiencyReason, EfficiencyWarning};
pub use workspace::PackWorkspace;

use crate::error::SeqError;
use best_fit::BestFit;
use first_fit::FirstFit;
use limits::Limits;
use next_fit::NextFit;
pub(crate) use stats::{CloseReason, PackTally};

/// Which batch a sequence goes to.
///
/// *Room* is the longest sequence that a batch can still take. Without [`PackerOptions::max_sequences`] and
/// [`PackerOptions::max_attention_cost`] that is the token budget minus the batch's tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// Longest first, each into the earliest batch with room for it.
    #[default]
    FirstFitDecreasing,
    /// Longest first, each into the batch with the least room that still holds it; among equals, the
    /// earliest.
    BestFitDecreasing,
    /// Longest first, each into the newest batch or a new one.
    NextFitDecreasing,
    /// In input order, each into the newest batch or a new one.
    NextFit,
}

impl Algorithm {
    /// All algorithms, the default first.
    pub const ALL: [Algorithm; 4] = [
        Algorithm::FirstFitDecreasing,
        Algorithm::BestFitDecreasing,
        Algorithm::NextFitDecreasing,
        Algorithm::NextFit,
    ];

    /// Returns the short name: `ffd`, `bfd`, `nfd` or `nf`.
    ///
    /// ```
    /// assert_eq!(virpack_seq::Algorithm::default().as_str(), "ffd");
    /// ```
    pub fn as_str(self) -> &'static str {
        match self {
            Algorithm::FirstFitDecreasing => "ffd",
            Algorithm::BestFitDecreasing => "bfd",
            Algorithm::NextFitDecreasing => "nfd",
            Algorithm::NextFit => "nf",
        }
    }
}

/// The limits and the algorithm of a [`GreedyPacker`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PackerOptions {
    /// Most tokens in a batch, special tokens included.
    pub token_budget: usize,
    /// The longest sequence that the length policy accepts, in tokens, special tokens included.
    pub longest: usize,
    /// Which batch a sequence goes to.
    pub algorithm: Algorithm,
    /// Most sequences in a batch; `None` for any number.
    pub max_sequences: Option<usize>,
    /// Largest sum of squared lengths (tokens²) in a batch, so that batches take similar time in attention;
    /// `None` for no limit.
    pub max_attention_cost: Option<u64>,
}

impl PackerOptions {
    /// Returns the options of first-fit decreasing under `token_budget`, for sequences of at most `longest`
    /// tokens.
    pub fn new(token_budget: usize, longest: usize) -> Self {
        PackerOptions {
            token_budget,
            longest,
            algorithm: Algorithm::default(),
            max_sequences: None,
            max_attention_cost: None,
        }
    }

    /// Sets the algorithm.
    ///
    /// ```
    /// use virpack_seq::{Algorithm, GreedyPacker, PackerOptions};
    ///
    /// let options = PackerOptions::new(100, 60).algorithm(Algorithm::NextFit);
    /// let packing = GreedyPacker::new(options)?.pack(&[30, 60, 50, 40, 20])?;
    /// assert_eq!(packing.iter().collect::<Vec<_>>(), [&[0, 1][..], &[2, 3], &[4]]);
    /// # Ok::<(), virpack_seq::SeqError>(())
    /// ```
    #[must_use]
    pub fn algorithm(mut self, algorithm: Algorithm) -> Self {
        self.algorithm = algorithm;
        self
    }

    /// Sets the most sequences in a batch.
    ///
    /// ```
    /// use virpack_seq::{GreedyPacker, PackerOptions};
    ///
    /// let packer = GreedyPacker::new(PackerOptions::new(100, 60).max_sequences(2))?;
    /// assert_eq!(packer.pack(&[10, 10, 10])?.len(), 2);
    /// # Ok::<(), virpack_seq::SeqError>(())
    /// ```
    #[must_use]
    pub fn max_sequences(mut self, sequences: usize) -> Self {
        self.max_sequences = Some(sequences);
        self
    }

    /// Sets the largest sum of squared lengths of a batch, in tokens².
    ///
    /// ```
    /// use virpack_seq::{GreedyPacker, PackerOptions};
    ///
    /// let packer = GreedyPacker::new(PackerOptions::new(100, 60).max_attention_cost(3_600))?;
    /// assert_eq!(packer.pack(&[60, 40])?.len(), 2); // 60² + 40² is over 3,600
    /// # Ok::<(), virpack_seq::SeqError>(())
    /// ```
    #[must_use]
    pub fn max_attention_cost(mut self, cost: u64) -> Self {
        self.max_attention_cost = Some(cost);
        self
    }
}

/// Packs lengths into batches under a token budget; the same lengths always give the same batches.
///
/// ```
/// use virpack_seq::{GreedyPacker, PackerOptions};
///
/// let packer = GreedyPacker::new(PackerOptions::new(100, 60))?;
/// let packing = packer.pack(&[30, 60, 50, 40, 20])?;
/// let batches: Vec<&[u32]> = packing.iter().collect();
/// assert_eq!(batches, [&[1, 3][..], &[2, 0, 4]]); // 60 + 40, 50 + 30 + 20
/// # Ok::<(), virpack_seq::SeqError>(())
/// ```
#[derive(Clone, Debug)]
pub struct GreedyPacker {
    options: PackerOptions,
    limits: Limits,
}

impl GreedyPacker {
    /// Checks that every sequence that the policy accepts fits in a batch alone.
    ///
    /// # Errors
    ///
    /// [`SeqError::BudgetTooSmall`] and [`SeqError::AttentionCostTooSmall`] if the longest sequence does
    /// not fit, [`SeqError::BudgetTooLarge`] if `cu_seqlens` cannot count the tokens, and
    /// [`SeqError::ZeroOption`] for a `token_budget` or `max_sequences` of 0.
    ///
    /// ```
    /// use virpack_seq::{GreedyPacker, PackerOptions, SeqError};
    ///
    /// let error = GreedyPacker::new(PackerOptions::new(100, 101)).unwrap_err();
    /// assert!(matches!(error, SeqError::BudgetTooSmall { token_budget: 100, longest: 101 }));
    /// ```
    pub fn new(options: PackerOptions) -> Result<Self, SeqError> {
        let PackerOptions { token_budget, longest, max_sequences, max_attention_cost, .. } = options;
        if longest > token_budget {
            return Err(SeqError::BudgetTooSmall { token_budget, longest });
        }
        if token_budget == 0 {
            return Err(SeqError::ZeroOption { option: "token_budget" });
        }
        if token_budget > i32::MAX as usize {
            return Err(SeqError::BudgetTooLarge { token_budget });
        }
        if max_sequences == Some(0) {
            return Err(SeqError::ZeroOption { option: "max_sequences" });
        }
        let smallest = (longest as u64).pow(2).max(1);
        if let Some(max_attention_cost) = max_attention_cost.filter(|&cost| cost < smallest) {
            return Err(SeqError::AttentionCostTooSmall { max_attention_cost, longest });
        }
        let limits = Limits::new(token_budget as u32, max_sequences, max_attention_cost);
        Ok(GreedyPacker { options, limits })
    }

    /// Returns the options of the packer.
    pub fn options(&self) -> &PackerOptions {
        &self.options
    }

    /// Returns the most tokens in a batch.
    pub fn token_budget(&self) -> usize {
        self.options.token_budget
    }

    /// Returns the longest sequence that an empty batch takes, in tokens: at least
    /// [`PackerOptions::longest`].
    ///
    /// ```
    /// use virpack_seq::{GreedyPacker, PackerOptions};
    ///
    /// assert_eq!(GreedyPacker::new(PackerOptions::new(100, 60))?.longest(), 100);
    /// # Ok::<(), virpack_seq::SeqError>(())
    /// ```
    pub fn longest(&self) -> usize {
        self.limits.longest() as usize
    }

    /// Returns a packer with the same limits and another algorithm.
    #[must_use]
    pub(crate) fn with_algorithm(mut self, algorithm: Algorithm) -> Self {
        self.options.algorithm = algorithm;
        self
    }

    /// Returns the longest sequence that a batch of these `lengths` can still take, in tokens.
    pub(crate) fn room(&self, lengths: impl Iterator<Item = u32>) -> u32 {
        let mut open = self.limits.fresh();
        for length in lengths {
            open.take(length, 1);
        }
        open.room()
    }

    /// Packs `lengths` (tokens, special tokens included), `[n]`, into batches of positions in `lengths`.
    ///
    /// # Errors
    ///
    /// [`SeqError::LengthOutOfRange`] for a length of 0 or one that no batch can hold.
    ///
    /// ```
    /// use virpack_seq::{GreedyPacker, PackerOptions};
    ///
    /// let packer = GreedyPacker::new(PackerOptions::new(100, 60))?;
    /// assert_eq!(packer.pack(&[60, 60, 40])?.len(), 2);
    /// assert!(packer.pack(&[101]).is_err());
    /// # Ok::<(), virpack_seq::SeqError>(())
    /// ```
    pub fn pack(&self, lengths: &[u32]) -> Result<Packing, SeqError> {
        let mut packing = Packing::default();
        self.pack_into(lengths, &mut PackWorkspace::default(), &mut packing)?;
        Ok(packing)
    }

    /// Packs as [`GreedyPacker::pack`] does, into reused buffers: nothing is allocated once they are large
    /// enough.
    ///
    /// # Errors
    ///
    /// As [`GreedyPacker::pack`].
    ///
    /// ```
    /// use virpack_seq::{GreedyPacker, PackWorkspace, PackerOptions, Packing};
    ///
    /// let packer = GreedyPacker::new(PackerOptions::new(100, 60))?;
    /// let (mut workspace, mut packing) = (PackWorkspace::default(), Packing::default());
    /// for lengths in [&[60, 40][..], &[50, 50, 50]] {
    ///     packer.pack_into(lengths, &mut workspace, &mut packing)?;
    ///     assert_eq!(packing.order().len(), lengths.len());
    /// }
    /// # Ok::<(), virpack_seq::SeqError>(())
    /// ```
    pub fn pack_into(
        &self,
        lengths: &[u32],
        workspace: &mut PackWorkspace,
        packing: &mut Packing,
    ) -> Result<(), SeqError> {
        self.pack_due_into(lengths, 0, workspace, packing)
    }

    /// Packs as [`GreedyPacker::pack_into`] does, but the first `due` lengths choose their batches before
    /// all others, so that they are in the batches that fill up.
    pub(crate) fn pack_due_into(
        &self,
        lengths: &[u32],
        due: usize,
        workspace: &mut PackWorkspace,
        packing: &mut Packing,
    ) -> Result<(), SeqError> {
        let longest = self.check(lengths)?;
        workspace.runs.clear();
        let batches = match self.options.algorithm {
            Algorithm::NextFit => {
                workspace.sorter.keep(lengths);
                workspace.place(NextFit::new(&self.limits))
            }
            algorithm => {
                workspace.sorter.sort(lengths, due);
                match algorithm {
                    Algorithm::FirstFitDecreasing => {
                        let mut index = std::mem::take(&mut workspace.first_fit);
                        let batches = workspace.place(FirstFit::new(&self.limits, &mut index));
                        workspace.first_fit = index;
                        batches
                    }
                    Algorithm::BestFitDecreasing => {
                        let mut index = std::mem::take(&mut workspace.best_fit);
                        let batches = workspace.place(BestFit::new(&self.limits, &mut index, longest));
                        workspace.best_fit = index;
                        batches
                    }
                    Algorithm::NextFitDecreasing | Algorithm::NextFit => {
                        workspace.place(NextFit::new(&self.limits))
                    }
                }
            }
        };
        workspace.group(lengths, batches, packing);
        Ok(())
    }

    /// Returns the statistics of `packing`, which must be this packer's for these `lengths`, in this order.
    ///
    /// ```
    /// use virpack_seq::{GreedyPacker, PackerOptions};
    ///
    /// let packer = GreedyPacker::new(PackerOptions::new(100, 60))?;
    /// let lengths = [60, 40, 50];
    /// let stats = packer.stats(&lengths, &packer.pack(&lengths)?);
    /// assert_eq!((stats.batches, stats.lower_bound, stats.efficiency()), (2, 2, 0.75));
    /// # Ok::<(), virpack_seq::SeqError>(())
    /// ```
    pub fn stats(&self, lengths: &[u32], packing: &Packing) -> PackStats {
        let mut tally = PackTally::new(&self.options);
        lengths.iter().for_each(|&length| tally.receive(length));
        for batch in packing {
            let tokens = batch.iter().map(|&i| u64::from(lengths[i as usize])).sum();
            tally.batch(batch.len(), tokens, CloseReason::End);
        }
        tally.stats(None, true)
    }

    /// Returns the greatest length, after checking that each fits in an empty batch.
    fn check(&self, lengths: &[u32]) -> Result<u32, SeqError> {
        assert!(lengths.len() < u32::MAX as usize, "positions are counted in 32 bits");
        // Two plain passes without a branch, which the compiler vectorizes.
        let longest = lengths.iter().fold(0, |most, &length| most.max(length));
        let shortest = lengths.iter().fold(u32::MAX, |least, &length| least.min(length));
        if longest <= self.limits.longest() && shortest > 0 {
            return Ok(longest);
        }
        let bad = |&length: &u32| length == 0 || length > self.limits.longest();
        let position = lengths.iter().position(bad).unwrap_or(0);
        Err(SeqError::LengthOutOfRange {
            position,
            tokens: lengths[position] as usize,
            longest: self.longest(),
        })
    }
}

/// Places runs of equal lengths into batches.
trait BatchPlacer {
    /// Offers `count` sequences of `length` tokens. Calls `placed(batch, count)` for each batch that takes
    /// some of them, in the order of placing.
    fn place(&mut self, length: u32, count: u32, placed: impl FnMut(u32, u32));

    /// Batches opened so far.
    fn batches(&self) -> usize;
}
