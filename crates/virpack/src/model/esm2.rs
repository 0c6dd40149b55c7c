//! ESM-2, written once against the backend trait.

use super::config::Esm2Config;
use super::source::TensorSource;
use super::weights::Weights;
use crate::Error;
use virpack_device::{Attention, Backend, DeviceError, PoolSpan, TokenDropout};

/// ESM-2 of any size on a backend (Lin et al. 2023, "Evolutionary-scale prediction of atomic-level protein
/// structure with a language model").
pub struct Esm2<B: Backend> {
    config: Esm2Config,
    token_embeddings: B::Matrix,
    attention: Attention<B::Vector>,
    layers: Vec<Layer<B>>,
    final_norm: Norm<B>,
}

struct Layer<B: Backend> {
    attention_norm: Norm<B>,
    /// Queries, keys and values in one product: `[3 · hidden, hidden]`.
    qkv: Linear<B>,
    attention_output: Linear<B>,
    mlp_norm: Norm<B>,
    /// `[intermediate, hidden]`.
    mlp_up: Linear<B>,
    /// `[hidden, intermediate]`.
    mlp_down: Linear<B>,
}

struct Linear<B: Backend> {
    weight: B::Matrix,
    bias: B::Vector,
}

struct Norm<B: Backend> {
    weight: B::Vector,
    bias: B::Vector,
}

/// What pooling sees of an ESM-2 sequence: its residues, without `<cls>` and `<eos>`.
pub const RESIDUES: PoolSpan = PoolSpan { skip_first: 1, skip_last: 1 };

/// Share of tokens replaced by `<mask>` when ESM-2 was trained: 15 % chosen, 80 % of them masked.
const MASK_RATIO_IN_TRAINING: f32 = 0.15 * 0.8;

impl<B: Backend> Esm2<B> {
    /// Reads a model onto a backend, one tensor at a time.
    ///
    /// # Errors
    ///
    /// As [`Esm2Config::of`] and [`Weights::read`], and what the backend says.
    pub fn load(backend: &B, weights: &Weights) -> Result<Self, Error> {
        Self::build(backend, Esm2Config::of(weights)?, weights)
    }

    /// Builds a model from tensors of any source.
    ///
    /// # Errors
    ///
    /// What the source and the backend say.
    pub fn build(backend: &B, config: Esm2Config, tensors: &dyn TensorSource) -> Result<Self, Error> {
        let loader = Loader { backend, tensors };
        let hidden = config.hidden;
        let layers = (0..config.layers).map(|i| loader.layer(i, &config)).collect::<Result<_, _>>()?;
        Ok(Esm2 {
            token_embeddings: loader.matrix(&["embeddings.word_embeddings"], config.vocab, hidden)?,
            attention: Attention { heads: config.heads, alibi_slopes: None },
            layers,
            final_norm: loader.norm("encoder.emb_layer_norm_after", hidden)?,
            config,
        })
    }

    /// The model's settings.
    pub fn config(&self) -> &Esm2Config {
        &self.config
    }

    /// Hidden states after `layer` layers, `[tokens, hidden]`; after the last one through the final layer
    /// norm, as fair-esm numbers and returns its representations (0: the embeddings).
    ///
    /// # Errors
    ///
    /// What the backend says.
    pub fn forward(&self, backend: &B, packed: &B::Packed, layer: usize) -> Result<B::Tensor, DeviceError> {
        let eps = self.config.layer_norm_eps;
        let mut x = backend.embed(&self.token_embeddings, packed, self.token_dropout())?;
        for l in &self.layers[..layer] {
            let h = backend.layer_norm(&x, &l.attention_norm.weight, &l.attention_norm.bias, eps)?;
            let qkv = backend.linear(&h, &l.qkv.weight, Some(&l.qkv.bias))?;
            drop(h);
            let h = backend.rotary_attention(qkv, packed, &self.attention)?;
            x = backend.linear_add(&h, &l.attention_output.weight, Some(&l.attention_output.bias), x)?;
            let h = backend.layer_norm(&x, &l.mlp_norm.weight, &l.mlp_norm.bias, eps)?;
            let h = backend.linear_gelu(&h, &l.mlp_up.weight, Some(&l.mlp_up.bias))?;
            x = backend.linear_add(&h, &l.mlp_down.weight, Some(&l.mlp_down.bias), x)?;
        }
        if layer == self.layers.len() {
            x = backend.layer_norm(&x, &self.final_norm.weight, &self.final_norm.bias, eps)?;
        }
        Ok(x)
    }

    fn token_dropout(&self) -> Option<TokenDropout> {
        let mask_token = self.config.mask_token_id as u16;
        self.config.token_dropout.then_some(TokenDropout { mask_token, train_ratio: MASK_RATIO_IN_TRAINING })
    }
}

/// Tensors by name, from the files to the backend.
struct Loader<'a, B: Backend> {
    backend: &'a B,
    tensors: &'a dyn TensorSource,
}

impl<B: Backend> Loader<'_, B> {
    fn layer(&self, i: usize, config: &Esm2Config) -> Result<Layer<B>, Error> {
        let (hidden, intermediate) = (config.hidden, config.intermediate);
        let name = |part: &str| format!("encoder.layer.{i}.{part}");
        let [q, k, v] = ["query", "key", "value"].map(|p| name(&format!("attention.self.{p}")));
        Ok(Layer {
            attention_norm: self.norm(&name("attention.LayerNorm"), hidden)?,
            qkv: self.linear(&[&q, &k, &v], hidden, hidden)?,
            attention_output: self.linear(&[&name("attention.output.dense")], hidden, hidden)?,
            mlp_norm: self.norm(&name("LayerNorm"), hidden)?,
            mlp_up: self.linear(&[&name("intermediate.dense")], intermediate, hidden)?,
            mlp_down: self.linear(&[&name("output.dense")], hidden, intermediate)?,
        })
    }

    /// Linear layers of one shape, stacked into one.
    fn linear(&self, names: &[&str], outputs: usize, inputs: usize) -> Result<Linear<B>, Error> {
        let mut bias = Vec::with_capacity(names.len() * outputs);
        for name in names {
            bias.extend(self.tensors.read(&format!("{name}.bias"), &[outputs])?);
        }
        Ok(Linear { weight: self.matrix(names, outputs, inputs)?, bias: self.backend.vector(bias)? })
    }

    fn matrix(&self, names: &[&str], rows: usize, columns: usize) -> Result<B::Matrix, Error> {
        let mut values = Vec::new();
        for name in names {
            let part = self.tensors.read(&format!("{name}.weight"), &[rows, columns])?;
            if names.len() == 1 {
                values = part;
            } else {
                values.reserve_exact(names.len() * rows * columns - values.len());
                values.extend(part);
            }
        }
        Ok(self.backend.matrix(names.len() * rows, columns, values)?)
    }

    fn norm(&self, name: &str, hidden: usize) -> Result<Norm<B>, Error> {
        Ok(Norm {
            weight: self.backend.vector(self.tensors.read(&format!("{name}.weight"), &[hidden])?)?,
            bias: self.backend.vector(self.tensors.read(&format!("{name}.bias"), &[hidden])?)?,
        })
    }
}
