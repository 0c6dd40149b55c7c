//! Stores embeddings that wait for their turn: in memory up to a limit, then on disk.
//!
//! A record's rows are stored one by one: slots of one size leave no gaps when they are reused.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::OutputError;
use super::destination::is_stdout;
use crate::files::PendingFile;
use crate::files::scratch;

/// The slots of a waiting record's rows; consumed when the rows are taken.
#[derive(Debug)]
pub(super) enum Slots {
    /// The slot of one row, the common case.
    One(Slot),
    /// The slots of several rows.
    Many(Vec<Slot>),
}

/// The location of a row.
#[derive(Clone, Copy, Debug)]
pub(super) enum Slot {
    Memory(usize),
    Disk(u64),
}

/// Reusable slots for rows of `hidden` floats: at most `in_memory` of them in memory, the others in a
/// temporary file in the output's directory, or in an unnamed file for standard output.
///
/// How many rows wait depends on how far the packer looks ahead, which the user may set. With the disk,
/// memory stays bounded and no long run fails because of a small limit.
pub(super) struct RowStore {
    hidden: usize,
    in_memory: usize,
    memory: Vec<Vec<f32>>,
    free_memory: Vec<usize>,
    on_disk: u64,
    free_disk: Vec<u64>,
    spill_path: PathBuf,
    spill: Option<Spill>,
    /// The rows taken last.
    taken: Vec<f32>,
}

/// The temporary file, created with its first row and removed on drop.
struct Spill {
    _aside: Option<PendingFile>,
    file: File,
    bytes: Vec<u8>,
}

impl RowStore {
    /// Creates a store of rows of `hidden` floats that holds at most `bytes` bytes of them in memory, and the
    /// others in a temporary file in the directory of `output`.
    pub(super) fn new(hidden: usize, bytes: usize, output: &Path) -> RowStore {
        RowStore {
            hidden,
            in_memory: bytes / row_bytes(hidden),
            memory: Vec::new(),
            free_memory: Vec::new(),
            on_disk: 0,
            free_disk: Vec::new(),
            spill_path: spill_path(output),
            spill: None,
            taken: Vec::new(),
        }
    }

    /// Stores a record's rows, `[n, hidden]`.
    pub(super) fn put(&mut self, rows: &[f32]) -> Result<Slots, OutputError> {
        if rows.len() == self.hidden {
            return self.put_row(rows).map(Slots::One);
        }
        rows.chunks(self.hidden).map(|row| self.put_row(row)).collect::<Result<_, _>>().map(Slots::Many)
    }

    fn put_row(&mut self, embedding: &[f32]) -> Result<Slot, OutputError> {
        assert_eq!(embedding.len(), self.hidden, "the writer checks the width of every embedding");
        if let Some(slot) = self.free_memory.pop() {
            self.memory[slot].copy_from_slice(embedding);
            return Ok(Slot::Memory(slot));
        }
        if self.memory.len() < self.in_memory {
            self.memory.push(embedding.to_vec());
            return Ok(Slot::Memory(self.memory.len() - 1));
        }
        let slot = self.free_disk.pop().unwrap_or(self.on_disk);
        self.on_disk = self.on_disk.max(slot + 1);
        let spill = match &mut self.spill {
            Some(spill) => spill,
            none => none.insert(Spill::create(&self.spill_path, self.hidden)?),
        };
        spill.write(slot, embedding).map_err(failed(&self.spill_path))?;
        Ok(Slot::Disk(slot))
    }

    /// Returns the rows, `[n, hidden]`, that were stored in `slots`, which become free.
    pub(super) fn take(&mut self, slots: Slots) -> Result<&[f32], OutputError> {
        self.taken.clear();
        match slots {
            Slots::One(Slot::Memory(slot)) => {
                self.free_memory.push(slot);
                // Nothing is stored there before the caller releases the row.
                return Ok(&self.memory[slot]);
            }
            Slots::One(slot) => self.take_row(slot)?,
            Slots::Many(slots) => slots.into_iter().try_for_each(|slot| self.take_row(slot))?,
        }
        Ok(&self.taken)
    }

    /// Appends the row to the taken ones.
    fn take_row(&mut self, slot: Slot) -> Result<(), OutputError> {
        match slot {
            Slot::Memory(slot) => {
                self.free_memory.push(slot);
                self.taken.extend_from_slice(&self.memory[slot]);
                Ok(())
            }
            Slot::Disk(slot) => {
                self.free_disk.push(slot);
                let spill = self.spill.as_mut().expect("a slot on disk was written to the file");
                spill.read(slot, &mut self.taken).map_err(failed(&self.spill_path))
            }
        }
    }

    /// Returns the most bytes of embeddings that waited at once, in memory and on disk.
    pub(super) fn peak_bytes(&self) -> (u64, u64) {
        let row = row_bytes(self.hidden) as u64;
        (self.memory.len() as u64 * row, self.on_disk * row)
    }
}

impl Spill {
    fn create(path: &Path, hidden: usize) -> Result<Spill, OutputError> {
        let (pending, file) = if is_stdout(path) {
            (None, scratch::create()?)
        } else {
            let (pending, file) = PendingFile::create(path)?;
            (Some(pending), file)
        };
        let bytes = vec![0; row_bytes(hidden)];
        Ok(Spill { _aside: pending, file, bytes })
    }

    fn write(&mut self, slot: u64, embedding: &[f32]) -> io::Result<()> {
        for (bytes, value) in self.bytes.chunks_exact_mut(size_of::<f32>()).zip(embedding) {
            bytes.copy_from_slice(&value.to_ne_bytes());
        }
        self.file.seek(SeekFrom::Start(slot * self.bytes.len() as u64))?;
        self.file.write_all(&self.bytes)
    }

    /// Appends the row to `rows`.
    fn read(&mut self, slot: u64, rows: &mut Vec<f32>) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(slot * self.bytes.len() as u64))?;
        self.file.read_exact(&mut self.bytes)?;
        rows.extend(self.bytes.as_chunks().0.iter().map(|bytes| f32::from_ne_bytes(*bytes)));
        Ok(())
    }
}

/// Converts an error of the system for the file of this name.
fn failed(path: &Path) -> impl Fn(io::Error) -> OutputError {
    let path = path.to_path_buf();
    move |error| {
        if is_stdout(&path) { scratch::failed(error).into() } else { OutputError::write(&path)(error) }
    }
}

/// Returns the name from which the temporary file's is made; standard output has a name of its own.
pub(super) fn spill_path(output: &Path) -> PathBuf {
    if is_stdout(output) {
        return output.to_path_buf();
    }
    let mut name = output.file_name().unwrap_or_default().to_os_string();
    name.push(".waiting");
    output.with_file_name(name)
}

fn row_bytes(hidden: usize) -> usize {
    hidden * size_of::<f32>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_beyond_the_limit_are_read_from_disk_and_leave_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let mut store = RowStore::new(2, 3 * 8, &directory.path().join("emb.npy"));
        for round in 0..3 {
            let rows: Vec<[f32; 2]> = (0..8).map(|i| [i as f32, round as f32]).collect();
            let slots: Vec<Slots> = rows.iter().map(|row| store.put(row).unwrap()).collect();
            assert_eq!(slots.iter().filter(|slots| matches!(slots, Slots::One(Slot::Disk(_)))).count(), 5);
            for (slot, row) in slots.into_iter().zip(&rows).rev() {
                assert_eq!(store.take(slot).unwrap(), row);
            }
        }
        let long: Vec<f32> = (0..16).map(|i| i as f32).collect();
        let slots = store.put(&long).unwrap();
        assert_eq!(store.take(slots).unwrap(), long, "half of it in memory");
        assert_eq!(store.peak_bytes(), (3 * 8, 5 * 8));
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
        drop(store);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn rows_that_wait_for_standard_output_lie_in_a_file_without_a_name() {
        let mut store = RowStore::new(2, 8, Path::new("-"));
        let slots: Vec<Slots> = (0..4).map(|i| store.put(&[i as f32, 1.0]).unwrap()).collect();
        assert!(!Path::new("-").exists() && store.spill.as_ref().unwrap()._aside.is_none());
        for (i, slots) in slots.into_iter().enumerate() {
            assert_eq!(store.take(slots).unwrap(), [i as f32, 1.0]);
        }
    }
}
