//! A card that computes nothing and takes the time that a real one would.
//!
//! It has a clock of its own, as a card has a stream: a batch begins when it is given or when the batch
//! before it ends, and lasts as long as its tokens take. A device's thread sleeps until then. A sleep that
//! ends late costs nothing, as the next batch is on the card already, so that no core spins that the
//! pipeline needs.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use virpack_core::device::{
    Attention, Backend, Device, DeviceError, Dtype, LayerNorm, ModelFootprint, ModelShape, Pool, PoolSpan,
    TokenDropout,
};

/// A card of one speed.
pub(crate) struct Card {
    /// Tokens a second.
    rate: f64,
    /// Most tokens in a batch.
    budget: usize,
    /// Values of a row.
    hidden: usize,
    clock: Mutex<Clock>,
}

/// A card's own time.
struct Clock {
    /// When it has computed all that it was given.
    free: Instant,
    /// How long it computed for the batches that were waited for.
    busy: Duration,
}

/// A batch on the card.
#[derive(Clone)]
pub(crate) struct Batch(Arc<(Vec<u16>, Vec<i32>)>);

/// The rows of a batch, and when they are there.
pub(crate) struct Pending {
    batch: Batch,
    /// Values of a row.
    width: usize,
    due: Instant,
    takes: Duration,
}

impl Card {
    /// A card that computes `rate` tokens a second of a model of width `hidden`, in batches of `budget`
    /// tokens.
    pub(crate) fn new(rate: f64, budget: usize, hidden: usize) -> Self {
        let clock = Mutex::new(Clock { free: Instant::now(), busy: Duration::ZERO });
        Card { rate, budget, hidden, clock }
    }

    /// A sequence's row: numbers that follow from its tokens alone, so that the files of runs can be
    /// compared.
    fn row(width: usize, tokens: &[u16], values: &mut Vec<f32>) {
        let mut state = tokens.iter().fold(0x9e37_79b9_7f4a_7c15_u64, |state, &token| {
            (state ^ u64::from(token)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        values.extend((0..width).map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // 24 bits: a number from -1 to 1.
            (state >> 40) as f32 / 8_388_608.0 - 1.0
        }));
    }
}

impl Backend for Card {
    type Tensor = Option<Batch>;
    type Matrix = ();
    type Vector = ();
    type Packed = Batch;
    type Pending = Pending;

    fn matrix(&self, _: usize, _: usize, _: Vec<f32>) -> Result<(), DeviceError> {
        Ok(())
    }

    fn vector(&self, _: Vec<f32>) -> Result<(), DeviceError> {
        Ok(())
    }

    fn packed(&self, ids: &[u16], cu_seqlens: &[i32], _: usize) -> Result<Batch, DeviceError> {
        Ok(Batch(Arc::new((ids.to_vec(), cu_seqlens.to_vec()))))
    }

    fn embed(&self, _: &(), packed: &Batch, _: Option<TokenDropout>) -> Result<Option<Batch>, DeviceError> {
        Ok(Some(packed.clone()))
    }

    fn embed_window(&self, _: &(), _: usize, _: &(), packed: &Batch) -> Result<Option<Batch>, DeviceError> {
        Ok(Some(packed.clone()))
    }

    fn unfold(&self, _: &Option<Batch>, _: &Batch, _: usize) -> Result<Option<Batch>, DeviceError> {
        Ok(None)
    }

    fn product(&self, _: &Option<Batch>, _: &(), _: Option<&()>) -> Result<Option<Batch>, DeviceError> {
        Ok(None)
    }

    fn gelu(&self, x: Option<Batch>) -> Result<Option<Batch>, DeviceError> {
        Ok(x)
    }

    fn gated_gelu(&self, _: &Option<Batch>) -> Result<Option<Batch>, DeviceError> {
        Ok(None)
    }

    fn add(&self, x: Option<Batch>, _: &Option<Batch>) -> Result<Option<Batch>, DeviceError> {
        Ok(x)
    }

    fn layer_norm(&self, _: &Option<Batch>, _: &LayerNorm<()>) -> Result<Option<Batch>, DeviceError> {
        Ok(None)
    }

    fn rotary(&self, qkv: Option<Batch>, _: &Batch, _: &Attention<()>) -> Result<Option<Batch>, DeviceError> {
        Ok(qkv)
    }

    fn attention(
        &self,
        _: &Option<Batch>,
        _: &Batch,
        _: &Attention<()>,
    ) -> Result<Option<Batch>, DeviceError> {
        Ok(None)
    }

    fn pool(
        &self,
        _: &Option<Batch>,
        packed: &Batch,
        pool: Pool,
        _: PoolSpan,
    ) -> Result<Pending, DeviceError> {
        let takes = Duration::from_secs_f64(packed.0.0.len() as f64 / self.rate);
        let mut clock = self.clock.lock().unwrap_or_else(PoisonError::into_inner);
        clock.free = clock.free.max(Instant::now()) + takes;
        Ok(Pending { batch: packed.clone(), width: pool.width(self.hidden), due: clock.free, takes })
    }

    /// All rows are what windows and `--pool none` ask for, which no simulation has.
    fn read(&self, _: &Option<Batch>) -> Result<Pending, DeviceError> {
        Err(DeviceError::Call { call: "read", reason: "a simulated card gives pooled rows only".to_owned() })
    }

    fn wait(&self, pending: Pending) -> Result<Vec<f32>, DeviceError> {
        std::thread::sleep(pending.due.saturating_duration_since(Instant::now()));
        self.clock.lock().unwrap_or_else(PoisonError::into_inner).busy += pending.takes;
        let (ids, cu_seqlens) = &*pending.batch.0;
        let mut values = Vec::with_capacity((cu_seqlens.len() - 1) * pending.width);
        for bounds in cu_seqlens.windows(2) {
            Self::row(pending.width, &ids[bounds[0] as usize..bounds[1] as usize], &mut values);
        }
        Ok(values)
    }

    fn busy(&self) -> Option<Duration> {
        Some(self.clock.lock().unwrap_or_else(PoisonError::into_inner).busy)
    }
}

impl Device for Card {
    fn name(&self) -> String {
        "a simulated card".to_owned()
    }

    fn dtype(&self) -> Dtype {
        Dtype::F16
    }

    fn footprint(&self, _: &ModelShape, _: usize, _: bool) -> ModelFootprint {
        ModelFootprint::default()
    }

    fn free(&self) -> Result<Option<u64>, DeviceError> {
        Ok(None)
    }

    fn most_tokens(&self, _: &ModelShape) -> usize {
        self.budget
    }

    fn reserve(&self, _: &ModelShape, _: usize, _: usize, _: bool) -> Result<(), DeviceError> {
        Ok(())
    }
}
