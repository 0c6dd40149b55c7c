//! Launches `product_pairs.cu`: products of pairs of float16, as accurate as float32, with an epilogue.

use super::product::{ROWS, STEP, ring_defines};
use crate::cuda::epilogue::{ELEMENTWISE, KernelEpilogue, Rotation};
use crate::cuda::forms::Form;
use crate::cuda::kernel_source::{KernelSource, kernel_source};
use crate::cuda::kernels::arguments;
use crate::cuda::rotary::WIDTHS;
use crate::cuda::tensor_map::TensorMap;
use crate::cuda::{Cuda, CudaMatrix, CudaTensor, CudaVector, ROW_STEP};
use crate::{DeviceError, Dtype};

/// The epilogue of a product of pairs, and the form of its result.
#[derive(Clone, Copy, Debug)]
struct PairsForm {
    then: KernelEpilogue,
    /// Whether the result is added to existing values.
    residual: bool,
    /// Whether the result is pairs again.
    pairs: bool,
}

const PLAIN: PairsForm = PairsForm { then: KernelEpilogue::None, residual: false, pairs: false };
const SUM: PairsForm = PairsForm { residual: true, ..PLAIN };

/// Outputs of a tile, and steps in a block's memory.
const COLUMNS: usize = 128;
const STAGES: usize = 3;

/// Bytes of shared memory: the ring of highs and lows, barriers.
const SHARED: usize = STAGES * (ROWS + COLUMNS) * STEP * 4 + 2 * STAGES * 8;

impl PairsForm {
    /// Returns its source.
    fn source(self) -> KernelSource {
        kernel_source!(
            "product_pairs.cu" after "bulk.cuh", "wgmma.cuh", "hopper.cuh", "product_tiles.cuh", "pairs.cuh"
        )
        .with_large_shared()
        .define(self.then.defines())
        .define([("RESIDUAL", self.residual.into()), ("PAIRS_OUT", self.pairs.into()), ("COLUMNS", COLUMNS)])
        .define(ring_defines(STEP, STAGES))
    }
}

/// Returns the sources of all forms in use.
pub(super) fn sources() -> impl Iterator<Item = KernelSource> {
    let then = ELEMENTWISE.into_iter().chain(WIDTHS.map(KernelEpilogue::Rotary));
    let then = then.map(|then| PairsForm { then, residual: false, pairs: true });
    [PLAIN, SUM].into_iter().chain(then).map(PairsForm::source)
}

impl Cuda {
    /// Computes `x · weightᵀ + bias` of a weight of pairs, and adds it to `residual` if there is one.
    pub(in crate::cuda) fn pairs_product(
        &self,
        x: &CudaTensor,
        weight: &CudaMatrix,
        bias: Option<&CudaVector>,
        y: &CudaTensor,
        residual: bool,
    ) -> Result<(), DeviceError> {
        self.give_pairs(if residual { SUM } else { PLAIN }, x, weight, bias, y, None)
    }

    /// Computes the product and its epilogue, as pairs.
    pub(in crate::cuda) fn pairs_fused(
        &self,
        then: KernelEpilogue,
        x: &CudaTensor,
        weight: &CudaMatrix,
        bias: Option<&CudaVector>,
        rotation: Option<Rotation>,
    ) -> Result<CudaTensor, DeviceError> {
        let y = CudaTensor { form: Form::Pairs, ..self.tensor(x.rows, weight.rows)? };
        self.give_pairs(PairsForm { then, residual: false, pairs: true }, x, weight, bias, &y, rotation)?;
        Ok(y)
    }

    fn give_pairs(
        &self,
        form: PairsForm,
        x: &CudaTensor,
        weight: &CudaMatrix,
        bias: Option<&CudaVector>,
        y: &CudaTensor,
        rotation: Option<Rotation>,
    ) -> Result<(), DeviceError> {
        Self::check_product(x, weight, bias, y, false)?;
        Self::check_rotation(weight, form.then)?;
        let x = self.as_pairs(x)?;
        self.card.enter()?;
        let (rows, inputs, outputs) = (x.rows.next_multiple_of(ROW_STEP), x.columns, weight.rows);
        // In a row of both, lows follow highs by `inputs` 16-bit values.
        let map = |pointer: u64, half: usize, rows, boxed| {
            let pointer = pointer + (half * inputs * Dtype::F16.bytes()) as u64;
            TensorMap::new(Dtype::F16, pointer, (rows, inputs), 2 * inputs, (boxed, STEP))
        };
        let x_map = |half| map(x.block.pointer, half, rows, ROWS);
        let weight_map = |half| map(weight.memory.pointer, half, outputs, COLUMNS / 2);
        let maps = [x_map(0)?, x_map(1)?, weight_map(0)?, weight_map(1)?];
        let rotation = rotation.unwrap_or_default();
        let arguments = arguments![
            &maps[0],
            &maps[1],
            &maps[2],
            &maps[3],
            bias.map_or(0, |b| b.exact.pointer),
            y.block.pointer,
            rows as i32,
            inputs as i32,
            outputs as i32,
            rotation.positions,
            rotation.table,
            rotation.outputs as i32
        ];
        let grid = self.clusters(rows, outputs.div_ceil(COLUMNS), SHARED);
        // SAFETY: tensors hold rows up to a multiple of ROW_STEP, and so do positions, which the table has; rows past the
        // batch are computed and never read. `y` has the form's kind of values.
        unsafe { self.kernels.launch(&form.source(), "product_pairs", grid, &arguments) }
    }
}
