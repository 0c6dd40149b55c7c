//! Writes `.npy`: `[n, hidden]` in C order. Its header cannot hold records or facts about the run, so a table
//! of records is written beside it.
//!
//! The format is 1.0, as `numpy.lib.format` describes it. The header is longer than necessary, so that `n`
//! can be filled in once it is known. Until then the bytes for standard output are in an unnamed file in
//! `TMPDIR`.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

use super::destination::is_stdout;
use super::records::RecordTable;
use super::{Layout, OutputDtype, OutputError, OutputProblem, Row, RowWriter};
use crate::files::PendingFile;
use crate::files::scratch;
use crate::files::{StagedFiles, WriteBehind};

/// Bytes of the header: space for two numbers of twenty digits, and data at a multiple of 64.
const HEADER: usize = 128;

/// The writer of a `.npy` file.
pub(super) struct Npy {
    place: ArrayFile,
    out: WriteBehind,
    layout: Layout,
    rows: u64,
}

/// The destination of the file.
enum ArrayFile {
    /// A named file, with its table of records.
    Named(PendingFile, RecordTable),
    /// Standard output, which gets the bytes of an unnamed file.
    Stdout,
}

impl Npy {
    /// Opens the file and its table of records.
    pub(super) fn create(target: &Path, layout: Layout) -> Result<Npy, OutputError> {
        let (place, file) = if is_stdout(target) {
            (ArrayFile::Stdout, scratch::create()?)
        } else {
            let records = RecordTable::create(target, &layout)?;
            let (pending, file) = PendingFile::create(target)?;
            (ArrayFile::Named(pending, records), file)
        };
        let mut out = WriteBehind::new(file);
        out.write_all(&header(0, &layout)).map_err(|error| place.failed(error))?;
        Ok(Npy { place, out, layout, rows: 0 })
    }
}

impl ArrayFile {
    /// Converts an error of the system while the file was being written.
    fn failed(&self, source: io::Error) -> OutputError {
        match self {
            ArrayFile::Named(pending, _) => OutputError::write(pending.target())(source),
            ArrayFile::Stdout => scratch::failed(source).into(),
        }
    }
}

impl RowWriter for Npy {
    fn write(&mut self, row: &Row, source: &str, values: &[f32]) -> Result<(), OutputError> {
        let start = self.out.buffer().len();
        self.layout.dtype.encode(row, values, self.out.buffer())?;
        if let ArrayFile::Named(_, records) = &mut self.place
            && let Err(error) = records.add(row, source)
        {
            self.out.buffer().truncate(start);
            return Err(error);
        }
        self.rows += 1;
        self.out.added().map_err(|error| self.place.failed(error))
    }

    fn finish(self: Box<Self>, _: u64) -> Result<Option<StagedFiles>, OutputError> {
        let Npy { place, mut out, layout, rows, .. } = *self;
        let mut fill_in = || {
            out.seek(SeekFrom::Start(0))?;
            out.write_all(&header(rows, &layout))?;
            out.flush()
        };
        fill_in().map_err(|error| place.failed(error))?;
        match place {
            ArrayFile::Named(pending, records) => {
                let synced = out.file().and_then(|file| file.sync_all());
                synced.map_err(OutputError::write(pending.target()))?;
                let sides = records.finish()?.into_iter().collect();
                Ok(Some(StagedFiles { main: pending, sides }))
            }
            ArrayFile::Stdout => send(out.file().map_err(scratch::failed)?).map(|()| None),
        }
    }
}

/// Copies a file from its beginning to standard output.
fn send(file: &mut File) -> Result<(), OutputError> {
    file.rewind().map_err(scratch::failed)?;
    let mut stdout = io::stdout().lock();
    let sent = io::copy(file, &mut stdout).and_then(|_| stdout.flush());
    Ok(sent.map_err(OutputProblem::Stdout)?)
}

/// Returns the header of an array of `rows` times `hidden` floats, `HEADER` bytes.
fn header(rows: u64, layout: &Layout) -> Vec<u8> {
    // numpy does not know bfloat16, which is refused earlier.
    let kind = if layout.dtype == OutputDtype::F32 { "<f4" } else { "<f2" };
    let hidden = layout.hidden;
    let mut header = b"\x93NUMPY\x01\x00".to_vec();
    header.extend(((HEADER - 10) as u16).to_le_bytes());
    header.extend(
        format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({rows}, {hidden}), }}").bytes(),
    );
    header.resize(HEADER - 1, b' ');
    header.push(b'\n');
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_has_room_for_any_shape() {
        for (rows, hidden) in [(0, 1), (u64::MAX, usize::MAX)] {
            let header = header(rows, &Layout { hidden, ..Layout::default() });
            assert_eq!(header.len(), HEADER);
            let text = String::from_utf8(header[10..].to_vec()).unwrap();
            assert!(text.trim_end().ends_with(&format!("({rows}, {hidden}), }}")), "{text}");
            assert!(text.ends_with('\n'));
        }
    }
}
