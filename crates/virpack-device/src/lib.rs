//! Arithmetic of transformers on packed batches, on CPUs and NVIDIA GPUs: one trait [`Backend`], its
//! implementations and their kernels.
//!
//! A model is written once against the trait. A batch is its tokens laid end to end, with the boundaries
//! between sequences (`cu_seqlens`), so that nothing is padded. One program runs on machines with and without
//! CUDA: the driver and its libraries are opened at run time. This is the only crate of virpack with `unsafe`
//! code.
//!
//! # Run a computation on any device
//!
//! ```
//! use virpack_device::{Backend, Cpu, DeviceError, Pool, PoolSpan};
//!
//! /// The mean of each sequence's token embeddings, `[n, 2]`.
//! fn means<B: Backend>(backend: &B, ids: &[u16], cu_seqlens: &[i32]) -> Result<Vec<f32>, DeviceError> {
//!     // A table of 4 tokens with 2 values each.
//!     let table = backend.table(4, 2, vec![0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 1.0, 1.0])?;
//!     let packed = backend.packed(ids, cu_seqlens, 2)?; // the longest sequence has 2 tokens
//!     let x = backend.embed(&table, &packed, None)?; // [tokens, 2]
//!     let all = PoolSpan { skip_first: 0, skip_last: 0 };
//!     backend.wait(backend.pool(&x, &packed, Pool::Mean, all)?)
//! }
//!
//! // Two sequences: tokens 1 and 2, and token 3.
//! assert_eq!(means(&Cpu::new(None)?, &[1, 2, 3], &[0, 2, 3])?, [0.5, 0.5, 1.0, 1.0]);
//! # Ok::<(), DeviceError>(())
//! ```
//!
//! # Take a GPU if there is one
//!
//! ```
//! use virpack_device::{Cpu, Cuda, CudaOptions, Device, Dtype};
//!
//! let device = match Cuda::new(0, CudaOptions::new(Dtype::Bf16)) {
//!     Ok(cuda) => Device::name(&cuda),
//!     Err(why) => {
//!         eprintln!("no GPU: {why}; {}", why.remedy.hint());
//!         Cpu::new(None)?.name()
//!     }
//! };
//! println!("{device}"); // "CPU, 16 threads, AVX-512"
//! # Ok::<(), virpack_device::DeviceError>(())
//! ```
//!
//! `examples/wrap_backend.rs` wraps a backend and counts the products of a model without a change to the
//! model.
//!
//! # Where to look
//!
//! | to | see |
//! | --- | --- |
//! | write a model | [`Backend`], [`Linear`], [`Attention`], [`Epilogue`] |
//! | run on the CPU, or a GPU | [`Cpu`], [`Cuda`] |
//! | turn rows of tokens into one row for each sequence | [`Pool`] |
//! | predict the memory that a model needs on a device | [`Device::footprint`], [`ModelShape`], [`available_memory`] |
//! | add a device | implement [`Backend`] and [`Device`]; the program of tests `conformance` compares it with float64 |
//! | read a file of weights in place | [`MappedFile`] |
//! | keep a file that may be lost | [`user_cache`] |
//! | know whether standard output is closed | [`stdout_was_closed`] |

mod backend;
mod cpu;
mod cuda;
mod device;
mod dtype;
mod error;
mod mapped;
mod memory;
mod operations;
mod pool;
mod shapes;
mod standard_output;
mod user_cache;

pub use backend::{Backend, Epilogue, HostLinear, LayerNorm, Linear, LinearOf};
pub use cpu::{Bf16Instructions, CPU_TOKEN_BUDGET, Cpu, CpuMatrix, CpuPacked, CpuTensor};
pub use cuda::{Cuda, CudaMatrix, CudaOptions, CudaPacked, CudaPending, CudaTensor, CudaVector};
pub use device::{Device, ModelFootprint, ModelShape};
pub use dtype::Dtype;
pub use error::{DeviceError, Remedy, Unavailable};
pub use mapped::MappedFile;
pub use memory::{MemoryLimit, available_memory, memory_limit};
pub use operations::{Attention, TokenDropout, Work, rotary_frequencies};
pub use pool::{Pool, PoolSpan};
pub use standard_output::stdout_was_closed;
pub use user_cache::user_cache;
