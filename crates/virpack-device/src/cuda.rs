//! The CUDA backend: NVIDIA GPUs of compute capability 7.5 and up, in float16, bfloat16 (8.0 and up) or
//! float32.
//!
//! Matrix products use cuBLASLt. On compute capability 9.0, fused kernels are used where an epilogue
//! follows. Everything else is in `kernels/*.cu`. The work of a batch runs in the order of one stream, so
//! that calls return at once and several batches may be in flight. Results come back on a second stream.

mod algorithms;
mod arena;
mod arena_plan;
mod attention;
mod backend;
mod bytes;
mod compile;
mod cublas;
mod device;
mod driver;
mod epilogue;
mod forms;
mod kernel_source;
mod kernels;
mod launch;
mod libraries;
mod linear;
mod packed;
mod pairs;
mod rotary;
mod row_scales;
mod target;
mod tensor_map;
mod transfer;
mod upload;

pub use packed::CudaPacked;

use crate::relock::Relock;
use crate::{DeviceError, Dtype, ModelShape, Remedy, Unavailable};
use arena::{Arena, Block, Fixed};
use arena_plan::{ArenaPlan, Blocks};
use cublas::Products;
use driver::{Card, Event, Pinned, PinnedPool};
use forms::Form;
use kernels::Kernels;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard};

/// How a card is used.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct CudaOptions {
    /// The precision of activations and weight matrices.
    pub dtype: Dtype,
}

impl CudaOptions {
    /// Computes in `dtype`; by default float16.
    #[must_use]
    pub fn new(dtype: Dtype) -> Self {
        CudaOptions { dtype }
    }
}

/// Rows are padded to a multiple of this in memory, so that batches of nearly one size share one plan of products.
const ROW_STEP: usize = 256;

/// Bytes the driver gives at once.
const PIECE: u64 = 2 << 20;

/// One NVIDIA GPU.
#[derive(Debug)]
pub struct Cuda {
    // Dropped in this order: what uses the card before the card.
    kernels: Kernels,
    products: Products,
    rotary: rotary::RotaryTables,
    arena: Arc<Arena>,
    pinned: Arc<PinnedPool>,
    card: Arc<Card>,
    options: CudaOptions,
    /// Whether the card and its driver have bulk tensor copies and what goes with them (9.0 alone).
    bulk_copies: bool,
    /// The batch sizes that the arena must hold; None before `reserve`.
    plan: Mutex<ArenaPlan>,
    blocks: Mutex<Blocks>,
    /// Room for the scales of a normed product's rows.
    scales: row_scales::RowScales,
    /// Nanoseconds between a batch's arrival on the card and the end of its kernels, summed over batches.
    busy: AtomicU64,
}

/// Activations on the card, `[rows, columns]`; the memory holds rows up to a multiple of 256.
#[derive(Debug)]
pub struct CudaTensor {
    block: Block,
    rows: usize,
    columns: usize,
    form: Form,
}

/// A weight matrix on the card, `[rows, columns]`.
#[derive(Debug)]
pub struct CudaMatrix {
    memory: Fixed,
    rows: usize,
    columns: usize,
    /// Whether a layer norm is folded in, or of bytes its bias: then it is for normed products alone.
    folded: bool,
    /// Plain, or for products alone.
    form: Form,
    /// The width of the heads whose queries and keys it gives in neighbours (`rotary.rs`): then it is for products that
    /// rotate alone.
    neighbours: Option<usize>,
}

/// A vector of parameters on the card: float32, and in the dtype of the activations for cuBLASLt's epilogue.
#[derive(Debug)]
pub struct CudaVector {
    exact: Fixed,
    rounded: Fixed,
    len: usize,
}

/// Values on their way to the host.
#[derive(Debug)]
pub struct CudaPending {
    /// None once waited for.
    host: Option<Pinned>,
    values: usize,
    /// Rows whose flags follow the values; 0 where nothing was checked.
    flagged: usize,
    arrived: Event,
    /// The first and the last point of the batch on the compute stream, where the driver times events.
    span: Option<(Arc<Event>, Event)>,
    pool: Arc<PinnedPool>,
    /// Held until the copy is done.
    _source: Block,
}

impl Drop for CudaPending {
    fn drop(&mut self) {
        // The source may be handed out again only after the copy.
        let waited = self.arrived.wait();
        if let (Some(host), Ok(())) = (self.host.take(), waited) {
            self.pool.give(host, None);
        }
    }
}

impl Cuda {
    /// Takes card `ordinal`, counted as `nvidia-smi` counts.
    ///
    /// # Errors
    ///
    /// With the reason and a hint where the driver, a library or the card is missing.
    ///
    /// ```
    /// use virpack_device::{Cuda, CudaOptions};
    ///
    /// match Cuda::new(0, CudaOptions::default()) {
    ///     Ok(cuda) => println!("{}", cuda.name()),
    ///     Err(unavailable) => println!("{unavailable}"),
    /// }
    /// ```
    pub fn new(ordinal: usize, options: CudaOptions) -> Result<Cuda, Unavailable> {
        libraries::open()?;
        let card = Card::open(ordinal)?;
        if card.target.is_turing() && options.dtype == Dtype::Bf16 {
            let capability = target::shown(card.target.capability);
            return Err(Unavailable {
                reason: format!("{}: compute capability {capability} has no bfloat16", card.name),
                remedy: Remedy::ChangeDtype,
            });
        }
        let bulk_copies = card.target.capability == 90 && tensor_map::available();
        if options.dtype == Dtype::Int8 && !bulk_copies {
            let capability = target::shown(card.target.capability);
            return Err(Unavailable {
                reason: format!(
                    "{}: int8 runs on compute capability 9.0 (H100, H200) alone, and this is {capability}",
                    card.name
                ),
                remedy: Remedy::ChangeDtype,
            });
        }
        let products = Products::new(&card, options.dtype).map_err(|e| Unavailable {
            reason: format!("{} cannot be used: {e}", card.name),
            remedy: Remedy::CheckMemory,
        })?;
        Ok(Cuda {
            kernels: Kernels::new(Arc::clone(&card), options.dtype),
            products,
            rotary: rotary::RotaryTables::default(),
            arena: Arena::new(Arc::clone(&card)),
            pinned: Arc::default(),
            bulk_copies,
            card,
            options,
            plan: Mutex::default(),
            blocks: Mutex::default(),
            scales: row_scales::RowScales::default(),
            busy: AtomicU64::new(0),
        })
    }

    /// How many cards the driver shows, usable or not: 0 where it finds none.
    ///
    /// # Errors
    ///
    /// With the reason and a hint where the driver is missing or refuses.
    ///
    /// ```
    /// use virpack_device::{Cuda, CudaOptions, Dtype};
    ///
    /// for ordinal in 0..Cuda::count().unwrap_or(0) {
    ///     let cuda = Cuda::new(ordinal, CudaOptions::new(Dtype::F32))?;
    ///     let (free, total) = cuda.memory().expect("a driver that answers");
    ///     println!("{}: {free} of {total} bytes free", cuda.name());
    /// }
    /// # Ok::<(), virpack_device::Unavailable>(())
    /// ```
    pub fn count() -> Result<usize, Unavailable> {
        libraries::open_driver()?;
        Card::count()
    }

    /// The card as its driver names it.
    pub fn name(&self) -> &str {
        &self.card.name
    }

    /// What a result's bits depend on beside record, weights and precision, for `run.json`: the card's kind, the libraries,
    /// and what was chosen for each product so far.
    fn bits_depend_on(&self) -> Vec<String> {
        let mut lines = vec![
            format!("compute capability {}", target::shown(self.card.capability)),
            format!("{} multiprocessors", self.card.processors),
        ];
        lines.extend(self.translated());
        lines.extend(libraries::versions());
        if self.has_bytes() {
            lines.push("int8 products: a scale a row, a scale an output, sums of whole numbers".into());
        }
        if self.has_pairs() {
            lines.push("float32 products: three float16 products on the tensor cores".into());
        }
        lines.extend(self.products.chosen());
        lines
    }

    /// What is said of kernels that are an older card's.
    fn translated(&self) -> Option<String> {
        let target = self.card.target;
        target
            .translated
            .then(|| format!("kernels of compute capability {}", target::shown(target.capability)))
    }

    /// The card's compute capability: 90 for 9.0.
    pub fn capability(&self) -> u32 {
        self.card.capability
    }

    /// Bytes of a model's weights on the card: matrices in the dtype (int8: in bytes, but for the first,
    /// which is the table of embeddings, and sensitive ones), vectors in float32 and in the dtype. The driver
    /// gives memory in pieces of 2 MB, which only smaller tensors share.
    fn weight_bytes(&self, model: &ModelShape) -> u64 {
        let value = self.options.dtype.bytes() as u64;
        let are_bytes = |&[outputs, inputs]: &[usize; 2]| self.is_for_bytes(outputs, inputs);
        let weight = if model.products.iter().all(are_bytes) { 1 } else { value };
        // Behind an int8 weight lie a scale and a zero of two bytes for each of its outputs.
        let outputs = model.products.iter().map(|product| product[0] as u64).max().unwrap_or(0);
        let behind = if self.has_bytes() { 4 * outputs } else { 0 };
        let bytes = |i, values: &u64| if i == 0 { values * value } else { values * weight + behind };
        let matrix = |(i, values): (usize, &u64)| match bytes(i, values) {
            small if small < PIECE / 2 => small,
            large => large.next_multiple_of(PIECE),
        };
        let vectors = if self.options.dtype.is_float32() { 2 * value } else { 4 + value };
        model.matrices.iter().enumerate().map(matrix).sum::<u64>()
            + model.sensitive_values * (value - weight)
            + model.vector_values * vectors
    }

    /// The card's memory: bytes free and bytes in all.
    ///
    /// # Errors
    ///
    /// What the driver says.
    pub fn memory(&self) -> Result<(usize, usize), DeviceError> {
        self.card.memory()
    }

    /// Lays out the arena for batches to come: no memory is taken from the card by those after this. Nothing
    /// is held after an error.
    fn lay_out(&self, plan: &ArenaPlan) -> Result<(), DeviceError> {
        self.arena.release()?;
        *self.plan() = plan.clone();
        *self.blocks() = plan.blocks();
        self.arena.reserve(plan.bytes(self.options.dtype))?;
        self.reserve_scales(plan.token_budget)
    }

    /// Waits until the card has done everything it was given.
    ///
    /// # Errors
    ///
    /// What the driver says; an error of a kernel shows here at the latest.
    pub fn synchronize(&self) -> Result<(), DeviceError> {
        self.card.finish(self.card.compute)?;
        self.card.finish(self.card.download)
    }

    fn plan(&self) -> MutexGuard<'_, ArenaPlan> {
        self.plan.relock()
    }

    fn blocks(&self) -> MutexGuard<'_, Blocks> {
        self.blocks.relock()
    }

    /// Fresh activations.
    fn tensor(&self, rows: usize, columns: usize) -> Result<CudaTensor, DeviceError> {
        let bytes = self.blocks().tensor(rows, columns, self.options.dtype);
        Ok(CudaTensor { block: self.arena.take(bytes)?, rows, columns, form: Form::Plain })
    }
}
