//! Reads the scores of a part of `predict` from its Parquet file, one row group at a time.

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::vec::IntoIter;

use parquet::basic::Type;
use parquet::column::reader::get_typed_column_reader;
use parquet::data_type::{ByteArray, ByteArrayType, DataType, FloatType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};
use virpack_seq::{Frame, Record};

use crate::calls::{ScoredChunk, ScoredFrame, Scores};
use crate::files::place;
use crate::output::OutputError;

/// The columns without `source`, which is the third if there are several inputs.
const COLUMNS: [(&str, Type); 11] = [
    ("record", Type::INT64),
    ("id", Type::BYTE_ARRAY),
    ("length", Type::INT64),
    ("chunk", Type::INT64),
    ("start", Type::INT64),
    ("end", Type::INT64),
    ("frame", Type::BYTE_ARRAY),
    ("frame_start", Type::INT64),
    ("frame_end", Type::INT64),
    ("score_other", Type::FLOAT),
    ("score_virus", Type::FLOAT),
];

/// The scores of a part.
pub(super) struct ScoreRows {
    path: PathBuf,
    file: SerializedFileReader<File>,
    has_sources: bool,
    next_group: usize,
    rows: IntoIter<ScoreRow>,
    /// The first row that was not returned yet.
    first: Option<ScoreRow>,
}

/// The chunks of a record, or the finding that they belong to another record.
pub(super) enum RecordScores {
    /// Its chunks.
    Of(Vec<ScoredChunk>),
    /// The part has another record here.
    OfAnother,
}

#[derive(Clone)]
struct ScoreRow {
    record: u64,
    id: ByteArray,
    length: u64,
    /// Its number, and its bases in the record.
    chunk: Option<(u64, Range<usize>)>,
    frame: Option<(Frame, Range<usize>)>,
    scores: Option<Scores>,
}

impl ScoreRows {
    /// Opens the file of a part; `has_sources` says whether its plan has several inputs.
    pub(super) fn open(path: &Path, has_sources: bool) -> Result<Self, OutputError> {
        let file = place::fetch(path).map_err(|source| OutputError::decoding(path, source.into()))?;
        let file = SerializedFileReader::new(file).map_err(|error| OutputError::decoding(path, error))?;
        // The decoder panics at a column of another type.
        let columns = file.metadata().file_metadata().schema_descr().columns();
        let found: Vec<_> = columns.iter().map(|column| (column.name(), column.physical_type())).collect();
        let source = has_sources.then_some(("source", Type::BYTE_ARRAY));
        let expected: Vec<_> =
            COLUMNS[..2].iter().copied().chain(source).chain(COLUMNS[2..].iter().copied()).collect();
        if found != expected {
            return Err(OutputError::decoding(path, odd()));
        }
        let (path, rows) = (path.to_path_buf(), Vec::new().into_iter());
        Ok(ScoreRows { path, file, has_sources, next_group: 0, rows, first: None })
    }

    /// Returns the chunks of the next record, which must be `record`. Its id may end with a number that the
    /// id in the part lacks.
    pub(super) fn of(&mut self, record: &Record, is_numbered: bool) -> Result<RecordScores, OutputError> {
        let mut chunks: Vec<ScoredChunk> = Vec::new();
        let mut rows = 0;
        while let Some(row) = self.next_of(record.index)? {
            if !row.is_of(record, is_numbered) {
                return Ok(RecordScores::OfAnother);
            }
            rows += 1;
            let Some((number, bases)) = row.chunk else { continue };
            if number as usize == chunks.len() + 1 {
                chunks.push(ScoredChunk { bases, frames: Vec::new(), whole: None });
            }
            let Some(chunk) = chunks.last_mut().filter(|_| number > 0) else { return Err(self.odd()) };
            match (row.frame, row.scores) {
                (Some((frame, codons)), Some(scores)) => {
                    chunk.frames.push(ScoredFrame { frame, codons, scores });
                }
                (None, scores) => chunk.whole = scores,
                (Some(_), None) => return Err(self.odd()),
            }
        }
        Ok(if rows > 0 { RecordScores::Of(chunks) } else { RecordScores::OfAnother })
    }

    /// Returns whether all rows were returned.
    pub(super) fn is_at_end(&mut self) -> Result<bool, OutputError> {
        self.fill()?;
        Ok(self.first.is_none())
    }

    /// Returns the next row, if it belongs to the record of this number.
    fn next_of(&mut self, record: u64) -> Result<Option<ScoreRow>, OutputError> {
        self.fill()?;
        Ok(self.first.take_if(|row| row.record == record))
    }

    /// Reads the next row, unless one waits.
    fn fill(&mut self) -> Result<(), OutputError> {
        while self.first.is_none() {
            self.first = self.rows.next();
            if self.first.is_none() {
                if self.next_group == self.file.num_row_groups() {
                    return Ok(());
                }
                let rows = self.read_group().map_err(|error| OutputError::decoding(&self.path, error))?;
                self.rows = rows.into_iter();
                self.next_group += 1;
            }
        }
        Ok(())
    }

    fn read_group(&self) -> Result<Vec<ScoreRow>, ParquetError> {
        let group = self.file.get_row_group(self.next_group)?;
        let rows = usize::try_from(group.metadata().num_rows()).unwrap_or(0);
        let behind = 2 + usize::from(self.has_sources);
        let numbers = |place| column::<Int64Type>(&*group, place, rows);
        let scores = |place| column::<FloatType>(&*group, place, rows);
        let (records, ids) = (numbers(0)?, column::<ByteArrayType>(&*group, 1, rows)?);
        let (lengths, chunks) = (numbers(behind)?, numbers(behind + 1)?);
        let chunk_places = [numbers(behind + 2)?, numbers(behind + 3)?];
        let frames = column::<ByteArrayType>(&*group, behind + 4, rows)?;
        let frame_places = [numbers(behind + 5)?, numbers(behind + 6)?];
        let scores = [scores(behind + 7)?, scores(behind + 8)?];
        let range = |places: &[Vec<Option<i64>>; 2], i: usize| {
            let start = usize::try_from(places[0][i]?).ok()?.checked_sub(1)?;
            let end = usize::try_from(places[1][i]?).ok()?;
            (start <= end).then_some(start..end)
        };
        let row = |i: usize| {
            let chunk = match chunks[i] {
                None => None,
                Some(number) => Some((u64::try_from(number).ok()?, range(&chunk_places, i)?)),
            };
            let frame = match &frames[i] {
                None => None,
                Some(name) => {
                    let frame = Frame::ALL.into_iter().find(|frame| frame.as_str().as_bytes() == name.data());
                    Some((frame?, range(&frame_places, i)?))
                }
            };
            let scores = scores[0][i].zip(scores[1][i]).map(|(other, virus)| Scores { other, virus });
            Some(ScoreRow {
                record: u64::try_from(records[i]?).ok()?,
                id: ids[i].clone()?,
                length: u64::try_from(lengths[i]?).ok()?,
                chunk,
                frame,
                scores,
            })
        };
        (0..rows).map(row).collect::<Option<_>>().ok_or_else(odd)
    }

    fn odd(&self) -> OutputError {
        OutputError::decoding(&self.path, odd())
    }
}

impl ScoreRow {
    fn is_of(&self, record: &Record, is_numbered: bool) -> bool {
        let rest = record.id.as_bytes().strip_prefix(self.id.data());
        let is_id = rest.is_some_and(|rest| rest.is_empty() || is_numbered && rest.starts_with(b"_"));
        is_id && self.length == record.sequence.len() as u64
    }
}

/// Reads a column: its value in each row.
fn column<T: DataType>(
    group: &dyn RowGroupReader,
    place: usize,
    rows: usize,
) -> Result<Vec<Option<T::T>>, ParquetError> {
    let is_optional = group.metadata().column(place).column_descr().max_def_level() > 0;
    let mut column = get_typed_column_reader::<T>(group.get_column_reader(place)?);
    let (mut values, mut levels) = (Vec::with_capacity(rows), Vec::new());
    let mut done = 0;
    while done < rows {
        let wanted = is_optional.then_some(&mut levels);
        let (read, ..) = column.read_records(rows - done, wanted, None, &mut values)?;
        if read == 0 {
            return Err(odd());
        }
        done += read;
    }
    let mut values = values.into_iter();
    if !is_optional {
        return Ok(values.map(Some).collect());
    }
    Ok(levels.into_iter().map(|level| if level > 0 { values.next() } else { None }).collect())
}

fn odd() -> ParquetError {
    ParquetError::General("its rows are not those of a part of predict".to_owned())
}
