//! Devices that run out of memory, fail or hang: no row is lost, duplicated or wrong.

mod bench;
mod devices;
mod faulty;
mod kill;
mod kill_predict;
mod out_of_memory;
mod progress;

use std::path::{Path, PathBuf};

/// Returns a file of `../shared`; None, with a message, if it is missing.
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
