//! Batches and values on a device, and back.

use crate::reference::{Matrix, Random};
use virpack_device::Backend;

/// Sequence lengths that meet every edge: one token, just under, at and over the sizes kernels work in.
pub(super) const LENGTHS: [usize; 9] = [1, 2, 3, 15, 16, 33, 64, 65, 150];

/// Largest error allowed, as a share of the largest value: float32 with a few hundred additions.
pub(super) const TOLERANCE: f64 = 3e-6;

pub(super) fn boundaries(lengths: &[usize]) -> Vec<i32> {
    std::iter::once(0)
        .chain(lengths.iter().scan(0, |sum, &l| {
            *sum += l as i32;
            Some(*sum)
        }))
        .collect()
}

pub(super) fn batch<B: Backend>(
    backend: &B,
    lengths: &[usize],
    random: &mut Random,
) -> (Vec<u16>, Vec<i32>, B::Packed) {
    let cu_seqlens = boundaries(lengths);
    let tokens = *cu_seqlens.last().unwrap() as usize;
    let ids: Vec<u16> = (0..tokens).map(|_| random.below(33) as u16).collect();
    let packed = backend.packed(&ids, &cu_seqlens, *lengths.iter().max().unwrap()).unwrap();
    (ids, cu_seqlens, packed)
}

/// Values on the device by way of the embedding table: row `i` of the table is row `i` of the tensor.
pub(super) fn tensor<B: Backend>(backend: &B, m: &Matrix) -> B::Tensor {
    let table = backend.table(m.rows, m.columns, m.values.clone()).unwrap();
    let ids: Vec<u16> = (0..m.rows as u16).collect();
    let packed = backend.packed(&ids, &[0, m.rows as i32], m.rows).unwrap();
    backend.embed(&table, &packed, None).unwrap()
}

pub(super) fn back<B: Backend>(backend: &B, x: &B::Tensor) -> Vec<f32> {
    backend.wait(backend.read(x).unwrap()).unwrap()
}
