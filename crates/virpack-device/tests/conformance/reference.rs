//! The operations in plain float64, as slow as they are clear.

use rayon::prelude::*;

/// A row-major matrix.
pub(crate) struct Matrix {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) values: Vec<f32>,
}

impl Matrix {
    pub(crate) fn row(&self, i: usize) -> &[f32] {
        &self.values[i * self.columns..][..self.columns]
    }
}

/// The numbers a backend computes with: how it rounds.
#[derive(Clone, Copy)]
pub(crate) struct Precision {
    pub(crate) name: &'static str,
    /// To the nearest number of the dtype.
    pub(crate) round: fn(f64) -> f64,
    /// Whether operands of products are int8.
    bytes: bool,
}

impl Precision {
    pub(crate) const F32: Precision = Precision { name: "f32", round: |v| v, bytes: false };
    pub(crate) const F16: Precision =
        Precision { name: "f16", round: |v| half::f16::from_f64(v).to_f64(), bytes: false };
    pub(crate) const BF16: Precision =
        Precision { name: "bf16", round: |v| half::bf16::from_f64(v).to_f64(), bytes: false };
    pub(crate) const INT8: Precision = Precision { name: "int8", bytes: true, ..Precision::F16 };

    /// A plain implementation's `x · wᵀ + bias`.
    pub(crate) fn linear(self, x: &Matrix, w: &Matrix, bias: Option<&[f32]>) -> Vec<f64> {
        if self.is_for_bytes(w.rows, w.columns) {
            let scale_of_row = |largest: f64| largest / 127.0;
            let x = in_int8(x, scale_of_row);
            // Up to the next bfloat16.
            let w = in_int8(w, |largest| {
                let bits = (scale_of_row(largest) as f32).to_bits();
                f32::from_bits((bits + 0xffff) & 0xffff_0000).into()
            });
            self.all(&linear(&x, &w, bias))
        } else {
            self.all(&linear(x, w, bias))
        }
    }

    /// Whether a product of these sizes is of int8.
    pub(crate) fn is_for_bytes(self, outputs: usize, inputs: usize) -> bool {
        self.bytes && outputs.is_multiple_of(8) && inputs.is_multiple_of(16)
    }

    /// Rows as one product, or attention, hands them to the next.
    pub(crate) fn handed_on(self, values: Vec<f64>, columns: usize) -> Vec<f64> {
        if !self.bytes || !columns.is_multiple_of(16) {
            return values;
        }
        let values = values.iter().map(|&v| v as f32).collect::<Vec<f32>>();
        let rows =
            in_int8(&Matrix { rows: values.len() / columns, columns, values }, |largest| largest / 127.0);
        rows.values.iter().map(|&v| v.into()).collect()
    }

    pub(crate) fn all(self, values: &[f64]) -> Vec<f64> {
        values.iter().map(|&v| (self.round)(v)).collect()
    }
}

/// A small random number generator (splitmix64): the same numbers on every machine, each of them one that the dtype
/// has, so that errors are the operation's own.
pub(crate) struct Random(u64, Precision);

impl Random {
    pub(crate) fn new(seed: u64, precision: Precision) -> Random {
        Random(seed, precision)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    /// Values between -1.5 and 1.5.
    pub(crate) fn matrix(&mut self, rows: usize, columns: usize) -> Matrix {
        let round = self.1.round;
        let mut value = || (self.next() >> 40) as f32 / (1u64 << 24) as f32 * 3.0 - 1.5;
        let values = (0..rows * columns).map(|_| round(value().into()) as f32).collect();
        Matrix { rows, columns, values }
    }
}

/// Panics unless each value is within `tolerance` of what is expected, as a share of the largest.
pub(crate) fn close(name: &str, given: &[f32], expected: &[f64], tolerance: f64) {
    assert_eq!(given.len(), expected.len(), "{name}: length");
    let largest = expected.iter().fold(1e-3f64, |m, v| m.max(v.abs()));
    for (i, (&g, &e)) in given.iter().zip(expected).enumerate() {
        let error = (f64::from(g) - e).abs();
        assert!(error <= tolerance * largest, "{name}: element {i} is {g}, expected {e} (error {error:e})");
    }
}

/// As [`close`], where the tolerance is `float32`, or twice the error of a plain implementation in the same dtype
/// (`plain`) where that is more.
pub(crate) fn as_close(name: &str, given: &[f32], exact: &[f64], plain: &[f64], float32: f64) {
    let largest = exact.iter().fold(1e-3f64, |m, v| m.max(v.abs()));
    let error = exact.iter().zip(plain).fold(0.0f64, |m, (e, p)| m.max((e - p).abs()));
    close(name, given, exact, float32.max(2.0 * error / largest));
}

pub(crate) fn linear(x: &Matrix, w: &Matrix, bias: Option<&[f32]>) -> Vec<f64> {
    let mut out = Vec::with_capacity(x.rows * w.rows);
    for r in 0..x.rows {
        for c in 0..w.rows {
            let dot: f64 = x.row(r).iter().zip(w.row(c)).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
            out.push(dot + bias.map_or(0.0, |b| f64::from(b[c])));
        }
    }
    out
}

/// Rows that are whole numbers times what `scale` makes of a row's largest value, while they are turned.
fn in_int8(x: &Matrix, scale: impl Fn(f64) -> f64) -> Matrix {
    let block = [64, 32, 16].into_iter().find(|block| x.columns.is_multiple_of(*block)).unwrap();
    let row = |row: &[f32]| {
        let turned = turn(row.iter().map(|&v| v.into()).collect(), block);
        let scale = scale(turned.iter().fold(0.0f64, |m, v| m.max(v.abs())));
        let round = |v: &f64| if scale > 0.0 { (v / scale).round() * scale } else { 0.0 };
        turn(turned.iter().map(round).collect(), block).into_iter().map(|v| v as f32).collect::<Vec<f32>>()
    };
    let values = x.values.chunks(x.columns).flat_map(row).collect();
    Matrix { rows: x.rows, columns: x.columns, values }
}

/// Blocks of a row times the Hadamard matrix of their size, over the root of it: its own inverse.
fn turn(row: Vec<f64>, block: usize) -> Vec<f64> {
    let sign = |i: usize, j: usize| if (i & j).count_ones().is_multiple_of(2) { 1.0 } else { -1.0 };
    let turned = |of: &[f64], i: usize| of.iter().enumerate().map(|(j, v)| sign(i, j) * v).sum::<f64>();
    let blocks = row.chunks(block);
    blocks.flat_map(|of| (0..block).map(move |i| turned(of, i) / (block as f64).sqrt())).collect()
}

/// `x · Φ(x)`, the normal distribution's integral by Simpson's rule.
pub(crate) fn gelu(x: f64) -> f64 {
    let steps = 400;
    let h = x / steps as f64;
    let density = |t: f64| (-t * t / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
    let inner: f64 = (1..steps).map(|i| density(i as f64 * h) * if i % 2 == 1 { 4.0 } else { 2.0 }).sum();
    x * (0.5 + (density(0.0) + inner + density(x)) * h / 3.0)
}

pub(crate) fn layer_norm(x: &Matrix, weight: &[f32], bias: &[f32], eps: f64) -> Vec<f64> {
    let n = x.columns as f64;
    let mut out = Vec::new();
    for r in 0..x.rows {
        let row: Vec<f64> = x.row(r).iter().map(|&v| v.into()).collect();
        let mean = row.iter().sum::<f64>() / n;
        let variance = row.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n;
        for (c, v) in row.iter().enumerate() {
            out.push((v - mean) / (variance + eps).sqrt() * f64::from(weight[c]) + f64::from(bias[c]));
        }
    }
    out
}

pub(crate) fn rotary(qkv: &Matrix, cu_seqlens: &[i32], heads: usize) -> Matrix {
    let hidden = qkv.columns / 3;
    let width = hidden / heads;
    let mut values = qkv.values.clone();
    for bounds in cu_seqlens.windows(2) {
        for token in bounds[0]..bounds[1] {
            let row = &mut values[token as usize * qkv.columns..][..2 * hidden];
            for head in row.chunks_exact_mut(width) {
                for i in 0..width / 2 {
                    let angle = f64::from(token - bounds[0]) / 10_000f64.powf(2.0 * i as f64 / width as f64);
                    let (a, b) = (f64::from(head[i]), f64::from(head[i + width / 2]));
                    head[i] = (a * angle.cos() - b * angle.sin()) as f32;
                    head[i + width / 2] = (b * angle.cos() + a * angle.sin()) as f32;
                }
            }
        }
    }
    Matrix { rows: qkv.rows, columns: qkv.columns, values }
}

/// Attention, every intermediate as `round` leaves it.
pub(crate) fn attention(
    qkv: &Matrix,
    cu_seqlens: &[i32],
    heads: usize,
    slopes: &[f32],
    round: fn(f64) -> f64,
) -> Vec<f64> {
    let hidden = qkv.columns / 3;
    let width = hidden / heads;
    let part = |token: usize, which: usize, h: usize| &qkv.row(token)[which * hidden + h * width..][..width];
    let mut out = vec![0.0; qkv.rows * hidden];
    out.par_chunks_mut(hidden).enumerate().for_each(|(i, out)| {
        let of = cu_seqlens.partition_point(|&bound| bound as usize <= i);
        let tokens = cu_seqlens[of - 1] as usize..cu_seqlens[of] as usize;
        for (h, out) in out.chunks_mut(width).enumerate() {
            let score = |j: usize| {
                let pairs = part(i, 0, h).iter().zip(part(j, 1, h));
                let dot: f64 = pairs.map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
                round(dot / (width as f64).sqrt() - f64::from(slopes[h]) * i.abs_diff(j) as f64)
            };
            let scores: Vec<f64> = tokens.clone().map(score).collect();
            let highest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let weights: Vec<f64> = scores.iter().map(|s| (s - highest).exp()).collect();
            let total: f64 = weights.iter().sum();
            for (j, w) in tokens.clone().zip(&weights) {
                let weight = round(w / total);
                out.iter_mut().zip(part(j, 2, h)).for_each(|(o, &v)| *o += weight * f64::from(v));
            }
            out.iter_mut().for_each(|v| *v = round(*v));
        }
    });
    out
}
