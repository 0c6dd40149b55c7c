//! Reads records from files, and the open frames of nucleotide records.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::vec::IntoIter;

use pyo3::prelude::*;
use pyo3::types::PyTuple;

use virpack_core::Error;
use virpack_core::seq::{
    GeneticCode, Input, ReadProgress, Record, Records, SeqError, Shard, Translator, chunks,
    expect_nucleotides,
};

use crate::error::{Outcome, input_error};
use crate::handle::Handle;
use crate::run::{Keeps, Reporter, Run};
use crate::source::open_files;

/// Letters that are read before the interpreter gets them, so that short records are passed on by the
/// hundred.
const LETTERS_AT_A_TIME: usize = 1 << 17;

/// Adds this file's names to the module.
pub(crate) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Reader>()?;
    module.add_class::<Frames>()
}

/// Opens one shard of the records of some files, on a thread: a store may not answer.
fn open(py: Python<'_>, paths: Vec<PathBuf>, shard: Shard) -> Outcome<Records> {
    let inputs: Vec<Input> = paths.into_iter().map(Input::from).collect();
    Run::once(py, None, move |_| Ok(open_files(&inputs)?.shard(shard)))
}

/// Returns shard `number`, from 0, of `of`.
pub(crate) fn shard((number, of): (u32, u32)) -> PyResult<Shard> {
    let shard = number.checked_add(1).and_then(|number| Shard::new(number, of));
    shard.ok_or_else(|| {
        input_error(&format!("there is no shard {number} of {of}"), Some("shards are counted from 0"))
    })
}

/// Returns the remarks on what was read, as lines.
pub(crate) fn remarks_of(progress: &ReadProgress, inputs: &[Input]) -> Vec<String> {
    progress.remarks_on(inputs).iter().map(ToString::to_string).collect()
}

/// Fills a list with the next items of some records; returns whether more may follow.
type Fill<T> = Box<dyn FnMut(&mut Records, &mut Vec<T>) -> Result<bool, SeqError> + Send>;

/// Items of records in order. A thread reads a list of them ahead, because a pipe or a store may take its
/// time, and Ctrl-C must work meanwhile.
struct Ahead<T> {
    /// The records and what is made of them, until the first item is requested: a pipe is not read before.
    unread: Option<(Records, Fill<T>)>,
    run: Option<Run<Vec<T>>>,
    ready: IntoIter<T>,
    inputs: Arc<[Input]>,
    progress: Arc<ReadProgress>,
}

impl<T: Send + 'static> Ahead<T> {
    fn new(
        records: Records,
        fill: impl FnMut(&mut Records, &mut Vec<T>) -> Result<bool, SeqError> + Send + 'static,
    ) -> Self {
        let (inputs, progress) = (Arc::clone(records.inputs()), records.progress());
        let unread = Some((records, Box::new(fill) as Fill<T>));
        Ahead { unread, run: None, ready: Vec::new().into_iter(), inputs, progress }
    }

    /// Returns the next item; None at the end.
    fn next(&mut self, py: Python<'_>) -> Outcome<Option<T>> {
        if let Some((records, fill)) = self.unread.take() {
            let work = move |reporter: &mut Reporter<_>, _: &_| read_ahead(records, fill, reporter);
            self.run = Some(Run::start(None, None, Keeps::Nothing, work)?);
        }
        loop {
            if let Some(item) = self.ready.next() {
                return Ok(Some(item));
            }
            py.check_signals()?;
            let Some(run) = &mut self.run else { return Ok(None) };
            match run.next(py) {
                Ok(Some(items)) => self.ready = items.into_iter(),
                end => {
                    self.run = None;
                    return end.map(|_| None);
                }
            }
        }
    }
}

/// Passes the items of records on, list by list; an error follows the items before it.
fn read_ahead<T>(
    mut records: Records,
    mut fill: Fill<T>,
    reporter: &mut Reporter<Vec<T>>,
) -> Result<(), Error> {
    loop {
        let mut items = Vec::new();
        let filled = fill(&mut records, &mut items);
        if !reporter.item(items) || !filled? {
            return Ok(());
        }
    }
}

/// Records of files as tuples: id, description, sequence, number of the record, path, line.
#[pyclass(frozen)]
struct Reader(Handle<Ahead<Record>>);

/// Reads the next records.
fn read(records: &mut Records, read: &mut Vec<Record>) -> Result<bool, SeqError> {
    let mut letters = 0;
    while letters < LETTERS_AT_A_TIME {
        let mut record = Record::default();
        if !records.read(&mut record)? {
            return Ok(false);
        }
        letters += record.sequence.len() + 64;
        read.push(record);
    }
    Ok(true)
}

#[pymethods]
impl Reader {
    #[new]
    fn new(py: Python<'_>, paths: Vec<PathBuf>, shard: (u32, u32)) -> Outcome<Self> {
        Ok(Reader(Handle::new(Ahead::new(open(py, paths, self::shard(shard)?)?, read))))
    }

    fn __iter__(this: Py<Self>) -> Py<Self> {
        this
    }

    fn __next__<'py>(&self, py: Python<'py>) -> Outcome<Option<Bound<'py, PyTuple>>> {
        let mut ahead = self.0.get(py)?;
        let Some(record) = ahead.next(py)? else { return Ok(None) };
        let path = ahead.inputs[record.source as usize].path();
        let Record { index, line, id, description, sequence, .. } = record;
        let sequence = str_of(&sequence);
        Ok(Some((&*id, description, sequence, index, path.to_string_lossy(), line).into_pyobject(py)?))
    }

    /// Returns what the reader passed over, as lines. They are complete when the iteration has ended.
    fn remarks(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        let ahead = self.0.get(py)?;
        Ok(remarks_of(&ahead.progress, &ahead.inputs))
    }
}

/// Returns letters as text.
fn str_of(letters: &[u8]) -> &str {
    std::str::from_utf8(letters).expect("the reader accepts ASCII letters and marks only")
}

/// Open frames of the chunks of nucleotide records as tuples: id, number of the record, number of the chunk
/// from 1, its first base from 0, name of the frame, nucleotides, protein.
#[pyclass(frozen)]
struct Frames(Handle<Ahead<Frame>>);

struct Frame {
    id: Arc<str>,
    record: u64,
    chunk: usize,
    start: usize,
    name: &'static str,
    nucleotides: Vec<u8>,
    protein: Vec<u8>,
}

/// Cuts records into chunks of a length and finds their open frames.
struct Framing {
    translator: Translator,
    length: NonZeroUsize,
    record: Record,
}

impl Framing {
    /// Adds the frames of the next records.
    fn fill(&mut self, records: &mut Records, frames: &mut Vec<Frame>) -> Result<bool, SeqError> {
        let mut letters = 0;
        while letters < LETTERS_AT_A_TIME {
            if !records.read(&mut self.record)? {
                return Ok(false);
            }
            let Record { id, index, sequence, .. } = &self.record;
            expect_nucleotides(&self.record, records.inputs())?;
            for (number, chunk) in (1..).zip(chunks(sequence.len(), self.length)) {
                let start = chunk.start;
                frames.extend(self.translator.frames(&sequence[chunk]).map(|frame| Frame {
                    id: id.clone(),
                    record: *index,
                    chunk: number,
                    start,
                    name: frame.frame.as_str(),
                    nucleotides: frame.nucleotides.to_vec(),
                    protein: frame.protein.to_vec(),
                }));
            }
            letters += sequence.len() + 64;
        }
        Ok(true)
    }
}

#[pymethods]
impl Frames {
    #[new]
    fn new(
        py: Python<'_>,
        paths: Vec<PathBuf>,
        length: usize,
        genetic_code: u8,
        shard: (u32, u32),
    ) -> Outcome<Self> {
        let length = NonZeroUsize::new(length).ok_or_else(|| {
            input_error("a chunk of 0 bases holds nothing", Some("length must be at least 1"))
        })?;
        let translator = Translator::new(GeneticCode::ncbi(genetic_code)?);
        let records = open(py, paths, self::shard(shard)?)?;
        let mut framing = Framing { translator, length, record: Record::default() };
        let fill = move |records: &mut Records, frames: &mut Vec<Frame>| framing.fill(records, frames);
        Ok(Frames(Handle::new(Ahead::new(records, fill))))
    }

    fn __iter__(this: Py<Self>) -> Py<Self> {
        this
    }

    fn __next__<'py>(&self, py: Python<'py>) -> Outcome<Option<Bound<'py, PyTuple>>> {
        let frame = self.0.get(py)?.next(py)?;
        let Some(Frame { id, record, chunk, start, name, nucleotides, protein }) = frame else {
            return Ok(None);
        };
        let (nucleotides, protein) = (str_of(&nucleotides), str_of(&protein));
        Ok(Some((&*id, record, chunk, start, name, nucleotides, protein).into_pyobject(py)?))
    }

    /// Returns what the reader passed over, as lines. They are complete when the iteration has ended.
    fn remarks(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        let ahead = self.0.get(py)?;
        Ok(remarks_of(&ahead.progress, &ahead.inputs))
    }
}
