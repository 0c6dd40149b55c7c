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
mod attention_task;
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

use crate::{DeviceError, Dtype, ModelShape, Remedy, Unavailable};
use arena::{Arena, Block, Fixed};
use arena_plan::{ArenaPlan, Blocks};
use cublas::Products;
use driver::{Card, Event, Pinned, PinnedPool};
use forms::Form;
use kernels::Kernels;
use parking_lot::{Mutex, MutexGuard};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// The options of a card.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct CudaOptions {
    /// The precision of activations and weight matrices.
    pub dtype: Dtype,
}

impl CudaOptions {
    /// Returns options for computing in `dtype`, by default float16.
    #[must_use]
    pub fn new(dtype: Dtype) -> Self {
        CudaOptions { dtype }
    }
}

/// Rows are padded to a multiple of this in memory, so that batches of nearly equal sizes share one plan of
/// products.
const ROW_STEP: usize = 256;

/// Bytes that the driver allocates at once.
const PIECE: u64 = 2 << 20;

/// One NVIDIA GPU.
#[derive(Debug)]
pub struct Cuda {
    // Dropped in this order: whatever uses the card goes before the card.
    kernels: Kernels,
    products: Products,
    rotary: rotary::PositionTables,
    arena: Arc<Arena>,
    pinned: Arc<PinnedPool>,
    card: Arc<Card>,
    options: CudaOptions,
    /// Whether the card and its driver have bulk tensor copies and the instructions that come with them (only
    /// 9.0).
    bulk_copies: bool,
    /// The batch sizes that the arena must hold; None before `reserve`.
    plan: Mutex<ArenaPlan>,
    blocks: Mutex<Blocks>,
    /// Memory for the row scales of products with a layer norm.
    scales: row_scales::RowScales,
    /// Nanoseconds between a batch's arrival on the card and the end of its kernels, summed over batches.
    busy: AtomicU64,
}

/// Activations on the card, `[rows, columns]`. The memory holds rows up to a multiple of 256.
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
    /// Whether a layer norm is folded in, or, for bytes, the norm's bias. Only normed products can then use
    /// it.
    folded: bool,
    /// How its values are stored.
    form: Form,
    /// The head width, if its queries and keys are in neighbouring rows (`rotary.rs`). Only products that
    /// rotate can then use it.
    neighbours: Option<usize>,
}

/// A vector of parameters on the card, in float32 and, for cuBLASLt's epilogue, in the dtype of the
/// activations.
#[derive(Debug)]
pub struct CudaVector {
    exact: Fixed,
    rounded: Fixed,
    len: usize,
}

/// Values that are being copied to the host.
#[derive(Debug)]
pub struct CudaPending {
    /// `None` once waited for.
    host: Option<Pinned>,
    values: usize,
    /// Rows whose flags follow the values; 0 if nothing was checked.
    flagged: usize,
    arrived: Event,
    /// The first and the last point of the batch on the compute stream, if the driver times events.
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
    /// Opens card `ordinal`, numbered as `nvidia-smi` numbers cards.
    ///
    /// # Errors
    ///
    /// Returns the reason and a hint if the driver, a library or the card is missing.
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
            rotary: rotary::PositionTables::default(),
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

    /// Returns how many cards the driver shows, usable or not; 0 if it finds none.
    ///
    /// # Errors
    ///
    /// Returns the reason and a hint if the driver is missing or fails.
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

    /// Returns the card's name, as its driver gives it.
    pub fn name(&self) -> &str {
        &self.card.name
    }

    /// Returns what a result's bits depend on apart from record, weights and precision, for `run.json`: the
    /// kind of card, the libraries, and the algorithm chosen for each product so far.
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

    /// Returns a note if the kernels are those of an older card.
    fn translated(&self) -> Option<String> {
        let target = self.card.target;
        target
            .translated
            .then(|| format!("kernels of compute capability {}", target::shown(target.capability)))
    }

    /// Returns the card's compute capability: 90 for 9.0.
    pub fn capability(&self) -> u32 {
        self.card.capability
    }

    /// Returns the bytes of a model's weights on the card. Matrices are in the dtype, and vectors in float32
    /// and in the dtype. With int8, matrices are bytes, except for the table of embeddings, which comes
    /// first, and sensitive ones. The driver allocates pieces of 2 MB, which only smaller tensors share.
    fn weight_bytes(&self, model: &ModelShape) -> u64 {
        let value = self.options.dtype.bytes() as u64;
        let are_bytes = |&[outputs, inputs]: &[usize; 2]| self.is_for_bytes(outputs, inputs);
        let weight = if model.products.iter().all(are_bytes) { 1 } else { value };
        // After an int8 weight there are two bytes of scale and two bytes of zero for each of its outputs.
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

    /// Returns the card's free and total memory, in bytes.
    ///
    /// # Errors
    ///
    /// Returns the driver's error.
    pub fn memory(&self) -> Result<(usize, usize), DeviceError> {
        self.card.memory()
    }

    /// Lays out the arena for the batches to come, so that they allocate nothing on the card. After an error
    /// nothing is held.
    fn lay_out(&self, plan: &ArenaPlan) -> Result<(), DeviceError> {
        self.arena.release()?;
        *self.plan() = plan.clone();
        *self.blocks() = plan.blocks();
        self.arena.reserve(plan.bytes(self.options.dtype))?;
        self.reserve_scales(plan.token_budget)
    }

    /// Waits until the card has finished all its work.
    ///
    /// # Errors
    ///
    /// Returns the driver's error. An error of a kernel appears here at the latest.
    pub fn synchronize(&self) -> Result<(), DeviceError> {
        self.card.finish(self.card.compute)?;
        self.card.finish(self.card.download)
    }

    fn plan(&self) -> MutexGuard<'_, ArenaPlan> {
        self.plan.lock()
    }

    fn blocks(&self) -> MutexGuard<'_, Blocks> {
        self.blocks.lock()
    }

    /// Returns activations with undefined values.
    fn tensor(&self, rows: usize, columns: usize) -> Result<CudaTensor, DeviceError> {
        let bytes = self.blocks().tensor(rows, columns, self.options.dtype);
        Ok(CudaTensor { block: self.arena.take(bytes)?, rows, columns, form: Form::Plain })
    }
}
