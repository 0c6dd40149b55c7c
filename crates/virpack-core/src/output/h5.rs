//! Writes `.h5`: HDF5 in the layout that every version of its library reads, from beginning to end.
//!
//! The root group has the facts about the run as attributes. Extensible datasets hold the columns `ids`,
//! `lengths`, `truncated`, `unknown`, `gaps` and, with several inputs, `source` (an index into `sources`).
//! Embeddings are the dataset `embeddings`, or the group `records` with a group for each row:
//! `records/000000000042/embeddings`.
//!
//! This module implements the small part of HDF5 that such a file needs. The complete library is written in C
//! and needs CMake; the one in Rust keeps every group in memory and searches all of them for each new one
//! (dev/output.md). The parts have the names of the "HDF5 File Format Specification", versions 0 and 1 of
//! each.

mod btree;
mod column;
mod header;
mod heap;
mod object;
mod records;

use std::path::Path;

use self::column::Column;
use self::header::{Datatype, ObjectHeader};
use self::heap::Heap;
use self::object::Objects;
use self::records::Records;
use super::{Layout, OutputDtype, OutputError, Row, RowWriter};
use crate::files::StagedFiles;

/// Bytes of embeddings that are written, and read, at once.
const CHUNK: usize = 1 << 20;
/// Rows of the other columns that are written, and read, at once.
const CHUNK_ROWS: usize = 4096;

/// The writer of an HDF5 file.
pub(super) struct H5 {
    layout: Layout,
    objects: Objects,
    heap: Heap,
    ids: Column,
    lengths: Column,
    truncated: Column,
    unknown: Column,
    gaps: Column,
    source: Column,
    values: Values,
    bytes: Vec<u8>,
}

/// The destination of the values.
enum Values {
    Table(Column),
    Records(Records),
}

impl H5 {
    /// Opens the file.
    pub(super) fn create(target: &Path, layout: Layout) -> Result<H5, OutputError> {
        let objects = Objects::create(target)?;
        let value = value(layout.dtype);
        let values = match layout.residues {
            true => Values::Records(Records::new(value, layout.hidden)),
            false => {
                let rows = (CHUNK / (layout.hidden * layout.dtype.bytes())).max(1);
                Values::Table(Column::new(value, Some(layout.hidden), rows))
            }
        };
        let column = |datatype| Column::new(datatype, None, CHUNK_ROWS);
        Ok(H5 {
            objects,
            heap: Heap::default(),
            ids: column(Datatype::Text),
            lengths: column(Datatype::Int64),
            truncated: column(Datatype::Bool),
            unknown: column(Datatype::Int64),
            gaps: column(Datatype::Int64),
            source: column(Datatype::Int64),
            values,
            bytes: Vec::new(),
            layout,
        })
    }

    fn put(&mut self, row: &Row, values: usize) -> std::io::Result<()> {
        let H5 { layout, objects, heap, .. } = self;
        match &mut self.values {
            Values::Table(table) => table.push(objects, &self.bytes)?,
            Values::Records(records) => records.push(objects, values / layout.hidden, &self.bytes)?,
        }
        let id = heap.put(objects, &row.id)?;
        self.ids.push(objects, &id)?;
        self.lengths.push(objects, &row.length.to_le_bytes())?;
        self.truncated.push(objects, &[row.truncated.into()])?;
        self.unknown.push(objects, &u64::from(row.unknown).to_le_bytes())?;
        self.gaps.push(objects, &u64::from(row.gaps).to_le_bytes())?;
        if !layout.sources.is_empty() {
            self.source.push(objects, &u64::from(row.source).to_le_bytes())?;
        }
        Ok(())
    }

    fn end(&mut self) -> std::io::Result<()> {
        let H5 { layout, objects, heap, .. } = self;
        let mut root = ObjectHeader::group();
        for (key, value) in &layout.about {
            root.attribute(key, Datatype::Text, &heap.put(objects, value)?);
        }
        let values = match &mut self.values {
            Values::Table(table) => ("embeddings", table.finish(objects)?),
            Values::Records(records) => ("records", records.finish(objects)?),
        };
        root.link(values.0, values.1);
        root.link("ids", self.ids.finish(objects)?);
        root.link("lengths", self.lengths.finish(objects)?);
        root.link("truncated", self.truncated.finish(objects)?);
        root.link("unknown", self.unknown.finish(objects)?);
        root.link("gaps", self.gaps.finish(objects)?);
        if !layout.sources.is_empty() {
            root.link("source", self.source.finish(objects)?);
            let mut sources = Column::new(Datatype::Text, None, CHUNK_ROWS.min(layout.sources.len()));
            for source in &layout.sources {
                let source = heap.put(objects, source)?;
                sources.push(objects, &source)?;
            }
            root.link("sources", sources.finish(objects)?);
        }
        heap.finish(objects)?;
        let root = objects.append(&root.encode())?;
        objects.finish(root)
    }
}

impl RowWriter for H5 {
    fn write(&mut self, row: &Row, _: &str, values: &[f32]) -> Result<(), OutputError> {
        self.bytes.clear();
        self.layout.dtype.encode(row, values, &mut self.bytes)?;
        self.put(row, values.len()).map_err(OutputError::write(self.objects.target()))
    }

    fn finish(mut self: Box<Self>, _: u64) -> Result<Option<StagedFiles>, OutputError> {
        self.end().map_err(OutputError::write(self.objects.target()))?;
        Ok(Some(StagedFiles { main: self.objects.into_aside(), sides: Vec::new() }))
    }
}

fn value(dtype: OutputDtype) -> Datatype {
    // HDF5 has no bfloat16, which is refused earlier.
    if dtype == OutputDtype::F32 { Datatype::Float32 } else { Datatype::Float16 }
}
