//! A CPU with faults: no memory for large batches, errors, hanging.

use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};

use virpack_core::device::{
    Attention, Backend, Cpu, Device, DeviceError, Dtype, LayerNorm, ModelFootprint, ModelShape, Pool,
    PoolSpan, TokenDropout,
};

/// What happens to a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// There is memory for fewer tokens than it has.
    NoRoom,
    /// The driver reports an error when the batch is submitted.
    Refuses,
    /// The driver reports an error when its results are awaited.
    Fails,
    /// Its results never arrive.
    Hangs,
}

/// The CPU, with the fate of each batch by its number on this device, from 0, and its tokens.
pub(crate) struct Faulty {
    cpu: Cpu,
    /// Tokens that fit in memory when a run begins.
    room: usize,
    fault: Box<dyn Fn(usize, usize) -> Fault + Send + Sync>,
    run: AtomicUsize,
    /// Most tokens of a batch that was run.
    pub(crate) largest: AtomicUsize,
}

/// A batch on the device, and its fate.
pub(crate) struct Packed(<Cpu as Backend>::Packed, Fault);

/// Pending results, and their fate.
pub(crate) struct Pending(<Cpu as Backend>::Pending, Fault);

impl Deref for Packed {
    type Target = <Cpu as Backend>::Packed;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Faulty {
    pub(crate) fn new(room: usize, fault: impl Fn(usize, usize) -> Fault + Send + Sync + 'static) -> Self {
        let cpu = Cpu::new(std::num::NonZeroUsize::new(1)).expect("a thread");
        let (run, largest) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Faulty { cpu, room, fault: Box::new(fault), run, largest }
    }
}

fn full(wanted: usize) -> DeviceError {
    DeviceError::OutOfMemory { op: "test", wanted, free: 0 }
}

fn broken() -> DeviceError {
    DeviceError::Call { call: "a test", reason: "the card fell off the bus".to_owned() }
}

/// Methods of the CPU itself. A batch is one of its batches by `Deref`; fused products are those of the
/// trait.
macro_rules! by_the_cpu {
    ($(fn $name:ident($($argument:ident: $type:ty),*) -> $output:ty;)*) => {
        $(fn $name(&self, $($argument: $type),*) -> Result<$output, DeviceError> {
            self.cpu.$name($($argument),*)
        })*
    };
}

impl Backend for Faulty {
    type Tensor = <Cpu as Backend>::Tensor;
    type Matrix = <Cpu as Backend>::Matrix;
    type Vector = <Cpu as Backend>::Vector;
    type Packed = Packed;
    type Pending = Pending;

    by_the_cpu! {
        fn matrix(rows: usize, columns: usize, values: Vec<f32>) -> Self::Matrix;
        fn table(rows: usize, columns: usize, values: Vec<f32>) -> Self::Matrix;
        fn vector(values: Vec<f32>) -> Self::Vector;
        fn embed(table: &Self::Matrix, packed: &Packed, dropout: Option<TokenDropout>) -> Self::Tensor;
        fn embed_window(t: &Self::Matrix, size: usize, bias: &Self::Vector, packed: &Packed) -> Self::Tensor;
        fn unfold(x: &Self::Tensor, packed: &Packed, window: usize) -> Self::Tensor;
        fn product(x: &Self::Tensor, weight: &Self::Matrix, bias: Option<&Self::Vector>) -> Self::Tensor;
        fn gelu(x: Self::Tensor) -> Self::Tensor;
        fn gated_gelu(x: &Self::Tensor) -> Self::Tensor;
        fn add(x: Self::Tensor, y: &Self::Tensor) -> Self::Tensor;
        fn layer_norm(x: &Self::Tensor, norm: &LayerNorm<Self::Vector>) -> Self::Tensor;
        fn rotary(qkv: Self::Tensor, packed: &Packed, attention: &Attention<Self::Vector>) -> Self::Tensor;
        fn attention(qkv: &Self::Tensor, packed: &Packed, attention: &Attention<Self::Vector>) -> Self::Tensor;
    }
    fn packed(&self, ids: &[u16], cu_seqlens: &[i32], longest: usize) -> Result<Packed, DeviceError> {
        let fault = (self.fault)(self.run.fetch_add(1, Ordering::Relaxed), ids.len());
        match fault {
            Fault::NoRoom => return Err(full(ids.len())),
            Fault::Refuses => return Err(broken()),
            _ => (),
        }
        self.largest.fetch_max(ids.len(), Ordering::Relaxed);
        Ok(Packed(self.cpu.packed(ids, cu_seqlens, longest)?, fault))
    }
    fn pool(
        &self,
        x: &Self::Tensor,
        packed: &Packed,
        pool: Pool,
        span: PoolSpan,
    ) -> Result<Pending, DeviceError> {
        Ok(Pending(self.cpu.pool(x, packed, pool, span)?, packed.1))
    }
    fn read(&self, x: &Self::Tensor) -> Result<Pending, DeviceError> {
        Ok(Pending(self.cpu.read(x)?, Fault::None))
    }
    fn wait(&self, pending: Pending) -> Result<Vec<f32>, DeviceError> {
        match pending.1 {
            Fault::Fails => Err(broken()),
            Fault::Hangs => loop {
                std::thread::park();
            },
            _ => self.cpu.wait(pending.0),
        }
    }
}

impl Device for Faulty {
    fn name(&self) -> String {
        "a faulty CPU".to_owned()
    }
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }
    fn footprint(&self, model: &ModelShape, longest: usize, rows: bool) -> ModelFootprint {
        self.cpu.footprint(model, longest, rows)
    }
    fn free(&self) -> Result<Option<u64>, DeviceError> {
        Ok(None)
    }
    fn most_tokens(&self, _: &ModelShape) -> usize {
        1 << 20
    }
    fn reserve(&self, _: &ModelShape, tokens: usize, _: usize, _: bool) -> Result<(), DeviceError> {
        if tokens > self.room { Err(full(tokens)) } else { Ok(()) }
    }
}
