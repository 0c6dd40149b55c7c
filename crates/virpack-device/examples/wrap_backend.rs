//! A wrapper around any backend that counts the products of a model and the time they take, without a change
//! to the model.
//!
//! ```text
//! cargo run --release -p virpack-device --example wrap_backend -- [tokens] [hidden]
//! ```
//!
//! It prints one row for each shape of a product: calls, multiplications and additions, milliseconds,
//! GFLOP/s.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use virpack_device::{
    Attention, Backend, Cpu, DeviceError, Epilogue, LayerNorm, Linear, LinearOf, Pool, PoolSpan,
    TokenDropout, rotary_frequencies,
};

/// The products of one shape.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Products {
    /// How many there were.
    pub(crate) calls: u64,
    /// Multiplications and additions, of all of them.
    pub(crate) operations: u64,
    /// Time that they took, with what follows them. On a device that computes behind its caller: until it had
    /// the order.
    pub(crate) time: Duration,
}

/// A backend that counts the products which another one computes.
pub(crate) struct Counting<B: Backend> {
    backend: B,
    /// By `[outputs, inputs]`.
    products: Mutex<BTreeMap<[usize; 2], Products>>,
}

/// An uploaded weight matrix, with the shape that the count needs.
pub(crate) struct Matrix<B: Backend> {
    shape: [usize; 2],
    uploaded: B::Matrix,
}

/// An uploaded batch, with the number of its tokens.
pub(crate) struct Packed<B: Backend> {
    tokens: usize,
    uploaded: B::Packed,
}

/// Activations, with the number of their rows.
pub(crate) struct Tensor<B: Backend> {
    rows: usize,
    values: B::Tensor,
}

impl<B: Backend> Counting<B> {
    /// Wraps a backend. Nothing is counted yet.
    pub(crate) fn new(backend: B) -> Self {
        Counting { backend, products: Mutex::default() }
    }

    /// The products so far, by the shape `[outputs, inputs]` of their weight.
    pub(crate) fn products(&self) -> BTreeMap<[usize; 2], Products> {
        self.products.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn counted<T>(&self, rows: usize, shape: [usize; 2], product: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let result = product();
        let time = began.elapsed();
        let mut products = self.products.lock().unwrap_or_else(PoisonError::into_inner);
        let counted = products.entry(shape).or_default();
        counted.calls += 1;
        counted.operations += 2 * (rows * shape[0] * shape[1]) as u64;
        counted.time += time;
        result
    }
}

/// The other methods keep their default bodies, which call these: a product's epilogue is then a pass of its
/// own.
impl<B: Backend> Backend for Counting<B> {
    type Tensor = Tensor<B>;
    type Matrix = Matrix<B>;
    type Vector = B::Vector;
    type Packed = Packed<B>;
    type Pending = B::Pending;

    fn matrix(&self, rows: usize, columns: usize, values: Vec<f32>) -> Result<Matrix<B>, DeviceError> {
        let uploaded = self.backend.matrix(rows, columns, values)?;
        Ok(Matrix { shape: [rows, columns], uploaded })
    }

    fn table(&self, rows: usize, columns: usize, values: Vec<f32>) -> Result<Matrix<B>, DeviceError> {
        let uploaded = self.backend.table(rows, columns, values)?;
        Ok(Matrix { shape: [rows, columns], uploaded })
    }

    fn vector(&self, values: Vec<f32>) -> Result<B::Vector, DeviceError> {
        self.backend.vector(values)
    }

    fn packed(
        &self,
        input_ids: &[u16],
        cu_seqlens: &[i32],
        max_seqlen: usize,
    ) -> Result<Packed<B>, DeviceError> {
        let uploaded = self.backend.packed(input_ids, cu_seqlens, max_seqlen)?;
        Ok(Packed { tokens: input_ids.len(), uploaded })
    }

    fn embed(
        &self,
        table: &Matrix<B>,
        packed: &Packed<B>,
        dropout: Option<TokenDropout>,
    ) -> Result<Tensor<B>, DeviceError> {
        let values = self.backend.embed(&table.uploaded, &packed.uploaded, dropout)?;
        Ok(Tensor { rows: packed.tokens, values })
    }

    fn embed_window(
        &self,
        table: &Matrix<B>,
        window: usize,
        bias: &B::Vector,
        packed: &Packed<B>,
    ) -> Result<Tensor<B>, DeviceError> {
        let values = self.backend.embed_window(&table.uploaded, window, bias, &packed.uploaded)?;
        Ok(Tensor { rows: packed.tokens, values })
    }

    fn unfold(&self, x: &Tensor<B>, packed: &Packed<B>, window: usize) -> Result<Tensor<B>, DeviceError> {
        Ok(Tensor { rows: x.rows, values: self.backend.unfold(&x.values, &packed.uploaded, window)? })
    }

    fn product(
        &self,
        x: &Tensor<B>,
        weight: &Matrix<B>,
        bias: Option<&B::Vector>,
    ) -> Result<Tensor<B>, DeviceError> {
        let product = || self.backend.product(&x.values, &weight.uploaded, bias);
        Ok(Tensor { rows: x.rows, values: self.counted(x.rows, weight.shape, product)? })
    }

    fn gelu(&self, x: Tensor<B>) -> Result<Tensor<B>, DeviceError> {
        Ok(Tensor { rows: x.rows, values: self.backend.gelu(x.values)? })
    }

    fn gated_gelu(&self, x: &Tensor<B>) -> Result<Tensor<B>, DeviceError> {
        Ok(Tensor { rows: x.rows, values: self.backend.gated_gelu(&x.values)? })
    }

    fn add(&self, x: Tensor<B>, y: &Tensor<B>) -> Result<Tensor<B>, DeviceError> {
        Ok(Tensor { rows: x.rows, values: self.backend.add(x.values, &y.values)? })
    }

    fn layer_norm(&self, x: &Tensor<B>, norm: &LayerNorm<B::Vector>) -> Result<Tensor<B>, DeviceError> {
        Ok(Tensor { rows: x.rows, values: self.backend.layer_norm(&x.values, norm)? })
    }

    fn rotary(
        &self,
        qkv: Tensor<B>,
        packed: &Packed<B>,
        attention: &Attention<B::Vector>,
    ) -> Result<Tensor<B>, DeviceError> {
        let values = self.backend.rotary(qkv.values, &packed.uploaded, attention)?;
        Ok(Tensor { rows: qkv.rows, values })
    }

    fn attention(
        &self,
        qkv: &Tensor<B>,
        packed: &Packed<B>,
        attention: &Attention<B::Vector>,
    ) -> Result<Tensor<B>, DeviceError> {
        let values = self.backend.attention(&qkv.values, &packed.uploaded, attention)?;
        Ok(Tensor { rows: qkv.rows, values })
    }

    fn pool(
        &self,
        x: &Tensor<B>,
        packed: &Packed<B>,
        pool: Pool,
        span: PoolSpan,
    ) -> Result<B::Pending, DeviceError> {
        self.backend.pool(&x.values, &packed.uploaded, pool, span)
    }

    fn read(&self, x: &Tensor<B>) -> Result<B::Pending, DeviceError> {
        self.backend.read(&x.values)
    }

    fn wait(&self, pending: B::Pending) -> Result<Vec<f32>, DeviceError> {
        self.backend.wait(pending)
    }
}

/// A layer of a transformer with random weights, on any backend.
pub(crate) struct Layer<B: Backend> {
    table: B::Matrix,
    attention: Attention<B::Vector>,
    /// Queries, keys and values, the attention's output, and the feed-forward step up and down.
    linears: [LinearOf<B>; 4],
}

/// Values of a head.
const HEAD: usize = 16;

impl<B: Backend> Layer<B> {
    /// Uploads a layer of a width that is a multiple of 16.
    ///
    /// # Errors
    ///
    /// Those of the backend.
    pub(crate) fn new(backend: &B, hidden: usize) -> Result<Self, DeviceError> {
        let linear = |outputs, inputs| {
            let norm = (inputs == hidden).then(|| LayerNorm {
                weight: vec![1.0; inputs],
                bias: vec![0.0; inputs],
                eps: 1e-5,
            });
            let weight = weights(outputs * inputs, 1.0 / (inputs as f32).sqrt());
            let layer = Linear { norm, weight, bias: Some(vec![0.0; outputs]) };
            backend.linear_layer([outputs, inputs], layer, None)
        };
        Ok(Layer {
            table: backend.table(33, hidden, weights(33 * hidden, 1.0))?,
            attention: Attention {
                heads: hidden / HEAD,
                rotary_frequencies: rotary_frequencies(HEAD),
                alibi_slopes: None,
            },
            linears: [
                linear(3 * hidden, hidden)?,
                linear(hidden, hidden)?,
                linear(4 * hidden, hidden)?,
                linear(hidden, 4 * hidden)?,
            ],
        })
    }

    /// The mean row of each sequence after the layer, `[n, hidden]`.
    ///
    /// # Errors
    ///
    /// Those of the backend.
    pub(crate) fn run(
        &self,
        backend: &B,
        input_ids: &[u16],
        cu_seqlens: &[i32],
    ) -> Result<Vec<f32>, DeviceError> {
        let longest = cu_seqlens.windows(2).map(|bounds| (bounds[1] - bounds[0]) as usize).max();
        let packed = backend.packed(input_ids, cu_seqlens, longest.unwrap_or(0))?;
        let [qkv, output, up, down] = &self.linears;
        let x = backend.embed(&self.table, &packed, None)?;
        let h = backend.self_attention(&x, qkv, &packed, &self.attention)?;
        let x = backend.linear(&h, output, Epilogue::Add(x))?;
        let x = backend.feed_forward(x, up, down)?;
        let all = PoolSpan { skip_first: 0, skip_last: 0 };
        backend.wait(backend.pool(&x, &packed, Pool::Mean, all)?)
    }
}

/// Weights of `scale` at most. Which ones they are changes no count.
fn weights(count: usize, scale: f32) -> Vec<f32> {
    (0..count).map(|i| ((i % 13) as f32 / 6.0 - 1.0) * scale).collect()
}

fn main() -> Result<(), Box<dyn Error>> {
    let numbers: Vec<usize> = std::env::args().skip(1).map(|text| text.parse()).collect::<Result<_, _>>()?;
    let tokens = numbers.first().copied().unwrap_or(2048);
    let hidden = numbers.get(1).copied().unwrap_or(320);
    let ids: Vec<u16> = (0..tokens).map(|i| (i % 33) as u16).collect();
    let cu_seqlens = [0, (tokens / 3) as i32, tokens as i32];

    let backend = Counting::new(Cpu::new(None)?);
    Layer::new(&backend, hidden)?.run(&backend, &ids, &cu_seqlens)?;

    println!("outputs\tinputs\tcalls\toperations\tms\tGFLOP/s");
    for ([outputs, inputs], Products { calls, operations, time }) in backend.products() {
        let (ms, rate) = (time.as_secs_f64() * 1e3, operations as f64 / time.as_secs_f64() / 1e9);
        println!("{outputs}\t{inputs}\t{calls}\t{operations}\t{ms:.2}\t{rate:.0}");
    }
    Ok(())
}
