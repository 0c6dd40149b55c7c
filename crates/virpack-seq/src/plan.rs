//! Plans the packing of an input from its lengths only, without a model.

use std::sync::Arc;

use crate::collate::{CollatorOptions, PackReason, PackingBuffer};
use crate::error::SeqError;
use crate::length_policy::LengthPolicy;
use crate::pack::{Algorithm, GreedyPacker, LengthHistogram, PackStats, PackTally, PackerOptions};
use crate::reader::Records;
use crate::record::Record;
use crate::slab::{LengthCounts, TokenSlab};
use crate::tokenize::Tokenizer;

/// The result of packing an input by each algorithm.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The requested packer.
    pub packer: PackerOptions,
    /// The requested buffer.
    pub collator: CollatorOptions,
    /// Statistics of the requested algorithm.
    pub stats: PackStats,
    /// Batches of the requested algorithm by their fill, `[101]`: `fill[p]` batches hold at least `p` and
    /// less than `p + 1` percent of the token budget.
    pub fill: Vec<u64>,
    /// Statistics of all algorithms, in the order of [`Algorithm::ALL`].
    pub algorithms: Vec<(Algorithm, PackStats)>,
    /// How many sequences there are of each length, tokens, special tokens included.
    pub lengths: LengthHistogram,
    /// Records that were truncated.
    pub truncated: u64,
}

/// Plans the packing of a stream of lengths, with the same buffers as
/// [`VarlenCollator`](crate::VarlenCollator), for all algorithms at once, in memory that does not grow with
/// the input.
///
/// ```
/// use virpack_seq::{Algorithm, CollatorOptions, PackerOptions, Planner};
///
/// let mut planner = Planner::new(PackerOptions::new(100, 60), CollatorOptions::default())?;
/// for length in [30, 60, 50, 40, 20] {
///     planner.push(length, length == 60)?;
/// }
/// let plan = planner.finish();
/// assert_eq!((plan.stats.batches, plan.stats.lower_bound, plan.truncated), (2, 2, 1));
/// assert_eq!(plan.algorithms[3].0, Algorithm::NextFit);
/// assert_eq!(plan.algorithms[3].1.batches, 3);
/// # Ok::<(), virpack_seq::SeqError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Planner {
    packer: PackerOptions,
    collator: CollatorOptions,
    /// One lane for each algorithm, the requested one first.
    lanes: Vec<Lane>,
    truncated: u64,
    received: usize,
    longest: usize,
}

impl Planner {
    /// Returns a planner for the limits and the algorithm of `packer` and the buffer of `collator`.
    ///
    /// # Errors
    ///
    /// As [`GreedyPacker::new`] and [`VarlenCollator::new`](crate::VarlenCollator::new).
    pub fn new(packer: PackerOptions, collator: CollatorOptions) -> Result<Self, SeqError> {
        let chosen = GreedyPacker::new(packer.clone())?;
        collator.check()?;
        let others = Algorithm::ALL.into_iter().filter(|&algorithm| algorithm != packer.algorithm);
        let lanes = std::iter::once(packer.algorithm)
            .chain(others)
            .map(|algorithm| Lane::new(chosen.clone().with_algorithm(algorithm), &collator))
            .collect();
        Ok(Planner { packer, collator, lanes, truncated: 0, received: 0, longest: chosen.longest() })
    }

    /// Adds a sequence of `length` tokens, special tokens included. `truncated` says whether it was cut to
    /// that length.
    ///
    /// # Errors
    ///
    /// [`SeqError::LengthOutOfRange`] for a length of 0 or one that no batch can hold.
    pub fn push(&mut self, length: u32, truncated: bool) -> Result<(), SeqError> {
        let (position, tokens, longest) = (self.received, length as usize, self.longest);
        if !(1..=longest).contains(&tokens) {
            return Err(SeqError::LengthOutOfRange { position, tokens, longest });
        }
        self.lanes.iter_mut().for_each(|lane| lane.push(length));
        self.truncated += u64::from(truncated);
        self.received += 1;
        Ok(())
    }

    /// Packs the sequences that still wait, and returns the plan.
    pub fn finish(mut self) -> Plan {
        self.lanes.iter_mut().for_each(|lane| lane.close(PackReason::Flush));
        let stats =
            |lane: &Lane| lane.tally.stats(Some(self.collator.buffer_size), self.collator.enable_packing);
        let mut algorithms: Vec<(Algorithm, PackStats)> =
            self.lanes.iter().map(|lane| (lane.algorithm, stats(lane))).collect();
        let chosen = algorithms[0].1.clone();
        algorithms.sort_by_key(|(algorithm, _)| Algorithm::ALL.iter().position(|a| a == algorithm));
        let Lane { fill, tally, .. } = self.lanes.swap_remove(0);
        Plan {
            packer: self.packer,
            collator: self.collator,
            stats: chosen,
            fill,
            algorithms,
            lengths: tally.lengths,
            truncated: self.truncated,
        }
    }
}

/// Reads all records and plans their packing. Returns the plan, and the counts of the length policy.
///
/// # Errors
///
/// As [`Records::read`], [`LengthPolicy::apply`] and [`Planner::push`].
///
/// ```
/// use virpack_seq::*;
///
/// let records = Records::from_reader("two.fasta", &b">a\nMKTLLV\n>b\nMK\n"[..])?;
/// let lengths = LengthPolicy::default();
/// let planner = Planner::new(PackerOptions::new(4096, lengths.max_tokens()), CollatorOptions::default())?;
/// let (plan, counts) = plan_records(records, &EsmTokenizer::new(), &lengths, planner)?;
/// assert_eq!((plan.stats.batches, plan.stats.tokens, counts.records), (1, 12, 2));
/// # Ok::<(), virpack_seq::SeqError>(())
/// ```
pub fn plan_records(
    mut records: Records,
    tokenizer: &dyn Tokenizer,
    lengths: &LengthPolicy,
    mut planner: Planner,
) -> Result<(Plan, LengthCounts), SeqError> {
    lengths.check()?;
    let inputs = Arc::clone(records.inputs());
    let (mut record, mut slab) = (Record::default(), TokenSlab::default());
    let mut counts = LengthCounts::default();
    while records.read(&mut record)? {
        lengths.apply(tokenizer, &record, &inputs, &mut slab)?;
        for (tokens, index) in slab.drain() {
            planner.push(tokens.len() as u32, index.truncated)?;
        }
        counts += slab.counts;
        slab.clear();
    }
    Ok((planner.finish(), counts))
}

/// The buffer of one algorithm.
#[derive(Clone, Debug)]
struct Lane {
    algorithm: Algorithm,
    buffer: PackingBuffer,
    tally: PackTally,
    fill: Vec<u64>,
}

impl Lane {
    fn new(packer: GreedyPacker, options: &CollatorOptions) -> Self {
        Lane {
            algorithm: packer.options().algorithm,
            tally: PackTally::new(packer.options()),
            fill: vec![0; 101],
            buffer: PackingBuffer::new(packer, options.clone()),
        }
    }

    fn push(&mut self, length: u32) {
        self.tally.receive(length);
        if self.buffer.push(length) {
            self.close(PackReason::Full);
        } else if !self.buffer.options().enable_packing {
            self.close(PackReason::MicroBatch);
        }
    }

    fn close(&mut self, why: PackReason) {
        self.buffer.close(why);
        let budget = self.buffer.packer().token_budget() as u64;
        for (items, tokens) in self.buffer.leaving().zip(self.buffer.leaving_tokens()) {
            self.tally.batch(items.len(), tokens, why.into());
            self.fill[(100 * tokens / budget) as usize] += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::SequenceIndex;
    use crate::collate::VarlenCollator;

    /// A plan predicts what the collator then does.
    #[test]
    fn as_the_collator_packs() {
        let lengths: Vec<u32> = (0u32..5_000).map(|i| 2 + i.wrapping_mul(2_654_435_761) % 300).collect();
        for algorithm in Algorithm::ALL {
            for enable_packing in [true, false] {
                let packer = PackerOptions::new(1_000, 302).algorithm(algorithm);
                let options = CollatorOptions::default().buffer_size(300).enable_packing(enable_packing);
                let mut planner = Planner::new(packer.clone(), options.clone()).unwrap();
                let packer = GreedyPacker::new(packer).unwrap();
                let mut collator = VarlenCollator::new(packer, options).unwrap();
                for &length in &lengths {
                    planner.push(length, length > 300).unwrap();
                    let index = SequenceIndex::new(0, "x", 1);
                    collator.push(&[1; 302][..length as usize], index).unwrap();
                }
                collator.flush();
                let plan = planner.finish();
                assert_eq!(plan.stats, collator.stats());
                assert_eq!(plan.fill.iter().sum::<u64>(), plan.stats.batches);
                assert_eq!(plan.truncated, lengths.iter().filter(|&&length| length > 300).count() as u64);
                assert_eq!(plan.algorithms.len(), 4);
                assert!(plan.algorithms.contains(&(algorithm, plan.stats.clone())));
            }
        }
    }

    #[test]
    fn refuses_what_the_packer_refuses() {
        assert!(Planner::new(PackerOptions::new(10, 11), CollatorOptions::default()).is_err());
        let mut planner = Planner::new(PackerOptions::new(10, 10), CollatorOptions::default()).unwrap();
        assert!(matches!(planner.push(11, false), Err(SeqError::LengthOutOfRange { longest: 10, .. })));
        assert_eq!(planner.finish().stats.batches, 0);
    }
}
