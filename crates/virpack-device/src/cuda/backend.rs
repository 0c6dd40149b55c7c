//! The methods of `Backend`, each of which submits work to the card.

use super::arena_plan::ArenaPlan;
use super::packed::CudaPacked;
use super::{Cuda, CudaMatrix, CudaPending, CudaTensor, CudaVector, libraries};
use crate::{
    Attention, Backend, DeviceError, Epilogue, HostLinear, LayerNorm, LinearOf, Pool, PoolSpan, TokenDropout,
    shapes,
};
use std::sync::atomic::Ordering;
use std::time::Duration;

impl Backend for Cuda {
    type Tensor = CudaTensor;
    type Matrix = CudaMatrix;
    type Vector = CudaVector;
    type Packed = CudaPacked;
    type Pending = CudaPending;

    fn matrix(&self, rows: usize, columns: usize, values: Vec<f32>) -> Result<CudaMatrix, DeviceError> {
        shapes::matrix(rows, columns, values.len())?;
        if self.is_for_bytes(rows, columns) {
            return self.matrix_of_bytes(rows, columns, &values);
        }
        self.matrix_of_words([rows, columns], &values)
    }

    fn table(&self, rows: usize, columns: usize, values: Vec<f32>) -> Result<CudaMatrix, DeviceError> {
        shapes::matrix(rows, columns, values.len())?;
        self.matrix_of_values([rows, columns], &values)
    }

    fn vector(&self, values: Vec<f32>) -> Result<CudaVector, DeviceError> {
        let (exact, rounded) = (self.fixed_f32("vector", &values)?, self.fixed("vector", &values)?);
        Ok(CudaVector { exact, rounded, len: values.len() })
    }

    fn packed(&self, input_ids: &[u16], cu_seqlens: &[i32], _: usize) -> Result<CudaPacked, DeviceError> {
        self.upload_packed(input_ids, cu_seqlens)
    }

    fn embed(
        &self,
        table: &CudaMatrix,
        packed: &CudaPacked,
        dropout: Option<TokenDropout>,
    ) -> Result<CudaTensor, DeviceError> {
        self.embed_rows(table, packed, dropout)
    }

    fn embed_window(
        &self,
        table: &CudaMatrix,
        window: usize,
        bias: &CudaVector,
        packed: &CudaPacked,
    ) -> Result<CudaTensor, DeviceError> {
        self.sum_windows(table, window, bias, packed)
    }

    fn unfold(&self, x: &CudaTensor, packed: &CudaPacked, window: usize) -> Result<CudaTensor, DeviceError> {
        self.unfolded(x, packed, window)
    }

    fn product(
        &self,
        x: &CudaTensor,
        weight: &CudaMatrix,
        bias: Option<&CudaVector>,
    ) -> Result<CudaTensor, DeviceError> {
        let y = self.tensor(x.rows, weight.rows)?;
        self.product_into(x, weight, bias, &y, false)?;
        Ok(y)
    }

    fn gelu(&self, x: CudaTensor) -> Result<CudaTensor, DeviceError> {
        self.gelu_in_place(x)
    }

    fn gated_gelu(&self, x: &CudaTensor) -> Result<CudaTensor, DeviceError> {
        self.gate(x)
    }

    fn add(&self, x: CudaTensor, y: &CudaTensor) -> Result<CudaTensor, DeviceError> {
        self.add_in_place(x, y)
    }

    fn layer_norm(&self, x: &CudaTensor, norm: &LayerNorm<CudaVector>) -> Result<CudaTensor, DeviceError> {
        self.norm(x, norm, false)
    }

    fn rotary(
        &self,
        qkv: CudaTensor,
        packed: &CudaPacked,
        attention: &Attention<CudaVector>,
    ) -> Result<CudaTensor, DeviceError> {
        self.card.enter()?;
        let qkv = self.joined(qkv)?;
        self.rotate(&qkv, packed, attention)?;
        Ok(qkv)
    }

    fn attention(
        &self,
        qkv: &CudaTensor,
        packed: &CudaPacked,
        attention: &Attention<CudaVector>,
    ) -> Result<CudaTensor, DeviceError> {
        self.card.enter()?;
        self.attend(qkv, packed, attention, false)
    }

    fn pool(
        &self,
        x: &CudaTensor,
        packed: &CudaPacked,
        pool: Pool,
        span: PoolSpan,
    ) -> Result<CudaPending, DeviceError> {
        let (values, sequences) = (packed.n * pool.width(x.columns), packed.n);
        let out = self.pool_rows(x, packed, pool, span)?;
        let span = packed.begun.clone().zip(self.timed_point()?);
        self.send(out, values, sequences, span)
    }

    fn read(&self, x: &CudaTensor) -> Result<CudaPending, DeviceError> {
        self.send_rows(x)
    }

    fn wait(&self, pending: CudaPending) -> Result<Vec<f32>, DeviceError> {
        self.receive(pending)
    }

    fn for_products(&self, x: CudaTensor) -> Result<CudaTensor, DeviceError> {
        if self.are_for_pairs(x.columns) { self.split(x) } else { self.handed_on(x) }
    }

    fn linear_layer(
        &self,
        shape: [usize; 2],
        layer: HostLinear,
        rotated_heads: Option<usize>,
    ) -> Result<LinearOf<Cuda>, DeviceError> {
        self.upload_layer(shape, layer, rotated_heads, self.is_for_bytes(shape[0], shape[1]))
    }

    fn sensitive_layer(
        &self,
        shape: [usize; 2],
        layer: HostLinear,
        rotated_heads: Option<usize>,
    ) -> Result<LinearOf<Cuda>, DeviceError> {
        self.upload_layer(shape, layer, rotated_heads, false)
    }

    fn linear(
        &self,
        x: &CudaTensor,
        layer: &LinearOf<Cuda>,
        then: Epilogue<'_, Cuda>,
    ) -> Result<CudaTensor, DeviceError> {
        self.linear_by(x, layer, then)
    }

    fn self_attention(
        &self,
        x: &CudaTensor,
        layer: &LinearOf<Cuda>,
        packed: &CudaPacked,
        attention: &Attention<CudaVector>,
    ) -> Result<CudaTensor, DeviceError> {
        self.project_and_attend(x, layer, packed, attention)
    }

    fn busy(&self) -> Option<Duration> {
        libraries::times_events().then(|| Duration::from_nanos(self.busy.load(Ordering::Relaxed)))
    }

    fn computed_by(&self) -> Vec<String> {
        self.bits_depend_on()
    }

    fn shrink(&self, tokens: usize) -> Result<(), DeviceError> {
        let plan = ArenaPlan { token_budget: tokens, ..self.plan().clone() };
        let sequences = plan.sequences.min(tokens);
        match self.lay_out(&ArenaPlan { sequences, ..plan }) {
            // Blocks are then allocated when they are needed, and the first that does not fit returns an
            // error.
            Err(DeviceError::OutOfMemory { .. }) => Ok(()),
            other => other,
        }
    }
}
