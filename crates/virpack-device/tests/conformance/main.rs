//! One body of checks for every backend, against plain float64 arithmetic written here.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod reference;

use reference::{Matrix, Precision, Random, as_close, close};
use virpack_device::{
    Attention, Backend, Cpu, Cuda, CudaOptions, Dtype, LayerNorm, Pool, PoolSpan, TokenDropout,
    rotary_frequencies,
};

/// Sequence lengths that meet every edge: one token, just under, at and over the sizes kernels work in.
const LENGTHS: [usize; 9] = [1, 2, 3, 15, 16, 33, 64, 65, 150];

/// Largest error allowed, as a share of the largest value: float32 with a few hundred additions.
const TOLERANCE: f64 = 3e-6;

fn boundaries(lengths: &[usize]) -> Vec<i32> {
    std::iter::once(0)
        .chain(lengths.iter().scan(0, |sum, &l| {
            *sum += l as i32;
            Some(*sum)
        }))
        .collect()
}

fn batch<B: Backend>(backend: &B, lengths: &[usize], random: &mut Random) -> (Vec<u16>, Vec<i32>, B::Packed) {
    let cu_seqlens = boundaries(lengths);
    let tokens = *cu_seqlens.last().unwrap() as usize;
    let ids: Vec<u16> = (0..tokens).map(|_| random.below(33) as u16).collect();
    let packed = backend.packed(&ids, &cu_seqlens, *lengths.iter().max().unwrap()).unwrap();
    (ids, cu_seqlens, packed)
}

/// Values on the device by way of the embedding table: row `i` of the table is row `i` of the tensor.
fn tensor<B: Backend>(backend: &B, m: &Matrix) -> B::Tensor {
    let table = backend.matrix(m.rows, m.columns, m.values.clone()).unwrap();
    let ids: Vec<u16> = (0..m.rows as u16).collect();
    let packed = backend.packed(&ids, &[0, m.rows as i32], m.rows).unwrap();
    backend.embed(&table, &packed, None).unwrap()
}

fn back<B: Backend>(backend: &B, x: &B::Tensor) -> Vec<f32> {
    backend.wait(backend.read(x).unwrap()).unwrap()
}

fn embed<B: Backend>(backend: &B, precision: Precision) {
    let mut random = Random::new(1, precision);
    let table = random.matrix(33, 48);
    let device_table = backend.matrix(33, 48, table.values.clone()).unwrap();
    let (ids, cu_seqlens, packed) = batch(backend, &LENGTHS, &mut random);
    let plain = back(backend, &backend.embed(&device_table, &packed, None).unwrap());
    let dropout = TokenDropout { mask_token: 32, train_ratio: 0.12 };
    let dropped = back(backend, &backend.embed(&device_table, &packed, Some(dropout)).unwrap());
    let mut expected = Vec::new();
    let mut expected_dropped = Vec::new();
    for bounds in cu_seqlens.windows(2) {
        let ids = &ids[bounds[0] as usize..bounds[1] as usize];
        let masked = ids.iter().filter(|&&id| id == 32).count() as f64 / ids.len() as f64;
        for &id in ids {
            let scale = if id == 32 { 0.0 } else { 0.88 / (1.0 - masked) };
            expected.extend(table.row(id.into()).iter().map(|&v| f64::from(v)));
            expected_dropped.extend(table.row(id.into()).iter().map(|&v| f64::from(v) * scale));
        }
    }
    close("embed", &plain, &expected, 0.0);
    let plain = precision.all(&expected_dropped);
    as_close("embed with token dropout", &dropped, &expected_dropped, &plain, TOLERANCE);
    assert!(backend.packed(&[1, 2], &[0, 3], 3).is_err(), "boundaries past the end");
    let outside = backend.packed(&[33], &[0, 1], 1);
    assert!(outside.and_then(|p| backend.embed(&device_table, &p, None)).is_err(), "id outside the table");
}

fn products<B: Backend>(backend: &B, precision: Precision) {
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
        let weight = backend.matrix(columns, inner, w.values.clone()).unwrap();
        let bias = backend.vector(b.values.clone()).unwrap();
        let (dx, dr) = (tensor(backend, &x), tensor(backend, &residual));
        let product = reference::linear(&x, &w, Some(&b.values));
        let name = format!("{} linear {rows} x {inner} x {columns}", precision.name);
        let given = back(backend, &backend.linear(&dx, &weight, Some(&bias)).unwrap());
        let rounded = precision.all(&product);
        as_close(&name, &given, &product, &rounded, TOLERANCE);
        let bare = reference::linear(&x, &w, None);
        let given = back(backend, &backend.linear(&dx, &weight, None).unwrap());
        as_close(&name, &given, &bare, &precision.all(&bare), TOLERANCE);
        let gelu = |product: &[f64]| product.iter().map(|&v| reference::gelu(v)).collect::<Vec<f64>>();
        let given = back(backend, &backend.linear_gelu(&dx, &weight, Some(&bias)).unwrap());
        let plain = precision.all(&gelu(&rounded));
        as_close(&format!("{name}, gelu"), &given, &gelu(&product), &plain, TOLERANCE);
        let sum = |product: &[f64]| {
            product.iter().zip(&residual.values).map(|(p, &r)| p + f64::from(r)).collect::<Vec<f64>>()
        };
        let given = back(backend, &backend.linear_add(&dx, &weight, Some(&bias), dr).unwrap());
        let plain = precision.all(&sum(&rounded));
        as_close(&format!("{name}, add"), &given, &sum(&product), &plain, TOLERANCE);
    }
}

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
fn every(step: usize, x: &Matrix) -> Matrix {
    let values = (0..x.rows).step_by(step).flat_map(|row| x.row(row).to_vec()).collect();
    Matrix { rows: x.rows.div_ceil(step), columns: x.columns, values }
}

/// A layer norm with what follows it: rows of any kind in any number, weights that are no numbers of the dtype.
fn normed<B: Backend>(backend: &B, precision: Precision) {
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
        let layer = backend.normed_linear(norm.clone(), w.values.clone(), b.clone()).unwrap();
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
        let plain = reference::linear(&plain_row, &matrix(inner, &rounding(&w.values)), Some(&plain_bias));
        let plain = precision.all(&plain);

        let name = format!("{} norm of {kind}, {rows} x {inner} x {}", precision.name, w.rows);
        let gelu = |product: &[f64]| product.iter().map(|&v| reference::gelu(v)).collect::<Vec<f64>>();
        let values = back(backend, &backend.normed_linear_gelu(&dx, &layer).unwrap());
        let given = every(step, &Matrix { rows, columns: w.rows, values }).values;
        as_close(&format!("{name}, gelu"), &given, &gelu(&product), &precision.all(&gelu(&plain)), 2e-5);

        if step > 1 {
            continue;
        }
        let lengths = [vec![128; rows / 128], vec![rows % 128]].concat();
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
        let given = back(backend, &backend.normed_self_attention(&dx, &layer, &packed, &attention).unwrap());
        let (exact, plain) = (attend(&product, Precision::F32), attend(&plain, precision));
        as_close(&format!("{name}, attention"), &given, &exact, &plain, 1e-4);
    }
}

fn norms<B: Backend>(backend: &B, precision: Precision) {
    normed(backend, precision);
    broken_rows_are_normed_alone(backend, precision);
}

/// A row of NaN is nobody else's, before a product that norms its rows too.
fn broken_rows_are_normed_alone<B: Backend>(backend: &B, precision: Precision) {
    let mut random = Random::new(12, precision);
    let mut x = random.matrix(300, 64);
    let norm = LayerNorm { weight: vec![1.0; 64], bias: vec![0.0; 64], eps: 1e-5 };
    let layer = backend.normed_linear(norm, random.matrix(48, 64).values, vec![0.5; 48]).unwrap();
    let whole = back(backend, &backend.normed_linear_gelu(&tensor(backend, &x), &layer).unwrap());
    x.values[70 * 64..71 * 64].fill(f32::NAN);
    x.values[200 * 64 + 5] = f32::INFINITY;
    let given = back(backend, &backend.normed_linear_gelu(&tensor(backend, &x), &layer).unwrap());
    for (row, (given, whole)) in given.chunks(48).zip(whole.chunks(48)).enumerate() {
        if [70, 200].contains(&row) {
            assert!(given.iter().all(|v| v.is_nan()), "{}: row {row} hides what is broken", precision.name);
        } else {
            assert_eq!(given, whole, "{}: row {row} beside a broken one", precision.name);
        }
    }
}

fn element_wise<B: Backend>(backend: &B, precision: Precision) {
    let mut random = Random::new(3, precision);
    for (rows, columns) in [(1, 2), (5, 34), (70, 320)] {
        let (x, y) = (random.matrix(rows, columns), random.matrix(rows, columns));
        let (w, b) = (random.matrix(1, columns), random.matrix(1, columns));
        let scaled: Vec<f64> = x.values.iter().map(|&v| f64::from(v)).collect();
        let gelu: Vec<f64> = scaled.iter().map(|&v| reference::gelu(v)).collect();
        let given = back(backend, &backend.gelu(tensor(backend, &x)).unwrap());
        as_close("gelu", &given, &gelu, &precision.all(&gelu), TOLERANCE);
        let sum: Vec<f64> = scaled.iter().zip(&y.values).map(|(a, &b)| a + f64::from(b)).collect();
        let given = backend.add(tensor(backend, &x), &tensor(backend, &y)).unwrap();
        as_close("add", &back(backend, &given), &sum, &precision.all(&sum), TOLERANCE);
        let (weight, bias) =
            (backend.vector(w.values.clone()).unwrap(), backend.vector(b.values.clone()).unwrap());
        let given = backend.layer_norm(&tensor(backend, &x), &weight, &bias, 1e-5).unwrap();
        let expected = reference::layer_norm(&x, &w.values, &b.values, 1e-5);
        // Two columns may lie close together: their difference is known only to float32.
        let plain = precision.all(&expected);
        as_close("layer norm", &back(backend, &given), &expected, &plain, 1e-4f64.min(TOLERANCE * 20.0));
        let gated: Vec<f64> = (0..rows)
            .flat_map(|r| {
                let (gate, value) = x.row(r).split_at(columns / 2);
                gate.iter()
                    .zip(value)
                    .map(|(&g, &v)| reference::gelu(g.into()) * f64::from(v))
                    .collect::<Vec<_>>()
            })
            .collect();
        let given = backend.gated_gelu(&tensor(backend, &x)).unwrap();
        as_close("gated gelu", &back(backend, &given), &gated, &precision.all(&gated), TOLERANCE);
    }
}

fn attention<B: Backend>(backend: &B, precision: Precision) {
    let mut random = Random::new(4, precision);
    for (heads, width) in [(3, 16), (2, 24), (2, 32), (1, 64), (1, 128), (2, 6)] {
        let hidden = heads * width;
        let (_, cu_seqlens, packed) = batch(backend, &LENGTHS, &mut random);
        let tokens = *cu_seqlens.last().unwrap() as usize;
        let qkv = random.matrix(tokens, 3 * hidden);
        let plain = Attention { heads, rotary_frequencies: rotary_frequencies(width), alibi_slopes: None };
        let name = format!("{} attention, heads of {width}", precision.name);
        let exact =
            |qkv: &Matrix, slopes: &[f32]| reference::attention(qkv, &cu_seqlens, heads, slopes, |v| v);
        let rounding = |qkv: &Matrix, slopes: &[f32]| {
            reference::attention(qkv, &cu_seqlens, heads, slopes, precision.round)
        };
        let none = vec![0.0; heads];
        let given = back(backend, &backend.attention(&tensor(backend, &qkv), &packed, &plain).unwrap());
        as_close(&name, &given, &exact(&qkv, &none), &rounding(&qkv, &none), TOLERANCE);

        let slopes: Vec<f32> = (0..heads).map(|h| 0.5f32.powi(h as i32 + 1)).collect();
        let alibi = Attention {
            heads,
            rotary_frequencies: Vec::new(),
            alibi_slopes: Some(backend.vector(slopes.clone()).unwrap()),
        };
        let given = back(backend, &backend.attention(&tensor(backend, &qkv), &packed, &alibi).unwrap());
        as_close(
            &format!("{name}, alibi"),
            &given,
            &exact(&qkv, &slopes),
            &rounding(&qkv, &slopes),
            TOLERANCE,
        );

        let turned = reference::rotary(&qkv, &cu_seqlens, heads);
        let given = back(backend, &backend.rotary(tensor(backend, &qkv), &packed, &plain).unwrap());
        let expected: Vec<f64> = turned.values.iter().map(|&v| v.into()).collect();
        let rounded = precision.all(&expected);
        as_close(&format!("rotary, heads of {width}"), &given, &expected, &rounded, 2e-5);
    }
}

/// Queries, keys and values from normed rows, rotated, and what attention makes of them.
fn self_attention<B: Backend>(backend: &B, precision: Precision) {
    let mut random = Random::new(9, precision);
    // The last one has more tiles than a card works on at once.
    let shapes = [
        (3, 16, 40),
        (2, 24, 64),
        (5, 32, 96),
        (2, 64, 72),
        (3, 128, 64),
        (2, 6, 16),
        (4, 10, 20),
        (46, 64, 72),
    ];
    for (heads, width, inner) in shapes {
        let hidden = heads * width;
        let (_, cu_seqlens, packed) = batch(backend, &LENGTHS, &mut random);
        let tokens = *cu_seqlens.last().unwrap() as usize;
        let (x, mut w) = (random.matrix(tokens, inner), random.matrix(3 * hidden, inner));
        let b = random.matrix(1, 3 * hidden);
        // By a power of two, so that every dtype still has the values: large scores are not what this is about.
        w.values.iter_mut().for_each(|v| *v *= 0.125);
        let weight = backend.matrix(3 * hidden, inner, w.values.clone()).unwrap();
        let bias = backend.vector(b.values.clone()).unwrap();
        let plain = Attention { heads, rotary_frequencies: rotary_frequencies(width), alibi_slopes: None };
        let product = reference::linear(&x, &w, Some(&b.values));
        let matrix = |values: &[f64]| Matrix {
            rows: tokens,
            columns: 3 * hidden,
            values: values.iter().map(|&v| v as f32).collect(),
        };
        let wide = |m: &Matrix| m.values.iter().map(|&v| f64::from(v)).collect::<Vec<f64>>();
        let turned = reference::rotary(&matrix(&product), &cu_seqlens, heads);
        let rounded = reference::rotary(&matrix(&precision.all(&product)), &cu_seqlens, heads);
        let rounded = matrix(&precision.all(&wide(&rounded)));
        let name = format!("{} rotary, {heads} heads of {width} from {inner}", precision.name);
        let dx = tensor(backend, &x);
        let given = backend.linear_rotary(&dx, &weight, Some(&bias), &packed, &plain).unwrap();
        as_close(&name, &back(backend, &given), &wide(&turned), &wide(&rounded), 2e-5);
        if heads < 10 {
            let none = vec![0.0; heads];
            let given = backend.self_attention(dx, &weight, Some(&bias), &packed, &plain).unwrap();
            let expected = reference::attention(&turned, &cu_seqlens, heads, &none, |v| v);
            let rounded = reference::attention(&rounded, &cu_seqlens, heads, &none, precision.round);
            as_close(&format!("{name}, attention"), &back(backend, &given), &expected, &rounded, 2e-5);
        }
    }
}

/// Sequences that do not fit a block's memory, beside short ones: every way that attention cuts its work.
fn long_attention<B: Backend>(backend: &B, precision: Precision) {
    let mut random = Random::new(8, precision);
    for (width, lengths) in
        [(16, &[700, 3, 385][..]), (64, &[193, 1, 50]), (64, &[1022, 17]), (128, &[400, 200])]
    {
        let (_, cu_seqlens, packed) = batch(backend, lengths, &mut random);
        let qkv = random.matrix(*cu_seqlens.last().unwrap() as usize, 3 * width);
        let plain = Attention { heads: 1, rotary_frequencies: Vec::new(), alibi_slopes: None };
        let given = back(backend, &backend.attention(&tensor(backend, &qkv), &packed, &plain).unwrap());
        let expected = reference::attention(&qkv, &cu_seqlens, 1, &[0.0], |v| v);
        let rounded = reference::attention(&qkv, &cu_seqlens, 1, &[0.0], precision.round);
        as_close(
            &format!("{} attention over {lengths:?}", precision.name),
            &given,
            &expected,
            &rounded,
            TOLERANCE,
        );
    }
}

/// Attention over `lengths`, with ALiBi where `alibi`, as every model calls it: heads of several widths.
fn attention_over<B: Backend>(
    backend: &B,
    precision: Precision,
    lengths: &[usize],
    (heads, width, alibi): (usize, usize, bool),
) {
    let mut random = Random::new(9, precision);
    let (_, cu_seqlens, packed) = batch(backend, lengths, &mut random);
    let qkv = random.matrix(*cu_seqlens.last().unwrap() as usize, 3 * heads * width);
    let slopes: Vec<f32> = (0..heads).map(|h| if alibi { 0.5f32.powi(h as i32 + 1) } else { 0.0 }).collect();
    let attention = Attention {
        heads,
        rotary_frequencies: Vec::new(),
        alibi_slopes: alibi.then(|| backend.vector(slopes.clone()).unwrap()),
    };
    let given = back(backend, &backend.attention(&tensor(backend, &qkv), &packed, &attention).unwrap());
    let exact = reference::attention(&qkv, &cu_seqlens, heads, &slopes, |v| v);
    let rounded = reference::attention(&qkv, &cu_seqlens, heads, &slopes, precision.round);
    let name = format!("{} attention, {heads} heads of {width}, {lengths:?}", precision.name);
    as_close(&name, &given, &exact, &rounded, TOLERANCE);
}

/// Lengths around the sizes that kernels count in, all whole in a block's memory or not.
fn attention_at_every_edge<B: Backend>(backend: &B, precision: Precision) {
    let short = [1, 2, 15, 16, 17, 51, 55, 56];
    let whole = [57, 1, 63, 64, 65, 111, 112, 113, 127, 128, 129, 167, 168];
    let long = [169, 2, 192, 193, 255, 256, 257, 51];
    for (lengths, heads) in [(&short[..], 5), (&whole, 3), (&long, 1)] {
        for width in [16, 32, 64, 128] {
            for alibi in [false, true] {
                attention_over(backend, precision, lengths, (heads, width, alibi));
            }
        }
    }
}

/// A sequence of NaN, and NaN in the rows past the batch, are nobody else's.
fn broken_neighbours_change_nothing<B: Backend>(backend: &B, precision: Precision) {
    let mut random = Random::new(10, precision);
    let hidden = 64;
    for heads in [1, 2, 4] {
        for lengths in [[20, 33, 50, 7], [130, 20, 167, 65], [300, 70, 257, 65]] {
            let cu_seqlens = boundaries(&lengths);
            let tokens = *cu_seqlens.last().unwrap() as usize;
            let mut qkv = random.matrix(tokens, 3 * hidden);
            let broken = cu_seqlens[1] as usize * 3 * hidden..cu_seqlens[2] as usize * 3 * hidden;
            let exact = reference::attention(&qkv, &cu_seqlens, heads, &[0.0; 4], |v| v);
            let rounded = reference::attention(&qkv, &cu_seqlens, heads, &[0.0; 4], precision.round);
            qkv.values[broken].fill(f32::NAN);
            let rows = tokens.next_multiple_of(256);
            let poison = Matrix { rows, columns: 3 * hidden, values: vec![f32::NAN; rows * 3 * hidden] };
            // The next tensor of this size takes its memory.
            drop(tensor(backend, &poison));
            let packed =
                backend.packed(&vec![0; tokens], &cu_seqlens, *lengths.iter().max().unwrap()).unwrap();
            let plain = Attention { heads, rotary_frequencies: Vec::new(), alibi_slopes: None };
            let given = back(backend, &backend.attention(&tensor(backend, &qkv), &packed, &plain).unwrap());
            for of in [0, 2, 3] {
                let own = cu_seqlens[of] as usize * hidden..cu_seqlens[of + 1] as usize * hidden;
                let name = format!("{} attention beside NaN, {heads} heads, {lengths:?}", precision.name);
                as_close(&name, &given[own.clone()], &exact[own.clone()], &rounded[own], TOLERANCE);
            }
        }
    }
}

/// Scores far apart: the running maximum must carry, nothing may overflow.
fn attention_with_large_scores<B: Backend>(backend: &B, precision: Precision) {
    let mut random = Random::new(5, precision);
    let mut qkv = random.matrix(200, 48);
    // By a power of two, so that every dtype still has the values.
    qkv.values.iter_mut().for_each(|v| *v *= 32.0);
    let packed = backend.packed(&[0; 200], &[0, 200], 200).unwrap();
    let plain = Attention { heads: 1, rotary_frequencies: Vec::new(), alibi_slopes: None };
    let given = backend.attention(&tensor(backend, &qkv), &packed, &plain).unwrap();
    let expected = reference::attention(&qkv, &[0, 200], 1, &[0.0], |v| v);
    let plain = precision.all(&expected);
    // A score of 10,000 is known to 5e-4 in float32, and so is its exponential.
    as_close("attention, large scores", &back(backend, &given), &expected, &plain, 5e-3);
}

fn pools<B: Backend>(backend: &B, precision: Precision) {
    let mut random = Random::new(6, precision);
    let lengths = [3, 4, 70, 5];
    let (_, cu_seqlens, packed) = batch(backend, &lengths, &mut random);
    let x = random.matrix(82, 20);
    let dx = tensor(backend, &x);
    let inner = PoolSpan { skip_first: 1, skip_last: 1 };
    let whole = PoolSpan { skip_first: 0, skip_last: 0 };
    for (pool, span) in [(Pool::Mean, inner), (Pool::Mean, whole), (Pool::Max, inner), (Pool::Cls, inner)] {
        let expected: Vec<f64> = cu_seqlens
            .windows(2)
            .flat_map(|w| {
                let rows = match pool {
                    Pool::Cls => w[0] as usize..w[0] as usize + 1,
                    _ => w[0] as usize + span.skip_first..w[1] as usize - span.skip_last,
                };
                let x = &x;
                (0..20)
                    .map(move |c| {
                        let column = rows.clone().map(|r| f64::from(x.row(r)[c]));
                        match pool {
                            Pool::Max => column.fold(f64::NEG_INFINITY, f64::max),
                            _ => column.clone().sum::<f64>() / rows.len() as f64,
                        }
                    })
                    .collect::<Vec<_>>()
            })
            .collect();
        let given = backend.wait(backend.pool(&dx, &packed, pool, span).unwrap()).unwrap();
        close(&format!("{pool:?} pool"), &given, &expected, TOLERANCE);
    }
}

/// A sequence's attention must not know its neighbours: the same rows alone and between others.
fn packed_equals_alone<B: Backend>(backend: &B, precision: Precision) {
    let mut random = Random::new(7, precision);
    let (heads, hidden, inner) = (4, 64, 48);
    let plain =
        Attention { heads, rotary_frequencies: rotary_frequencies(hidden / heads), alibi_slopes: None };
    let (_, cu_seqlens, packed) = batch(backend, &LENGTHS, &mut random);
    let x = random.matrix(*cu_seqlens.last().unwrap() as usize, inner);
    let mut weight = random.matrix(3 * hidden, inner);
    weight.values.iter_mut().for_each(|v| *v *= 0.125);
    let weight = backend.matrix(weight.rows, inner, weight.values).unwrap();
    let bias = backend.vector(random.matrix(1, 3 * hidden).values).unwrap();
    let attend = |x: &Matrix, packed: &B::Packed| {
        let x = tensor(backend, x);
        back(backend, &backend.self_attention(x, &weight, Some(&bias), packed, &plain).unwrap())
    };
    let together = attend(&x, &packed);
    for bounds in cu_seqlens.windows(2) {
        let rows = bounds[0] as usize..bounds[1] as usize;
        let own = Matrix {
            rows: rows.len(),
            columns: inner,
            values: x.values[rows.start * inner..rows.end * inner].to_vec(),
        };
        let packed = backend.packed(&vec![0; rows.len()], &[0, rows.len() as i32], rows.len()).unwrap();
        let alone = attend(&own, &packed);
        let expected: Vec<f64> =
            together[rows.start * hidden..rows.end * hidden].iter().map(|&v| v.into()).collect();
        // Alone the keys may be taken in other groups: one rounding of the result.
        as_close("packed against alone", &alone, &expected, &precision.all(&expected), TOLERANCE);
    }
}

fn conforms<B: Backend>(backend: &B, precision: Precision) {
    embed(backend, precision);
    products(backend, precision);
    norms(backend, precision);
    element_wise(backend, precision);
    attention(backend, precision);
    self_attention(backend, precision);
    long_attention(backend, precision);
    attention_at_every_edge(backend, precision);
    broken_neighbours_change_nothing(backend, precision);
    attention_with_large_scores(backend, precision);
    pools(backend, precision);
    packed_equals_alone(backend, precision);
}

#[test]
fn cpu() {
    for threads in [1, 2, 5] {
        conforms(&Cpu::new(std::num::NonZeroUsize::new(threads)).unwrap(), Precision::F32);
    }
}

/// NaN and infinity are caught on the card, with the rows they are in.
fn broken_rows_are_reported(cuda: &Cuda) {
    let x = Matrix {
        rows: 6,
        columns: 8,
        values: (0..48).map(|i| if i == 29 { f32::NAN } else { 1.0 }).collect(),
    };
    let packed = cuda.packed(&[0; 6], &[0, 2, 3, 5, 6], 2).unwrap();
    let span = PoolSpan { skip_first: 0, skip_last: 0 };
    for pool in [Pool::Mean, Pool::Max] {
        let pending = cuda.pool(&tensor(cuda, &x), &packed, pool, span).unwrap();
        let error = cuda.wait(pending).unwrap_err();
        assert!(
            error.to_string().starts_with("1 of 4 rows hold NaN or infinity, the first of them row 2"),
            "{error}"
        );
    }
}

/// The shapes of real models, the longest too.
fn attention_of_models(cuda: &Cuda, precision: Precision) {
    for (lengths, shape) in [
        (&[168, 167, 168][..], (20, 64, false)),
        (&[52, 51, 51, 52, 51], (20, 64, false)),
        (&[168, 167], (20, 32, false)),
        (&[168, 51], (20, 16, false)),
        (&[600, 30, 200], (12, 64, true)),
        (&[1024, 51, 300, 2000], (1, 64, false)),
        (&[1024], (1, 32, true)),
        (&[1024], (1, 16, false)),
        (&[1024], (1, 128, false)),
    ] {
        attention_over(cuda, precision, lengths, shape);
    }
}

/// Runs `check` on the card in every dtype, where there is one.
fn on_the_card(check: impl Fn(&Cuda, Precision)) {
    for (dtype, precision) in
        [(Dtype::F32, Precision::F32), (Dtype::F16, Precision::F16), (Dtype::Bf16, Precision::BF16)]
    {
        match Cuda::new(0, CudaOptions { dtype }) {
            Ok(cuda) => {
                println!("{} on {}", precision.name, cuda.name());
                check(&cuda, precision);
            }
            Err(unavailable) => return println!("SKIPPED, no card: {unavailable}"),
        }
    }
}

#[test]
fn cuda() {
    on_the_card(|cuda, precision| {
        conforms(cuda, precision);
        broken_rows_are_reported(cuda);
        if cuda.options().dtype != Dtype::F32 {
            attention_of_models(cuda, precision);
        }
    });
}

/// A part of `cuda`, for work on it.
#[test]
fn cuda_norms() {
    on_the_card(norms);
}

#[test]
fn kernels_compile_for_every_card() {
    for architecture in ["sm_80", "sm_89", "sm_90a"] {
        match virpack_device::cuda::compile_all(architecture).unwrap() {
            Ok(count) => println!("{count} sources compiled for {architecture}"),
            Err(unavailable) => return println!("SKIPPED, no compiler: {unavailable}"),
        }
    }
}
