//! What a device must be able to do so that every model runs on it.

mod layers;

use crate::error::DeviceError;
use crate::operations::{Attention, TokenDropout, Work};
use crate::pool::{Pool, PoolSpan};
use std::time::Duration;

pub use layers::{Epilogue, HostLinear, LayerNorm, Linear, LinearOf};

/// The primitives a model is written with.
///
/// Tensors are row-major. `tokens` is the number of tokens in the batch, `n` the number of its sequences.
/// A method that takes a tensor by value may reuse its memory. The methods with a body are defined by it; a backend may
/// override them with something faster that computes the same. `examples/wrap_backend.rs` implements the
/// trait around any other backend.
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
    ///
    /// ```
    /// use virpack_device::{Backend, Cpu};
    ///
    /// let cpu = Cpu::new(None)?;
    /// let packed = cpu.packed(&[0, 4, 2, 0, 5, 6, 2], &[0, 3, 7], 4)?; // sequences of 3 and of 4 tokens
    /// let error = cpu.packed(&[0, 4, 2], &[0, 3, 3], 3).unwrap_err(); // the second has no token
    /// assert!(error.to_string().starts_with("packed: expected cu_seqlens rising from 0 to 3, given 3"));
    /// # Ok::<(), virpack_device::DeviceError>(())
    /// ```
    fn packed(
        &self,
        input_ids: &[u16],
        cu_seqlens: &[i32],
        max_seqlen: usize,
    ) -> Result<Self::Packed, DeviceError>;

    /// Rows of `table` `[vocabulary, hidden]` by token id, with token dropout where the model has it:
    /// `[tokens, hidden]`.
    ///
    /// ```
    /// use virpack_device::{Backend, Cpu};
    ///
    /// let cpu = Cpu::new(None)?;
    /// let table = cpu.table(3, 2, vec![0.0, 0.1, 1.0, 1.1, 2.0, 2.1])?;
    /// let packed = cpu.packed(&[2, 0], &[0, 2], 2)?;
    /// assert_eq!(cpu.embed(&table, &packed, None)?.values(), [2.0, 2.1, 0.0, 0.1]);
    /// # Ok::<(), virpack_device::DeviceError>(())
    /// ```
    fn embed(
        &self,
        table: &Self::Matrix,
        packed: &Self::Packed,
        dropout: Option<TokenDropout>,
    ) -> Result<Self::Tensor, DeviceError>;

    /// Returns the sum of a row of `table` for each token of a window around a token, inside its sequence,
    /// and of `bias` `[hidden]`: `[tokens, hidden]`. `table` is `[window · vocabulary, hidden]`, a table
    /// for each place of the window, which has an odd number of them; the middle one is the token's own.
    ///
    /// ```
    /// use virpack_device::{Backend, Cpu};
    ///
    /// let cpu = Cpu::new(None)?;
    /// let table = cpu.table(6, 1, vec![1.0, 2.0, 10.0, 20.0, 100.0, 200.0])?; // before, own, after
    /// let packed = cpu.packed(&[0, 1, 1], &[0, 2, 3], 2)?; // sequences of 2 tokens and of 1
    /// let x = cpu.embed_window(&table, 3, &vec![0.5], &packed)?;
    /// assert_eq!(x.values(), [210.5, 21.5, 20.5]);
    /// # Ok::<(), virpack_device::DeviceError>(())
    /// ```
    fn embed_window(
        &self,
        table: &Self::Matrix,
        window: usize,
        bias: &Self::Vector,
        packed: &Self::Packed,
    ) -> Result<Self::Tensor, DeviceError>;

    /// Returns the rows of a window around each row of `x` `[tokens, columns]`, side by side, zeros for
    /// those outside its sequence: `[tokens, window · columns]`. A window has an odd number of rows.
    ///
    /// ```
    /// use virpack_device::{Backend, Cpu};
    ///
    /// let cpu = Cpu::new(None)?;
    /// let packed = cpu.packed(&[0, 0, 0], &[0, 2, 3], 2)?; // sequences of 2 tokens and of 1
    /// let y = cpu.unfold(&cpu.tensor(3, 1, &[1.0, 2.0, 3.0])?, &packed, 3)?;
    /// assert_eq!(y.values(), [0.0, 1.0, 2.0, 1.0, 2.0, 0.0, 0.0, 3.0, 0.0]);
    /// # Ok::<(), virpack_device::DeviceError>(())
    /// ```
    fn unfold(
        &self,
        x: &Self::Tensor,
        packed: &Self::Packed,
        window: usize,
    ) -> Result<Self::Tensor, DeviceError>;

    /// `x · weightᵀ + bias`: `x` `[tokens, in]`, `weight` `[out, in]`, `bias` `[out]`; gives `[tokens, out]`.
    fn product(
        &self,
        x: &Self::Tensor,
        weight: &Self::Matrix,
        bias: Option<&Self::Vector>,
    ) -> Result<Self::Tensor, DeviceError>;

    /// Returns the exact GELU, `x · (1 + erf(x / √2)) / 2`, element by element.
    ///
    /// ```
    /// use virpack_device::{Backend, Cpu};
    ///
    /// let cpu = Cpu::new(None)?;
    /// let y = cpu.gelu(cpu.tensor(1, 2, &[1.0, -1.0])?)?;
    /// assert!((y.values()[0] - 0.841_344_7).abs() < 1e-6 && (y.values()[1] + 0.158_655_3).abs() < 1e-6);
    /// # Ok::<(), virpack_device::DeviceError>(())
    /// ```
    fn gelu(&self, x: Self::Tensor) -> Result<Self::Tensor, DeviceError>;

    /// `gelu(gate) · value` of `x` = `[gate | value]` `[tokens, 2 · width]`: `[tokens, width]`.
    ///
    /// ```
    /// use virpack_device::{Backend, Cpu};
    ///
    /// let cpu = Cpu::new(None)?;
    /// let y = cpu.gated_gelu(&cpu.tensor(1, 4, &[0.0, 20.0, 5.0, 6.0])?)?; // gates 0 and 20, values 5 and 6
    /// assert_eq!(y.values(), [0.0, 120.0]);
    /// # Ok::<(), virpack_device::DeviceError>(())
    /// ```
    fn gated_gelu(&self, x: &Self::Tensor) -> Result<Self::Tensor, DeviceError>;

    /// `x + y`, element by element.
    fn add(&self, x: Self::Tensor, y: &Self::Tensor) -> Result<Self::Tensor, DeviceError>;

    /// Each row of `x` `[tokens, hidden]` to mean 0 and variance 1 (two passes, `eps` under the root), then
    /// `· weight + bias`, both `[hidden]`.
    fn layer_norm(
        &self,
        x: &Self::Tensor,
        norm: &LayerNorm<Self::Vector>,
    ) -> Result<Self::Tensor, DeviceError>;

    /// Rotary positions on the queries and keys of `qkv` `[tokens, 3 · hidden]`, restarting at each
    /// sequence: halves of a head rotated against each other by position · frequency, in float32.
    ///
    /// ```
    /// use virpack_device::{Attention, Backend, Cpu};
    ///
    /// let cpu = Cpu::new(None)?;
    /// let attention = Attention { heads: 1, rotary_frequencies: vec![1.0], alibi_slopes: None };
    /// let packed = cpu.packed(&[0, 0], &[0, 2], 2)?;
    /// let row = [1.0, 0.0, 1.0, 0.0, 7.0, 8.0]; // a query, a key and a value of width 2
    /// let turned = cpu.rotary(cpu.tensor(2, 6, &[row, row].concat())?, &packed, &attention)?;
    /// assert_eq!(turned.values()[..6], row); // position 0
    /// let expected = [1f32.cos(), 1f32.sin(), 1f32.cos(), 1f32.sin(), 7.0, 8.0]; // position 1: by 1 radian
    /// assert!(turned.values()[6..].iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6));
    /// # Ok::<(), virpack_device::DeviceError>(())
    /// ```
    fn rotary(
        &self,
        qkv: Self::Tensor,
        packed: &Self::Packed,
        attention: &Attention<Self::Vector>,
    ) -> Result<Self::Tensor, DeviceError>;

    /// Softmax attention inside each sequence, scores scaled by `1 / √(head width)`: `qkv` is
    /// `[tokens, 3 · hidden]` (queries, keys, values); gives `[tokens, hidden]`.
    ///
    /// ```
    /// use virpack_device::{Attention, Backend, Cpu};
    ///
    /// let cpu = Cpu::new(None)?;
    /// let attention = Attention { heads: 1, rotary_frequencies: vec![], alibi_slopes: None };
    /// let packed = cpu.packed(&[0, 0, 0], &[0, 2, 3], 2)?; // sequences of 2 tokens and of 1
    /// let value = |v: f32| [0.0, 0.0, 0.0, 0.0, v, -v]; // queries and keys of 0 weigh all tokens alike
    /// let qkv = cpu.tensor(3, 6, &[value(1.0), value(3.0), value(5.0)].concat())?;
    /// let y = cpu.attention(&qkv, &packed, &attention)?;
    /// assert_eq!(y.values(), [2.0, -2.0, 2.0, -2.0, 5.0, -5.0]); // no sequence sees the other
    /// # Ok::<(), virpack_device::DeviceError>(())
    /// ```
    fn attention(
        &self,
        qkv: &Self::Tensor,
        packed: &Self::Packed,
        attention: &Attention<Self::Vector>,
    ) -> Result<Self::Tensor, DeviceError>;

    /// One row a sequence: `[n, pool.width(hidden)]` float32, to be waited for.
    fn pool(
        &self,
        x: &Self::Tensor,
        packed: &Self::Packed,
        pool: Pool,
        span: PoolSpan,
    ) -> Result<Self::Pending, DeviceError>;

    /// Starts a copy of all rows, `[tokens, columns]` float32, to the host.
    fn read(&self, x: &Self::Tensor) -> Result<Self::Pending, DeviceError>;

    /// Waits for values to arrive.
    fn wait(&self, pending: Self::Pending) -> Result<Vec<f32>, DeviceError>;

    /// Time the device has computed for the batches that were waited for, where it keeps a clock of its own.
    fn busy(&self) -> Option<Duration> {
        None
    }

    /// Returns what a result's bits depend on beside record, weights and precision, a line each, for
    /// `run.json`: the kind of device, its libraries and what was chosen among their ways.
    fn computed_by(&self) -> Vec<String> {
        Vec::new()
    }

    /// Returns what the time of all batches so far went to, where the backend keeps account.
    ///
    /// ```
    /// use virpack_device::{Backend, Cpu};
    ///
    /// let cpu = Cpu::new(None)?;
    /// cpu.gelu(cpu.tensor(1, 2, &[1.0, -1.0])?)?;
    /// assert!(cpu.work().is_some_and(|work| work.products.is_zero() && !work.rest.is_zero()));
    /// # Ok::<(), virpack_device::DeviceError>(())
    /// ```
    fn work(&self) -> Option<Work> {
        None
    }

    /// From here on batches have at most `tokens` tokens: memory held for larger ones is given back. No tensor of
    /// the backend may be alive.
    fn shrink(&self, tokens: usize) -> Result<(), DeviceError> {
        let _ = tokens;
        Ok(())
    }

    /// Uploads a linear layer `[outputs, inputs]`, as the backend's products like it.
    ///
    /// `rotated_heads`: it gives the queries, keys and values of that many heads, `[3 · hidden, inputs]`, to
    /// [`Backend::self_attention`] alone. A backend may order the rows of a head's queries and keys as its rotation likes
    /// them: attention is the same where both are ordered alike.
    fn linear_layer(
        &self,
        shape: [usize; 2],
        layer: HostLinear,
        rotated_heads: Option<usize>,
    ) -> Result<LinearOf<Self>, DeviceError> {
        layer.check(shape, rotated_heads)?;
        layer.upload(self, shape)
    }

    /// Uploads a linear layer that a model's result follows more closely than others: as
    /// [`Backend::linear_layer`]. A backend whose weights have fewer bits than its activations may leave this
    /// one's in the activations' precision.
    ///
    /// ```
    /// use virpack_device::{Backend, Cpu, Epilogue, HostLinear};
    ///
    /// let cpu = Cpu::new(None)?;
    /// let layer = HostLinear { norm: None, weight: vec![1.0, 2.0], bias: Some(vec![0.5]) };
    /// let layer = cpu.sensitive_layer([1, 2], layer, None)?;
    /// assert_eq!(cpu.linear(&cpu.tensor(1, 2, &[3.0, 4.0])?, &layer, Epilogue::None)?.values(), [11.5]);
    /// # Ok::<(), virpack_device::DeviceError>(())
    /// ```
    fn sensitive_layer(
        &self,
        shape: [usize; 2],
        layer: HostLinear,
        rotated_heads: Option<usize>,
    ) -> Result<LinearOf<Self>, DeviceError> {
        self.linear_layer(shape, layer, rotated_heads)
    }

    /// Returns the tensor as products read it: where several take it, it is brought into their form once.
    fn for_products(&self, x: Self::Tensor) -> Result<Self::Tensor, DeviceError> {
        Ok(x)
    }

    /// Returns a linear layer, from [`Backend::layer_norm`] where it has a norm to what follows its
    /// product. All fused products are ways of this one method.
    ///
    /// ```
    /// use virpack_device::{Backend, Cpu, Epilogue, HostLinear, LayerNorm};
    ///
    /// let cpu = Cpu::new(None)?;
    /// let norm = Some(LayerNorm { weight: vec![1.0, 1.0], bias: vec![0.0, 0.0], eps: 0.0 });
    /// let layer = HostLinear { norm, weight: vec![1.0, 1.0, 1.0, -1.0], bias: None };
    /// let layer = cpu.linear_layer([2, 2], layer, None)?;
    /// let x = cpu.tensor(1, 2, &[3.0, 5.0])?; // -1 and 1 after the norm
    /// let y = cpu.linear(&x, &layer, Epilogue::Add(cpu.tensor(1, 2, &[10.0, 20.0])?))?;
    /// assert_eq!(y.values(), [10.0, 18.0]);
    /// # Ok::<(), virpack_device::DeviceError>(())
    /// ```
    fn linear(
        &self,
        x: &Self::Tensor,
        layer: &LinearOf<Self>,
        then: Epilogue<'_, Self>,
    ) -> Result<Self::Tensor, DeviceError> {
        let normed = layer.norm.as_ref().map(|norm| self.layer_norm(x, norm)).transpose()?;
        let y = self.product(normed.as_ref().unwrap_or(x), &layer.weight, layer.bias.as_ref())?;
        drop(normed);
        then.apply(self, y)
    }

    /// Returns a convolution: [`Backend::layer_norm`] of `x` `[tokens, columns]`, [`Backend::unfold`], then
    /// [`Backend::linear`] of a layer `[outputs, window · columns]` without a norm of its own, and what
    /// follows it.
    ///
    /// ```
    /// use virpack_device::{Backend, Cpu, Epilogue, HostLinear, LayerNorm};
    ///
    /// let cpu = Cpu::new(None)?;
    /// let norm = LayerNorm { weight: vec![1.0, 1.0], bias: vec![0.0, 0.0], eps: 0.0 }.upload(&cpu)?;
    /// let weight = vec![1.0, 0.0, 10.0, 0.0, 100.0, 0.0]; // the first columns of three rows
    /// let layer = cpu.linear_layer([1, 6], HostLinear { norm: None, weight, bias: None }, None)?;
    /// let packed = cpu.packed(&[0, 0, 0], &[0, 2, 3], 2)?;
    /// let x = cpu.tensor(3, 2, &[3.0, 5.0, 5.0, 3.0, 3.0, 5.0])?; // first column: -1, 1, -1 after the norm
    /// let y = cpu.window_linear(&x, &norm, &layer, &packed, 3, Epilogue::None)?;
    /// assert_eq!(y.values(), [90.0, 9.0, -10.0]);
    /// # Ok::<(), virpack_device::DeviceError>(())
    /// ```
    fn window_linear(
        &self,
        x: &Self::Tensor,
        norm: &LayerNorm<Self::Vector>,
        layer: &LinearOf<Self>,
        packed: &Self::Packed,
        window: usize,
        then: Epilogue<'_, Self>,
    ) -> Result<Self::Tensor, DeviceError> {
        let normed = self.layer_norm(x, norm)?;
        let rows = self.unfold(&normed, packed, window)?;
        drop(normed);
        self.linear(&rows, layer, then)
    }

    /// [`Backend::linear`] to queries, keys and values with rotary positions, then [`Backend::attention`].
    fn self_attention(
        &self,
        x: &Self::Tensor,
        layer: &LinearOf<Self>,
        packed: &Self::Packed,
        attention: &Attention<Self::Vector>,
    ) -> Result<Self::Tensor, DeviceError> {
        let qkv = self.linear(x, layer, Epilogue::Rotary(packed, attention))?;
        self.attention(&qkv, packed, attention)
    }

    /// Returns a feed-forward part with its residual, `x + down(gelu(up(x)))`: [`Backend::linear`] twice.
    ///
    /// ```
    /// use virpack_device::{Backend, Cpu, HostLinear};
    ///
    /// let cpu = Cpu::new(None)?;
    /// let layer = |weight| HostLinear { norm: None, weight, bias: None };
    /// let up = cpu.linear_layer([2, 1], layer(vec![10.0, 20.0]), None)?; // GELU changes neither
    /// let down = cpu.linear_layer([1, 2], layer(vec![1.0, 1.0]), None)?;
    /// assert_eq!(cpu.feed_forward(cpu.tensor(1, 1, &[1.0])?, &up, &down)?.values(), [31.0]);
    /// # Ok::<(), virpack_device::DeviceError>(())
    /// ```
    fn feed_forward(
        &self,
        x: Self::Tensor,
        up: &LinearOf<Self>,
        down: &LinearOf<Self>,
    ) -> Result<Self::Tensor, DeviceError> {
        let h = self.linear(&x, up, Epilogue::Gelu)?;
        self.linear(&h, down, Epilogue::Add(x))
    }
}
