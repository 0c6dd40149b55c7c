//! Attention over packed sequences of any length.

use crate::batches::{LENGTHS, TOLERANCE, back, batch, boundaries, tensor};
use crate::reference::{self, Matrix, Precision, Random, as_close};
use virpack_device::{Attention, Backend, Cuda, rotary_frequencies};

pub(super) fn attention<B: Backend>(backend: &B, precision: Precision) {
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

/// Sequences that do not fit a block's memory, beside short ones: every way that attention cuts its work.
pub(super) fn long_attention<B: Backend>(backend: &B, precision: Precision) {
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
pub(super) fn attention_at_every_edge<B: Backend>(backend: &B, precision: Precision) {
    let short = [1, 2, 15, 16, 17, 51, 55, 56];
    let whole = [57, 1, 63, 64, 65, 111, 112, 113, 127, 128, 129, 167, 168];
    let long = [169, 2, 192, 193, 255, 256, 257, 51];
    for (lengths, heads) in [(&short[..], 5), (&whole, 3), (&long, 1)] {
        for width in [16, 24, 32, 64, 128] {
            for alibi in [false, true] {
                attention_over(backend, precision, lengths, (heads, width, alibi));
            }
        }
    }
}

/// A sequence of NaN, and NaN in the rows past the batch, affect no other sequence.
pub(super) fn broken_neighbours_change_nothing<B: Backend>(backend: &B, precision: Precision) {
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
pub(super) fn attention_with_large_scores<B: Backend>(backend: &B, precision: Precision) {
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

/// The shapes of real models, the longest too.
pub(super) fn attention_of_models(cuda: &Cuda, precision: Precision) {
    for (lengths, shape) in [
        (&[168, 167, 168][..], (20, 64, false)),
        (&[52, 51, 51, 52, 51], (20, 64, false)),
        (&[168, 167], (20, 32, false)),
        (&[168, 51], (20, 16, false)),
        (&[600, 30, 200], (12, 64, true)),
        (&[1024, 51, 300, 2000], (1, 64, false)),
        (&[1024], (1, 32, true)),
        (&[1024, 70, 400], (3, 24, false)),
        (&[1024], (1, 16, false)),
        (&[1024], (1, 128, false)),
    ] {
        attention_over(cuda, precision, lengths, shape);
    }
}
