//! The launcher of layer norms.

use super::kernels::{Grid, arguments};
use super::launch;
use super::{Cuda, CudaTensor, CudaVector};
use crate::{DeviceError, LayerNorm, shapes};

/// Threads of a block, a warp a row.
const THREADS: u32 = 128;

/// Vectors a lane of the layer norm holds at most: the kernel's forms.
const NORM_FORMS: [(usize, &str); 8] = [
    (1, "layer_norm_1"),
    (2, "layer_norm_2"),
    (3, "layer_norm_3"),
    (4, "layer_norm_4"),
    (5, "layer_norm_5"),
    (8, "layer_norm_8"),
    (10, "layer_norm_10"),
    (20, "layer_norm_20"),
];

impl Cuda {
    /// Layer norms of rows, as pairs of float16 where `pairs` and a kernel gives them.
    pub(super) fn norm(
        &self,
        x: &CudaTensor,
        norm: &LayerNorm<CudaVector>,
        pairs: bool,
    ) -> Result<CudaTensor, DeviceError> {
        let LayerNorm { weight, bias, eps } = norm;
        shapes::layer_norm(x.columns, weight.len, bias.len)?;
        self.card.enter()?;
        let x = self.plain(x)?;
        let vectors = x.columns.div_ceil(32 * self.vector_len());
        let form = NORM_FORMS.into_iter().find(|form| form.0 >= vectors);
        let name = form.filter(|_| x.columns.is_multiple_of(self.vector_len())).map(|form| form.1);
        let pairs = pairs && name.is_some();
        let out = CudaTensor { pairs, ..self.tensor(x.rows, x.columns)? };
        let blocks = x.rows.div_ceil(THREADS as usize / 32);
        let grid = Grid { blocks: (blocks, 1), threads: THREADS, shared: 0 };
        let arguments = arguments![
            x.block.pointer,
            weight.exact.pointer,
            bias.exact.pointer,
            *eps,
            out.block.pointer,
            x.rows as i32,
            x.columns as i32,
            i32::from(pairs)
        ];
        // SAFETY: shapes as checked; pairs take as many bytes as float32.
        unsafe { self.kernels.launch(&launch::norm(), name.unwrap_or("layer_norm_any"), grid, &arguments)? };
        Ok(out)
    }
}
