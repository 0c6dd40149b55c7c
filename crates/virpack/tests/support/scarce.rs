//! A CPU that pretends to have no room for large batches, and may refuse chosen ones.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use virpack::device::backend::TokenDropout;
use virpack::device::{Attention, Backend, Cpu, DeviceError, Pool, PoolSpan};
use virpack::memory::{Memory, ModelShape};
use virpack_seq::Footprint;

/// The CPU with room for `room` tokens when a run begins, and for `later` tokens once `batches` batches have come.
pub(crate) struct Scarce {
    pub(crate) cpu: Cpu,
    pub(crate) room: usize,
    pub(crate) later: usize,
    pub(crate) batches: usize,
    /// Batches run so far.
    pub(crate) run: AtomicUsize,
    /// Largest batch run.
    pub(crate) largest: AtomicUsize,
}

fn full(wanted: usize, free: usize) -> DeviceError {
    DeviceError::OutOfMemory { op: "test", wanted, free }
}

impl Backend for Scarce {
    type Tensor = <Cpu as Backend>::Tensor;
    type Matrix = <Cpu as Backend>::Matrix;
    type Vector = <Cpu as Backend>::Vector;
    type Packed = <Cpu as Backend>::Packed;
    type Pending = <Cpu as Backend>::Pending;

    fn matrix(&self, rows: usize, columns: usize, values: Vec<f32>) -> Result<Self::Matrix, DeviceError> {
        self.cpu.matrix(rows, columns, values)
    }
    fn vector(&self, values: Vec<f32>) -> Result<Self::Vector, DeviceError> {
        self.cpu.vector(values)
    }
    fn packed(&self, ids: &[u16], cu_seqlens: &[i32], longest: usize) -> Result<Self::Packed, DeviceError> {
        let run = self.run.fetch_add(1, Ordering::Relaxed);
        if run >= self.batches && ids.len() > self.later {
            return Err(full(ids.len(), self.later));
        }
        self.largest.fetch_max(ids.len(), Ordering::Relaxed);
        self.cpu.packed(ids, cu_seqlens, longest)
    }
    fn embed(
        &self,
        table: &Self::Matrix,
        packed: &Self::Packed,
        dropout: Option<TokenDropout>,
    ) -> Result<Self::Tensor, DeviceError> {
        self.cpu.embed(table, packed, dropout)
    }
    fn linear(
        &self,
        x: &Self::Tensor,
        weight: &Self::Matrix,
        bias: Option<&Self::Vector>,
    ) -> Result<Self::Tensor, DeviceError> {
        self.cpu.linear(x, weight, bias)
    }
    fn gelu(&self, x: Self::Tensor) -> Result<Self::Tensor, DeviceError> {
        self.cpu.gelu(x)
    }
    fn gated_gelu(&self, x: &Self::Tensor) -> Result<Self::Tensor, DeviceError> {
        self.cpu.gated_gelu(x)
    }
    fn add(&self, x: Self::Tensor, y: &Self::Tensor) -> Result<Self::Tensor, DeviceError> {
        self.cpu.add(x, y)
    }
    fn layer_norm(
        &self,
        x: &Self::Tensor,
        weight: &Self::Vector,
        bias: &Self::Vector,
        eps: f32,
    ) -> Result<Self::Tensor, DeviceError> {
        self.cpu.layer_norm(x, weight, bias, eps)
    }
    fn rotary(
        &self,
        qkv: Self::Tensor,
        packed: &Self::Packed,
        attention: &Attention<Self::Vector>,
    ) -> Result<Self::Tensor, DeviceError> {
        self.cpu.rotary(qkv, packed, attention)
    }
    fn attention(
        &self,
        qkv: &Self::Tensor,
        packed: &Self::Packed,
        attention: &Attention<Self::Vector>,
    ) -> Result<Self::Tensor, DeviceError> {
        self.cpu.attention(qkv, packed, attention)
    }
    fn pool(
        &self,
        x: &Self::Tensor,
        packed: &Self::Packed,
        pool: Pool,
        span: PoolSpan,
    ) -> Result<Self::Pending, DeviceError> {
        self.cpu.pool(x, packed, pool, span)
    }
    fn read(&self, x: &Self::Tensor) -> Result<Self::Pending, DeviceError> {
        self.cpu.read(x)
    }
    fn wait(&self, pending: Self::Pending) -> Result<Vec<f32>, DeviceError> {
        self.cpu.wait(pending)
    }
    fn busy(&self) -> Option<Duration> {
        None
    }
}

impl Memory for Scarce {
    fn name(&self) -> String {
        "a scarce CPU".to_owned()
    }
    fn footprint(&self, model: &ModelShape, longest: usize, rows: bool) -> Footprint {
        self.cpu.footprint(model, longest, rows)
    }
    fn free(&self) -> Result<Option<u64>, DeviceError> {
        Ok(None)
    }
    fn most_tokens(&self, _: &ModelShape) -> usize {
        1 << 20
    }
    fn reserve(&self, _: &ModelShape, tokens: usize, _: usize, _: bool) -> Result<(), DeviceError> {
        if tokens > self.room { Err(full(tokens, self.room)) } else { Ok(()) }
    }
}
