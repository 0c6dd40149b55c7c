//! Reads a table of a finished run, row by row.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use csv::{Reader, ReaderBuilder, StringRecord};

use super::ReportProblem;
use crate::calls::Scores;

/// A table of a finished run, from which `N` columns are read.
pub(super) struct Table<const N: usize> {
    path: PathBuf,
    reader: Reader<File>,
    names: [&'static str; N],
    places: [usize; N],
    row: StringRecord,
}

impl<const N: usize> Table<N> {
    /// Opens a table that has columns with these names.
    pub(super) fn open(path: &Path, names: [&'static str; N]) -> Result<Self, ReportProblem> {
        let wrong = |problem: String| ReportProblem::Table { path: path.to_path_buf(), line: 1, problem };
        let file = File::open(path).map_err(|error| wrong(error.to_string()))?;
        let mut reader = ReaderBuilder::new().delimiter(b'\t').buffer_capacity(1 << 18).from_reader(file);
        let header = reader.headers().map_err(|error| wrong(error.to_string()))?;
        let mut places = [0; N];
        for (place, name) in places.iter_mut().zip(names) {
            let found = header.iter().position(|column| column == name);
            *place = found.ok_or_else(|| wrong(format!("there is no column `{name}`")))?;
        }
        Ok(Table { path: path.to_path_buf(), reader, names, places, row: StringRecord::new() })
    }

    /// Moves to the next row, and returns whether there is one.
    pub(super) fn next(&mut self) -> Result<bool, ReportProblem> {
        self.reader.read_record(&mut self.row).map_err(|error| self.wrong(error.to_string()))
    }

    /// Moves to the next row, which must exist.
    pub(super) fn expect_next(&mut self) -> Result<(), ReportProblem> {
        match self.next()? {
            true => Ok(()),
            false => Err(self.wrong("rows are missing at the end".to_owned())),
        }
    }

    /// Refuses further rows.
    pub(super) fn expect_end(&mut self) -> Result<(), ReportProblem> {
        match self.next()? {
            false => Ok(()),
            true => Err(self.wrong("this row belongs to no record of sequences.tsv".to_owned())),
        }
    }

    /// Returns a column of the row.
    pub(super) fn text(&self, column: usize) -> &str {
        self.row.get(self.places[column]).unwrap_or_default()
    }

    /// Returns a column of the row that holds a number.
    pub(super) fn number<T: FromStr>(&self, column: usize) -> Result<T, ReportProblem> {
        let text = self.text(column);
        text.parse()
            .map_err(|_| self.wrong(format!("{text:?} is no number in the column `{}`", self.names[column])))
    }

    /// Refuses a row whose column does not hold this number.
    pub(super) fn expect(&self, column: usize, number: u64) -> Result<(), ReportProblem> {
        let found: u64 = self.number(column)?;
        let problem = || format!("{} {found} where {number} is expected", self.names[column]);
        if found == number { Ok(()) } else { Err(self.wrong(problem())) }
    }

    /// Returns two columns of the row that hold scores, `score_other` first.
    pub(super) fn scores(&self, other: usize) -> Result<Scores, ReportProblem> {
        Ok(Scores { other: self.number(other)?, virus: self.number(other + 1)? })
    }

    /// Returns an error in this row.
    pub(super) fn wrong(&self, problem: String) -> ReportProblem {
        let line = self.row.position().map_or_else(|| self.reader.position().line(), csv::Position::line);
        ReportProblem::Table { path: self.path.clone(), line, problem }
    }
}
