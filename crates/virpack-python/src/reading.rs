//! Reads records from files, and the open frames of nucleotide records.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use pyo3::prelude::*;
use pyo3::types::PyTuple;

use virpack_core::seq::{
    GeneticCode, Input, Record, Records, SeqError, Shard, Translator, chunks, expect_nucleotides,
};

use crate::error::{Failure, Outcome, input_error};
use crate::handle::Handle;
use crate::source::open_files;

/// Letters that are read before the interpreter gets them, so that short records are passed on by the
/// hundred.
const LETTERS_AT_A_TIME: usize = 1 << 17;

/// Adds this file's names to the module.
pub(crate) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Reader>()?;
    module.add_class::<Frames>()
}

/// Opens one shard of the records of some files.
pub(crate) fn open(paths: Vec<PathBuf>, shard: Shard) -> Result<Records, SeqError> {
    let inputs: Vec<Input> = paths.into_iter().map(Input::from).collect();
    Ok(open_files(&inputs)?.shard(shard))
}

/// Returns shard `number`, from 0, of `of`.
pub(crate) fn shard((number, of): (u32, u32)) -> PyResult<Shard> {
    let shard = number.checked_add(1).and_then(|number| Shard::new(number, of));
    shard.ok_or_else(|| {
        input_error(&format!("there is no shard {number} of {of}"), Some("shards are counted from 0"))
    })
}

/// Returns the remarks on what was read, as lines.
pub(crate) fn remarks_of(records: &Records) -> Vec<String> {
    records.remarks().iter().map(ToString::to_string).collect()
}

/// The items that wait to be returned, and the error after them.
struct Ahead<T> {
    ready: VecDeque<T>,
    failure: Option<SeqError>,
}

impl<T> Ahead<T> {
    fn new() -> Self {
        Ahead { ready: VecDeque::new(), failure: None }
    }

    /// Returns the next item; None at the end, or if `fill` must be called for more.
    fn next(&mut self) -> Outcome<Option<T>> {
        match (self.ready.pop_front(), &self.failure) {
            (None, Some(_)) => Err(self.failure.take().map(Failure::Seq).expect("it was matched")),
            (next, _) => Ok(next),
        }
    }
}

/// Records of files as tuples: id, description, sequence, number of the record, path, line.
#[pyclass(frozen)]
struct Reader(Handle<Reading>);

struct Reading {
    records: Records,
    ahead: Ahead<Record>,
}

impl Reading {
    fn fill(&mut self) {
        let mut letters = 0;
        while letters < LETTERS_AT_A_TIME {
            let mut record = Record::default();
            match self.records.read(&mut record) {
                Ok(true) => {
                    letters += record.sequence.len() + 64;
                    self.ahead.ready.push_back(record);
                }
                Ok(false) => return,
                Err(error) => return self.ahead.failure = Some(error),
            }
        }
    }
}

#[pymethods]
impl Reader {
    #[new]
    fn new(paths: Vec<PathBuf>, shard: (u32, u32)) -> Outcome<Self> {
        let records = open(paths, self::shard(shard)?)?;
        Ok(Reader(Handle::new(Reading { records, ahead: Ahead::new() })))
    }

    fn __iter__(this: Py<Self>) -> Py<Self> {
        this
    }

    fn __next__<'py>(&self, py: Python<'py>) -> Outcome<Option<Bound<'py, PyTuple>>> {
        py.check_signals()?;
        let mut reading = self.0.get(py)?;
        let reading = &mut *reading;
        if reading.ahead.ready.is_empty() && reading.ahead.failure.is_none() {
            py.detach(|| reading.fill());
        }
        let Some(record) = reading.ahead.next()? else { return Ok(None) };
        let path = reading.records.inputs()[record.source as usize].path();
        let Record { index, line, id, description, sequence, .. } = record;
        let sequence = str_of(&sequence);
        Ok(Some((&*id, description, sequence, index, path.to_string_lossy(), line).into_pyobject(py)?))
    }

    /// Returns what the reader passed over, as lines. They are complete when the iteration has ended.
    fn remarks(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        Ok(remarks_of(&self.0.get(py)?.records))
    }
}

/// Returns letters as text.
fn str_of(letters: &[u8]) -> &str {
    std::str::from_utf8(letters).expect("the reader accepts ASCII letters and marks only")
}

/// Open frames of the chunks of nucleotide records as tuples: id, number of the record, number of the chunk
/// from 1, its first base from 0, name of the frame, nucleotides, protein.
#[pyclass(frozen)]
struct Frames(Handle<Framing>);

struct Framing {
    records: Records,
    translator: Translator,
    length: NonZeroUsize,
    ahead: Ahead<Frame>,
    record: Record,
}

struct Frame {
    id: std::sync::Arc<str>,
    record: u64,
    chunk: usize,
    start: usize,
    name: &'static str,
    nucleotides: Vec<u8>,
    protein: Vec<u8>,
}

impl Framing {
    fn fill(&mut self) {
        let mut letters = 0;
        while letters < LETTERS_AT_A_TIME {
            match self.one_record() {
                Ok(Some(more)) => letters += more + 64,
                Ok(None) => return,
                Err(error) => return self.ahead.failure = Some(error),
            }
        }
    }

    /// Adds the frames of the next record, and returns the letters read; None at the end.
    fn one_record(&mut self) -> Result<Option<usize>, SeqError> {
        if !self.records.read(&mut self.record)? {
            return Ok(None);
        }
        let Record { id, index, sequence, .. } = &self.record;
        expect_nucleotides(&self.record, self.records.inputs())?;
        for (number, chunk) in (1..).zip(chunks(sequence.len(), self.length)) {
            let start = chunk.start;
            self.ahead.ready.extend(self.translator.frames(&sequence[chunk]).map(|frame| Frame {
                id: id.clone(),
                record: *index,
                chunk: number,
                start,
                name: frame.frame.as_str(),
                nucleotides: frame.nucleotides.to_vec(),
                protein: frame.protein.to_vec(),
            }));
        }
        Ok(Some(sequence.len()))
    }
}

#[pymethods]
impl Frames {
    #[new]
    fn new(paths: Vec<PathBuf>, length: usize, genetic_code: u8, shard: (u32, u32)) -> Outcome<Self> {
        let length = NonZeroUsize::new(length).ok_or_else(|| {
            input_error("a chunk of 0 bases holds nothing", Some("length must be at least 1"))
        })?;
        let translator = Translator::new(GeneticCode::ncbi(genetic_code)?);
        let records = open(paths, self::shard(shard)?)?;
        let record = Record::default();
        Ok(Frames(Handle::new(Framing { records, translator, length, ahead: Ahead::new(), record })))
    }

    fn __iter__(this: Py<Self>) -> Py<Self> {
        this
    }

    fn __next__<'py>(&self, py: Python<'py>) -> Outcome<Option<Bound<'py, PyTuple>>> {
        py.check_signals()?;
        let mut framing = self.0.get(py)?;
        let framing = &mut *framing;
        while framing.ahead.ready.is_empty() && framing.ahead.failure.is_none() {
            let before = framing.records.progress().records();
            py.detach(|| framing.fill());
            // A series of records without an open frame is not the end.
            if framing.ahead.ready.is_empty() && framing.records.progress().records() == before {
                break;
            }
            py.check_signals()?;
        }
        let Some(Frame { id, record, chunk, start, name, nucleotides, protein }) = framing.ahead.next()?
        else {
            return Ok(None);
        };
        let (nucleotides, protein) = (str_of(&nucleotides), str_of(&protein));
        Ok(Some((&*id, record, chunk, start, name, nucleotides, protein).into_pyobject(py)?))
    }

    /// Returns what the reader passed over, as lines. They are complete when the iteration has ended.
    fn remarks(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        Ok(remarks_of(&self.0.get(py)?.records))
    }
}
