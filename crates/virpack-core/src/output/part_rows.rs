//! Reads the rows of a part of a plan from its Parquet file, one row group at a time.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::vec::IntoIter;

use super::{OutputDtype, OutputError, OutputOptions, Row};
use crate::files::place;
use half::f16;
use parquet::column::reader::get_typed_column_reader;
use parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DataType, FixedLenByteArrayType, FloatType, Int64Type,
};
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};

/// The rows of a part.
pub(crate) struct PartRows {
    path: PathBuf,
    file: SerializedFileReader<File>,
    hidden: usize,
    source: u32,
    has_sources: bool,
    dtype: OutputDtype,
    next_group: usize,
    group: ReadGroup,
}

/// The row group being read.
#[derive(Default)]
struct ReadGroup {
    rows: IntoIter<(ByteArray, i64, bool, i64, i64)>,
    /// Number of values of each row.
    counts: IntoIter<usize>,
    values: Vec<f32>,
    /// Number of values passed on.
    done: usize,
}

impl PartRows {
    /// Opens the file of a part of input `source`, which was written with these options.
    pub(crate) fn open(
        path: &Path,
        hidden: usize,
        source: u32,
        options: &OutputOptions,
    ) -> Result<Self, OutputError> {
        let file = place::fetch(path).map_err(|source| failed(path)(source.into()))?;
        Ok(PartRows {
            path: path.to_path_buf(),
            file: SerializedFileReader::new(file).map_err(failed(path))?,
            hidden,
            source,
            has_sources: options.sources.len() > 1,
            dtype: options.dtype,
            next_group: 0,
            group: ReadGroup::default(),
        })
    }

    /// Returns the next row, with number `record`, and its values; `None` at the end.
    pub(crate) fn next(&mut self, record: u64) -> Result<Option<(Row, &[f32])>, OutputError> {
        while self.group.rows.len() == 0 {
            if self.next_group == self.file.num_row_groups() {
                return Ok(None);
            }
            self.group = self.read_group().map_err(failed(&self.path))?;
            self.next_group += 1;
        }
        let group = &mut self.group;
        let (Some(row), Some(count)) = (group.rows.next(), group.counts.next()) else { return Ok(None) };
        let (id, length, truncated, unknown, gaps) = row;
        let number = |number: i64| u32::try_from(number).map_err(|_| too_many());
        let numbers = number(unknown).and_then(|unknown| Ok((unknown, number(gaps)?)));
        let (unknown, gaps) = numbers.map_err(failed(&self.path))?;
        let id = String::from_utf8_lossy(id.data()).into();
        let length = length.cast_unsigned();
        let row = Row { record, source: self.source, id, length, truncated, unknown, gaps };
        let values = &group.values[group.done..group.done + count];
        group.done += count;
        Ok(Some((row, values)))
    }

    fn read_group(&self) -> Result<ReadGroup, ParquetError> {
        let group = self.file.get_row_group(self.next_group)?;
        let rows = usize::try_from(group.metadata().num_rows()).unwrap_or(0);
        let behind = usize::from(self.has_sources);
        let ids = plain::<ByteArrayType>(&*group, 0, rows)?;
        let lengths = plain::<Int64Type>(&*group, 1 + behind, rows)?;
        let truncated = plain::<BoolType>(&*group, 2 + behind, rows)?;
        let unknown = plain::<Int64Type>(&*group, 3 + behind, rows)?;
        let gaps = plain::<Int64Type>(&*group, 4 + behind, rows)?;
        let place = 5 + behind;
        let (values, counts) = match self.dtype {
            OutputDtype::F32 => lists::<FloatType>(&*group, place, rows)?,
            _ => {
                let (values, counts) = lists::<FixedLenByteArrayType>(&*group, place, rows)?;
                let single = |value: &[u8]| value.first_chunk().map(|two| f16::from_le_bytes(*two).to_f32());
                let values = values.iter().map(|value| single(value.data()));
                (values.collect::<Option<_>>().ok_or_else(too_many)?, counts)
            }
        };
        if counts.len() != rows || counts.iter().any(|count| count % self.hidden > 0) {
            return Err(too_many());
        }
        let columns = ids.into_iter().zip(lengths).zip(truncated).zip(unknown).zip(gaps);
        let columns = columns
            .map(|((((id, length), truncated), unknown), gaps)| (id, length, truncated, unknown, gaps));
        let rows = columns.collect::<Vec<_>>().into_iter();
        Ok(ReadGroup { rows, counts: counts.into_iter(), values, done: 0 })
    }
}

/// Reads a column without lists.
fn plain<T: DataType>(
    group: &dyn RowGroupReader,
    place: usize,
    rows: usize,
) -> Result<Vec<T::T>, ParquetError> {
    let mut column = get_typed_column_reader::<T>(group.get_column_reader(place)?);
    let mut values = Vec::with_capacity(rows);
    while values.len() < rows {
        let (read, ..) = column.read_records(rows - values.len(), None, None, &mut values)?;
        if read == 0 {
            return Err(too_many());
        }
    }
    Ok(values)
}

/// Reads a column of lists: the values of all rows, and the number of values of each row.
fn lists<T: DataType>(
    group: &dyn RowGroupReader,
    place: usize,
    rows: usize,
) -> Result<(Vec<T::T>, Vec<usize>), ParquetError> {
    let mut column = get_typed_column_reader::<T>(group.get_column_reader(place)?);
    let (mut values, mut definition, mut repetition) = (Vec::new(), Vec::new(), Vec::new());
    let mut done = 0;
    while done < rows {
        let (read, ..) =
            column.read_records(rows - done, Some(&mut definition), Some(&mut repetition), &mut values)?;
        if read == 0 {
            return Err(too_many());
        }
        done += read;
    }
    // Nothing is null: each level belongs to a value.
    if repetition.len() != values.len() {
        return Err(too_many());
    }
    let mut counts = Vec::with_capacity(rows);
    for level in repetition {
        match counts.last_mut() {
            Some(count) if level > 0 => *count += 1,
            _ => counts.push(1),
        }
    }
    Ok((values, counts))
}

fn too_many() -> ParquetError {
    ParquetError::General("its columns are not those of a part".to_owned())
}

/// Converts an error of the decoder for the file at `path`.
fn failed(path: &Path) -> impl Fn(ParquetError) -> OutputError {
    let path = path.to_path_buf();
    move |error| OutputError::decoding(&path, error)
}
