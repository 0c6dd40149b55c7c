//! Products with what follows them.

use crate::batches::{TOLERANCE, back, tensor};
use crate::reference::{self, Matrix, Precision, Random, as_close};
use virpack_device::{Backend, Epilogue, Linear};

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
