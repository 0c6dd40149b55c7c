//! Devices that run out of memory, fail or hang: nothing lost, nothing twice, every row right.

mod bench;
mod devices;
mod faulty;
mod kill;
mod kill_predict;
mod out_of_memory;
mod progress;

use std::path::{Path, PathBuf};

/// A file of `../shared`; None, said aloud, where it is absent.
fn shared(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared").join(name);
    if !path.exists() {
        eprintln!("skipped: no {}", path.display());
    }
    Some(path).filter(|path| path.exists())
}

/// The first records of a file, as FASTA.
fn first_records(path: PathBuf, count: usize) -> String {
    let mut records = virpack_seq::reader::open(&[path.into()]).unwrap();
    let (mut record, mut text) = (virpack_seq::Record::default(), String::new());
    for _ in 0..count {
        assert!(records.read(&mut record).unwrap());
        text += &format!(">{}\n{}\n", record.id, std::str::from_utf8(&record.sequence).unwrap());
    }
    text
}
