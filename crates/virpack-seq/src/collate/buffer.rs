//! Which waiting records leave in which batch: the collator without its tokens.

use crate::error::SeqError;
use crate::pack::{Algorithm, CloseReason, GreedyPacker, PackWorkspace, Packing};

/// How a [`VarlenCollator`](crate::VarlenCollator) buffers.
///
/// ```
/// use virpack_seq::CollatorOptions;
///
/// let options = CollatorOptions::default().buffer_size(10_000);
/// assert_eq!((options.buffer_size, options.enable_packing), (10_000, true));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CollatorOptions {
    /// Records collected before packing; fewer where they hold 2^25 tokens and 64 budgets.
    pub buffer_size: usize,
    /// Whether records are packed; off, every pushed micro-batch becomes batches in arrival order.
    pub enable_packing: bool,
    /// Windows that a record waits at most: it is in a batch when so many buffers were filled after
    /// the one it came with. 0 carries nothing from one window to the next.
    pub max_windows: u32,
}

impl Default for CollatorOptions {
    fn default() -> Self {
        CollatorOptions { buffer_size: 2_000, enable_packing: true, max_windows: 4 }
    }
}

impl CollatorOptions {
    /// Collects this many records before packing.
    #[must_use]
    pub fn buffer_size(mut self, buffer_size: usize) -> Self {
        self.buffer_size = buffer_size;
        self
    }

    /// Packs records, or passes them on in arrival order.
    #[must_use]
    pub fn enable_packing(mut self, enable_packing: bool) -> Self {
        self.enable_packing = enable_packing;
        self
    }

    /// Lets a record wait for this many windows at most.
    #[must_use]
    pub fn max_windows(mut self, max_windows: u32) -> Self {
        self.max_windows = max_windows;
        self
    }

    pub(crate) fn check(&self) -> Result<(), SeqError> {
        if self.buffer_size == 0 {
            return Err(SeqError::ZeroOption { option: "buffer_size" });
        }
        Ok(())
    }
}

/// Tokens that a buffer holds at most, unless the budget is so large that they are fewer than 64
/// batches: long records must not make 2,000 of them fill the memory (64 MB at 2 bytes a token).
const MOST_TOKENS: u64 = 1 << 25;

/// Stands in the list of leaving batches for one that stays.
const STAYS: u32 = u32::MAX;

/// Why the buffer is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PackReason {
    /// It is full: full batches leave.
    Full,
    /// A micro-batch ended, with packing off: all leave, in arrival order.
    MicroBatch,
    /// A device waits: the best batch leaves.
    Release,
    /// The input ended: all leave.
    Flush,
}

impl From<PackReason> for CloseReason {
    fn from(why: PackReason) -> CloseReason {
        match why {
            PackReason::Full | PackReason::MicroBatch => CloseReason::Packed,
            PackReason::Release => CloseReason::Released,
            PackReason::Flush => CloseReason::End,
        }
    }
}

/// The lengths of waiting records, in arrival order, and the batches they leave in.
#[derive(Clone, Debug)]
pub(crate) struct PackingBuffer {
    packer: GreedyPacker,
    options: CollatorOptions,
    lengths: Vec<u32>,
    /// The window in which each record came, `[n]`, never falling.
    since: Vec<u64>,
    /// The window now filling.
    now: u64,
    /// Records of the window now filling.
    new: usize,
    /// Tokens of the window now filling.
    new_tokens: u64,
    workspace: PackWorkspace,
    packing: Packing,
    /// Tokens in each batch of `packing`.
    tokens: Vec<u64>,
    /// Batches of `packing` that leave, in order.
    leaving: Vec<u32>,
    /// Records that stay, as positions before the closing, ascending.
    staying: Vec<u32>,
    /// Under-filled batches, by fill.
    open: Vec<(u64, u32)>,
}

impl PackingBuffer {
    pub(crate) fn new(packer: GreedyPacker, options: CollatorOptions) -> Self {
        let packer = if options.enable_packing { packer } else { packer.with_algorithm(Algorithm::NextFit) };
        PackingBuffer {
            packer,
            options,
            lengths: Vec::new(),
            since: Vec::new(),
            now: 0,
            new: 0,
            new_tokens: 0,
            workspace: PackWorkspace::default(),
            packing: Packing::default(),
            tokens: Vec::new(),
            leaving: Vec::new(),
            staying: Vec::new(),
            open: Vec::new(),
        }
    }

    pub(crate) fn packer(&self) -> &GreedyPacker {
        &self.packer
    }

    pub(crate) fn options(&self) -> &CollatorOptions {
        &self.options
    }

    /// Takes a record of `length` tokens, which the packer must accept; whether the window is full.
    #[inline]
    pub(crate) fn push(&mut self, length: u32) -> bool {
        self.lengths.push(length);
        self.since.push(self.now);
        self.new += 1;
        self.new_tokens += u64::from(length);
        let most_tokens = MOST_TOKENS.max(64 * self.packer.token_budget() as u64);
        self.options.enable_packing
            && (self.new >= self.options.buffer_size || self.new_tokens >= most_tokens)
    }

    /// Packs what waits and decides what leaves; `leaving` and `staying` then speak of the positions before.
    pub(crate) fn close(&mut self, why: PackReason) {
        let due = match why {
            PackReason::Full => {
                let first = (self.now + 1).saturating_sub(u64::from(self.options.max_windows));
                self.since.partition_point(|&since| since < first)
            }
            _ => 0,
        };
        self.packer
            .pack_due_into(&self.lengths, due, &mut self.workspace, &mut self.packing)
            .expect("the collator checks every length");
        let length = |&item: &u32| u64::from(self.lengths[item as usize]);
        self.tokens.clear();
        self.tokens.extend(self.packing.iter().map(|items| items.iter().map(length).sum::<u64>()));
        self.leaving.clear();
        self.staying.clear();
        let batches = 0..self.packing.len() as u32;
        match why {
            PackReason::Flush | PackReason::MicroBatch => self.leaving.extend(batches),
            PackReason::Release => {
                let fullest = batches.rev().max_by_key(|&batch| self.tokens[batch as usize]);
                self.leaving.extend(fullest);
                self.stay_but_leaving();
            }
            PackReason::Full => {
                self.leaving.extend(batches);
                self.stay_under_filled(due);
            }
        }
        self.retain();
        if why == PackReason::Release {
            // Those that came in this window and left early make room for as many more.
            let older = self.since.partition_point(|&since| since < self.now);
            self.new = self.since.len() - older;
            self.new_tokens = self.lengths[older..].iter().map(|&length| u64::from(length)).sum();
        } else {
            self.new = 0;
            self.new_tokens = 0;
            self.now += 1;
        }
    }

    /// The batches that leave, as positions before the closing.
    pub(crate) fn leaving(&self) -> impl Iterator<Item = &[u32]> {
        self.leaving.iter().map(|&batch| self.packing.batch(batch as usize))
    }

    /// Tokens in each batch that leaves.
    pub(crate) fn leaving_tokens(&self) -> impl Iterator<Item = u64> {
        self.leaving.iter().map(|&batch| self.tokens[batch as usize])
    }

    /// The records that stay, as positions before the closing, ascending.
    pub(crate) fn staying(&self) -> &[u32] {
        &self.staying
    }

    fn stay_but_leaving(&mut self) {
        let leaving = self.leaving.first().copied();
        for batch in (0..self.packing.len() as u32).filter(|&batch| Some(batch) != leaving) {
            self.staying.extend_from_slice(self.packing.batch(batch as usize));
        }
        self.staying.sort_unstable();
    }

    /// Keeps back the batches that a further record would still have room in and that hold none
    /// that is due, the emptiest first. Next fit goes on with its newest.
    fn stay_under_filled(&mut self, due: usize) {
        let batches = self.packing.len() as u32;
        let first = match self.packer.options().algorithm {
            Algorithm::FirstFitDecreasing | Algorithm::BestFitDecreasing => 0,
            Algorithm::NextFitDecreasing | Algorithm::NextFit => batches.saturating_sub(1),
        };
        let shortest = self.lengths.iter().copied().min().unwrap_or(0);
        self.open.clear();
        for batch in first..batches {
            let items = self.packing.batch(batch as usize);
            let lengths = items.iter().map(|&item| self.lengths[item as usize]);
            if self.packer.room(lengths) >= shortest && !items.iter().any(|&item| (item as usize) < due) {
                self.open.push((self.tokens[batch as usize], batch));
            }
        }
        self.open.sort_unstable();
        // Several batches stay while they are a buffer of records at most, but the emptiest of them
        // may be two buffers: where a batch takes more records than a buffer has, it must be let
        // grow.
        let buffer = if self.options.max_windows == 0 { 0 } else { self.options.buffer_size };
        let mut records = 0;
        let stay = self.open.iter().enumerate().take_while(|(place, (_, batch))| {
            records += self.packing.batch(*batch as usize).len();
            records <= buffer || (*place == 0 && records <= 2 * buffer)
        });
        let stay = stay.count();
        self.open.truncate(stay);
        for &(_, batch) in &self.open {
            self.staying.extend_from_slice(self.packing.batch(batch as usize));
            self.leaving[batch as usize] = STAYS;
        }
        self.leaving.retain(|&batch| batch != STAYS);
        self.staying.sort_unstable();
    }

    fn retain(&mut self) {
        for (to, &item) in self.staying.iter().enumerate() {
            self.lengths[to] = self.lengths[item as usize];
            self.since[to] = self.since[item as usize];
        }
        self.lengths.truncate(self.staying.len());
        self.since.truncate(self.staying.len());
    }
}
