//! What a device must be able to do so that every model runs on it.

use crate::DeviceError;
use crate::shapes;
use std::time::Duration;

/// Token dropout as ESM-2 was trained with it: `<mask>` embeddings are zeroed and the others scaled by
/// `(1 - train_ratio) / (1 - share of <mask>)`, the share counted over a sequence's tokens, special ones
/// included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TokenDropout {
    /// The id of `<mask>`.
    pub mask_token: u16,
    /// The share of tokens replaced by `<mask>` in training (0.15 · 0.8 = 0.12 for ESM-2).
    pub train_ratio: f32,
}

/// How a sequence's rows become one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pool {
    /// The mean over the span.
    Mean,
    /// The largest value of each column over the span.
    Max,
    /// The row of the first token.
    Cls,
}

/// Which tokens of a sequence `Pool::Mean` and `Pool::Max` see: all but the first `skip_first` and the last
/// `skip_last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolSpan {
    /// Tokens left out at the start (1 for `<cls>`).
    pub skip_first: usize,
    /// Tokens left out at the end (1 for `<eos>`).
    pub skip_last: usize,
}

/// `1 / 10,000^(2i / width)` for each pair `i` of a head's `width` values, float32: the frequencies of rotary
/// positions as models compute them that do not store them.
pub fn rotary_frequencies(width: usize) -> Vec<f32> {
    (0..width / 2).map(|i| 1.0 / (10_000f64.powf(f64::from((2 * i) as f32 / width as f32)) as f32)).collect()
}

/// A layer norm's parameters, both `[width]`: on the host as `LayerNorm<Vec<f32>>`.
#[derive(Clone, Debug)]
pub struct LayerNorm<V> {
    /// What rows of mean 0 and variance 1 are multiplied by.
    pub weight: V,
    /// What is added then.
    pub bias: V,
    /// What is added to a variance.
    pub eps: f32,
}

/// A layer norm and the linear layer after it, on the backend that made it ([`Backend::normed_linear`]).
#[derive(Debug)]
pub struct NormedLinear<M, V> {
    /// The norm, of the layer's inputs.
    pub norm: LayerNorm<V>,
    /// `[outputs, inputs]`; a backend may have folded the norm into it, and then takes it for nothing else.
    pub weight: M,
    /// `[outputs]`, as `weight`.
    pub bias: V,
}

/// The shape of a layer's attention.
#[derive(Clone, Debug)]
pub struct Attention<V> {
    /// Attention heads; a head is `hidden / heads` wide.
    pub heads: usize,
    /// Rotary positions: radians a position for each pair of a head's values, `[hidden / heads / 2]`; empty
    /// for models without.
    pub rotary_frequencies: Vec<f32>,
    /// ALiBi: `[heads]` slopes; `-slope · |i - j|` is added to every score. None for ESM-2.
    pub alibi_slopes: Option<V>,
}

/// The primitives a model is written with.
///
/// Tensors are row-major. `tokens` is the number of tokens in the batch, `n` the number of its sequences.
/// A method that takes a tensor by value may reuse its memory. The fused methods at the end are defined by
/// their bodies; a backend may override them with something faster that computes the same.
pub trait Backend: Send + Sync {
    /// Activations, `[rows, columns]`, in the backend's own precision.
    type Tensor;
    /// A weight matrix, laid out as the backend's products like it.
    type Matrix: Send + Sync;
    /// A vector of parameters, float32.
    type Vector: Send + Sync;
    /// A batch on the device: token ids and sequence boundaries.
    type Packed;
    /// Values on their way back to the host.
    type Pending;

    /// Uploads the weight matrix of a product: `values` is `[rows, columns]`.
    fn matrix(&self, rows: usize, columns: usize, values: Vec<f32>) -> Result<Self::Matrix, DeviceError>;

    /// Uploads a table that [`Backend::embed`] looks rows up in: `values` is `[rows, columns]`. A matrix that `matrix`
    /// has uploaded is for products.
    fn table(&self, rows: usize, columns: usize, values: Vec<f32>) -> Result<Self::Matrix, DeviceError> {
        self.matrix(rows, columns, values)
    }

    /// Uploads a vector of parameters.
    fn vector(&self, values: Vec<f32>) -> Result<Self::Vector, DeviceError>;

    /// Uploads a batch: `input_ids` `[tokens]`, `cu_seqlens` `[n + 1]` from 0 to `tokens`, `max_seqlen` the
    /// longest sequence in tokens.
    fn packed(
        &self,
        input_ids: &[u16],
        cu_seqlens: &[i32],
        max_seqlen: usize,
    ) -> Result<Self::Packed, DeviceError>;

    /// Rows of `table` `[vocabulary, hidden]` by token id, with token dropout where the model has it:
    /// `[tokens, hidden]`.
    fn embed(
        &self,
        table: &Self::Matrix,
        packed: &Self::Packed,
        dropout: Option<TokenDropout>,
    ) -> Result<Self::Tensor, DeviceError>;

    /// `x · weightᵀ + bias`: `x` `[tokens, in]`, `weight` `[out, in]`, `bias` `[out]`; gives `[tokens, out]`.
    fn linear(
        &self,
        x: &Self::Tensor,
        weight: &Self::Matrix,
        bias: Option<&Self::Vector>,
    ) -> Result<Self::Tensor, DeviceError>;

    /// The exact GELU, `x · (1 + erf(x / √2)) / 2`, element by element.
    fn gelu(&self, x: Self::Tensor) -> Result<Self::Tensor, DeviceError>;

    /// `gelu(gate) · value` of `x` = `[gate | value]` `[tokens, 2 · width]`: `[tokens, width]`.
    fn gated_gelu(&self, x: &Self::Tensor) -> Result<Self::Tensor, DeviceError>;

    /// `x + y`, element by element.
    fn add(&self, x: Self::Tensor, y: &Self::Tensor) -> Result<Self::Tensor, DeviceError>;

    /// Each row of `x` `[tokens, hidden]` to mean 0 and variance 1 (two passes, `eps` under the root), then
    /// `· weight + bias`, both `[hidden]`.
    fn layer_norm(
        &self,
        x: &Self::Tensor,
        weight: &Self::Vector,
        bias: &Self::Vector,
        eps: f32,
    ) -> Result<Self::Tensor, DeviceError>;

    /// Rotary positions on the queries and keys of `qkv` `[tokens, 3 · hidden]`, restarting at each
    /// sequence: halves of a head rotated against each other by position · frequency, in float32.
    fn rotary(
        &self,
        qkv: Self::Tensor,
        packed: &Self::Packed,
        attention: &Attention<Self::Vector>,
    ) -> Result<Self::Tensor, DeviceError>;

    /// Softmax attention inside each sequence, scores scaled by `1 / √(head width)`: `qkv` is
    /// `[tokens, 3 · hidden]` (queries, keys, values); gives `[tokens, hidden]`.
    fn attention(
        &self,
        qkv: &Self::Tensor,
        packed: &Self::Packed,
        attention: &Attention<Self::Vector>,
    ) -> Result<Self::Tensor, DeviceError>;

    /// One row a sequence: `[n, hidden]` float32, on its way to the host.
    fn pool(
        &self,
        x: &Self::Tensor,
        packed: &Self::Packed,
        pool: Pool,
        span: PoolSpan,
    ) -> Result<Self::Pending, DeviceError>;

    /// All rows, `[tokens, columns]` float32, on their way to the host.
    fn read(&self, x: &Self::Tensor) -> Result<Self::Pending, DeviceError>;

    /// Waits for values to arrive.
    fn wait(&self, pending: Self::Pending) -> Result<Vec<f32>, DeviceError>;

    /// Time the device has computed for the batches that were waited for, where it keeps a clock of its own.
    fn busy(&self) -> Option<Duration> {
        None
    }

    /// What a result's bits depend on beside record, weights and precision, a line each, for `run.json`: the kind of device,
    /// its libraries and what was chosen among their ways.
    fn computed_by(&self) -> Vec<String> {
        Vec::new()
    }

    /// From here on batches have at most `tokens` tokens: memory held for larger ones is given back. No tensor of
    /// the backend may be alive.
    fn shrink(&self, tokens: usize) -> Result<(), DeviceError> {
        let _ = tokens;
        Ok(())
    }

    /// Uploads a layer norm and the linear layer after it, as the backend's products like them: `norm` of `[inputs]`,
    /// `weight` `[outputs, inputs]`, `bias` `[outputs]`.
    fn normed_linear(
        &self,
        norm: LayerNorm<Vec<f32>>,
        weight: Vec<f32>,
        bias: Vec<f32>,
    ) -> Result<NormedLinear<Self::Matrix, Self::Vector>, DeviceError> {
        let weight = self.matrix(bias.len(), norm.weight.len(), weight)?;
        let LayerNorm { weight: scale, bias: shift, eps } = norm;
        let norm = LayerNorm { weight: self.vector(scale)?, bias: self.vector(shift)?, eps };
        Ok(NormedLinear { norm, weight, bias: self.vector(bias)? })
    }

    /// [`Backend::normed_linear`] of the queries, keys and values, `[3 · hidden, inputs]`, of so many heads, for
    /// [`Backend::normed_self_attention`] with rotary positions alone. A backend may order the rows of a head's queries and
    /// keys as its rotation likes them: attention is the same where both are ordered alike.
    fn normed_qkv(
        &self,
        norm: LayerNorm<Vec<f32>>,
        weight: Vec<f32>,
        bias: Vec<f32>,
        heads: usize,
    ) -> Result<NormedLinear<Self::Matrix, Self::Vector>, DeviceError> {
        shapes::head_width(bias.len(), heads)?;
        self.normed_linear(norm, weight, bias)
    }

    /// The tensor as products read it: where several take it, it is brought into their form once.
    fn for_products(&self, x: Self::Tensor) -> Result<Self::Tensor, DeviceError> {
        Ok(x)
    }

    /// [`Backend::linear`], then [`Backend::gelu`].
    fn linear_gelu(
        &self,
        x: &Self::Tensor,
        weight: &Self::Matrix,
        bias: Option<&Self::Vector>,
    ) -> Result<Self::Tensor, DeviceError> {
        self.gelu(self.linear(x, weight, bias)?)
    }

    /// `residual + linear(x)`.
    fn linear_add(
        &self,
        x: &Self::Tensor,
        weight: &Self::Matrix,
        bias: Option<&Self::Vector>,
        residual: Self::Tensor,
    ) -> Result<Self::Tensor, DeviceError> {
        self.add(residual, &self.linear(x, weight, bias)?)
    }

    /// [`Backend::linear`] to queries, keys and values, then [`Backend::rotary`].
    fn linear_rotary(
        &self,
        x: &Self::Tensor,
        weight: &Self::Matrix,
        bias: Option<&Self::Vector>,
        packed: &Self::Packed,
        attention: &Attention<Self::Vector>,
    ) -> Result<Self::Tensor, DeviceError> {
        self.rotary(self.linear(x, weight, bias)?, packed, attention)
    }

    /// [`Backend::linear_rotary`], then [`Backend::attention`]. `x` is gone before the result takes memory.
    fn self_attention(
        &self,
        x: Self::Tensor,
        weight: &Self::Matrix,
        bias: Option<&Self::Vector>,
        packed: &Self::Packed,
        attention: &Attention<Self::Vector>,
    ) -> Result<Self::Tensor, DeviceError> {
        let qkv = self.linear_rotary(&x, weight, bias, packed, attention)?;
        drop(x);
        self.attention(&qkv, packed, attention)
    }

    /// [`Backend::layer_norm`], then [`Backend::linear_gelu`].
    fn normed_linear_gelu(
        &self,
        x: &Self::Tensor,
        layer: &NormedLinear<Self::Matrix, Self::Vector>,
    ) -> Result<Self::Tensor, DeviceError> {
        let x = self.layer_norm(x, &layer.norm.weight, &layer.norm.bias, layer.norm.eps)?;
        self.linear_gelu(&x, &layer.weight, Some(&layer.bias))
    }

    /// [`Backend::layer_norm`], then [`Backend::self_attention`].
    fn normed_self_attention(
        &self,
        x: &Self::Tensor,
        layer: &NormedLinear<Self::Matrix, Self::Vector>,
        packed: &Self::Packed,
        attention: &Attention<Self::Vector>,
    ) -> Result<Self::Tensor, DeviceError> {
        let x = self.layer_norm(x, &layer.norm.weight, &layer.norm.bias, layer.norm.eps)?;
        self.self_attention(x, &layer.weight, Some(&layer.bias), packed, attention)
    }
}
