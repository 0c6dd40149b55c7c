//! How far a run is.

use virpack_seq::frames::FrameCounters;
use virpack_seq::reader::ReadProgress;

use crate::runner::DeviceTally;

/// How far a run is.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// Bytes of the inputs read.
    pub bytes: u64,
    /// Bytes of all inputs, where they are files.
    pub total_bytes: Option<u64>,
    /// Records written or skipped.
    pub records: u64,
    /// Of a run that judges chunks, what is judged, whether or not it is its turn to be written.
    pub chunks: Option<ChunkProgress>,
    /// The share of the work that is done, 0 to 1, where the inputs are files.
    pub done: Option<f64>,
    /// What each device has done so far, one model after the other.
    pub devices: Vec<DeviceProgress>,
}

/// Chunks that have their scores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChunkProgress {
    /// How many.
    pub chunks: u64,
    /// Bases in them; none counts twice.
    pub bases: u64,
}

/// What a device has done so far.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DeviceProgress {
    /// Which model runs on it, where a run has two.
    pub model: Option<&'static str>,
    /// Its place among the model's devices, from 0.
    pub device: usize,
    /// Most tokens in a batch.
    pub token_budget: usize,
    /// Its work.
    pub tally: DeviceTally,
}

/// A model at work.
pub(crate) struct ModelProgress {
    /// Its name, where a run has two.
    pub(crate) model: Option<&'static str>,
    /// Tokens read for it, those that wait included.
    pub(crate) tokens: u64,
    /// Work of a token beside one of the other models: multiplications, but for attention.
    pub(crate) cost: f64,
    /// Most tokens in a batch.
    pub(crate) token_budget: usize,
    /// Its devices' work.
    pub(crate) tallies: Vec<DeviceTally>,
}

impl Progress {
    /// The progress of a run that has done `records` records with these models.
    pub(crate) fn new(read: &ReadProgress, records: u64, models: &[ModelProgress]) -> Progress {
        let (bytes, total_bytes) = (read.bytes(), read.total_bytes());
        // The reader is ahead of the models.
        let read = total_bytes.map(|total| (bytes as f64 / total.max(1) as f64).min(1.0));
        let done = read.map(|read| read * computed(models));
        let devices = models.iter().flat_map(ModelProgress::devices).collect();
        Progress { bytes, total_bytes, records, chunks: None, done, devices }
    }

    /// The same of a run that has judged `chunks`, and has read and cut what `frames` say.
    pub(crate) fn of_chunks(
        read: &ReadProgress,
        records: u64,
        chunks: ChunkProgress,
        frames: &FrameCounters,
        models: &[ModelProgress],
    ) -> Progress {
        let progress = Progress::new(read, records, models);
        let done = progress.total_bytes.map(|total| {
            // How many bases come is known from how many bytes those have that are read; at the end it is known exactly.
            let share = (progress.bytes as f64 / total.max(1) as f64).clamp(1e-9, 1.0);
            let all = (frames.read as f64 / share).max(1.0);
            (frames.cut as f64 / all).min(1.0) * computed(models)
        });
        Progress { chunks: Some(chunks), done, ..progress }
    }
}

/// Of the work that is read, the share that is computed: a model of few tokens, or of cheap ones, weighs little.
fn computed(models: &[ModelProgress]) -> f64 {
    let sum = |tokens: fn(&ModelProgress) -> u64| {
        models.iter().map(|model| model.cost * tokens(model) as f64).sum::<f64>()
    };
    let (read, done) = (sum(|model| model.tokens), sum(|model| model.done().min(model.tokens)));
    if read > 0.0 { done / read } else { 1.0 }
}

impl ModelProgress {
    /// Tokens computed, those of batches under way by each device's pace: results are handed on up to two batches later.
    fn done(&self) -> u64 {
        self.tallies.iter().map(|tally| tally.computed).sum()
    }

    fn devices(&self) -> impl Iterator<Item = DeviceProgress> {
        let (model, token_budget) = (self.model, self.token_budget);
        let tallies = self.tallies.iter().enumerate();
        tallies.map(move |(device, tally)| DeviceProgress { model, device, token_budget, tally: *tally })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_weighed_by_what_a_token_costs() {
        let model = |cost, tokens, done| {
            let tallies = vec![DeviceTally { computed: done, ..DeviceTally::default() }];
            ModelProgress { model: None, tokens, cost, token_budget: 1, tallies }
        };
        // Of a genome with few open frames the proteins fill their first batch late: they are little of the
        // work.
        let done = computed(&[model(10.0, 9_000, 4_500), model(1.0, 1_000, 0)]);
        assert!((done - 45_000.0 / 91_000.0).abs() < 1e-9, "{done}");
        assert_eq!(computed(&[model(1.0, 0, 0)]), 1.0);
        assert_eq!(computed(&[model(2.0, 10, 20)]), 1.0, "batches that run again do not pass the whole");
    }
}
