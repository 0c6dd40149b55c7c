//! Turns files and sequences into packed batches.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use numpy::IntoPyArray;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use virpack_core::seq::{
    AsyncDataLoader, CollatorOptions, GreedyPacker, LengthPolicy, LoaderItem, LoaderOptions, PackedBatch,
    PackerOptions, SeqError, VarlenCollator,
};

use crate::error::Outcome;
use crate::handle::Handle;
use crate::reading::{remarks_of, shard};
use crate::run::Run;
use crate::source::{Feed, Source};
use crate::tokenizing::Tokenizer;

/// How long a wait lasts before signals are checked.
const SIGNALS_EVERY: Duration = Duration::from_millis(50);

/// How long a wait lasts while Python has more records: the loader reads a block in about this time.
const FEED_EVERY: Duration = Duration::from_millis(1);

/// Adds this file's names to the module.
pub(crate) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Loader>()?;
    module.add_function(wrap_pyfunction!(check_batches, module)?)
}

/// A record without tokens: its number, its id, and the reason.
type WithoutTokens = (u64, String, &'static str);

/// The options of batches.
#[derive(Clone, FromPyObject)]
#[pyo3(from_item_all)]
struct BatchOptions {
    token_budget: usize,
    buffer_size: usize,
    max_length: usize,
    /// Whether token ids are int64, and not int32.
    wide: bool,
}

impl BatchOptions {
    fn lengths(&self) -> LengthPolicy {
        LengthPolicy { max_length: self.max_length, ..LengthPolicy::default() }
    }

    fn collator(&self) -> Result<VarlenCollator, SeqError> {
        self.lengths().check()?;
        let packer = GreedyPacker::new(PackerOptions::new(self.token_budget, self.lengths().max_tokens()))?;
        VarlenCollator::new(packer, CollatorOptions::default().buffer_size(self.buffer_size))
    }

    /// Converts a batch to Python.
    fn batch<'py>(&self, py: Python<'py>, batch: PackedBatch) -> PyResult<Bound<'py, PyDict>> {
        let PackedBatch { input_ids, cu_seqlens, max_seqlen, index } = batch;
        let dict = PyDict::new(py);
        if self.wide {
            let ids: Vec<i64> = py.detach(|| input_ids.into_iter().map(i64::from).collect());
            dict.set_item("input_ids", ids.into_pyarray(py))?;
        } else {
            let ids: Vec<i32> = py.detach(|| input_ids.into_iter().map(i32::from).collect());
            dict.set_item("input_ids", ids.into_pyarray(py))?;
        }
        dict.set_item("cu_seqlens", cu_seqlens.into_pyarray(py))?;
        dict.set_item("max_seqlen", max_seqlen)?;
        dict.set_item("sequence_ids", PyList::new(py, index.iter().map(|index| &*index.id))?)?;
        dict.set_item("num_sequences", index.len())?;
        let numbers: Vec<i64> = index.iter().map(|index| index.number as i64).collect();
        let lengths: Vec<i64> = index.iter().map(|index| index.length as i64).collect();
        let truncated: Vec<bool> = index.iter().map(|index| index.truncated).collect();
        dict.set_item("record_index", numbers.into_pyarray(py))?;
        dict.set_item("lengths", lengths.into_pyarray(py))?;
        dict.set_item("truncated", truncated.into_pyarray(py))?;
        dict.set_item("token_budget", self.token_budget)?;
        Ok(dict)
    }
}

/// Packed batches of a source, prepared by threads.
#[pyclass(frozen)]
struct Loader {
    loading: Handle<Loading>,
    options: BatchOptions,
}

struct Loading {
    /// Records that Python has yet to provide. It is dropped before the loader, which waits for them.
    feed: Option<Feed>,
    loader: AsyncDataLoader,
    skipped: Vec<WithoutTokens>,
}

impl Loading {
    /// Returns the next item, if there is one soon, and None at the end.
    fn next(&mut self, py: Python<'_>) -> Outcome<Poll<Option<LoaderItem>>> {
        py.check_signals()?;
        let mut wait = SIGNALS_EVERY;
        if let Some(feed) = &mut self.feed {
            if !feed.fill(py)? {
                self.feed = None;
            } else {
                wait = if feed.offer() { Duration::ZERO } else { FEED_EVERY };
            }
        }
        Ok(match py.detach(|| self.loader.receive_within(wait)) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(item) => Poll::Ready(item.transpose()?),
        })
    }
}

#[pymethods]
impl Loader {
    #[new]
    fn new(
        py: Python<'_>,
        source: Source<'_>,
        tokenizer: &Tokenizer,
        options: BatchOptions,
        prefetch: usize,
        shard: (u32, u32),
    ) -> Outcome<Self> {
        let shard = self::shard(shard)?;
        let (opening, feed) = source.split();
        let records = Run::once(py, None, move |_| Ok(opening.open()?.shard(shard)))?;
        let loading = LoaderOptions::default().lengths(options.lengths()).prefetch(prefetch.max(1));
        let tokens = Arc::clone(&tokenizer.tokens);
        let loader = AsyncDataLoader::new(records, tokens, options.collator()?, loading)?;
        Ok(Loader { loading: Handle::new(Loading { feed, loader, skipped: Vec::new() }), options })
    }

    fn __iter__(this: Py<Self>) -> Py<Self> {
        this
    }

    fn __next__<'py>(&self, py: Python<'py>) -> Outcome<Option<Bound<'py, PyDict>>> {
        let mut loading = self.loading.get(py)?;
        loop {
            match loading.next(py)? {
                Poll::Pending => {}
                Poll::Ready(None) => return Ok(None),
                Poll::Ready(Some(LoaderItem::Batch(batch))) => {
                    return Ok(Some(self.options.batch(py, batch)?));
                }
                Poll::Ready(Some(LoaderItem::Skipped(records))) => {
                    let skipped = records.iter().map(|r| (r.record, r.id.to_string(), r.reason.as_str()));
                    loading.skipped.extend(skipped);
                }
            }
        }
    }

    /// Returns the records skipped since the last call.
    fn take_skipped(&self, py: Python<'_>) -> PyResult<Vec<WithoutTokens>> {
        Ok(std::mem::take(&mut self.loading.get(py)?.skipped))
    }

    /// Returns what the reader passed over, as lines. They are complete when the iteration has ended.
    fn remarks(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        let loading = self.loading.get(py)?;
        Ok(remarks_of(loading.loader.progress(), loading.loader.inputs()))
    }
}

/// Checks that batches of these options can be made.
#[pyfunction]
fn check_batches(options: BatchOptions) -> Outcome<()> {
    options.collator()?;
    Ok(())
}
