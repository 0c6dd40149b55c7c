//! Layer norms with the product behind them.

use crate::batches::{back, batch, tensor};
use crate::reference::{self, Matrix, Precision, Random, as_close};
use virpack_device::{Attention, Backend, Epilogue, LayerNorm, Linear, rotary_frequencies};

/// What a layer norm goes over: rows spread about 0, about a mean far from it, with channels far larger than the others.
fn rows_of(kind: &str, random: &mut Random, rows: usize, columns: usize, precision: Precision) -> Matrix {
    let mut x = random.matrix(rows, columns);
    for row in x.values.chunks_exact_mut(columns) {
        match kind {
            "large mean" => row.iter_mut().for_each(|v| *v += 20.0),
            "outliers" => row.iter_mut().step_by(37).for_each(|v| *v = *v * 64.0 + 30.0),
            _ => {}
        }
    }
    x.values.iter_mut().for_each(|v| *v = (precision.round)(f64::from(*v)) as f32);
    x
}

/// Every `step`-th row.
pub(super) fn every(step: usize, x: &Matrix) -> Matrix {
    let values = (0..x.rows).step_by(step).flat_map(|row| x.row(row).to_vec()).collect();
    Matrix { rows: x.rows.div_ceil(step), columns: x.columns, values }
}

/// A layer norm with what follows it: rows of any kind in any number, weights that are no numbers of the dtype.
pub(super) fn normed<B: Backend>(backend: &B, precision: Precision) {
    let mut random = Random::new(11, precision);
    // Heads that a product rotates and some that it cannot; the last has more tiles than a card works on at once, in
    // more than one group, and is looked at in some of its rows.
    let shapes = [
        ("spread", 1, (1, 16), 8),
        ("large mean", 77, (2, 24), 64),
        ("outliers", 600, (3, 32), 320),
        ("spread", 257, (2, 64), 1096),
        ("large mean", 300, (1, 128), 72),
        ("outliers", 130, (2, 6), 34),
        ("large mean", 256, (5, 32), 640),
        // Tiles that begin inside a head.
        ("spread", 430, (23, 24), 96),
        ("outliers", 4100, (32, 32), 64),
    ];
    for (kind, rows, (heads, width), inner) in shapes {
        let x = rows_of(kind, &mut random, rows, inner, precision);
        let dx = tensor(backend, &x);
        let step = if heads > 10 { 61 } else { 1 };
        let x = every(step, &x);
        let mut free = Random::new(rows as u64, Precision::F32);
        let (mut w, b) = (free.matrix(3 * heads * width, inner), free.matrix(1, 3 * heads * width).values);
        w.values.iter_mut().for_each(|v| *v *= 0.2);
        let norm = LayerNorm {
            weight: free.matrix(1, inner).values.iter().map(|v| 1.0 + 0.5 * v).collect(),
            bias: free.matrix(1, inner).values,
            eps: 1e-5,
        };
        let layer = |rotated_heads| {
            let layer = Linear { norm: Some(norm.clone()), weight: w.values.clone(), bias: Some(b.clone()) };
            backend.linear_layer([w.rows, inner], layer, rotated_heads).unwrap()
        };
        let (layer, qkv) = (layer(None), layer(Some(heads)));
        let matrix = |columns, values: &[f64]| Matrix {
            rows: values.len() / columns,
            columns,
            values: values.iter().map(|&v| v as f32).collect(),
        };
        let rounding =
            |values: &[f32]| precision.all(&values.iter().map(|&v| f64::from(v)).collect::<Vec<_>>());
        let row = reference::layer_norm(&x, &norm.weight, &norm.bias, 1e-5);
        let plain_row = matrix(inner, &precision.all(&row));
        let plain_bias: Vec<f32> = rounding(&b).iter().map(|&v| v as f32).collect();
        let product = reference::linear(&matrix(inner, &row), &w, Some(&b));
        let plain = if precision.is_for_bytes(w.rows, inner) {
            // The norm's bias goes into the layer's, and rows are quantised without it.
            let none = vec![0.0; inner];
            let row = matrix(inner, &reference::layer_norm(&x, &norm.weight, &none, 1e-5));
            let norm_bias = Matrix { rows: 1, columns: inner, values: norm.bias.clone() };
            let bias = precision.all(&reference::linear(&norm_bias, &w, Some(&b)));
            precision.linear(&row, &w, Some(&bias.iter().map(|&v| v as f32).collect::<Vec<_>>()))
        } else {
            precision.linear(&plain_row, &matrix(inner, &rounding(&w.values)), Some(&plain_bias))
        };

        let name = format!("{} norm of {kind}, {rows} x {inner} x {}", precision.name, w.rows);
        let gelu = |product: &[f64]| product.iter().map(|&v| reference::gelu(v)).collect::<Vec<f64>>();
        let values = back(backend, &backend.linear(&dx, &layer, Epilogue::Gelu).unwrap());
        let given = every(step, &Matrix { rows, columns: w.rows, values }).values;
        let plain_gelu = precision.handed_on(precision.all(&gelu(&plain)), w.rows);
        as_close(&format!("{name}, gelu"), &given, &gelu(&product), &plain_gelu, 2e-5);

        if step > 1 {
            continue;
        }
        let lengths = [vec![200; rows / 200], vec![rows % 200]].concat();
        let lengths: Vec<usize> = lengths.into_iter().filter(|&length| length > 0).collect();
        let (_, cu_seqlens, packed) = batch(backend, &lengths, &mut random);
        let attention =
            Attention { heads, rotary_frequencies: rotary_frequencies(width), alibi_slopes: None };
        let attend = |product: &[f64], precision: Precision| {
            let turned = reference::rotary(&matrix(w.rows, product), &cu_seqlens, heads);
            let rounded = turned.values.iter().map(|&v| (precision.round)(v.into())).collect::<Vec<_>>();
            reference::attention(
                &matrix(w.rows, &rounded),
                &cu_seqlens,
                heads,
                &vec![0.0; heads],
                precision.round,
            )
        };
        let given = back(backend, &backend.self_attention(&dx, &qkv, &packed, &attention).unwrap());
        let plain = precision.handed_on(attend(&plain, precision), heads * width);
        let exact = attend(&product, Precision::F32);
        as_close(&format!("{name}, attention"), &given, &exact, &plain, 1e-4);
    }
}

/// A row of NaN affects no other row, even before a product that norms its rows.
pub(super) fn broken_rows_are_normed_alone<B: Backend>(backend: &B, precision: Precision) {
    let mut random = Random::new(12, precision);
    let mut x = random.matrix(300, 64);
    let norm = LayerNorm { weight: vec![1.0; 64], bias: vec![0.0; 64], eps: 1e-5 };
    let weight = random.matrix(48, 64).values;
    let layer = Linear { norm: Some(norm), weight, bias: Some(vec![0.5; 48]) };
    let layer = backend.linear_layer([48, 64], layer, None).unwrap();
    let gelu =
        |x: &Matrix| back(backend, &backend.linear(&tensor(backend, x), &layer, Epilogue::Gelu).unwrap());
    let whole = gelu(&x);
    x.values[70 * 64..71 * 64].fill(f32::NAN);
    x.values[200 * 64 + 5] = f32::INFINITY;
    let given = gelu(&x);
    for (row, (given, whole)) in given.chunks(48).zip(whole.chunks(48)).enumerate() {
        if [70, 200].contains(&row) {
            assert!(given.iter().all(|v| v.is_nan()), "{}: row {row} hides what is broken", precision.name);
        } else {
            assert_eq!(given, whole, "{}: row {row} beside a broken one", precision.name);
        }
    }
}
