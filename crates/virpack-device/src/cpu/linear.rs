//! Weights on the CPU, and GELU on rows.

use super::bf16::panels::Bf16Panels;
use super::blocks::PackedWeight;
use super::math::gelu;
use super::panels::F32Panels;
use crate::DeviceError;
use pulp::{Simd, WithSimd};

/// Weights on the CPU, `[rows, columns]`.
#[derive(Debug)]
pub struct CpuMatrix(pub(crate) Weights);

/// Weights in the layout in which they are read.
#[derive(Debug)]
pub(crate) enum Weights {
    /// Rows to look up.
    Table(Table),
    /// float32, for products.
    F32(F32Panels),
    /// bfloat16, for products.
    Bf16(Bf16Panels),
}

impl Weights {
    /// Returns weights for products in float32.
    pub(crate) fn as_f32(&self) -> Option<&F32Panels> {
        if let Weights::F32(panels) = self { Some(panels) } else { None }
    }

    /// Returns weights for products in bfloat16.
    pub(crate) fn as_bf16(&self) -> Option<&Bf16Panels> {
        if let Weights::Bf16(panels) = self { Some(panels) } else { None }
    }
}

/// float32 rows, `[rows, columns]`.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) values: Vec<f32>,
}

impl CpuMatrix {
    /// `[rows, columns]`.
    pub(crate) fn shape(&self) -> [usize; 2] {
        match &self.0 {
            Weights::Table(table) => [table.rows, table.columns],
            Weights::F32(panels) => panels.shape(),
            Weights::Bf16(panels) => panels.shape(),
        }
    }

    /// Returns a table to look rows up in.
    ///
    /// # Errors
    ///
    /// [`DeviceError::Shape`] for a matrix that is laid out for products.
    pub(crate) fn table(&self, op: &'static str) -> Result<&Table, DeviceError> {
        let Weights::Table(table) = &self.0 else {
            let given = format!("a matrix {:?}, for products", self.shape());
            return Err(DeviceError::Shape { op, expected: "a table".to_owned(), given });
        };
        Ok(table)
    }

    /// Returns the error of a product with a table.
    pub(crate) fn no_product(&self) -> DeviceError {
        let given = format!("a table {:?}, to look rows up in", self.shape());
        DeviceError::Shape { op: "product", expected: "a matrix".to_owned(), given }
    }
}

/// GELU over a slice, in place.
#[inline(always)]
fn map_gelu<S: Simd>(simd: S, values: &mut [f32]) {
    let (head, tail) = S::as_mut_simd_f32s(values);
    for v in head {
        *v = gelu(simd, *v);
    }
    let last = gelu(simd, simd.partial_load_f32s(tail));
    simd.partial_store_f32s(tail, last);
}

/// GELU over a slice, in place.
pub(crate) struct MapGelu<'a>(pub(crate) &'a mut [f32]);

impl WithSimd for MapGelu<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        map_gelu(simd, self.0);
    }
}

/// `gelu(gate) · value` for one row.
pub(crate) struct Gated<'a> {
    pub(crate) gate: &'a [f32],
    pub(crate) value: &'a [f32],
    pub(crate) out: &'a mut [f32],
}

impl WithSimd for Gated<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (gate, gate_tail) = S::as_simd_f32s(self.gate);
        let (value, value_tail) = S::as_simd_f32s(self.value);
        let (out, out_tail) = S::as_mut_simd_f32s(self.out);
        for ((o, g), v) in out.iter_mut().zip(gate).zip(value) {
            *o = simd.mul_f32s(gelu(simd, *g), *v);
        }
        let last =
            simd.mul_f32s(gelu(simd, simd.partial_load_f32s(gate_tail)), simd.partial_load_f32s(value_tail));
        simd.partial_store_f32s(out_tail, last);
    }
}
