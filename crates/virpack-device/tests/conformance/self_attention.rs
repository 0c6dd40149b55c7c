//! Products and rotary positions before attention, and a sequence alone and among others.

use crate::batches::{LENGTHS, TOLERANCE, back, batch, tensor};
use crate::reference::{self, Matrix, Precision, Random, as_close};
use virpack_device::{Attention, Backend, Cpu, Epilogue, LayerNorm, Linear, rotary_frequencies};

/// Queries, keys and values from normed rows, rotated, and what attention makes of them.
pub(super) fn self_attention<B: Backend>(backend: &B, precision: Precision) {
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
        // By a power of two, so that every dtype still has the values: large scores are not what this is
        // about.
        w.values.iter_mut().for_each(|v| *v *= 0.125);
        let layer = Linear { norm: None, weight: w.values.clone(), bias: Some(b.values.clone()) };
        let layer = backend.linear_layer([3 * hidden, inner], layer, None).unwrap();
        let plain = Attention { heads, rotary_frequencies: rotary_frequencies(width), alibi_slopes: None };
        let product = reference::linear(&x, &w, Some(&b.values));
        let matrix = |values: &[f64]| Matrix {
            rows: tokens,
            columns: 3 * hidden,
            values: values.iter().map(|&v| v as f32).collect(),
        };
        let wide = |m: &Matrix| m.values.iter().map(|&v| f64::from(v)).collect::<Vec<f64>>();
        let turned = reference::rotary(&matrix(&product), &cu_seqlens, heads);
        let rounded =
            reference::rotary(&matrix(&precision.linear(&x, &w, Some(&b.values))), &cu_seqlens, heads);
        let rounded = matrix(&precision.all(&wide(&rounded)));
        let name = format!("{} rotary, {heads} heads of {width} from {inner}", precision.name);
        let dx = tensor(backend, &x);
        let given = backend.linear(&dx, &layer, Epilogue::Rotary(&packed, &plain)).unwrap();
        as_close(&name, &back(backend, &given), &wide(&turned), &wide(&rounded), 2e-5);
        if heads < 10 {
            let none = vec![0.0; heads];
            let given = backend.self_attention(&dx, &layer, &packed, &plain).unwrap();
            let expected = reference::attention(&turned, &cu_seqlens, heads, &none, |v| v);
            let rounded = reference::attention(&rounded, &cu_seqlens, heads, &none, precision.round);
            let rounded = precision.handed_on(rounded, hidden);
            as_close(&format!("{name}, attention"), &back(backend, &given), &expected, &rounded, 2e-5);
        }
    }
}

/// A sequence's attention must not know its neighbours: the same rows alone and between others.
pub(super) fn packed_equals_alone<B: Backend>(backend: &B, precision: Precision) {
    let mut random = Random::new(7, precision);
    let (heads, hidden, inner) = (4, 64, 48);
    let plain =
        Attention { heads, rotary_frequencies: rotary_frequencies(hidden / heads), alibi_slopes: None };
    let (_, cu_seqlens, packed) = batch(backend, &LENGTHS, &mut random);
    let x = random.matrix(*cu_seqlens.last().unwrap() as usize, inner);
    let mut weight = random.matrix(3 * hidden, inner);
    weight.values.iter_mut().for_each(|v| *v *= 0.125);
    let bias = Some(random.matrix(1, 3 * hidden).values);
    let layer = Linear { norm: None, weight: weight.values, bias };
    let layer = backend.linear_layer([3 * hidden, inner], layer, None).unwrap();
    let attend = |x: &Matrix, packed: &B::Packed| {
        let x = tensor(backend, x);
        back(backend, &backend.self_attention(&x, &layer, packed, &plain).unwrap())
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

/// A layer's rows, bit for bit, whatever is packed beside a sequence: short and long ones, more than a block
/// of keys.
pub(super) fn packed_bits_are_alone_bits(cpu: &Cpu, precision: Precision) {
    let mut random = Random::new(13, precision);
    for (heads, hidden) in [(4, 64), (5, 160), (2, 128), (3, 72)] {
        let lengths = [167, 3, 193, 31, 1, 400, 64, 168];
        let attention =
            Attention { heads, rotary_frequencies: rotary_frequencies(hidden / heads), alibi_slopes: None };
        let mut layer = |outputs: usize, inputs: usize, normed: bool| {
            let norm = LayerNorm { weight: vec![1.0; inputs], bias: vec![0.1; inputs], eps: 1e-5 };
            let mut weight = random.matrix(outputs, inputs).values;
            weight.iter_mut().for_each(|v| *v *= 0.125);
            let bias = Some(random.matrix(1, outputs).values);
            let layer = Linear { norm: normed.then_some(norm), weight, bias };
            cpu.linear_layer([outputs, inputs], layer, None).unwrap()
        };
        let layers = [
            layer(3 * hidden, hidden, true),
            layer(hidden, hidden, false),
            layer(4 * hidden, hidden, true),
            layer(hidden, 4 * hidden, false),
        ];
        let [qkv, output, up, down] = &layers;
        let attend = |x: &Matrix, packed: &_| {
            let x = tensor(cpu, x);
            let h = cpu.self_attention(&x, qkv, packed, &attention).unwrap();
            cpu.linear(&h, output, Epilogue::Add(x)).unwrap()
        };
        let (_, cu_seqlens, packed) = batch(cpu, &lengths, &mut random);
        let x = random.matrix(*cu_seqlens.last().unwrap() as usize, hidden);
        let together = back(cpu, &cpu.feed_forward(attend(&x, &packed), up, down).unwrap());
        for bounds in cu_seqlens.windows(2) {
            let values = bounds[0] as usize * hidden..bounds[1] as usize * hidden;
            let rows = (bounds[1] - bounds[0]) as usize;
            let own = Matrix { rows, columns: hidden, values: x.values[values.clone()].to_vec() };
            let packed = cpu.packed(&vec![0; rows], &[0, rows as i32], rows).unwrap();
            // A feed-forward part by its definition: short sequences by tiles, long ones in blocks.
            let x = attend(&own, &packed);
            let h = cpu.linear(&x, up, Epilogue::Gelu).unwrap();
            let alone = back(cpu, &cpu.linear(&h, down, Epilogue::Add(x)).unwrap());
            let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&alone), bits(&together[values]), "{rows} tokens of {hidden}, alone and packed");
        }
    }
}
