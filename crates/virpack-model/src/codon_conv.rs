//! Convolutions over codons, written once against the backend trait.

use crate::ModelError;
use crate::config::CodonConvConfig;
use crate::encoder::Encoder;
use crate::layers::{Linear, Loader, Norm};
use crate::tensor_source::TensorSource;
use crate::weights::Weights;
use virpack_device::{Backend, DeviceError, Epilogue, ModelShape, Pool, PoolSpan};

/// A convolutional encoder over tokens, of codons in virpack's own models, on a backend.
///
/// The embedding is a convolution over the tokens themselves: a row of a table for each place of a window. A
/// layer is `x + down(gelu(up(windows of norm(x))))`, and a norm follows the last one.
pub struct CodonConv<B: Backend> {
    config: CodonConvConfig,
    /// A table for each place of the window, `[embedding_window · vocab, hidden]`.
    token_embeddings: B::Matrix,
    embedding_bias: B::Vector,
    layers: Vec<CodonConvLayer<B>>,
    final_norm: Norm<B>,
}

struct CodonConvLayer<B: Backend> {
    norm: Norm<B>,
    /// `[intermediate, window · hidden]`.
    up: Linear<B>,
    /// `[hidden, intermediate]`.
    down: Linear<B>,
}

impl<B: Backend> CodonConv<B> {
    /// Reads a model onto a backend, one tensor at a time.
    ///
    /// # Errors
    ///
    /// As [`CodonConvConfig::of`] and [`Weights::read`], and the errors of the backend.
    pub fn load(backend: &B, weights: &Weights) -> Result<Self, ModelError> {
        Self::build(backend, CodonConvConfig::of(weights)?, weights)
    }

    /// Builds a model from tensors of any source.
    ///
    /// # Errors
    ///
    /// Returns the errors of the source and the backend.
    ///
    /// ```
    /// use virpack_device::{Backend, Cpu};
    /// use virpack_model::{CodonConv, CodonConvConfig, Encoder, RandomTensors};
    ///
    /// let config = CodonConvConfig {
    ///     layers: 2,
    ///     hidden: 16,
    ///     intermediate: 24,
    ///     embedding_window: 9,
    ///     window: 5,
    ///     vocab: 89,
    ///     layer_norm_eps: 1e-5,
    /// };
    /// let cpu = Cpu::new(None)?;
    /// let model = CodonConv::build(&cpu, config, &RandomTensors { seed: 1 })?;
    /// let packed = cpu.packed(&[25, 26, 27, 88, 0], &[0, 3, 5], 3)?; // sequences of 3 codons and of 2
    /// assert_eq!(model.forward(&cpu, &packed, model.layers())?.values().len(), 5 * 16);
    /// # Ok::<(), virpack_model::ModelError>(())
    /// ```
    pub fn build(
        backend: &B,
        config: CodonConvConfig,
        tensors: &dyn TensorSource,
    ) -> Result<Self, ModelError> {
        let loader = Loader { backend, tensors, eps: config.layer_norm_eps };
        let layers = (0..config.layers).map(|i| layer(&loader, i, &config)).collect::<Result<_, _>>()?;
        let tables = [config.embedding_window, config.vocab, config.hidden];
        Ok(CodonConv {
            token_embeddings: loader.tables("embeddings.word_embeddings", tables)?,
            embedding_bias: loader.vector("embeddings.bias", config.hidden)?,
            layers,
            final_norm: loader.norm("encoder.emb_layer_norm_after", config.hidden)?,
            config,
        })
    }

    /// Returns the model's settings.
    pub fn config(&self) -> &CodonConvConfig {
        &self.config
    }
}

fn layer<B: Backend>(
    loader: &Loader<'_, B>,
    i: usize,
    config: &CodonConvConfig,
) -> Result<CodonConvLayer<B>, ModelError> {
    let name = |part: &str| format!("encoder.layer.{i}.{part}");
    let [[outputs, inputs], _] = config.products();
    Ok(CodonConvLayer {
        norm: loader.norm(&name("LayerNorm"), config.hidden)?,
        up: loader.linear(&[&name("intermediate.dense")], outputs, inputs)?,
        down: loader.linear(&[&name("output.dense")], config.hidden, config.intermediate)?,
    })
}

impl<B: Backend> Encoder<B> for CodonConv<B> {
    fn hidden_size(&self) -> usize {
        self.config.hidden
    }

    fn layers(&self) -> usize {
        self.layers.len()
    }

    /// Returns the span of all tokens: there are no special ones around them.
    fn span(&self) -> PoolSpan {
        PoolSpan { skip_first: 0, skip_last: 0 }
    }

    fn forward(&self, backend: &B, packed: &B::Packed, layers: usize) -> Result<B::Tensor, DeviceError> {
        let (table, window) = (&self.token_embeddings, self.config.embedding_window);
        let mut x = backend.embed_window(table, window, &self.embedding_bias, packed)?;
        for layer in &self.layers[..layers] {
            let window = self.config.window;
            let h = backend.window_linear(&x, &layer.norm, &layer.up, packed, window, Epilogue::Gelu)?;
            x = backend.linear(&h, &layer.down, Epilogue::Add(x))?;
        }
        if layers == self.layers.len() { backend.layer_norm(&x, &self.final_norm) } else { Ok(x) }
    }
}

impl CodonConvConfig {
    /// Returns what a model of these settings holds.
    ///
    /// Beside the residual stream live the normed rows, or what becomes of them, and the rows of a window
    /// side by side, which a backend may do without.
    #[must_use]
    pub fn shape(&self) -> ModelShape {
        let table = [self.embedding_window * self.vocab, self.hidden];
        let (matrices, vector_values) =
            ModelShape::weights(&self.tensors(), table, &self.products(), self.layers);
        ModelShape {
            matrices,
            sensitive_values: 0,
            vector_values,
            products: self.products().to_vec(),
            widths: vec![self.hidden, self.hidden.max(self.intermediate), self.window * self.hidden],
            hidden: self.hidden,
            pooled: Pool::MeanMax.width(self.hidden),
            head_width: 0,
            stored_in_16_bits: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RandomTensors;
    use std::num::NonZeroUsize;
    use virpack_device::Cpu;

    const CONFIG: CodonConvConfig = CodonConvConfig {
        layers: 2,
        hidden: 24,
        intermediate: 40,
        embedding_window: 9,
        window: 5,
        vocab: 89,
        layer_norm_eps: 1e-5,
    };

    fn read(name: &str, shape: &[usize]) -> Vec<f64> {
        RandomTensors { seed: 5 }.read(name, shape).unwrap().into_iter().map(f64::from).collect()
    }

    fn norm(x: &[Vec<f64>], name: &str) -> Vec<Vec<f64>> {
        let [weight, bias] = ["weight", "bias"].map(|part| read(&format!("{name}.{part}"), &[24]));
        let of = |row: &Vec<f64>| {
            let mean = row.iter().sum::<f64>() / 24.0;
            let variance = row.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / 24.0;
            let values = row.iter().map(|v| (v - mean) / (variance + 1e-5).sqrt());
            values.zip(&weight).zip(&bias).map(|((v, w), b)| v * w + b).collect()
        };
        x.iter().map(of).collect()
    }

    /// Returns a row times a weight, and its bias.
    fn linear(row: &[f64], name: &str, outputs: usize) -> Vec<f64> {
        let weight = read(&format!("{name}.weight"), &[outputs, row.len()]);
        let bias = read(&format!("{name}.bias"), &[outputs]);
        let dot = |weight: &[f64]| row.iter().zip(weight).map(|(a, b)| a * b).sum::<f64>();
        weight.chunks(row.len()).zip(bias).map(|(weight, bias)| dot(weight) + bias).collect()
    }

    /// Returns the integral of the normal distribution by Simpson's rule.
    fn gelu(x: f64) -> f64 {
        let steps = 400;
        let h = x / f64::from(steps);
        let density = |t: f64| (-t * t / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
        let inner: f64 =
            (1..steps).map(|i| density(f64::from(i) * h) * if i % 2 == 1 { 4.0 } else { 2.0 }).sum();
        x * (0.5 + (density(0.0) + inner + density(x)) * h / 3.0)
    }

    /// One sequence through the model as its definition reads, float64.
    fn plain(tokens: &[u16]) -> Vec<Vec<f64>> {
        let around = |token: usize, place: usize, window: usize| {
            (token + place).checked_sub(window / 2).filter(|other| *other < tokens.len())
        };
        let table = read("embeddings.word_embeddings.weight", &[9, 89, 24]);
        let mut x = vec![read("embeddings.bias", &[24]); tokens.len()];
        for (token, row) in x.iter_mut().enumerate() {
            for place in 0..9 {
                let Some(other) = around(token, place, 9) else { continue };
                let own = &table[(place * 89 + usize::from(tokens[other])) * 24..][..24];
                row.iter_mut().zip(own).for_each(|(sum, v)| *sum += v);
            }
        }
        for layer in 0..2 {
            let name = |part: &str| format!("encoder.layer.{layer}.{part}");
            let normed = norm(&x, &name("LayerNorm"));
            for (token, row) in x.iter_mut().enumerate() {
                let rows = (0..5).map(|place| around(token, place, 5));
                let side_by_side: Vec<f64> = rows
                    .flat_map(|other| other.map_or_else(|| vec![0.0; 24], |other| normed[other].clone()))
                    .collect();
                let up = linear(&side_by_side, &name("intermediate.dense"), 40);
                let h: Vec<f64> = up.into_iter().map(gelu).collect();
                let down = linear(&h, &name("output.dense"), 24);
                row.iter_mut().zip(down).for_each(|(x, v)| *x += v);
            }
        }
        norm(&x, "encoder.emb_layer_norm_after")
    }

    #[test]
    fn hidden_states_are_those_of_the_definition() {
        let sequences: [Vec<u16>; 4] =
            [(0..70).map(|i| i * 37 % 89).collect(), vec![88], vec![0, 25, 30], (20..31).collect()];
        let mut cu_seqlens = vec![0];
        for sequence in &sequences {
            cu_seqlens.push(cu_seqlens[cu_seqlens.len() - 1] + sequence.len() as i32);
        }
        let expected: Vec<f64> = sequences.iter().flat_map(|own| plain(own).concat()).collect();
        for (cpu, tolerance) in
            [(Cpu::new(NonZeroUsize::new(2)).unwrap(), 2e-5), (Cpu::bf16(NonZeroUsize::new(2)).unwrap(), 0.1)]
        {
            let model = CodonConv::build(&cpu, CONFIG, &RandomTensors { seed: 5 }).unwrap();
            let packed = cpu.packed(&sequences.concat(), &cu_seqlens, 70).unwrap();
            let x = model.forward(&cpu, &packed, 2).unwrap();
            let largest = expected.iter().fold(0.0f64, |most, v| most.max(v.abs()));
            for (given, expected) in x.values().iter().zip(&expected) {
                assert!((f64::from(*given) - expected).abs() < tolerance * largest, "{given} {expected}");
            }
            assert_eq!(x.values().len(), expected.len());
            assert!(model.forward(&cpu, &packed, 0).unwrap().values() != x.values());
        }
    }

    #[test]
    fn a_shape_has_all_parameters() {
        let ModelShape { matrices, vector_values, pooled, .. } = CONFIG.shape();
        assert_eq!(matrices.iter().sum::<u64>() + vector_values, CONFIG.parameters());
        assert_eq!((matrices.len(), pooled), (5, 48));
    }
}
