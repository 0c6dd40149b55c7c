//! Reading a whole model keeps the copies and one piece in memory, never the file as well. The peak is that
//! of a process, so that this test has one to itself.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]
#![cfg(target_os = "linux")]

use std::io::Write;

use virpack_model::weights::Weights;

/// Values in each of the tensors: 8 MiB in f16, 16 MiB as f32.
const VALUES: usize = 4 << 20;
const TENSORS: usize = 8;

/// A line of this process's status in the proc file system, in bytes.
fn status(line: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let value = status.lines().find_map(|text| text.strip_prefix(line)).unwrap();
    value.trim_matches([':', ' ', '\t', 'k', 'B']).parse::<usize>().unwrap() << 10
}

#[test]
fn the_peak_is_the_copies_and_one_piece() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let tensor = |i: usize| {
        let (start, end) = (i * VALUES * 2, (i + 1) * VALUES * 2);
        format!(r#""t{i}":{{"dtype":"F16","shape":[{VALUES}],"data_offsets":[{start},{end}]}}"#)
    };
    let header = format!("{{{}}}", (0..TENSORS).map(tensor).collect::<Vec<_>>().join(","));
    let mut file = std::fs::File::create(&path).unwrap();
    file.write_all(&(header.len() as u64).to_le_bytes()).unwrap();
    file.write_all(header.as_bytes()).unwrap();
    for _ in 0..(TENSORS * VALUES * 2) >> 20 {
        file.write_all(&[0x3c; 1 << 20]).unwrap();
    }
    drop(file);

    let weights = Weights::open(&path).unwrap();
    let before = status("VmRSS");
    let copies: Vec<_> = (0..TENSORS).map(|i| weights.read(&format!("t{i}"), &[VALUES]).unwrap()).collect();
    assert!(copies.iter().flatten().all(|value| *value > 1.0));
    let grown = status("VmHWM").saturating_sub(before);
    let owned = TENSORS * VALUES * 4;
    assert!(grown < owned + (16 << 20), "{} MiB over {} MiB of copies", (grown - owned) >> 20, owned >> 20);
}
