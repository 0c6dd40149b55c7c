//! DNABERT-S and DNABERT-2, written once against the backend trait.

use crate::ModelError;
use crate::config::DnabertConfig;
use crate::encoder::Encoder;
use crate::layers::{Linear, Loader, Norm};
use crate::tensor_source::TensorSource;
use crate::weights::Weights;
use virpack_device::{Attention, Backend, DeviceError, Epilogue, ModelShape, PoolSpan};

/// DNABERT-S (Zhou et al. 2024, "DNABERT-S: pioneering species differentiation with species-aware DNA embeddings")
/// or any other MosaicBERT on a backend: ALiBi in place of positions, gated GELU, norms after each step.
pub struct DnabertS<B: Backend> {
    config: DnabertConfig,
    /// Token embeddings, the embedding of the one token type there is in them.
    token_embeddings: B::Matrix,
    embedding_norm: Norm<B>,
    attention: Attention<B::Vector>,
    layers: Vec<DnabertLayer<B>>,
}

struct DnabertLayer<B: Backend> {
    /// Queries, keys and values in one product: `[3 · hidden, hidden]`.
    qkv: Linear<B>,
    attention_output: Linear<B>,
    attention_norm: Norm<B>,
    /// Gate and value in one product, without a bias: `[2 · intermediate, hidden]`.
    mlp_up: Linear<B>,
    /// `[hidden, intermediate]`.
    mlp_down: Linear<B>,
    mlp_norm: Norm<B>,
}

impl<B: Backend> DnabertS<B> {
    /// Reads a model onto a backend, one tensor at a time.
    ///
    /// # Errors
    ///
    /// As [`DnabertConfig::of`] and [`Weights::read`], and the errors of the backend.
    pub fn load(backend: &B, weights: &Weights) -> Result<Self, ModelError> {
        Self::build(backend, DnabertConfig::of(weights)?, weights)
    }

    /// Builds a model from tensors of any source.
    ///
    /// # Errors
    ///
    /// Returns the errors of the source and the backend.
    pub fn build(backend: &B, config: DnabertConfig, tensors: &dyn TensorSource) -> Result<Self, ModelError> {
        let loader = Loader { backend, tensors, eps: config.layer_norm_eps };
        let layers = (0..config.layers).map(|i| layer(&loader, i, &config)).collect::<Result<_, _>>()?;
        let alibi_slopes = Some(backend.vector(alibi_slopes(config.heads))?);
        Ok(DnabertS {
            token_embeddings: token_embeddings(&loader, &config)?,
            embedding_norm: loader.norm("embeddings.LayerNorm", config.hidden)?,
            attention: Attention { heads: config.heads, rotary_frequencies: Vec::new(), alibi_slopes },
            layers,
            config,
        })
    }

    /// Returns the model's settings.
    pub fn config(&self) -> &DnabertConfig {
        &self.config
    }

    /// `norm(x + attention(x))`.
    fn attend(
        &self,
        backend: &B,
        layer: &DnabertLayer<B>,
        packed: &B::Packed,
        x: B::Tensor,
    ) -> Result<B::Tensor, DeviceError> {
        let qkv = backend.linear(&x, &layer.qkv, Epilogue::None)?;
        let h = backend.attention(&qkv, packed, &self.attention)?;
        drop(qkv);
        let h = backend.for_products(h)?;
        let x = backend.linear(&h, &layer.attention_output, Epilogue::Add(x))?;
        drop(h);
        backend.layer_norm(&x, &layer.attention_norm)
    }
}

impl<B: Backend> DnabertLayer<B> {
    /// `norm(x + down(gelu(gate(x)) · value(x)))`.
    fn feed_forward(&self, backend: &B, x: B::Tensor) -> Result<B::Tensor, DeviceError> {
        let gates = backend.linear(&x, &self.mlp_up, Epilogue::None)?;
        let h = backend.gated_gelu(&gates)?;
        drop(gates);
        let x = backend.linear(&h, &self.mlp_down, Epilogue::Add(x))?;
        drop(h);
        backend.layer_norm(&x, &self.mlp_norm)
    }
}

impl<B: Backend> Encoder<B> for DnabertS<B> {
    fn hidden_size(&self) -> usize {
        self.config.hidden
    }

    fn layers(&self) -> usize {
        self.layers.len()
    }

    /// Returns all tokens, both special ones included, as the model was trained.
    fn span(&self) -> PoolSpan {
        PoolSpan { skip_first: 0, skip_last: 0 }
    }

    fn forward(&self, backend: &B, packed: &B::Packed, layers: usize) -> Result<B::Tensor, DeviceError> {
        let embedded = backend.embed(&self.token_embeddings, packed, None)?;
        let mut x = backend.layer_norm(&embedded, &self.embedding_norm)?;
        drop(embedded);
        for layer in &self.layers[..layers] {
            x = self.attend(backend, layer, packed, x)?;
            x = layer.feed_forward(backend, x)?;
        }
        Ok(x)
    }
}

/// Returns the slopes of ALiBi for that many heads: `2^(-8 i / heads)`, `i` from 1, where that is a power
/// of two; else those of the next lower power, then every second one of the next higher (Press et al. 2022,
/// "Train short, test long").
fn alibi_slopes(heads: usize) -> Vec<f32> {
    let of_power = |power: usize| (1..=power).map(move |i| (-8.0 * i as f64 / power as f64).exp2() as f32);
    let higher = heads.next_power_of_two();
    if higher == heads {
        return of_power(heads).collect();
    }
    let lower = higher / 2;
    of_power(lower).chain(of_power(higher).step_by(2).take(heads - lower)).collect()
}

/// Adds the embedding of the only token type of a packed batch, once.
fn token_embeddings<B: Backend>(
    loader: &Loader<'_, B>,
    config: &DnabertConfig,
) -> Result<B::Matrix, ModelError> {
    let (rows, columns) = (config.vocab, config.hidden);
    let mut table = loader.tensors.read("embeddings.word_embeddings.weight", &[rows, columns])?;
    let types = "embeddings.token_type_embeddings.weight";
    let types = loader.tensors.read(types, &[config.token_types, columns])?;
    for row in table.chunks_exact_mut(columns) {
        row.iter_mut().zip(&types).for_each(|(value, first_type)| *value += first_type);
    }
    Ok(loader.backend.table(rows, columns, table)?)
}

fn layer<B: Backend>(
    loader: &Loader<'_, B>,
    i: usize,
    config: &DnabertConfig,
) -> Result<DnabertLayer<B>, ModelError> {
    let (hidden, intermediate) = (config.hidden, config.intermediate);
    let name = |part: &str| format!("encoder.layer.{i}.{part}");
    Ok(DnabertLayer {
        qkv: loader.linear(&[&name("attention.self.Wqkv")], 3 * hidden, hidden)?,
        attention_output: loader.linear(&[&name("attention.output.dense")], hidden, hidden)?,
        attention_norm: loader.norm(&name("attention.output.LayerNorm"), hidden)?,
        mlp_up: loader.linear_without_bias(&name("mlp.gated_layers"), 2 * intermediate, hidden)?,
        mlp_down: loader.linear(&[&name("mlp.wo")], hidden, intermediate)?,
        mlp_norm: loader.norm(&name("mlp.layernorm"), hidden)?,
    })
}

impl DnabertConfig {
    /// Returns what a model of these settings holds.
    ///
    /// Of a layer's tensors the residual stream and its next version (or the attention's output) live at
    /// once, both `hidden` wide, beside the queries, keys and values (`3 · hidden`), or gates and values (`2
    /// · intermediate`) and what becomes of them. `tests/footprint.rs` of `virpack-core` compares this with
    /// what the CPU takes.
    #[must_use]
    pub fn shape(&self) -> ModelShape {
        let table = [self.vocab, self.hidden];
        let (matrices, vector_values) =
            ModelShape::weights(&self.tensors(), table, &self.products(), self.layers);
        let (hidden, intermediate) = (self.hidden, self.intermediate);
        ModelShape {
            matrices,
            sensitive_values: 0,
            vector_values,
            products: self.products().to_vec(),
            widths: vec![hidden, hidden, intermediate.max(hidden), (2 * intermediate).max(3 * hidden)],
            hidden,
            pooled: hidden,
            head_width: hidden / self.heads,
            stored_in_16_bits: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against the numbers that MosaicBERT's `_get_alibi_head_slopes` gives.
    #[test]
    fn slopes_are_those_of_the_reference() {
        assert_eq!(alibi_slopes(1), [0.003_906_25]);
        assert_eq!(alibi_slopes(8), [0.5, 0.25, 0.125, 0.0625, 0.03125, 0.015625, 0.0078125, 0.00390625]);
        let twelve = alibi_slopes(12);
        assert_eq!(twelve[..8], alibi_slopes(8));
        for (given, expected) in twelve[8..].iter().zip([-0.5f64, -1.5, -2.5, -3.5]) {
            assert_eq!(*given, expected.exp2() as f32);
        }
        assert_eq!(alibi_slopes(3), [0.0625, 0.00390625, 0.25]);
    }
}
