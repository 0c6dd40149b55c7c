//! The global heap: texts of any length, which datasets and attributes refer to.

use std::io;

use super::object::Objects;

/// Bytes of a collection, unless a single text has more.
const COLLECTION: usize = 64 << 10;
/// Bytes before a collection's texts, and before each of them.
const HEADER: usize = 16;

/// Collections of texts. One is filled in memory before the next begins.
#[derive(Default)]
pub(super) struct Heap {
    address: u64,
    /// Bytes of the collection's capacity.
    size: usize,
    collection: Vec<u8>,
    texts: u16,
}

impl Heap {
    /// Adds a text and returns the reference to it, which is an element of [`super::Datatype::Text`].
    pub(super) fn put(&mut self, objects: &mut Objects, text: &str) -> io::Result<[u8; 16]> {
        let mut reference = [0; 16];
        // An empty text has an empty reference.
        if text.is_empty() {
            return Ok(reference);
        }
        let length = u32::try_from(text.len()).map_err(|_| io::Error::other("a text of 4 GB or more"))?;
        let needed = HEADER + text.len().next_multiple_of(8);
        if self.collection.len() + needed > self.size {
            self.finish(objects)?;
            self.size = COLLECTION.max(HEADER + needed);
            self.address = objects.reserve(self.size)?;
            self.collection.extend(b"GCOL\x01\0\0\0");
            self.collection.extend((self.size as u64).to_le_bytes());
        }
        self.texts += 1;
        self.collection.extend(self.texts.to_le_bytes());
        self.collection.extend([1, 0, 0, 0, 0, 0]);
        self.collection.extend(u64::from(length).to_le_bytes());
        self.collection.extend(text.as_bytes());
        self.collection.resize(self.collection.len().next_multiple_of(8), 0);
        reference[..4].copy_from_slice(&length.to_le_bytes());
        reference[4..12].copy_from_slice(&self.address.to_le_bytes());
        reference[12..].copy_from_slice(&u32::from(self.texts).to_le_bytes());
        Ok(reference)
    }

    /// Writes the collection being filled.
    pub(super) fn finish(&mut self, objects: &mut Objects) -> io::Result<()> {
        if self.collection.is_empty() {
            return Ok(());
        }
        let free = self.size - self.collection.len();
        if free >= HEADER {
            // Text 0 is the free space, its own header included.
            self.collection.extend([0; 8]);
            self.collection.extend((free as u64).to_le_bytes());
        }
        self.collection.resize(self.size, 0);
        objects.fill(self.address, &self.collection)?;
        self.collection.clear();
        (self.size, self.texts) = (0, 0);
        Ok(())
    }
}
