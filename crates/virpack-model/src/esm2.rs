//! ESM-2, written once against the backend trait.

use crate::ModelError;
use crate::config::{Esm2Config, ROTARY_FREQUENCIES};
use crate::encoder::Encoder;
use crate::layers::{Linear, Loader, Norm};
use crate::tensor_source::TensorSource;
use crate::weights::Weights;
use virpack_device::{
    Attention, Backend, DeviceError, Epilogue, ModelShape, PoolSpan, TokenDropout, rotary_frequencies,
};

/// ESM-2 of any size on a backend (Lin et al. 2023, "Evolutionary-scale prediction of atomic-level protein
/// structure with a language model").
pub struct Esm2<B: Backend> {
    config: Esm2Config,
    token_embeddings: B::Matrix,
    attention: Attention<B::Vector>,
    layers: Vec<Esm2Layer<B>>,
    final_norm: Norm<B>,
}

struct Esm2Layer<B: Backend> {
    /// The norm, then queries, keys and values in one product: `[3 · hidden, hidden]`.
    qkv: Linear<B>,
    attention_output: Linear<B>,
    /// The norm, then `[intermediate, hidden]`.
    mlp_up: Linear<B>,
    /// `[hidden, intermediate]`.
    mlp_down: Linear<B>,
}

/// Share of tokens replaced by `<mask>` when ESM-2 was trained: 15 % chosen, 80 % of them masked.
const MASK_RATIO_IN_TRAINING: f32 = 0.15 * 0.8;

impl<B: Backend> Esm2<B> {
    /// Reads a model onto a backend, one tensor at a time.
    ///
    /// # Errors
    ///
    /// As [`Esm2Config::of`] and [`Weights::read`], and the errors of the backend.
    ///
    /// ```
    /// use virpack_device::Cpu;
    /// use virpack_model::weights::Weights;
    /// use virpack_model::{Esm2, mini};
    ///
    /// let weights = Weights::at(&mini::location().join("peptide"))?;
    /// assert_eq!(Esm2::load(&Cpu::new(None)?, &weights)?.config().hidden, 128);
    /// # Ok::<(), virpack_model::ModelError>(())
    /// ```
    pub fn load(backend: &B, weights: &Weights) -> Result<Self, ModelError> {
        Self::build(backend, Esm2Config::of(weights)?, weights)
    }

    /// Builds a model from tensors of any source.
    ///
    /// # Errors
    ///
    /// Returns the errors of the source and the backend.
    ///
    /// ```
    /// use virpack_device::Cpu;
    /// use virpack_model::{Esm2, Esm2Config, RandomTensors};
    ///
    /// // The shape of 8M with random weights, to measure speed.
    /// let config = Esm2Config::published(6, 320, 20);
    /// let model = Esm2::build(&Cpu::new(None)?, config, &RandomTensors { seed: 1 })?;
    /// assert_eq!(model.config().parameters(), 7_408_960);
    /// # Ok::<(), virpack_model::ModelError>(())
    /// ```
    pub fn build(backend: &B, config: Esm2Config, tensors: &dyn TensorSource) -> Result<Self, ModelError> {
        let loader = Loader { backend, tensors, eps: config.layer_norm_eps };
        let layers = (0..config.layers).map(|i| layer(&loader, i, &config)).collect::<Result<_, _>>()?;
        Ok(Esm2 {
            token_embeddings: loader.table("embeddings.word_embeddings", config.vocab, config.hidden)?,
            attention: attention(&loader, &config)?,
            layers,
            final_norm: loader.norm("encoder.emb_layer_norm_after", config.hidden)?,
            config,
        })
    }

    /// Returns the model's settings.
    pub fn config(&self) -> &Esm2Config {
        &self.config
    }

    fn token_dropout(&self) -> Option<TokenDropout> {
        let mask_token = self.config.mask_token_id as u16;
        self.config.token_dropout.then_some(TokenDropout { mask_token, train_ratio: MASK_RATIO_IN_TRAINING })
    }

    /// `x + attention(norm(x))`.
    fn attend(
        &self,
        backend: &B,
        layer: &Esm2Layer<B>,
        packed: &B::Packed,
        x: B::Tensor,
    ) -> Result<B::Tensor, DeviceError> {
        let h = backend.self_attention(&x, &layer.qkv, packed, &self.attention)?;
        backend.linear(&h, &layer.attention_output, Epilogue::Add(x))
    }
}

impl<B: Backend> Encoder<B> for Esm2<B> {
    fn hidden_size(&self) -> usize {
        self.config.hidden
    }

    fn layers(&self) -> usize {
        self.layers.len()
    }

    fn span(&self) -> PoolSpan {
        PoolSpan { skip_first: 1, skip_last: 1 }
    }

    fn forward(&self, backend: &B, packed: &B::Packed, layers: usize) -> Result<B::Tensor, DeviceError> {
        let mut x = backend.embed(&self.token_embeddings, packed, self.token_dropout())?;
        for layer in &self.layers[..layers] {
            x = self.attend(backend, layer, packed, x)?;
            x = backend.feed_forward(x, &layer.mlp_up, &layer.mlp_down)?;
        }
        if layers == self.layers.len() { backend.layer_norm(&x, &self.final_norm) } else { Ok(x) }
    }
}

/// Returns whether embeddings follow a layer's queries, keys and values more closely than its other
/// products: rounded to eight bits, those of the second half of the layers make a third of the error's
/// variance (dev/cuda.md).
fn is_sensitive(layer: usize, config: &Esm2Config) -> bool {
    2 * layer >= config.layers
}

fn layer<B: Backend>(
    loader: &Loader<'_, B>,
    i: usize,
    config: &Esm2Config,
) -> Result<Esm2Layer<B>, ModelError> {
    let (hidden, intermediate) = (config.hidden, config.intermediate);
    let name = |part: &str| format!("encoder.layer.{i}.{part}");
    let [q, k, v] = ["query", "key", "value"].map(|p| name(&format!("attention.self.{p}")));
    Ok(Esm2Layer {
        qkv: loader.normed_qkv(
            &name("attention.LayerNorm"),
            &[&q, &k, &v],
            [hidden, config.heads],
            is_sensitive(i, config),
        )?,
        attention_output: loader.linear(&[&name("attention.output.dense")], hidden, hidden)?,
        mlp_up: loader.normed_linear(
            &name("LayerNorm"),
            &[&name("intermediate.dense")],
            intermediate,
            hidden,
        )?,
        mlp_down: loader.linear(&[&name("output.dense")], hidden, intermediate)?,
    })
}

/// Returns the frequencies of the published checkpoints, which store them, rounded to float16 as in
/// training: up to 4e-4 from the formula, which moves embeddings by 1e-3. fair-esm and transformers use
/// what is stored.
fn attention<B: Backend>(
    loader: &Loader<'_, B>,
    config: &Esm2Config,
) -> Result<Attention<B::Vector>, ModelError> {
    let width = config.hidden / config.heads;
    // `Esm2Config::check` has checked that all are equal.
    let stored = loader.tensors.ending(ROTARY_FREQUENCIES).into_iter().next();
    let frequencies = stored.map(|name| loader.tensors.read(name, &[width / 2])).transpose()?;
    let rotary_frequencies = frequencies.unwrap_or_else(|| rotary_frequencies(width));
    Ok(Attention { heads: config.heads, rotary_frequencies, alibi_slopes: None })
}

impl Esm2Config {
    /// Returns what a model of these settings holds.
    ///
    /// Of a layer's tensors the residual stream and the normed rows (where a backend has any) live at once,
    /// both `hidden` wide, beside either the queries, keys and values (`3 · hidden`; the attention's output
    /// takes the normed rows' place) or the feed-forward rows, which take the memory of the queries, keys and
    /// values. All layers use the same memory. `tests/footprint.rs` of `virpack-core` compares this with what
    /// the CPU takes.
    #[must_use]
    pub fn shape(&self) -> ModelShape {
        let table = [self.vocab, self.hidden];
        let sensitive = (0..self.layers).filter(|layer| is_sensitive(*layer, self)).count() as u64;
        let (matrices, vector_values) =
            ModelShape::weights(&self.tensors(), table, &self.products(), self.layers);
        ModelShape {
            matrices,
            sensitive_values: sensitive * (3 * self.hidden * self.hidden) as u64,
            vector_values,
            products: self.products().to_vec(),
            widths: vec![self.hidden, self.hidden, self.intermediate.max(3 * self.hidden)],
            hidden: self.hidden,
            pooled: self.hidden,
            head_width: self.hidden / self.heads,
            stored_in_16_bits: false,
        }
    }
}
