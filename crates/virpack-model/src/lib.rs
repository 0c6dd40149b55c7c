//! From a model's name to its weights on a device, and to hidden states: ESM-2, DNABERT-S and VirNucPro's
//! classifier.
//!
//! A model is a directory in Hugging Face's layout, a checkpoint of fair-esm, or a name, whose files are in
//! the standard cache or downloaded into it. Files are checked before a value is read, no code in them is
//! run, and what a model would compute differently is refused. Models are written once, against
//! [`Backend`](virpack_device::Backend).
//!
//! # Embed sequences
//!
//! ```
//! use virpack_device::{Backend, Cpu, Pool};
//! use virpack_model::hub::HubOptions;
//! use virpack_model::weights::Weights;
//! use virpack_model::{Model, local};
//!
//! let location = local("virpack-mini/peptide", &HubOptions::from_env())?.expect("part of the program");
//! let cpu = Cpu::new(None)?;
//! let model = Model::load(&cpu, &Weights::at(&location)?)?;
//!
//! // The tokens of both sequences end to end, and where each begins.
//! let (mut input_ids, mut cu_seqlens) = (Vec::new(), vec![0]);
//! for sequence in ["MKTLLVAGGX", "MKAL"] {
//!     model.tokenizer.tokenize(sequence.as_bytes(), usize::MAX, &mut input_ids);
//!     cu_seqlens.push(input_ids.len() as i32);
//! }
//! let packed = cpu.packed(&input_ids, &cu_seqlens, 12)?; // the longest has 12 tokens
//!
//! let layers = model.encoder.layers();
//! let hidden = model.encoder.forward(&cpu, &packed, layers)?; // [18 tokens, 128]
//! let means = cpu.wait(cpu.pool(&hidden, &packed, Pool::Mean, model.encoder.span())?)?;
//! assert_eq!(means.len(), 2 * model.encoder.hidden_size());
//! # Ok::<(), virpack_model::ModelError>(())
//! ```
//!
//! `examples/embed_sequences.rs` does the same for any model and the sequences in its arguments. For files of
//! sequences, several devices and outputs see `virpack-core`.
//!
//! # Where to look
//!
//! | to | see |
//! | --- | --- |
//! | turn a name into files, and download them | [`local`], [`resolve`], [`hub`] |
//! | read settings or a tokenizer without weights | [`config_of`], [`tokenizer_of`] |
//! | read tensors of any file of weights | [`weights`] |
//! | run a model | [`Model`], [`Encoder`] |
//! | score chunks by VirNucPro's classifier | [`classifier`] |
//! | use the model that is part of the program | [`mini`] |
//! | make a model of random weights, for measurements | [`RandomTensors`], [`Esm2::build`] |

#![forbid(unsafe_code)]

mod checksum;
mod checksum_thread;
pub mod classifier;
mod codon_conv;
mod config;
mod dnabert_s;
mod encoder;
mod error;
mod esm2;
#[doc(hidden)]
pub mod fuzzing;
#[doc(hidden)]
pub mod guarded;
pub mod hub;
mod layers;
mod location;
pub mod mini;
mod model;
mod noted_sums;
pub mod published;
mod resolve;
mod tensor_source;
pub mod weights;

#[doc(hidden)]
pub use checksum::{FileChecksum, sha256_of_all, size_and_sha256};
#[doc(hidden)]
pub use checksum_thread::ChecksumThread;
pub use codon_conv::CodonConv;
pub use config::{CodonConvConfig, DnabertConfig, Esm2Config};
pub use dnabert_s::DnabertS;
pub use encoder::Encoder;
pub use error::{HoldsModelError, ModelError};
pub use esm2::Esm2;
pub use location::{Location, MemoryFile};
pub use model::{Model, ModelConfig};
pub use resolve::{config_of, local, resolve, tokenizer_of};
pub use tensor_source::{RandomTensors, TensorSource};
