//! What a run of `embed` has done.

use std::time::Duration;

use serde_json::{Map, Value};
use virpack_seq::{AsyncDataLoader, Input, InputChecksum, InputRemark, LengthCounts, PackStats};

use crate::output::OutputSummary;
use crate::runner::DeviceTally;

/// What a run has done.
#[derive(Clone, Debug)]
pub struct EmbedSummary {
    /// Rows, skipped records and files.
    pub written: OutputSummary,
    /// Most residues, or bases, in a sequence.
    pub max_length: usize,
    /// How many records were truncated, cut into windows or skipped.
    pub lengths: LengthCounts,
    /// How well the batches were filled.
    pub packing: Option<PackStats>,
    /// Tokens that this run has computed, special ones included.
    pub tokens: u64,
    /// Records that an earlier run had finished.
    pub resumed: u64,
    /// From the first record to the finished file, without loading the model.
    pub elapsed: Duration,
    /// Time the device waited for data.
    pub(super) waited: Duration,
    /// Each device, for people, and what it has done.
    pub devices: Vec<(String, DeviceTally)>,
    /// The inputs, as they were named, with sizes and checksums.
    pub(super) inputs: Vec<(Input, Option<InputChecksum>)>,
    /// What was passed over in the inputs, and which held nothing.
    pub remarks: Vec<InputRemark>,
    /// The contents of `OUT.run.json`.
    pub report: Map<String, Value>,
}

impl EmbedSummary {
    /// Returns what a run has done that has read `inputs` to their ends, and written this; without its
    /// report.
    pub(super) fn new(
        loader: &AsyncDataLoader,
        max_length: usize,
        inputs: Vec<(Input, Option<InputChecksum>)>,
        written: OutputSummary,
        elapsed: Duration,
        devices: Vec<(String, DeviceTally)>,
        resumed: u64,
    ) -> Self {
        let counters = loader.counters();
        EmbedSummary {
            written,
            max_length,
            lengths: counters.lengths,
            packing: loader.stats(),
            tokens: counters.tokens - counters.tokens_done,
            resumed,
            elapsed,
            waited: counters.consumer_wait,
            devices,
            inputs,
            remarks: loader.progress().remarks_on(loader.inputs()),
            report: Map::new(),
        }
    }

    /// Returns the share of the time that the devices computed.
    ///
    /// ```
    /// use virpack_core::{CancelToken, EmbedOptions, embed};
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let output = folder.path().join("emb.npy");
    /// let inputs = vec!["../../examples/proteins.fasta".into()];
    /// let options = EmbedOptions::new(inputs, "virpack-mini", &output);
    /// let summary = embed(&options, &CancelToken::new(), |_event| ())?;
    /// println!("{:.0} % of {:?}", 100.0 * summary.busy(), summary.elapsed);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn busy(&self) -> f64 {
        let busy: f64 = self.devices.iter().map(|(_, tally)| tally.busy.as_secs_f64()).sum();
        busy / self.devices.len() as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }
}
