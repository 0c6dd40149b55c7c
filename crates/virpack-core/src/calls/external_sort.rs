//! Chunks by their ids, in the order of these as strings, in bounded memory.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::path::{Path, PathBuf};

use super::scores::{SCORES_BYTES, Scores};
use crate::files::PendingFile;
use crate::output::OutputError;

/// Bytes of ids and scores in memory.
const IN_MEMORY: usize = 64 << 20;

/// An id and its highest scores.
type SortedEntry = (Box<str>, Scores);

/// Collects ids with scores and gives them back sorted; those of one id, which are of several records, stay in the order in
/// which they came. What memory does not hold lies sorted in temporary files beside the output.
pub(super) struct ExternalSort {
    target: PathBuf,
    in_memory: usize,
    entries: Vec<SortedEntry>,
    bytes: usize,
    runs: Vec<SortedRun>,
}

/// Sorted entries in a file, which goes with it.
struct SortedRun {
    _aside: PendingFile,
    file: BufReader<File>,
}

impl ExternalSort {
    /// For ids that go into the file `target` in the end.
    pub(super) fn new(target: &Path) -> Self {
        ExternalSort {
            target: target.to_owned(),
            in_memory: IN_MEMORY,
            entries: Vec::new(),
            bytes: 0,
            runs: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, id: String, scores: Scores) -> Result<(), OutputError> {
        self.bytes += size_of::<SortedEntry>() + id.len();
        self.entries.push((id.into(), scores));
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
        for (id, scores) in self.entries.drain(..) {
            out.write_all(&(id.len() as u64).to_le_bytes())?;
            out.write_all(id.as_bytes())?;
            out.write_all(&scores.to_le_bytes())?;
        }
        out.flush()?;
        drop(out);
        let mut file = BufReader::with_capacity(1 << 16, file);
        file.rewind()?;
        Ok(Ok(SortedRun { _aside: pending, file }))
    }

    /// Hands on all of them, in order.
    pub(super) fn finish(
        mut self,
        mut each: impl FnMut(&str, Scores) -> Result<(), OutputError>,
    ) -> Result<(), OutputError> {
        self.entries.sort_by(|a, b| a.0.cmp(&b.0));
        let failed = OutputError::write(&self.target);
        let mut rest = std::mem::take(&mut self.entries).into_iter();
        let last = self.runs.len();
        let mut next =
            |run: usize| if run == last { Ok(rest.next()) } else { self.runs[run].next() }.map_err(&failed);
        let mut heads = BinaryHeap::new();
        for run in 0..=last {
            heads.extend(next(run)?.map(|(id, scores)| Reverse((id, run, Bits(scores)))));
        }
        while let Some(mut head) = heads.peek_mut() {
            let Reverse((_, run, _)) = *head;
            let Reverse((id, _, Bits(scores))) = match next(run)? {
                Some((id, scores)) => std::mem::replace(&mut *head, Reverse((id, run, Bits(scores)))),
                None => PeekMut::pop(head),
            };
            each(&id, scores)?;
        }
        Ok(())
    }
}

/// What sorted entries would be named, beside the file they go into.
pub(super) fn spill_path(target: &Path) -> PathBuf {
    let mut name = target.file_name().unwrap_or_default().to_os_string();
    name.push(".sorting");
    target.with_file_name(name)
}

/// Scores that take no part in the order.
struct Bits(Scores);

impl PartialEq for Bits {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Bits {}

impl PartialOrd for Bits {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Bits {
    fn cmp(&self, _: &Self) -> std::cmp::Ordering {
        std::cmp::Ordering::Equal
    }
}

impl SortedRun {
    fn next(&mut self) -> io::Result<Option<SortedEntry>> {
        let mut length = [0; 8];
        match self.file.read_exact(&mut length) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            result => result?,
        }
        let mut id = vec![0; u64::from_le_bytes(length) as usize];
        self.file.read_exact(&mut id)?;
        let mut scores = [0; SCORES_BYTES];
        self.file.read_exact(&mut scores)?;
        let id = String::from_utf8(id).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        Ok(Some((id.into(), Scores::from_le_bytes(scores))))
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
            let directory = tempfile::tempdir().unwrap();
            let mut sorted = ExternalSort::new(&directory.path().join("out.csv"));
            sorted.in_memory = in_memory;
            let mut expected = Vec::new();
            for (id, others, virus) in entries {
                let scores = Scores { other: f32::from(others), virus: f32::from(virus) };
                expected.push((id.clone(), scores));
                sorted.push(id, scores).unwrap();
            }
            let mut found = Vec::new();
            sorted.finish(|id, scores| {
                found.push((id.to_owned(), scores));
                Ok(())
            }).unwrap();
            expected.sort_by(|a, b| a.0.cmp(&b.0));
            prop_assert_eq!(found, expected);
            prop_assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
        }
    }
}
