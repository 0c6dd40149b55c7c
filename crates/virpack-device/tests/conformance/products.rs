//! Products with what follows them.

use crate::batches::{TOLERANCE, back, tensor};
use crate::reference::{self, Matrix, Precision, Random, as_close};
use virpack_device::{Backend, Epilogue, LayerNorm, Linear};

pub(super) fn products<B: Backend>(backend: &B, precision: Precision) {
    let mut random = Random::new(2, precision);
    for (rows, inner, columns) in [
        (1, 8, 8),
        (3, 32, 96),
        (65, 40, 24),
        (300, 320, 1280),
        (515, 96, 64),
        (260, 72, 520),
        (20, 1096, 264),
    ] {
        let (x, w) = (random.matrix(rows, inner), random.matrix(columns, inner));
        let (b, residual) = (random.matrix(1, columns), random.matrix(rows, columns));
        let layer = |bias: Option<&Matrix>| {
            let bias = bias.map(|bias| bias.values.clone());
            let layer = Linear { norm: None, weight: w.values.clone(), bias };
            backend.linear_layer([columns, inner], layer, None).unwrap()
        };
        let (plain_layer, layer) = (layer(None), layer(Some(&b)));
        let (dx, dr) = (tensor(backend, &x), tensor(backend, &residual));
        let product = reference::linear(&x, &w, Some(&b.values));
        let name = format!("{} linear {rows} x {inner} x {columns}", precision.name);
        let given = back(backend, &backend.linear(&dx, &layer, Epilogue::None).unwrap());
        let rounded = precision.linear(&x, &w, Some(&b.values));
        as_close(&name, &given, &product, &rounded, TOLERANCE);
        let bare = reference::linear(&x, &w, None);
        let given = back(backend, &backend.product(&dx, &plain_layer.weight, None).unwrap());
        as_close(&name, &given, &bare, &precision.linear(&x, &w, None), TOLERANCE);
        let gelu = |product: &[f64]| product.iter().map(|&v| reference::gelu(v)).collect::<Vec<f64>>();
        let given = back(backend, &backend.linear(&dx, &layer, Epilogue::Gelu).unwrap());
        let plain = precision.handed_on(precision.all(&gelu(&rounded)), columns);
        as_close(&format!("{name}, gelu"), &given, &gelu(&product), &plain, TOLERANCE);
        let sum = |product: &[f64]| {
            product.iter().zip(&residual.values).map(|(p, &r)| p + f64::from(r)).collect::<Vec<f64>>()
        };
        let given = back(backend, &backend.linear(&dx, &layer, Epilogue::Add(dr)).unwrap());
        let plain = precision.all(&sum(&rounded));
        as_close(&format!("{name}, add"), &given, &sum(&product), &plain, TOLERANCE);
    }
}

/// A feed-forward part: rows in any number, widths that fill no block.
pub(super) fn feed_forward<B: Backend>(backend: &B, precision: Precision) {
    let mut random = Random::new(17, precision);
    for (rows, hidden, width) in [(1, 8, 16), (65, 40, 72), (330, 72, 264), (700, 96, 384)] {
        let x = random.matrix(rows, hidden);
        let [up, mut down] =
            [(width, hidden), (hidden, width)].map(|(outputs, inputs)| random.matrix(outputs, inputs));
        // By a power of two, so that every dtype still has the values.
        down.values.iter_mut().for_each(|v| *v *= 0.125);
        let [up_bias, down_bias] = [width, hidden].map(|columns| random.matrix(1, columns).values);
        // It changes no row after it is normed, so that a backend may fold it into the weights.
        let norm = LayerNorm { weight: vec![1.0; hidden], bias: vec![0.0; hidden], eps: 1e-5 };
        let layer = |norm, w: &Matrix, bias: &[f32]| {
            let layer = Linear { norm, weight: w.values.clone(), bias: Some(bias.to_vec()) };
            backend.linear_layer([w.rows, w.columns], layer, None).unwrap()
        };
        let layers = [layer(Some(norm.clone()), &up, &up_bias), layer(None, &down, &down_bias)];
        let matrix = |columns, values: Vec<f64>| Matrix {
            rows,
            columns,
            values: values.iter().map(|&v| v as f32).collect(),
        };
        let expected = |precision: Precision| {
            let row = precision.all(&reference::layer_norm(&x, &norm.weight, &norm.bias, 1e-5));
            let product = precision.linear(&matrix(hidden, row), &up, Some(&up_bias));
            let gelu: Vec<f64> = product.iter().map(|&v| reference::gelu(v)).collect();
            let product = precision.linear(&matrix(width, precision.all(&gelu)), &down, Some(&down_bias));
            let sum = product.iter().zip(&x.values).map(|(p, &r)| p + f64::from(r)).collect::<Vec<f64>>();
            precision.all(&sum)
        };
        let given = backend.feed_forward(tensor(backend, &x), &layers[0], &layers[1]).unwrap();
        let name = format!("{} feed-forward {rows} x {hidden} x {width}", precision.name);
        as_close(&name, &back(backend, &given), &expected(Precision::F32), &expected(precision), 2e-5);
    }
}
