//! Turns files and sequences into packed batches.

use std::path::PathBuf;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use numpy::IntoPyArray;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::{PyDict, PyList};

use virpack_core::seq::{
    AsyncDataLoader, CollatorOptions, GreedyPacker, LengthPolicy, LoaderItem, LoaderOptions, PackedBatch,
    PackerOptions, Record, SeqError, SkippedRecord, TokenSlab, VarlenCollator,
};

use crate::error::Outcome;
use crate::handle::Handle;
use crate::reading::{open, shard};
use crate::tokenizing::Tokenizer;

/// How long a wait lasts before signals are checked.
const SIGNALS_EVERY: Duration = Duration::from_millis(50);

/// Adds this file's names to the module.
pub(crate) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Loader>()?;
    module.add_class::<Collator>()
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

fn skipped(record: &SkippedRecord) -> WithoutTokens {
    (record.record, record.id.to_string(), record.reason.as_str())
}

/// Packed batches of files, prepared by threads.
#[pyclass(frozen)]
struct Loader {
    loading: Handle<Loading>,
    options: BatchOptions,
}

struct Loading {
    loader: AsyncDataLoader,
    skipped: Vec<WithoutTokens>,
}

#[pymethods]
impl Loader {
    #[new]
    fn new(
        paths: Vec<PathBuf>,
        tokenizer: &Tokenizer,
        options: BatchOptions,
        prefetch: usize,
        shard: (u32, u32),
    ) -> Outcome<Self> {
        let records = open(paths, self::shard(shard)?)?;
        let loading = LoaderOptions::default().lengths(options.lengths()).prefetch(prefetch.max(1));
        let tokens = Arc::clone(&tokenizer.tokens);
        let loader = AsyncDataLoader::new(records, tokens, options.collator()?, loading)?;
        Ok(Loader { loading: Handle::new(Loading { loader, skipped: Vec::new() }), options })
    }

    fn __iter__(this: Py<Self>) -> Py<Self> {
        this
    }

    fn __next__<'py>(&self, py: Python<'py>) -> Outcome<Option<Bound<'py, PyDict>>> {
        loop {
            py.check_signals()?;
            let mut loading = self.loading.get(py)?;
            let loading = &mut *loading;
            match py.detach(|| loading.loader.receive_within(SIGNALS_EVERY)) {
                Poll::Pending => {}
                Poll::Ready(None) => return Ok(None),
                Poll::Ready(Some(item)) => match item? {
                    LoaderItem::Batch(batch) => return Ok(Some(self.options.batch(py, batch)?)),
                    LoaderItem::Skipped(records) => loading.skipped.extend(records.iter().map(skipped)),
                },
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
        let remarks = loading.loader.progress().remarks_on(loading.loader.inputs());
        Ok(remarks.iter().map(ToString::to_string).collect())
    }
}

/// Packed batches of sequences from Python, without a thread.
#[pyclass(frozen)]
struct Collator {
    collating: Handle<Collating>,
    options: BatchOptions,
    tokenizer: Py<Tokenizer>,
}

struct Collating {
    collator: VarlenCollator,
    slab: TokenSlab,
    skipped: Vec<WithoutTokens>,
}

#[pymethods]
impl Collator {
    #[new]
    fn new(tokenizer: Py<Tokenizer>, options: BatchOptions) -> Outcome<Self> {
        let collator = options.collator()?;
        let collating = Collating { collator, slab: TokenSlab::default(), skipped: Vec::new() };
        Ok(Collator { collating: Handle::new(collating), options, tokenizer })
    }

    /// Adds records: their ids and sequences, and their places in the input.
    fn push(
        &self,
        py: Python<'_>,
        ids: Vec<PyBackedStr>,
        sequences: Vec<PyBackedStr>,
        numbers: Vec<u64>,
    ) -> Outcome<()> {
        let mut collating = self.collating.get(py)?;
        let collating = &mut *collating;
        let (tokens, lengths) = (Arc::clone(&self.tokenizer.get().tokens), self.options.lengths());
        py.detach(|| {
            for ((id, sequence), number) in ids.iter().zip(&sequences).zip(numbers) {
                let sequence = sequence.as_bytes().to_vec();
                let record = Record { index: number, id: Arc::from(&**id), sequence, ..Record::default() };
                lengths.apply(&*tokens, &record, &[], &mut collating.slab)?;
                for (tokens, index) in collating.slab.drain() {
                    collating.collator.push(tokens, index)?;
                }
                collating.skipped.extend(collating.slab.skipped.iter().map(skipped));
                collating.slab.clear();
            }
            Ok::<(), SeqError>(())
        })?;
        Ok(())
    }

    /// Returns the next full batch; None if more records are needed.
    fn pop<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        let batch = self.collating.get(py)?.collator.pop();
        batch.map(|batch| self.options.batch(py, batch)).transpose()
    }

    /// Returns all remaining batches.
    fn flush<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let mut collating = self.collating.get(py)?;
        let collating = &mut *collating;
        let batches = py.detach(|| collating.collator.flush());
        batches.into_iter().map(|batch| self.options.batch(py, batch)).collect()
    }

    /// Returns the records skipped since the last call.
    fn take_skipped(&self, py: Python<'_>) -> PyResult<Vec<WithoutTokens>> {
        Ok(std::mem::take(&mut self.collating.get(py)?.skipped))
    }
}
