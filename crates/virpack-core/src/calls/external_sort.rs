//! Sorts values by their keys, compared as strings, in bounded memory.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, Write};
use std::path::{Path, PathBuf};

use super::scores::{SCORES_BYTES, Scores};
use crate::files::PendingFile;
use crate::output::OutputError;

/// Bytes of keys and values that are kept in memory.
const IN_MEMORY: usize = 64 << 20;

/// A key and its value.
type SortedEntry<V> = (Box<str>, V);

/// A value that is sorted by a key.
pub(super) trait SortedValue: Sized {
    /// Returns its bytes on the heap.
    fn heap_bytes(&self) -> usize;

    /// Writes what [`SortedValue::read`] reads.
    fn write(&self, out: &mut impl Write) -> io::Result<()>;

    fn read(file: &mut impl Read) -> io::Result<Self>;
}

impl SortedValue for Scores {
    fn heap_bytes(&self) -> usize {
        0
    }

    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        out.write_all(&self.to_le_bytes())
    }

    fn read(file: &mut impl Read) -> io::Result<Self> {
        let mut scores = [0; SCORES_BYTES];
        file.read_exact(&mut scores)?;
        Ok(Scores::from_le_bytes(scores))
    }
}

impl SortedValue for Box<str> {
    fn heap_bytes(&self) -> usize {
        self.len()
    }

    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        write_text(out, self)
    }

    fn read(file: &mut impl Read) -> io::Result<Self> {
        read_text(file)
    }
}

fn write_text(out: &mut impl Write, text: &str) -> io::Result<()> {
    out.write_all(&(text.len() as u64).to_le_bytes())?;
    out.write_all(text.as_bytes())
}

fn read_text(file: &mut impl Read) -> io::Result<Box<str>> {
    let mut length = [0; 8];
    file.read_exact(&mut length)?;
    let mut text = vec![0; u64::from_le_bytes(length) as usize];
    file.read_exact(&mut text)?;
    let text = String::from_utf8(text).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    Ok(text.into())
}

/// Collects values with keys and returns them sorted. Values with equal keys keep their order. Values that
/// exceed the memory are in sorted temporary files beside the output.
pub(super) struct ExternalSort<V> {
    target: PathBuf,
    in_memory: usize,
    entries: Vec<SortedEntry<V>>,
    bytes: usize,
    runs: Vec<SortedRun>,
}

/// Sorted entries in a file, which is deleted with this value.
struct SortedRun {
    _aside: PendingFile,
    file: BufReader<File>,
}

impl<V: SortedValue> ExternalSort<V> {
    /// Returns a sorter for values that finally go into the file `target`.
    pub(super) fn new(target: &Path) -> Self {
        ExternalSort {
            target: target.to_owned(),
            in_memory: IN_MEMORY,
            entries: Vec::new(),
            bytes: 0,
            runs: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, key: String, value: V) -> Result<(), OutputError> {
        self.bytes += size_of::<SortedEntry<V>>() + key.len() + value.heap_bytes();
        self.entries.push((key.into(), value));
        if self.bytes > self.in_memory {
            let run = self.spill().map_err(OutputError::write(&self.target))?;
            self.runs.push(run?);
            self.bytes = 0;
        }
        Ok(())
    }

    /// Writes the sorted entries to a temporary file.
    fn spill(&mut self) -> io::Result<Result<SortedRun, OutputError>> {
        self.entries.sort_by(|a, b| a.0.cmp(&b.0));
        let (pending, file) = match PendingFile::create(&spill_path(&self.target)) {
            Ok(created) => created,
            Err(error) => return Ok(Err(error.into())),
        };
        let mut out = BufWriter::with_capacity(1 << 16, &file);
        for (key, value) in self.entries.drain(..) {
            write_text(&mut out, &key)?;
            value.write(&mut out)?;
        }
        out.flush()?;
        drop(out);
        let mut file = BufReader::with_capacity(1 << 16, file);
        file.rewind()?;
        Ok(Ok(SortedRun { _aside: pending, file }))
    }

    /// Passes all values on, in order.
    pub(super) fn finish(
        mut self,
        mut each: impl FnMut(&str, V) -> Result<(), OutputError>,
    ) -> Result<(), OutputError> {
        self.entries.sort_by(|a, b| a.0.cmp(&b.0));
        let failed = OutputError::write(&self.target);
        let mut rest = std::mem::take(&mut self.entries).into_iter();
        let last = self.runs.len();
        let mut next =
            |run: usize| if run == last { Ok(rest.next()) } else { self.runs[run].next() }.map_err(&failed);
        let mut heads = BinaryHeap::new();
        for run in 0..=last {
            heads.extend(next(run)?.map(|(key, value)| Reverse((key, run, Unordered(value)))));
        }
        while let Some(mut head) = heads.peek_mut() {
            let Reverse((_, run, _)) = *head;
            let Reverse((key, _, Unordered(value))) = match next(run)? {
                Some((key, value)) => std::mem::replace(&mut *head, Reverse((key, run, Unordered(value)))),
                None => PeekMut::pop(head),
            };
            each(&key, value)?;
        }
        Ok(())
    }
}

/// Returns the name of the temporary files beside the file `target`.
pub(super) fn spill_path(target: &Path) -> PathBuf {
    let mut name = target.file_name().unwrap_or_default().to_os_string();
    name.push(".sorting");
    target.with_file_name(name)
}

/// A value that does not affect the order.
struct Unordered<V>(V);

impl<V> PartialEq for Unordered<V> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl<V> Eq for Unordered<V> {}

impl<V> PartialOrd for Unordered<V> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<V> Ord for Unordered<V> {
    fn cmp(&self, _: &Self) -> std::cmp::Ordering {
        std::cmp::Ordering::Equal
    }
}

impl SortedRun {
    fn next<V: SortedValue>(&mut self) -> io::Result<Option<SortedEntry<V>>> {
        if self.file.fill_buf()?.is_empty() {
            return Ok(None);
        }
        Ok(Some((read_text(&mut self.file)?, V::read(&mut self.file)?)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn sorted_and_in_the_order_of_the_input_whatever_memory_holds(
            entries in prop::collection::vec(("[a-c_é\"0-9]{0,4}", 0u8..5, 0u8..5), 0..200),
            in_memory in prop::sample::select(vec![1, 100, 1_000, 1 << 20]),
        ) {
            let scores = |&(_, others, virus): &(String, u8, u8)| {
                Scores { other: f32::from(others), virus: f32::from(virus) }
            };
            let keys = entries.iter().map(|entry| entry.0.clone());
            check(keys.clone().zip(entries.iter().map(scores)).collect(), in_memory)?;
            let rows = entries.iter().map(|(_, others, virus)| "é".repeat((others * virus).into()).into());
            check::<Box<str>>(keys.zip(rows).collect(), in_memory)?;
        }
    }

    fn check<V: SortedValue + Clone + PartialEq + std::fmt::Debug>(
        entries: Vec<(String, V)>,
        in_memory: usize,
    ) -> Result<(), TestCaseError> {
        let directory = tempfile::tempdir().unwrap();
        let mut sorted = ExternalSort::new(&directory.path().join("out.csv"));
        sorted.in_memory = in_memory;
        let mut expected = entries.clone();
        entries.into_iter().for_each(|(key, value)| sorted.push(key, value).unwrap());
        let mut found = Vec::new();
        sorted
            .finish(|key, value| {
                found.push((key.to_owned(), value));
                Ok(())
            })
            .unwrap();
        expected.sort_by(|a, b| a.0.cmp(&b.0));
        prop_assert_eq!(found, expected);
        prop_assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
        Ok(())
    }
}
