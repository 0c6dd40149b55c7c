//! The progress of a run.

use virpack_seq::frames::FrameCounters;
use virpack_seq::reader::ReadProgress;

use crate::runner::DeviceTally;

/// The progress of a run.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// Bytes of the inputs read.
    pub bytes: u64,
    /// Bytes of all inputs, if they are files.
    pub total_bytes: Option<u64>,
    /// Records written or skipped.
    pub records: u64,
    /// For a run that judges chunks: the judged chunks, whether or not they are written yet.
    pub chunks: Option<ChunkProgress>,
    /// The finished share of the work, 0 to 1, if the inputs are files.
    pub done: Option<f64>,
    /// The work of each device so far, one model after the other.
    pub devices: Vec<DeviceProgress>,
}

/// Chunks that have their scores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChunkProgress {
    /// The number of chunks.
    pub chunks: u64,
    /// Bases in them. Bases in an overlap count once.
    pub bases: u64,
}

/// The work of a device so far.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DeviceProgress {
    /// The model that runs on it, if the run has two.
    pub model: Option<&'static str>,
    /// Its number among the model's devices, from 0.
    pub device: usize,
    /// Most tokens in a batch.
    pub token_budget: usize,
    /// Its work.
    pub tally: DeviceTally,
}

/// A model at work.
pub(crate) struct ModelProgress {
    /// Its name, if the run has two models.
    pub(crate) model: Option<&'static str>,
    /// Tokens read for it, those that wait included.
    pub(crate) tokens: u64,
    /// The work for a token, relative to the other models: multiplications, without attention.
    pub(crate) cost: f64,
    /// Most tokens in a batch.
    pub(crate) token_budget: usize,
    /// The work of its devices.
    pub(crate) tallies: Vec<DeviceTally>,
}

impl Progress {
    /// Returns the progress of a run that has finished `records` records with these models.
    pub(crate) fn new(read: &ReadProgress, records: u64, models: &[ModelProgress]) -> Progress {
        let (bytes, total_bytes) = (read.bytes(), read.total_bytes());
        // The reader is ahead of the models.
        let read = total_bytes.map(|total| (bytes as f64 / total.max(1) as f64).min(1.0));
        let done = read.map(|read| read * computed(models));
        let devices = models.iter().flat_map(ModelProgress::devices).collect();
        Progress { bytes, total_bytes, records, chunks: None, done, devices }
    }

    /// Returns the progress of a run that has judged `chunks`; `frames` says what it has read and cut.
    pub(crate) fn of_chunks(
        read: &ReadProgress,
        records: u64,
        chunks: ChunkProgress,
        frames: &FrameCounters,
        models: &[ModelProgress],
    ) -> Progress {
        let progress = Progress::new(read, records, models);
        let done = progress.total_bytes.map(|total| {
            // The number of bases is estimated from the bytes read so far. It is exact at the end.
            let share = (progress.bytes as f64 / total.max(1) as f64).clamp(1e-9, 1.0);
            let all = (frames.read as f64 / share).max(1.0);
            (frames.cut as f64 / all).min(1.0) * computed(models)
        });
        Progress { chunks: Some(chunks), done, ..progress }
    }
}

/// Returns the computed share of the work that was read. A model of few tokens, or of cheap ones, has
/// little weight.
fn computed(models: &[ModelProgress]) -> f64 {
    let sum = |tokens: fn(&ModelProgress) -> u64| {
        models.iter().map(|model| model.cost * tokens(model) as f64).sum::<f64>()
    };
    let (read, done) = (sum(|model| model.tokens), sum(|model| model.done().min(model.tokens)));
    if read > 0.0 { done / read } else { 1.0 }
}

impl ModelProgress {
    /// Returns the tokens computed. Batches in flight count by each device's pace, because results arrive
    /// up to two batches later.
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
        // The proteins of a genome with few open frames fill their first batch late, but they are a small
        // part of the work.
        let done = computed(&[model(10.0, 9_000, 4_500), model(1.0, 1_000, 0)]);
        assert!((done - 45_000.0 / 91_000.0).abs() < 1e-9, "{done}");
        assert_eq!(computed(&[model(1.0, 0, 0)]), 1.0);
        assert_eq!(computed(&[model(2.0, 10, 20)]), 1.0, "batches that run again do not pass the whole");
    }
}
