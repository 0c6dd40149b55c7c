//! Writes columns of a Parquet file that hold one value for each row, and converts errors of the encoder.

use std::fs::File;
use std::path::Path;

use parquet::data_type::DataType;
use parquet::errors::ParquetError;
use parquet::file::writer::SerializedRowGroupWriter;

use super::OutputError;

/// Writes the next column, which has a value in each row.
pub(crate) fn required<T: DataType>(
    out: &mut SerializedRowGroupWriter<'_, File>,
    values: &[T::T],
) -> Result<(), ParquetError> {
    let mut column = out.next_column()?.ok_or_else(too_few_columns)?;
    column.typed::<T>().write_batch(values, None, None)?;
    column.close()
}

/// Writes the next column, in which values may be missing.
pub(crate) fn optional<T: DataType>(
    out: &mut SerializedRowGroupWriter<'_, File>,
    values: Vec<Option<T::T>>,
) -> Result<(), ParquetError> {
    let levels: Vec<_> = values.iter().map(|value| i16::from(value.is_some())).collect();
    let values: Vec<_> = values.into_iter().flatten().collect();
    let mut column = out.next_column()?.ok_or_else(too_few_columns)?;
    column.typed::<T>().write_batch(&values, Some(&levels), None)?;
    column.close()
}

/// Returns the error of a writer with one column more than its schema.
pub(super) fn too_few_columns() -> ParquetError {
    ParquetError::General("the schema has fewer columns than the writer".to_owned())
}

/// Converts an error of the encoder while `path` was being written.
pub(crate) fn failed(path: &Path) -> impl Fn(ParquetError) -> OutputError {
    let path = path.to_path_buf();
    move |error| OutputError::encoding(&path, error)
}
