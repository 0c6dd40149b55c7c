//! Parameters of operations beside their operands, and the time that they took.

use std::time::Duration;

/// Token dropout as ESM-2 was trained with it: `<mask>` embeddings are zeroed and the others scaled by
/// `(1 - train_ratio) / (1 - share of <mask>)`, the share counted over a sequence's tokens, special ones
/// included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TokenDropout {
    /// The id of `<mask>`.
    pub mask_token: u16,
    /// The share of tokens replaced by `<mask>` in training (0.15 · 0.8 = 0.12 for ESM-2).
    pub train_ratio: f32,
}

/// `1 / 10,000^(2i / width)` for each pair `i` of a head's `width` values, float32: the frequencies of rotary
/// positions as models compute them that do not store them.
///
/// ```
/// let frequencies = virpack_device::rotary_frequencies(64);
/// assert_eq!((frequencies.len(), frequencies[0]), (32, 1.0));
/// assert!((frequencies[16] - 0.01).abs() < 1e-9);
/// ```
pub fn rotary_frequencies(width: usize) -> Vec<f32> {
    (0..width / 2).map(|i| 1.0 / (10_000f64.powf(f64::from((2 * i) as f32 / width as f32)) as f32)).collect()
}

/// The shape of a layer's attention.
#[derive(Clone, Debug)]
pub struct Attention<V> {
    /// Attention heads; a head is `hidden / heads` wide.
    pub heads: usize,
    /// Rotary positions: radians a position for each pair of a head's values, `[hidden / heads / 2]`; empty
    /// for models without.
    pub rotary_frequencies: Vec<f32>,
    /// ALiBi: `[heads]` slopes; `-slope · |i - j|` is added to every score. None for ESM-2.
    pub alibi_slopes: Option<V>,
}

/// What a backend's time went to, where it keeps account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Products with weights, and what is done on the way to what they read and to their results.
    pub products: Duration,
    /// Attention.
    pub attention: Duration,
    /// All else: embedding, pooling, norms and conversions that are passes of their own.
    pub rest: Duration,
}
