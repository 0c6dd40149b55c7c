//! One door to the matrix products of the libraries.
//!
//! On x86-64 with AVX2 or AVX-512 that is `private-gemm-x86`, the engine inside faer: the fastest of those
//! measured at these shapes, and the one that builds in seconds (`dev/gemm.md`). Elsewhere it is `gemm`.

/// Inputs (the inner dimension) of the weights that `private-gemm-x86` packs at a time, for all outputs of a tile,
/// into memory that its thread keeps. `gemm` blocks the inner dimension as finely or finer.
pub(crate) const PACKED_INPUTS: usize = 512;

/// The left factor of a product: rows of `inner` values, `stride` from the start of one to the start of the
/// next. Rows overlap where `stride` is less than `inner`: windows of a convolution.
#[derive(Clone, Copy)]
pub(crate) struct Left<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) rows: usize,
    pub(crate) inner: usize,
    pub(crate) stride: usize,
}

/// `out (+)= left · rightᵀ`, all row-major: `left` `[rows, inner]`, `right` `[columns, inner]`, `out` with
/// `stride` elements from row to row.
///
/// # Safety
///
/// `out` points to `rows` rows of `columns` elements, `stride` apart, that no other thread reads or writes.
pub(crate) unsafe fn multiply(left: Left<'_>, right: &[f32], out: *mut f32, stride: usize, add: bool) {
    let Left { values, rows, inner, stride: left_stride } = left;
    let columns = right.len() / inner;
    let needed = rows.checked_sub(1).map_or(0, |last| last * left_stride + inner);
    assert!(values.len() >= needed && right.len() == columns * inner && columns <= stride);
    #[cfg(target_arch = "x86_64")]
    if let Some(instructions) = x86::instructions() {
        // SAFETY: the processor has these instructions, `left` and `right` hold what the assertion says,
        // and `out` is the caller's promise.
        unsafe { x86::multiply(instructions, left, columns, right, out, stride, add) };
        return;
    }
    // SAFETY: as above.
    unsafe {
        gemm::gemm(
            rows,
            columns,
            inner,
            out,
            1,
            stride as isize,
            add,
            values.as_ptr(),
            1,
            left_stride as isize,
            right.as_ptr(),
            inner as isize,
            1,
            1.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Left;
    use private_gemm_x86::{Accum, DType, DstKind, IType, InstrSet};
    use std::ptr::{from_ref, null};

    pub(super) fn instructions() -> Option<InstrSet> {
        if is_x86_feature_detected!("avx512f") {
            Some(InstrSet::Avx512)
        } else if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            Some(InstrSet::Avx256)
        } else {
            None
        }
    }

    /// # Safety
    ///
    /// As for [`super::multiply`]; `instructions` are the processor's.
    pub(super) unsafe fn multiply(
        instructions: InstrSet,
        left: Left<'_>,
        columns: usize,
        right: &[f32],
        out: *mut f32,
        stride: usize,
        add: bool,
    ) {
        let Left { values, rows, inner, stride: left_stride } = left;
        let one = 1.0f32;
        // SAFETY: the caller's promise; null index, diagonal pointers mean "none" to the library.
        unsafe {
            private_gemm_x86::gemm(
                DType::F32,
                IType::U64,
                instructions,
                rows,
                columns,
                inner,
                out.cast(),
                stride as isize,
                1,
                null(),
                null(),
                DstKind::Full,
                if add { Accum::Add } else { Accum::Replace },
                values.as_ptr().cast(),
                left_stride as isize,
                1,
                false,
                null(),
                0,
                right.as_ptr().cast(),
                1,
                inner as isize,
                false,
                from_ref(&one).cast(),
                1,
            );
        }
    }
}
