//! Varlen attention in bfloat16: one pass over the keys with a running softmax, made of the products' blocks.
//!
//! A task is some queries of one head of one sequence. Keys are packed as the weights of a product with
//! queries, values as those of a product with what softmax makes of its sums. [`BLOCK_ROWS`] queries at a
//! time meet [`KEYS`] keys at a time; scores, running maximum, sums and results are float32. Blocks of keys
//! begin with the sequence, so that its bits do not depend on its neighbours.
//!
//! Online softmax: Milakov and Gimelshein (arXiv 1805.02867); blocking as in FlashAttention (arXiv
//! 2205.14135).

use super::super::lines::Lines;
use super::super::rotary::RotaryTable;
use super::super::tiles::SharedRows;
use super::rows::{narrow, rotate};
use super::softmax::{Running, weigh};
use super::{BLOCK_ROWS, INPUTS, Kernel, PANEL, Rows, Session, padded, stride};
use pulp::{Simd, WithSimd};
use std::cell::RefCell;
use std::ops::Range;

/// Keys in a block: all of a protein of two hundred residues, half of which would be a block that is nearly
/// empty.
const KEYS: usize = 192;

/// Scores from one query to the next, an odd number of cache lines.
const SCORES: usize = KEYS + 16;

/// Softmax's weights from one query to the next, an odd number of cache lines.
const WEIGHTS: usize = KEYS + 32;

/// Queries of a task: where there are more, threads share a head.
const QUERIES: usize = 256;

/// Queries of one head of one sequence.
pub(crate) struct QueryTask<'a> {
    /// `[tokens, 3 · hidden]`.
    pub(crate) qkv: Rows<'a>,
    pub(crate) hidden: usize,
    pub(crate) head: usize,
    /// Width of a head.
    pub(crate) width: usize,
    /// The sequence's tokens.
    pub(crate) tokens: Range<usize>,
    /// Its queries of this task, counted from its first token.
    pub(crate) queries: Range<usize>,
    pub(crate) rotary: Option<&'a RotaryTable>,
    pub(crate) alibi_slope: f32,
    /// `[tokens, hidden]`.
    pub(crate) out: SharedRows<u16>,
}

/// Returns the queries of a sequence of `length` tokens, a range for each task.
pub(crate) fn tasks(length: usize) -> impl Iterator<Item = Range<usize>> {
    (0..length).step_by(QUERIES).map(move |first| first..length.min(first + QUERIES))
}

/// float32 values that a thread's scratch takes, for sequences of up to `longest` tokens.
pub(crate) fn scratch(longest: usize, width: usize) -> usize {
    let length = longest.checked_next_multiple_of(INPUTS).unwrap_or(usize::MAX);
    length.saturating_mul(padded(width) + width.next_multiple_of(PANEL)) / 2
}

/// Working memory of a thread, kept between tasks.
#[derive(Default)]
struct QueryScratch {
    /// Panels of keys: pairs of a head's columns.
    keys: Lines,
    /// For each block of keys, panels of a head's columns: pairs of keys.
    values: Lines,
    /// `[BLOCK_ROWS, stride(width)]` bfloat16.
    queries: Lines,
    /// `[BLOCK_ROWS, SCORES]`.
    scores: Lines,
    /// `[BLOCK_ROWS, WEIGHTS]` bfloat16.
    weights: Lines,
    /// `[BLOCK_ROWS, width]`, the width a multiple of two panels.
    sums: Lines,
    /// What one block of keys adds to them, two panels of columns at a time.
    added: Lines,
}

thread_local! {
    static SCRATCH: RefCell<QueryScratch> = RefCell::default();
}

/// Runs one task with this thread's scratch.
///
/// # Safety
///
/// What `task.out` is made of is borrowed, and no other thread reads or writes the task's queries of its
/// head.
pub(crate) unsafe fn run(kernel: Kernel, task: QueryTask) {
    SCRATCH.with_borrow_mut(|scratch| {
        let QueryScratch { queries, scores, weights, sums, added, .. } = scratch;
        queries.at_least(BLOCK_ROWS * stride(task.width) / 2);
        scores.at_least(BLOCK_ROWS * SCORES);
        weights.at_least(BLOCK_ROWS * WEIGHTS / 2);
        sums.at_least(BLOCK_ROWS * task.sum_width());
        added.at_least(BLOCK_ROWS * 2 * PANEL);
        kernel.arch().dispatch(Gather { task: &task, kernel, scratch });
        let mut session = kernel.session();
        let mut state = [Running::default(); BLOCK_ROWS];
        for first in task.queries.clone().step_by(BLOCK_ROWS) {
            let count = BLOCK_ROWS.min(task.queries.end - first);
            kernel.arch().dispatch(GatherQueries { task: &task, kernel, scratch, first, count });
            for block in (0..task.tokens.len()).step_by(KEYS) {
                task.score(kernel, &mut session, scratch, block, count);
                let keys = KEYS.min(task.tokens.len() - block);
                let softmax =
                    Softmax { task: &task, kernel, scratch, state: &mut state, first, count, block, keys };
                kernel.arch().dispatch(softmax);
                task.add_values(kernel, &mut session, scratch, &state, block, count);
            }
            kernel.arch().dispatch(Divide { task: &task, scratch, state: &state, first, count });
        }
    });
}

impl QueryTask<'_> {
    /// Columns of the sums: whole blocks.
    fn sum_width(&self) -> usize {
        self.width.next_multiple_of(2 * PANEL)
    }

    /// Pairs of a head's columns, as many as `kernel` takes together.
    fn head_pairs(&self, kernel: Kernel) -> usize {
        self.width.next_multiple_of(kernel.inputs()) / 2
    }

    /// Panels of a head's columns.
    fn panels(&self) -> usize {
        self.width.div_ceil(PANEL)
    }

    /// Pairs of the keys of a block, those past the end included.
    fn key_pairs(&self, block: usize) -> usize {
        padded(KEYS.min(self.tokens.len() - block)) / 2
    }

    /// Scores of `count` queries and a block's keys, those past the end included.
    fn score(
        &self,
        kernel: Kernel,
        session: &mut Session,
        scratch: &mut QueryScratch,
        block: usize,
        count: usize,
    ) {
        let pairs = self.head_pairs(kernel);
        let rows = Rows { values: scratch.queries.u16s(), stride: stride(self.width) };
        for first in (0..2 * self.key_pairs(block)).step_by(2 * PANEL) {
            let panels = &scratch.keys.u32s()[(block + first) * pairs..][..2 * PANEL * pairs];
            let out = &mut scratch.scores.f32s_mut()[first..];
            session.weights(panels, pairs).multiply(rows, count, out, SCORES);
        }
    }

    /// Sums of the values of a block's keys by their weights.
    fn add_values(
        &self,
        kernel: Kernel,
        session: &mut Session,
        scratch: &mut QueryScratch,
        state: &[Running; BLOCK_ROWS],
        block: usize,
        count: usize,
    ) {
        let pairs = self.key_pairs(block);
        let values = &scratch.values.u32s()[block / 2 * self.panels() * PANEL..];
        let rows = Rows { values: scratch.weights.u16s(), stride: WEIGHTS };
        for panel in (0..self.panels()).step_by(2) {
            let panels = &values[panel * pairs * PANEL..][..2.min(self.panels() - panel) * pairs * PANEL];
            let added = scratch.added.f32s_mut();
            session.weights(panels, pairs).multiply(rows, count, added, 2 * PANEL);
            let (sums, width) = (&mut scratch.sums.f32s_mut()[panel * PANEL..], self.sum_width());
            kernel.arch().dispatch(AddSums { sums, width, added, state, first: block == 0, count });
        }
    }

    /// `width` values of a token: its query, key or value.
    #[inline(always)]
    fn part(&self, position: usize, which: usize) -> &[u16] {
        let column = which * self.hidden + self.head * self.width;
        self.qkv.part(self.tokens.start + position, column, self.width)
    }

    /// Writes a query or a key with rotary positions into the first values of `out`.
    #[inline(always)]
    fn turn(&self, kernel: Kernel, position: usize, which: usize, out: &mut [u16]) {
        let head = self.part(position, which);
        match self.rotary {
            Some(rotary) => rotate(kernel, head, rotary.angles(position), out),
            None => out[..self.width].copy_from_slice(head),
        }
    }
}

/// Packs keys and values.
struct Gather<'a> {
    task: &'a QueryTask<'a>,
    kernel: Kernel,
    scratch: &'a mut QueryScratch,
}

impl WithSimd for Gather<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Gather { task, kernel, scratch } = self;
        let length = task.tokens.len();
        let whole = padded(length);
        let (pairs, panels) = (task.head_pairs(kernel), task.panels());
        let (key_words, value_words) = (whole * pairs, whole / 2 * panels * PANEL);
        scratch.keys.at_least(key_words);
        scratch.values.at_least(value_words);
        scratch.queries.u16s_mut().fill(0);
        let QueryScratch { keys, queries, values, .. } = scratch;
        for (panel, words) in keys.u32s_mut()[..key_words].chunks_exact_mut(PANEL * pairs).enumerate() {
            let first = panel * PANEL;
            let count = PANEL.min(length.saturating_sub(first));
            // Queries come later; their memory has the rows of keys meanwhile.
            let rows = queries.u16s_mut().chunks_exact_mut(stride(task.width)).take(PANEL);
            for (i, out) in rows.enumerate() {
                if i < count {
                    task.turn(kernel, first + i, 1, out);
                } else {
                    out.fill(0);
                }
            }
            let rows = queries.u32s().chunks_exact(stride(task.width) / 2);
            for (step, words) in words.chunks_mut(PANEL * PANEL).enumerate() {
                let (mut square, mut turned) = ([0; PANEL * PANEL], [0; PANEL * PANEL]);
                for (square, row) in square.as_chunks_mut::<PANEL>().0.iter_mut().zip(rows.clone()) {
                    square.copy_from_slice(&row[step * PANEL..][..PANEL]);
                }
                transpose(&square, &mut turned);
                // The last square may have fewer pairs than columns.
                words.copy_from_slice(&turned[..words.len()]);
            }
        }
        let values = &mut values.u32s_mut()[..value_words];
        for block in (0..length).step_by(KEYS) {
            let pairs = task.key_pairs(block);
            let values = &mut values[block / 2 * panels * PANEL..][..pairs * panels * PANEL];
            for pair in 0..pairs {
                let [low, high] = [0, 1]
                    .map(|half| block + 2 * pair + half)
                    .map(|position| if position < length { task.part(position, 2) } else { &[] });
                for panel in 0..panels {
                    let words = &mut values[(panel * pairs + pair) * PANEL..].as_chunks_mut::<PANEL>().0[0];
                    interleave(low, high, panel * PANEL, words);
                }
            }
        }
    }
}

/// A square of words, its rows as columns: every index of eight bits is rotated by four, bit by bit, in
/// vectors.
#[inline(always)]
fn transpose(square: &[u32; PANEL * PANEL], out: &mut [u32; PANEL * PANEL]) {
    let mut other = [0; PANEL * PANEL];
    riffle(square, out);
    riffle(out, &mut other);
    riffle(&other, out);
    riffle(out, &mut other);
    *out = other;
}

/// Both halves, a word of each in turn.
#[inline(always)]
fn riffle(from: &[u32; PANEL * PANEL], to: &mut [u32; PANEL * PANEL]) {
    let (low, high) = from.split_at(PANEL * PANEL / 2);
    for ((to, low), high) in to.as_chunks_mut::<2>().0.iter_mut().zip(low).zip(high) {
        *to = [*low, *high];
    }
}

/// Words of two keys' values, [`PANEL`] columns from `first` on; a key without values has zeros.
#[inline(always)]
fn interleave(low: &[u16], high: &[u16], first: usize, words: &mut [u32; PANEL]) {
    let of = |key: &[u16]| -> [u16; PANEL] {
        let Some(values) = key.get(first..) else { return [0; PANEL] };
        values.first_chunk().copied().unwrap_or_else(|| {
            let mut part = [0; PANEL];
            part[..values.len()].copy_from_slice(values);
            part
        })
    };
    let (low, high) = (of(low), of(high));
    for ((word, low), high) in words.iter_mut().zip(low).zip(high) {
        *word = u32::from(high) << 16 | u32::from(low);
    }
}

/// Packs `count` queries from `first` on.
struct GatherQueries<'a> {
    task: &'a QueryTask<'a>,
    kernel: Kernel,
    scratch: &'a mut QueryScratch,
    first: usize,
    count: usize,
}

impl WithSimd for GatherQueries<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let GatherQueries { task, kernel, scratch, first, count } = self;
        let rows = scratch.queries.u16s_mut().chunks_exact_mut(stride(task.width));
        for (i, out) in rows.take(count).enumerate() {
            task.turn(kernel, first + i, 0, out);
        }
    }
}

/// Scores to weights: a new running maximum, exponentials in bfloat16, their sum.
struct Softmax<'a> {
    task: &'a QueryTask<'a>,
    kernel: Kernel,
    scratch: &'a mut QueryScratch,
    state: &'a mut [Running; BLOCK_ROWS],
    /// The first query.
    first: usize,
    count: usize,
    /// The first key, and how many there are.
    block: usize,
    keys: usize,
}

impl WithSimd for Softmax<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Softmax { task, kernel, scratch, state, first, count, block, keys } = self;
        let whole = padded(keys);
        // Exponentials are powers of two: scores are brought to the right scale in the subtraction of the
        // maximum.
        let scale = std::f32::consts::LOG2_E / (task.width as f32).sqrt();
        let rows = scratch.scores.f32s_mut().chunks_exact_mut(SCORES);
        let weights = scratch.weights.u16s_mut().chunks_exact_mut(WEIGHTS);
        let alibi = task.alibi_slope != 0.0;
        for (i, ((scores, weights), state)) in rows.zip(weights).zip(state).take(count).enumerate() {
            if alibi {
                let slope = task.alibi_slope * std::f32::consts::LOG2_E;
                let distance = (first + i) as f32 - block as f32;
                for (key, score) in scores[..whole].iter_mut().enumerate() {
                    *score = *score * scale - slope * (distance - key as f32).abs();
                }
            }
            scores[keys..whole].fill(f32::NEG_INFINITY);
            let scale = if alibi { 1.0 } else { scale };
            let (scores, weights) = (&mut scores[..whole], &mut weights[..whole]);
            *state = weigh(simd, kernel, scores, weights, (block > 0).then_some(*state), scale);
        }
    }
}

/// Brings earlier sums to the new maximum and adds a block's.
struct AddSums<'a> {
    /// `[BLOCK_ROWS, width]`, from the first column of two panels on.
    sums: &'a mut [f32],
    width: usize,
    added: &'a [f32],
    state: &'a [Running; BLOCK_ROWS],
    /// Whether there are no earlier sums.
    first: bool,
    count: usize,
}

impl WithSimd for AddSums<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let rows = self.sums.chunks_mut(self.width).zip(self.added.chunks_exact(2 * PANEL));
        for ((sums, added), state) in rows.zip(self.state).take(self.count) {
            let sums = &mut sums[..2 * PANEL];
            if self.first {
                sums.copy_from_slice(added);
                continue;
            }
            let shrink = simd.splat_f32s(state.shrink);
            for (sum, added) in S::as_mut_simd_f32s(sums).0.iter_mut().zip(S::as_simd_f32s(added).0) {
                *sum = simd.mul_add_e_f32s(*sum, shrink, *added);
            }
        }
    }
}

/// Divides by softmax's totals and writes. It is made in [`run`] alone.
struct Divide<'a> {
    task: &'a QueryTask<'a>,
    scratch: &'a mut QueryScratch,
    state: &'a [Running; BLOCK_ROWS],
    first: usize,
    count: usize,
}

impl WithSimd for Divide<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Divide { task, scratch, state, first, count } = self;
        let columns = task.head * task.width..(task.head + 1) * task.width;
        let rows = scratch.sums.f32s_mut().chunks_exact_mut(task.sum_width());
        for (i, (sums, state)) in rows.zip(state).take(count).enumerate() {
            let total = simd.splat_f32s(1.0 / state.total);
            for sum in S::as_mut_simd_f32s(sums).0 {
                *sum = simd.mul_f32s(*sum, total);
            }
            // SAFETY: `run`'s promise: this task alone writes these queries of this head.
            let out = unsafe { task.out.row(task.tokens.start + first + i, columns.clone()) };
            narrow(sums, out);
        }
    }
}
