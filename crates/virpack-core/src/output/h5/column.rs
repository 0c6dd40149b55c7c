//! A dataset that grows by rows, in chunks of equal size.

use std::io;

use super::btree::{Tree, chunks};
use super::header::{Datatype, ObjectHeader};
use super::object::{Objects, UNDEFINED};

/// The writer of a dataset `[n]` or `[n, width]`.
pub(super) struct Column {
    datatype: Datatype,
    width: Option<usize>,
    chunk_rows: usize,
    rows: u64,
    chunk: Vec<u8>,
    addresses: Vec<u64>,
}

impl Column {
    /// Creates a dataset with rows of one element, or of `width`, and `chunk_rows` rows in a chunk.
    pub(super) fn new(datatype: Datatype, width: Option<usize>, chunk_rows: usize) -> Column {
        Column { datatype, width, chunk_rows, rows: 0, chunk: Vec::new(), addresses: Vec::new() }
    }

    /// Adds a row.
    pub(super) fn push(&mut self, objects: &mut Objects, row: &[u8]) -> io::Result<()> {
        debug_assert_eq!(row.len(), self.row_bytes());
        self.chunk.extend_from_slice(row);
        self.rows += 1;
        if self.chunk.len() == self.chunk_bytes() { self.close_chunk(objects) } else { Ok(()) }
    }

    /// Writes the last chunk and the dataset's header, and returns its address.
    pub(super) fn finish(&mut self, objects: &mut Objects) -> io::Result<u64> {
        if !self.chunk.is_empty() {
            // The last chunk has the full size, however few rows it has.
            self.chunk.resize(self.chunk_bytes(), 0);
            self.close_chunk(objects)?;
        }
        let width = self.width.map(|width| width as u64);
        let sizes: Vec<u64> = [self.rows].into_iter().chain(width).collect();
        let chunk: Vec<u32> =
            [self.chunk_rows as u64].into_iter().chain(width).map(|size| size as u32).collect();
        let tree = match self.addresses.is_empty() {
            true => UNDEFINED,
            false => Tree::of_chunks(sizes.len())
                .write(objects, chunks(&self.addresses, self.chunk_bytes(), &chunk))?,
        };
        objects.append(&ObjectHeader::chunked(self.datatype, &sizes, &chunk, tree).encode())
    }

    fn close_chunk(&mut self, objects: &mut Objects) -> io::Result<()> {
        self.addresses.push(objects.append(&self.chunk)?);
        self.chunk.clear();
        Ok(())
    }

    fn row_bytes(&self) -> usize {
        self.width.unwrap_or(1) * self.datatype.bytes()
    }

    fn chunk_bytes(&self) -> usize {
        self.chunk_rows * self.row_bytes()
    }
}
