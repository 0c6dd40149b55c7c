//! The CUDA backend: NVIDIA GPUs of compute capability 8.0 and up, in float16, bfloat16 or float32.
//!
//! Products are cuBLASLt's, or on 9.0 own ones where more follows; everything else is in `kernels/*.cu`. All of a batch runs in the order of one stream, so
//! that calls return at once and several batches may be in flight; results come back on a second stream.

mod arena;
mod attention;
mod backend;
mod compile;
mod driver;
mod fused_product;
mod kernels;
mod libraries;
mod packed;
mod product;
mod tensor_map;

pub use compile::compile_all;
pub use packed::CudaPacked;

use crate::{DeviceError, Unavailable};
use arena::{Arena, Block, Fixed};
use driver::{Card, Event, Pinned, PinnedPool};
use kernels::Kernels;
use product::Products;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The precision of activations and weight matrices; sums are always float32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Dtype {
    /// float32, without TF32: the reference.
    F32 = 0,
    /// float16.
    #[default]
    F16 = 1,
    /// bfloat16: the range of float32, three digits fewer.
    Bf16 = 2,
}

impl Dtype {
    /// Bytes of a value.
    pub fn bytes(self) -> usize {
        match self {
            Dtype::F32 => 4,
            Dtype::F16 | Dtype::Bf16 => 2,
        }
    }
}

/// How a card is used.
#[derive(Clone, Copy, Debug, Default)]
pub struct CudaOptions {
    /// The precision of activations and weight matrices.
    pub dtype: Dtype,
}

/// Rows are padded to a multiple of this in memory, so that batches of nearly one size share one plan of products.
const ROW_STEP: usize = 256;

/// One NVIDIA GPU.
#[derive(Debug)]
pub struct Cuda {
    // Dropped in this order: what uses the card before the card.
    kernels: Kernels,
    products: Products,
    rotary: attention::RotaryTables,
    arena: Arc<Arena>,
    pinned: Arc<PinnedPool>,
    card: Arc<Card>,
    options: CudaOptions,
    /// Whether the card and its driver have bulk tensor copies and what goes with them (9.0 alone).
    bulk_copies: bool,
    /// Tokens the arena is laid out for; 0 before `reserve`.
    token_budget: AtomicUsize,
}

/// Activations on the card, `[rows, columns]`; the memory holds rows up to a multiple of 256.
#[derive(Debug)]
pub struct CudaTensor {
    block: Block,
    rows: usize,
    columns: usize,
}

/// A weight matrix on the card, `[rows, columns]`.
#[derive(Debug)]
pub struct CudaMatrix {
    memory: Fixed,
    rows: usize,
    columns: usize,
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
        let products = Products::new(&card, options.dtype).map_err(|e| Unavailable {
            reason: format!("{} cannot be used: {e}", card.name),
            hint: "see `nvidia-smi`: another program may hold the card's memory".into(),
        })?;
        Ok(Cuda {
            kernels: Kernels::new(Arc::clone(&card), options.dtype),
            products,
            rotary: attention::RotaryTables::default(),
            arena: Arena::new(Arc::clone(&card)),
            pinned: Arc::default(),
            bulk_copies: card.capability == 90 && tensor_map::available(),
            card,
            options,
            token_budget: AtomicUsize::new(0),
        })
    }

    /// The card as its driver names it.
    pub fn name(&self) -> &str {
        &self.card.name
    }

    /// The card's compute capability: 90 for 9.0.
    pub fn capability(&self) -> u32 {
        self.card.capability
    }

    /// How the card is used.
    pub fn options(&self) -> CudaOptions {
        self.options
    }

    /// The card's memory: bytes free and bytes in all.
    ///
    /// # Errors
    ///
    /// What the driver says.
    pub fn memory(&self) -> Result<(usize, usize), DeviceError> {
        self.card.memory()
    }

    /// Bytes of activations for batches of `token_budget` tokens whose tensors, as many as live at once, have
    /// `widths` columns; room for results and batches of two batches in flight included.
    pub fn arena_bytes(&self, token_budget: usize, widths: &[usize]) -> usize {
        let rows = token_budget.next_multiple_of(ROW_STEP);
        let tensors: usize = widths.iter().map(|w| self.tensor_bytes(rows, *w)).sum();
        let widest = widths.iter().min().copied().unwrap_or(0);
        // Results: float32 rows of sequences of 16 tokens or more on average; batches: ids, boundaries, items.
        tensors + IN_FLIGHT * (rows / 16 * (widest + 1) * size_of::<f32>() + rows * 32) + (1 << 20)
    }

    /// Lays out the arena: see [`Cuda::arena_bytes`]. No memory is taken from the card by batches after this.
    ///
    /// # Errors
    ///
    /// [`DeviceError::OutOfMemory`] where the card has less.
    pub fn reserve(&self, token_budget: usize, widths: &[usize]) -> Result<(), DeviceError> {
        self.arena.reserve(self.arena_bytes(token_budget, widths))?;
        self.token_budget.store(token_budget, Ordering::Relaxed);
        Ok(())
    }

    /// Bytes of activations taken from the card, and how often more was taken after [`Cuda::reserve`].
    pub fn arena_usage(&self) -> (usize, usize) {
        self.arena.usage()
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

    fn tensor_bytes(&self, rows: usize, columns: usize) -> usize {
        (rows.next_multiple_of(ROW_STEP) * columns * self.options.dtype.bytes()).next_multiple_of(256)
    }

    /// Fresh activations. Up to the token budget every tensor of a width has the same size, and so do its blocks.
    fn tensor(&self, rows: usize, columns: usize) -> Result<CudaTensor, DeviceError> {
        let budget = self.token_budget.load(Ordering::Relaxed);
        let bytes = self.tensor_bytes(if rows <= budget { budget } else { rows }, columns);
        let bytes = if rows <= budget { bytes } else { bytes.next_power_of_two() };
        Ok(CudaTensor { block: self.arena.take(bytes)?, rows, columns })
    }

    /// A batch's own small memory.
    fn small(&self, bytes: usize) -> Result<Block, DeviceError> {
        self.arena.take(bytes.next_power_of_two())
    }
}

/// Batches that `arena_bytes` counts results for.
const IN_FLIGHT: usize = 3;
