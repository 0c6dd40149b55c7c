//! A file of objects after the superblock, each at an address that is a multiple of eight.

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::Path;

use super::btree;
use crate::files::PendingFile;
use crate::output::OutputError;

/// The address of nothing.
pub(super) const UNDEFINED: u64 = u64::MAX;
/// Bytes of the superblock, version 0, with the root group's entry.
const SUPERBLOCK: u64 = 96;
const BUFFER: usize = 1 << 20;

/// The writer of the file.
pub(super) struct Objects {
    pending: PendingFile,
    out: BufWriter<File>,
    end: u64,
}

impl Objects {
    /// Opens the file. Its superblock is written last.
    pub(super) fn create(target: &Path) -> Result<Objects, OutputError> {
        let (pending, file) = PendingFile::create(target)?;
        let mut out = BufWriter::with_capacity(BUFFER, file);
        out.write_all(&[0; SUPERBLOCK as usize]).map_err(OutputError::write(target))?;
        Ok(Objects { pending, out, end: SUPERBLOCK })
    }

    /// Returns the final name of the file.
    pub(super) fn target(&self) -> &Path {
        self.pending.target()
    }

    /// Returns the finished file.
    pub(super) fn into_aside(self) -> PendingFile {
        self.pending
    }

    /// Appends an object and returns its address.
    pub(super) fn append(&mut self, bytes: &[u8]) -> io::Result<u64> {
        let address = self.end;
        self.out.write_all(bytes)?;
        self.end += bytes.len() as u64;
        self.align()?;
        Ok(address)
    }

    /// Begins an object whose parts follow by [`Objects::part`], and returns its address.
    pub(super) fn begin(&self) -> u64 {
        self.end
    }

    /// Appends a part of an object, of a multiple of eight bytes.
    pub(super) fn part(&mut self, bytes: &[u8]) -> io::Result<()> {
        debug_assert!(bytes.len().is_multiple_of(8));
        self.append(bytes).map(|_| ())
    }

    /// Reserves space for an object of `bytes` bytes, to be written by [`Objects::fill`], and returns its
    /// address.
    pub(super) fn reserve(&mut self, bytes: usize) -> io::Result<u64> {
        let address = self.end;
        self.end = (address + bytes as u64).next_multiple_of(8);
        self.out.seek(SeekFrom::Start(self.end))?;
        Ok(address)
    }

    /// Writes an object into reserved space.
    pub(super) fn fill(&mut self, address: u64, bytes: &[u8]) -> io::Result<()> {
        self.out.seek(SeekFrom::Start(address))?;
        self.out.write_all(bytes)?;
        self.out.seek(SeekFrom::Start(self.end)).map(|_| ())
    }

    fn align(&mut self) -> io::Result<()> {
        let aligned = self.end.next_multiple_of(8);
        self.out.write_all(&[0; 8][..(aligned - self.end) as usize])?;
        self.end = aligned;
        Ok(())
    }

    /// Writes the superblock and completes the file on disk.
    pub(super) fn finish(&mut self, root: u64) -> io::Result<()> {
        let mut superblock = b"\x89HDF\r\n\x1a\n".to_vec();
        // Versions of the superblock, free space, root entry and shared headers; bytes of addresses and of
        // lengths.
        superblock.extend([0, 0, 0, 0, 0, 8, 8, 0]);
        superblock.extend((btree::SYMBOLS as u16 / 2).to_le_bytes());
        superblock.extend((btree::GROUP.children as u16 / 2).to_le_bytes());
        superblock.extend(0u32.to_le_bytes());
        // The file's beginning and end, no free space and no driver; then the root entry, without cached
        // data.
        for address in [0, UNDEFINED, self.end, UNDEFINED, 0, root, 0, 0, 0] {
            superblock.extend(address.to_le_bytes());
        }
        self.fill(0, &superblock)?;
        self.out.flush()?;
        // Reserved space at the end that was not written counts too.
        self.out.get_ref().set_len(self.end)?;
        self.out.get_ref().sync_all()
    }
}
