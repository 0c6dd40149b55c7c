//! Pooling.

use super::CpuTensor;
use crate::Pool;

/// One sequence's rows to one row. The mean is summed in float64: it is no place to lose digits.
pub(super) fn pool_rows(x: &CpuTensor, rows: std::ops::Range<usize>, pool: Pool, out: &mut [f32]) {
    let values = &x.values()[rows.start * x.columns..rows.end * x.columns];
    match pool {
        Pool::Cls => out.copy_from_slice(&values[..x.columns]),
        Pool::Max => {
            out.copy_from_slice(&values[..x.columns]);
            for row in values.chunks_exact(x.columns) {
                for (o, v) in out.iter_mut().zip(row) {
                    // Written so that NaN stays NaN: what is broken must be seen.
                    *o = if *v > *o || v.is_nan() { *v } else { *o };
                }
            }
        }
        Pool::Mean => {
            let mut sums = vec![0.0f64; x.columns];
            for row in values.chunks_exact(x.columns) {
                for (s, v) in sums.iter_mut().zip(row) {
                    *s += f64::from(*v);
                }
            }
            for (o, s) in out.iter_mut().zip(sums) {
                *o = (s / rows.len() as f64) as f32;
            }
        }
    }
}
