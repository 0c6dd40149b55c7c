//! Pooling.

use super::CpuTensor;
use crate::Pool;
use pulp::{Simd, WithSimd};
use std::ops::Range;

/// One sequence's rows to one row.
pub(super) struct PoolRows<'a> {
    values: &'a [f32],
    columns: usize,
    pool: Pool,
    out: &'a mut [f32],
}

impl<'a> PoolRows<'a> {
    pub(super) fn new(x: &'a CpuTensor, rows: Range<usize>, pool: Pool, out: &'a mut [f32]) -> Self {
        let columns = x.columns;
        PoolRows { values: &x.values()[rows.start * columns..rows.end * columns], columns, pool, out }
    }
}

impl WithSimd for PoolRows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let PoolRows { values, columns, pool, out } = self;
        match pool {
            Pool::Cls => out.copy_from_slice(&values[..columns]),
            Pool::Max => max(values, out),
            Pool::Mean => mean(values, out),
            Pool::MeanMax => {
                let (means, largest) = out.split_at_mut(columns);
                mean(values, means);
                max(values, largest);
            }
        }
    }
}

#[inline(always)]
fn max(values: &[f32], out: &mut [f32]) {
    out.copy_from_slice(&values[..out.len()]);
    for row in values.chunks_exact(out.len()) {
        for (o, v) in out.iter_mut().zip(row) {
            // Written so that NaN stays NaN: what is broken must be seen.
            *o = if *v > *o || v.is_nan() { *v } else { *o };
        }
    }
}

/// Summed in float64, so that the mean of a long sequence loses no digits.
#[inline(always)]
fn mean(values: &[f32], out: &mut [f32]) {
    let mut sums = vec![0.0f64; out.len()];
    for row in values.chunks_exact(out.len()) {
        for (s, v) in sums.iter_mut().zip(row) {
            *s += f64::from(*v);
        }
    }
    let rows = values.len() / out.len();
    for (o, s) in out.iter_mut().zip(sums) {
        *o = (s / rows as f64) as f32;
    }
}
