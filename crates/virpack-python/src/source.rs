//! The sources of records: files, or Python, one block at a time.

use std::path::PathBuf;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use numpy::PyReadonlyArray1;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyIterator, PyList, PyString};

use virpack_core::device::available_memory;
use virpack_core::seq::{Input, ReadLimits, ReadOptions, Record, Records, SeqError, reader};

/// The name of records in memory in errors.
const NAME: &str = "sequences";

/// Files, or an iterator over blocks of records, as `_source.py` returns them.
#[derive(FromPyObject)]
pub(crate) enum Source<'py> {
    #[pyo3(transparent)]
    Files(Vec<PathBuf>),
    #[pyo3(transparent)]
    Blocks(Bound<'py, PyIterator>),
}

/// A source of records, to be opened by the thread that reads it.
pub(crate) enum Opening {
    Files(Vec<Input>),
    Given(Receiver<Vec<Record>>),
}

/// Blocks of records that Python passes on.
pub(crate) struct Feed {
    blocks: Py<PyIterator>,
    to: Sender<Vec<Record>>,
    /// The last block that was made.
    block: Option<Vec<Record>>,
    /// Whether the reader is gone.
    is_over: bool,
}

impl Source<'_> {
    /// Splits the source into what the reader opens and what Python must provide meanwhile.
    pub(crate) fn split(self) -> (Opening, Option<Feed>) {
        match self {
            Source::Files(paths) => (Opening::Files(paths.into_iter().map(Input::from).collect()), None),
            Source::Blocks(blocks) => {
                let (to, from) = bounded(2);
                (
                    Opening::Given(from),
                    Some(Feed { blocks: blocks.unbind(), to, block: None, is_over: false }),
                )
            }
        }
    }
}

/// Opens the records of files, with a size limit that fits the memory.
pub(crate) fn open_files(inputs: &[Input]) -> Result<Records, SeqError> {
    reader::open_with(inputs, ReadOptions::default().limits(ReadLimits::fitting(available_memory())))
}

impl Opening {
    /// Returns the names of the files, if there are several.
    pub(crate) fn names(&self) -> Vec<String> {
        match self {
            Opening::Files(inputs) if inputs.len() > 1 => inputs.iter().map(Input::to_string).collect(),
            Opening::Files(_) | Opening::Given(_) => Vec::new(),
        }
    }

    pub(crate) fn open(self) -> Result<Records, SeqError> {
        match self {
            Opening::Files(inputs) => open_files(&inputs),
            Opening::Given(blocks) => Ok(Records::from_records(NAME, blocks.into_iter().flatten())),
        }
    }
}

impl Feed {
    /// Makes Python build a block, unless one waits; returns false at the end.
    pub(crate) fn fill(&mut self, py: Python<'_>) -> PyResult<bool> {
        if self.is_over {
            return Ok(false);
        }
        while self.block.is_none() {
            let Some(block) = self.blocks.bind(py).clone().next() else { return Ok(false) };
            let records = records(&block?)?;
            self.block = (!records.is_empty()).then_some(records);
        }
        Ok(true)
    }

    pub(crate) fn to(&self) -> &Sender<Vec<Record>> {
        &self.to
    }

    /// Sends the waiting block if the reader has room for it; returns whether it is gone.
    pub(crate) fn offer(&mut self) -> bool {
        match self.block.take().map(|block| self.to.try_send(block)) {
            Some(Err(TrySendError::Full(block))) => {
                self.block = Some(block);
                return false;
            }
            Some(Err(TrySendError::Disconnected(_))) => self.is_over = true,
            Some(Ok(())) | None => {}
        }
        true
    }

    /// Sends the waiting block by `send`, which returns whether it was taken.
    pub(crate) fn give(&mut self, send: impl FnOnce(Vec<Record>) -> bool) {
        // If the reader is gone, the run has the reason.
        self.is_over = !send(self.block.take().unwrap_or_default());
    }
}

/// Returns the records of a block: ids and sequences, or ids and the letters of all with their offsets.
fn records(block: &Bound<'_, PyAny>) -> PyResult<Vec<Record>> {
    if let Ok((ids, sequences)) = block.extract::<(Bound<'_, PyList>, Bound<'_, PyList>)>() {
        let pairs = ids.iter().zip(sequences.iter());
        return pairs.map(|(id, sequence)| Ok(Record::new(text(&id)?, letters(&sequence)?))).collect();
    }
    let (ids, letters, offsets): (Bound<'_, PyList>, PyReadonlyArray1<'_, u8>, PyReadonlyArray1<'_, i64>) =
        block.extract()?;
    let (letters, offsets) = (letters.as_slice()?, offsets.as_slice()?);
    let bounds = offsets.windows(2).zip(ids.iter());
    let record = |(bounds, id): (&[i64], Bound<'_, PyAny>)| {
        let [start, end] = [bounds[0], bounds[1]].map(|bound| usize::try_from(bound).unwrap_or(usize::MAX));
        let own = letters.get(start..end);
        let own = own.ok_or_else(|| PyValueError::new_err("offsets beyond the letters of a column"))?;
        Ok(Record::new(text(&id)?, own))
    };
    bounds.map(record).collect()
}

fn text(id: &Bound<'_, PyAny>) -> PyResult<String> {
    Ok(id.cast::<PyString>()?.to_string_lossy().into_owned())
}

fn letters(sequence: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    if let Ok(bytes) = sequence.cast::<PyBytes>() {
        return Ok(bytes.as_bytes().to_vec());
    }
    let text = sequence.cast::<PyString>().map_err(|_| PyTypeError::new_err("a sequence is str or bytes"))?;
    // Invalid letters are refused by the reader, with their place.
    Ok(text.to_string_lossy().into_owned().into_bytes())
}
