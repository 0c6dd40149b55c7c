//! Windows of tokens: their embedding, rows side by side, convolutions.

use crate::batches::{LENGTHS, TOLERANCE, back, batch, boundaries, tensor};
use crate::reference::{self, Matrix, Precision, Random, as_close, close};
use std::ops::Range;
use virpack_device::{Backend, Epilogue, LayerNorm, Linear};

/// The tokens of a token's window, by their places in it; None outside its sequence.
fn window_of(token: usize, sequence: &Range<usize>, window: usize) -> Vec<Option<usize>> {
    let token_at = |place: usize| (token + place).checked_sub(window / 2);
    (0..window).map(|place| token_at(place).filter(|token| sequence.contains(token))).collect()
}

/// The rows of each window side by side.
fn unfolded(x: &Matrix, cu_seqlens: &[i32], window: usize) -> Matrix {
    let mut values = Vec::new();
    for bounds in cu_seqlens.windows(2) {
        let sequence = bounds[0] as usize..bounds[1] as usize;
        for other in sequence.clone().flat_map(|token| window_of(token, &sequence, window)) {
            match other {
                Some(token) => values.extend_from_slice(x.row(token)),
                None => values.extend(std::iter::repeat_n(0.0, x.columns)),
            }
        }
    }
    Matrix { rows: x.rows, columns: window * x.columns, values }
}

pub(super) fn embed_window<B: Backend>(backend: &B, precision: Precision) {
    let mut random = Random::new(21, precision);
    let vocabulary = 33;
    for (window, hidden) in [(1, 8), (3, 48), (9, 96), (9, 37), (201, 20)] {
        let table = random.matrix(window * vocabulary, hidden);
        let bias = Random::new(window as u64, Precision::F32).matrix(1, hidden).values;
        let device_table = backend.table(table.rows, hidden, table.values.clone()).unwrap();
        let device_bias = backend.vector(bias.clone()).unwrap();
        let (ids, cu_seqlens, packed) = batch(backend, &LENGTHS, &mut random);
        let given = backend.embed_window(&device_table, window, &device_bias, &packed).unwrap();
        let mut expected = Vec::new();
        for bounds in cu_seqlens.windows(2) {
            let sequence = bounds[0] as usize..bounds[1] as usize;
            for token in sequence.clone() {
                let mut sum: Vec<f64> = bias.iter().map(|&v| v.into()).collect();
                for (place, other) in window_of(token, &sequence, window).into_iter().enumerate() {
                    let Some(other) = other else { continue };
                    let row = table.row(place * vocabulary + usize::from(ids[other]));
                    sum.iter_mut().zip(row).for_each(|(sum, &v)| *sum += f64::from(v));
                }
                expected.extend(sum);
            }
        }
        let name = format!("embedding of {window} tokens, {hidden} wide");
        as_close(&name, &back(backend, &given), &expected, &precision.all(&expected), TOLERANCE);
        assert!(backend.embed_window(&device_table, window + 1, &device_bias, &packed).is_err(), "even");
        let outside = backend.packed(&[33], &[0, 1], 1);
        let given = outside.and_then(|p| backend.embed_window(&device_table, window, &device_bias, &p));
        assert!(given.is_err(), "an id outside each place's table");
    }
}

pub(super) fn unfold<B: Backend>(backend: &B, precision: Precision) {
    let mut random = Random::new(22, precision);
    for (window, columns) in [(1, 8), (3, 96), (5, 128), (5, 37), (301, 6)] {
        let (_, cu_seqlens, packed) = batch(backend, &LENGTHS, &mut random);
        let x = random.matrix(LENGTHS.iter().sum(), columns);
        let given = back(backend, &backend.unfold(&tensor(backend, &x), &packed, window).unwrap());
        let expected: Vec<f64> = unfolded(&x, &cu_seqlens, window).values.iter().map(|&v| v.into()).collect();
        close(&format!("{window} rows of {columns} side by side"), &given, &expected, 0.0);
        assert!(backend.unfold(&tensor(backend, &x), &packed, window + 1).is_err(), "an even window");
        assert!(backend.unfold(&tensor(backend, &random.matrix(3, columns)), &packed, window).is_err());
    }
}

/// A convolution's norm, layer and their values on the host.
struct Convolution<B: Backend> {
    norm: LayerNorm<B::Vector>,
    host_norm: LayerNorm<Vec<f32>>,
    layer: virpack_device::LinearOf<B>,
    weight: Matrix,
    bias: Vec<f32>,
}

impl<B: Backend> Convolution<B> {
    fn new(backend: &B, random: &mut Random, [outputs, columns, window]: [usize; 3]) -> Self {
        let mut free = Random::new((outputs + columns) as u64, Precision::F32);
        let mut weight = random.matrix(outputs, window * columns);
        weight.values.iter_mut().for_each(|v| *v *= 0.125);
        let bias = free.matrix(1, outputs).values;
        let host_norm = LayerNorm {
            weight: free.matrix(1, columns).values.iter().map(|v| 1.0 + 0.25 * v).collect(),
            bias: free.matrix(1, columns).values,
            eps: 1e-5,
        };
        let layer = Linear { norm: None, weight: weight.values.clone(), bias: Some(bias.clone()) };
        Convolution {
            norm: host_norm.clone().upload(backend).unwrap(),
            host_norm,
            layer: backend.linear_layer([outputs, window * columns], layer, None).unwrap(),
            weight,
            bias,
        }
    }
}

pub(super) fn window_linear<B: Backend>(backend: &B, precision: Precision) {
    let mut random = Random::new(23, precision);
    // Sequences of one tile and of several, and windows longer than some of them.
    for (lengths, window, columns, outputs) in [
        (&LENGTHS[..], 5, 96, 96),
        (&[600, 2, 257, 256], 3, 32, 64),
        (&LENGTHS, 5, 40, 24),
        (&LENGTHS, 7, 22, 34),
        (&[1], 9, 64, 128),
    ] {
        let own = Convolution::new(backend, &mut random, [outputs, columns, window]);
        let (_, cu_seqlens, packed) = batch(backend, lengths, &mut random);
        let rows = lengths.iter().sum();
        let (x, residual) = (random.matrix(rows, columns), random.matrix(rows, outputs));
        let (dx, dr) = (tensor(backend, &x), tensor(backend, &residual));
        let LayerNorm { weight, bias, eps } = &own.host_norm;
        let normed = reference::layer_norm(&x, weight, bias, f64::from(*eps));
        let side_by_side = |values: Vec<f64>| {
            let values = values.into_iter().map(|v| v as f32).collect();
            unfolded(&Matrix { rows, columns, values }, &cu_seqlens, window)
        };
        let exact = reference::linear(&side_by_side(normed.clone()), &own.weight, Some(&own.bias));
        let plain = precision.linear(&side_by_side(precision.all(&normed)), &own.weight, Some(&own.bias));
        let name = format!("{} convolution of {window} x {columns} to {outputs}", precision.name);
        let given = |then| {
            let y = backend.window_linear(&dx, &own.norm, &own.layer, &packed, window, then).unwrap();
            back(backend, &y)
        };
        as_close(&name, &given(Epilogue::None), &exact, &plain, TOLERANCE);
        let gelu = |values: &[f64]| values.iter().map(|&v| reference::gelu(v)).collect::<Vec<f64>>();
        let handed_on = precision.handed_on(precision.all(&gelu(&plain)), outputs);
        as_close(&format!("{name}, gelu"), &given(Epilogue::Gelu), &gelu(&exact), &handed_on, TOLERANCE);
        let sum = |values: &[f64]| -> Vec<f64> {
            values.iter().zip(&residual.values).map(|(v, &r)| v + f64::from(r)).collect()
        };
        let expected = precision.all(&sum(&plain));
        as_close(&format!("{name}, add"), &given(Epilogue::Add(dr)), &sum(&exact), &expected, TOLERANCE);
    }
}

/// A sequence's bits are the same whatever its neighbours hold, be it NaN.
pub(super) fn a_window_sees_its_sequence_alone<B: Backend>(backend: &B, precision: Precision) {
    let mut random = Random::new(24, precision);
    let (window, columns, outputs) = (5, 64, 32);
    let own = Convolution::new(backend, &mut random, [outputs, columns, window]);
    let lengths = [70, 166, 40];
    let cu_seqlens = boundaries(&lengths);
    let packed = backend.packed(&vec![0; 276], &cu_seqlens, 166).unwrap();
    let mut x = random.matrix(276, columns);
    let middle = 70..236;
    let convolved = |x: &Matrix| {
        let x = tensor(backend, x);
        let y = backend.window_linear(&x, &own.norm, &own.layer, &packed, window, Epilogue::Gelu).unwrap();
        let bits = |v: &f32| v.to_bits();
        let values = back(backend, &y);
        values[middle.start * outputs..middle.end * outputs].iter().map(bits).collect::<Vec<_>>()
    };
    let before = convolved(&x);
    let broken = [f32::NAN, f32::INFINITY, 3.0];
    for token in (0..70).chain(236..276) {
        x.values[token * columns..][..columns].fill(broken[token % 3]);
    }
    assert_eq!(convolved(&x), before);
}
