//! Varlen attention on the CPU: one pass over the keys with a running softmax.
//!
//! A task is one head of one sequence. Its keys and values are copied together (rotated on the way), then
//! [`QUERIES`] vectors of queries at a time, one query a vector lane, meet the keys in blocks of [`KEYS`]:
//! scores, running maximum, exponentials and the weighted values all stay in the first-level cache, and no
//! head width needs padding. Nothing larger than `KEYS x lanes` scores ever exists.
//!
//! Online softmax: Milakov and Gimelshein (arXiv 1805.02867); blocking as in FlashAttention (arXiv
//! 2205.14135).

use super::math::exp_nonpositive;
use super::rotary::RotaryTable;
use super::tiles::SharedRows;
use pulp::{Arch, Simd, WithSimd};
use std::cell::RefCell;
use std::ops::Range;

/// Vectors of queries worked on together.
const QUERIES: usize = 2;
/// Keys in a block.
const KEYS: usize = 64;

/// One head of one sequence.
pub(crate) struct HeadTask<'a> {
    /// `[tokens, 3 · hidden]`.
    pub(crate) qkv: &'a [f32],
    pub(crate) hidden: usize,
    pub(crate) head: usize,
    /// Width of a head.
    pub(crate) width: usize,
    /// The sequence's tokens.
    pub(crate) tokens: Range<usize>,
    pub(crate) rotary: Option<&'a RotaryTable>,
    pub(crate) alibi_slope: f32,
    /// `[tokens, hidden]`.
    pub(crate) out: SharedRows<f32>,
}

/// Working memory of a thread, kept between tasks.
#[derive(Default)]
struct Scratch {
    /// `[length, width]`.
    keys: Vec<f32>,
    /// `[length, width]`.
    values: Vec<f32>,
    /// `[width, lanes]`.
    queries: Vec<f32>,
    /// `[KEYS, lanes]`.
    scores: Vec<f32>,
    /// `[width, lanes]`.
    sums: Vec<f32>,
    /// `[width]`.
    row: Vec<f32>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Runs one task with this thread's scratch.
pub(crate) fn run(arch: Arch, task: HeadTask) {
    // The borrow is outside the dispatch: a closure inside would be compiled without the processor's
    // instructions.
    SCRATCH.with_borrow_mut(|scratch| arch.dispatch(WithScratch { task, scratch }));
}

struct WithScratch<'a> {
    task: HeadTask<'a>,
    scratch: &'a mut Scratch,
}

impl WithSimd for WithScratch<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // Wide register files hold a tile of 8 keys by 2 vectors of queries, narrow ones 4 by 2.
        if S::REGISTER_COUNT >= 32 {
            self.task.run::<S, 8>(simd, self.scratch);
        } else {
            self.task.run::<S, 4>(simd, self.scratch);
        }
    }
}

impl HeadTask<'_> {
    #[inline(always)]
    fn run<S: Simd, const TILE: usize>(&self, simd: S, scratch: &mut Scratch) {
        let lanes = QUERIES * S::F32_LANES;
        let length = self.tokens.len();
        let width = self.width;
        self.gather_keys_and_values::<TILE>(scratch);
        scratch.queries.resize(width * lanes, 0.0);
        scratch.scores.resize(KEYS * lanes, 0.0);
        scratch.sums.resize(width * lanes, 0.0);
        scratch.row.resize(width, 0.0);
        for first in (0..length).step_by(lanes) {
            let count = lanes.min(length - first);
            self.gather_queries(first, count, lanes, scratch);
            let (scores, _) = S::as_mut_simd_f32s(&mut scratch.scores);
            let (queries, _) = S::as_simd_f32s(&scratch.queries);
            let (sums, _) = S::as_mut_simd_f32s(&mut scratch.sums);
            sums.fill(simd.splat_f32s(0.0));
            let mut maximum = [simd.splat_f32s(f32::NEG_INFINITY); QUERIES];
            let mut total = [simd.splat_f32s(0.0); QUERIES];
            for block in (0..length).step_by(KEYS) {
                let keys = KEYS.min(length - block);
                // Keys come in whole tiles; those past the end are zeros whose scores are not read.
                let padded = keys.next_multiple_of(TILE);
                let key_rows = &scratch.keys[block * width..(block + padded) * width];
                score_block::<S, TILE>(simd, key_rows, queries, width, scores);
                if self.alibi_slope != 0.0 {
                    add_alibi(simd, scores, keys, block, first, self.alibi_slope);
                }
                softmax_weights(simd, &mut scores[..keys * QUERIES], &mut maximum, &mut total, sums);
                let values = &scratch.values[block * width..(block + keys) * width];
                let whole = width / TILE * TILE;
                for d in (0..whole).step_by(TILE) {
                    add_values::<S, TILE>(simd, values, d, width, scores, sums);
                }
                for d in whole..width {
                    add_values::<S, 1>(simd, values, d, width, scores, sums);
                }
            }
            for part in sums.chunks_exact_mut(QUERIES) {
                for (s, t) in part.iter_mut().zip(total) {
                    *s = simd.div_f32s(*s, t);
                }
            }
            for q in 0..count {
                let columns = self.head * width..(self.head + 1) * width;
                // SAFETY: this task alone writes this head of this sequence, and the caller of the task
                // keeps the matrix borrowed.
                let out = unsafe { self.out.row(self.tokens.start + first + q, columns) };
                for (d, o) in out.iter_mut().enumerate() {
                    *o = scratch.sums[d * lanes + q];
                }
            }
        }
    }

    #[inline(always)]
    fn gather_keys_and_values<const TILE: usize>(&self, scratch: &mut Scratch) {
        let (width, hidden) = (self.width, self.hidden);
        let padded = self.tokens.len().next_multiple_of(TILE);
        scratch.keys.resize(padded * width, 0.0);
        scratch.values.resize(padded * width, 0.0);
        scratch.keys[self.tokens.len() * width..].fill(0.0);
        for (position, token) in self.tokens.clone().enumerate() {
            let row = &self.qkv[token * 3 * hidden..][..3 * hidden];
            let key = &row[hidden + self.head * width..][..width];
            let out = &mut scratch.keys[position * width..][..width];
            match self.rotary {
                Some(rotary) => rotary.rotate(key, position, out),
                None => out.copy_from_slice(key),
            }
            scratch.values[position * width..][..width]
                .copy_from_slice(&row[2 * hidden + self.head * width..][..width]);
        }
    }

    /// Queries `first .. first + count`, scaled, rotated and turned so that a lane is a query.
    #[inline(always)]
    fn gather_queries(&self, first: usize, count: usize, lanes: usize, scratch: &mut Scratch) {
        let scale = 1.0 / (self.width as f32).sqrt();
        if count < lanes {
            scratch.queries.fill(0.0);
        }
        for q in 0..count {
            let token = self.tokens.start + first + q;
            let row = &self.qkv[token * 3 * self.hidden + self.head * self.width..][..self.width];
            match self.rotary {
                Some(rotary) => rotary.rotate(row, first + q, &mut scratch.row),
                None => scratch.row.copy_from_slice(row),
            }
            for (d, v) in scratch.row.iter().enumerate() {
                scratch.queries[d * lanes + q] = v * scale;
            }
        }
    }
}

/// Scores of a block: `keys` `[padded, width]`, `queries` `[width, QUERIES]` vectors, into `scores`
/// `[padded, QUERIES]` vectors.
#[inline(always)]
fn score_block<S: Simd, const TILE: usize>(
    simd: S,
    keys: &[f32],
    queries: &[S::f32s],
    width: usize,
    scores: &mut [S::f32s],
) {
    let queries = &queries[..width * QUERIES];
    for (tile, out) in keys.chunks_exact(TILE * width).zip(scores.chunks_exact_mut(TILE * QUERIES)) {
        let mut acc = [[simd.splat_f32s(0.0); QUERIES]; TILE];
        for (d, q) in queries.chunks_exact(QUERIES).enumerate() {
            for (k, a) in acc.iter_mut().enumerate() {
                // SAFETY: k < TILE and d < width, and `tile` holds TILE · width values.
                let key = simd.splat_f32s(unsafe { *tile.get_unchecked(k * width + d) });
                for (a, q) in a.iter_mut().zip(q) {
                    *a = simd.mul_add_e_f32s(key, *q, *a);
                }
            }
        }
        for (o, a) in out.chunks_exact_mut(QUERIES).zip(acc) {
            o.copy_from_slice(&a);
        }
    }
}

/// Adds `-slope · |i - j|` to the scores of a block.
#[inline(always)]
fn add_alibi<S: Simd>(
    simd: S,
    scores: &mut [S::f32s],
    keys: usize,
    first_key: usize,
    first_query: usize,
    slope: f32,
) {
    let lanes = S::F32_LANES;
    let slope = simd.splat_f32s(-slope);
    for (part, place) in (0..QUERIES).map(|part| (part, first_query + part * lanes)) {
        let mut positions = simd.splat_f32s(0.0);
        for (lane, p) in bytemuck_lanes::<S>(&mut positions).iter_mut().enumerate() {
            *p = (place + lane) as f32;
        }
        for k in 0..keys {
            let key = simd.splat_f32s((first_key + k) as f32);
            let distance = simd.abs_f32s(simd.sub_f32s(positions, key));
            let score = &mut scores[k * QUERIES + part];
            *score = simd.mul_add_e_f32s(distance, slope, *score);
        }
    }
}

/// Returns the lanes of one vector.
#[inline(always)]
fn bytemuck_lanes<S: Simd>(vector: &mut S::f32s) -> &mut [f32] {
    pulp::bytemuck::cast_slice_mut(std::slice::from_mut(vector))
}

/// Scores to weights: a new running maximum, what was summed so far brought to it, exponentials in place of
/// the scores.
#[inline(always)]
fn softmax_weights<S: Simd>(
    simd: S,
    scores: &mut [S::f32s],
    maximum: &mut [S::f32s; QUERIES],
    total: &mut [S::f32s; QUERIES],
    sums: &mut [S::f32s],
) {
    let mut highest = *maximum;
    for row in scores.chunks_exact(QUERIES) {
        for (h, s) in highest.iter_mut().zip(row) {
            *h = simd.max_f32s(*h, *s);
        }
    }
    let mut shrink = highest;
    for ((f, m), h) in shrink.iter_mut().zip(*maximum).zip(highest) {
        *f = exp_nonpositive(simd, simd.sub_f32s(m, h));
    }
    *maximum = highest;
    for (t, f) in total.iter_mut().zip(shrink) {
        *t = simd.mul_f32s(*t, f);
    }
    for row in sums.chunks_exact_mut(QUERIES) {
        for (s, f) in row.iter_mut().zip(shrink) {
            *s = simd.mul_f32s(*s, f);
        }
    }
    let mut added = *total;
    for row in scores.chunks_exact_mut(QUERIES) {
        for ((s, h), t) in row.iter_mut().zip(highest).zip(added.iter_mut()) {
            *s = exp_nonpositive(simd, simd.sub_f32s(*s, h));
            *t = simd.add_f32s(*t, *s);
        }
    }
    *total = added;
}

/// `sums[d .. d + TILE] += weights · values[.., d .. d + TILE]` over a block.
#[inline(always)]
fn add_values<S: Simd, const TILE: usize>(
    simd: S,
    values: &[f32],
    d: usize,
    width: usize,
    weights: &[S::f32s],
    sums: &mut [S::f32s],
) {
    let mut acc = [[simd.splat_f32s(0.0); QUERIES]; TILE];
    let sums = &mut sums[d * QUERIES..(d + TILE) * QUERIES];
    for (a, s) in acc.iter_mut().zip(sums.chunks_exact(QUERIES)) {
        a.copy_from_slice(s);
    }
    for (row, w) in values.chunks_exact(width).zip(weights.chunks_exact(QUERIES)) {
        let row = &row[d..d + TILE];
        for (a, v) in acc.iter_mut().zip(row) {
            let v = simd.splat_f32s(*v);
            for (a, w) in a.iter_mut().zip(w) {
                *a = simd.mul_add_e_f32s(v, *w, *a);
            }
        }
    }
    for (s, a) in sums.chunks_exact_mut(QUERIES).zip(acc) {
        s.copy_from_slice(&a);
    }
}
