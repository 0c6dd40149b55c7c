//! The group `records`: a group for each row, named by its number, with a dataset `embeddings`.
//!
//! A large group is a sorted tree of names. Numbers with twelve digits arrive in this order.

use std::io;

use super::btree::{GROUP, Leaves, SYMBOLS};
use super::header::{Datatype, ObjectHeader};
use super::object::Objects;

/// Bytes of a name: its digits, padded with zeros.
const NAME: usize = 16;
/// Bytes of the heap before the first name: the empty name.
const NO_NAME: usize = 8;
/// Bytes of a symbol: the offsets of its name and its object, without cached data.
const SYMBOL: usize = 40;

/// The writer of the groups.
pub(super) struct Records {
    datatype: Datatype,
    hidden: usize,
    rows: u64,
    /// The leaf being filled.
    symbols: Vec<u8>,
    leaves: Vec<(Vec<u8>, u64)>,
}

impl Records {
    /// Creates groups with a dataset `[n, hidden]` each.
    pub(super) fn new(datatype: Datatype, hidden: usize) -> Records {
        Records { datatype, hidden, rows: 0, symbols: Vec::new(), leaves: Vec::new() }
    }

    /// Adds the next row's values, `[residues, hidden]`.
    pub(super) fn push(&mut self, objects: &mut Objects, residues: usize, bytes: &[u8]) -> io::Result<()> {
        let sizes = [residues as u64, self.hidden as u64];
        let values = objects.append(bytes)?;
        let dataset = ObjectHeader::piece(self.datatype, &sizes, values, bytes.len() as u64);
        let dataset = objects.append(&dataset.encode())?;
        let mut group = ObjectHeader::group();
        group.link("embeddings", dataset);
        let group = objects.append(&group.encode())?;

        self.symbols.extend(name(self.rows));
        self.symbols.extend(group.to_le_bytes());
        self.symbols.extend([0; SYMBOL - 16]);
        self.rows += 1;
        if self.rows.is_multiple_of(SYMBOLS as u64) { self.close_leaf(objects) } else { Ok(()) }
    }

    fn close_leaf(&mut self, objects: &mut Objects) -> io::Result<()> {
        let mut leaf = b"SNOD\x01\0".to_vec();
        leaf.extend(((self.symbols.len() / SYMBOL) as u16).to_le_bytes());
        leaf.extend(&self.symbols);
        leaf.resize(8 + SYMBOLS * SYMBOL, 0);
        self.symbols.clear();
        // A leaf holds the names after the last one of the previous leaf.
        let before = match self.leaves.len() as u64 * SYMBOLS as u64 {
            0 => [0; 8],
            rows => name(rows - 1),
        };
        self.leaves.push((before.to_vec(), objects.append(&leaf)?));
        Ok(())
    }

    /// Writes the group itself and returns its address.
    pub(super) fn finish(&mut self, objects: &mut Objects) -> io::Result<u64> {
        if !self.symbols.is_empty() {
            self.close_leaf(objects)?;
        }
        let last = if self.rows == 0 { [0; 8] } else { name(self.rows - 1) }.to_vec();
        let tree = GROUP.write(objects, Leaves { children: std::mem::take(&mut self.leaves), last })?;

        let names = objects.begin();
        objects.part(&[0; NO_NAME])?;
        for row in 0..self.rows {
            let mut name = format!("{row:012}").into_bytes();
            name.resize(NAME, 0);
            objects.part(&name)?;
        }
        let mut heap = b"HEAP\0\0\0\0".to_vec();
        // Its size, the end of its empty free list, and its address.
        for value in [NO_NAME as u64 + self.rows * NAME as u64, 1, names] {
            heap.extend(value.to_le_bytes());
        }
        let heap = objects.append(&heap)?;
        objects.append(&ObjectHeader::large_group(tree, heap).encode())
    }
}

/// Returns the offset of a row's name in the heap.
fn name(row: u64) -> [u8; 8] {
    (NO_NAME as u64 + row * NAME as u64).to_le_bytes()
}
