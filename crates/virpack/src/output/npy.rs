//! `.npy`: `[n, hidden]` in C order, its records in a table beside it: the header has no room for them, and none for facts about
//! the run.
//!
//! Format 1.0 as `numpy.lib.format` describes it; the header is longer than it need be, so that `n` can be filled in
//! when it is known.

use std::fs::File;
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::Path;

use super::aside::Aside;
use super::publish::Whole;
use super::records::RecordTable;
use super::{Layout, OutputDtype, OutputError, Row, Table};

/// Bytes of the header: room for two numbers of twenty digits, and data that begins at a multiple of 64.
const HEADER: usize = 128;
const BUFFER: usize = 1 << 20;

/// A `.npy` file and its table of records, being written.
pub(super) struct Npy {
    aside: Aside,
    out: BufWriter<File>,
    records: RecordTable,
    layout: Layout,
    rows: u64,
    bytes: Vec<u8>,
}

impl Npy {
    /// Opens the file and its table of records.
    pub(super) fn create(target: &Path, layout: Layout) -> Result<Npy, OutputError> {
        let records = RecordTable::create(target, &layout)?;
        let (aside, file) = Aside::create(target)?;
        let mut out = BufWriter::with_capacity(BUFFER, file);
        out.write_all(&header(0, &layout)).map_err(OutputError::write(target))?;
        Ok(Npy { aside, out, records, layout, rows: 0, bytes: Vec::new() })
    }
}

impl Table for Npy {
    fn write(&mut self, row: &Row, source: &str, values: &[f32]) -> Result<(), OutputError> {
        self.records.add(row, source)?;
        self.bytes.clear();
        self.layout.dtype.encode(row, values, &mut self.bytes)?;
        self.rows += 1;
        self.out.write_all(&self.bytes).map_err(OutputError::write(self.aside.target()))
    }

    fn finish(self: Box<Self>, _: u64) -> Result<Whole, OutputError> {
        let Npy { aside, mut out, records, layout, rows, .. } = *self;
        let mut fill_in = || {
            out.seek(SeekFrom::Start(0))?;
            out.write_all(&header(rows, &layout))?;
            out.flush()?;
            out.get_ref().sync_all()
        };
        fill_in().map_err(OutputError::write(aside.target()))?;
        Ok(Whole { main: aside, sides: vec![records.finish()?] })
    }
}

/// The header of an array of `rows` times `hidden` floats, `HEADER` bytes.
fn header(rows: u64, layout: &Layout) -> Vec<u8> {
    // bfloat16, which numpy does not know, is refused before.
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
