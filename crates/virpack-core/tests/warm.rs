//! A model that is loaded once takes no more memory and no more threads after a thousand calls than after a
//! hundred.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]
#![cfg(target_os = "linux")]

use std::num::NonZeroUsize;
use std::path::Path;

use virpack_core::seq::{Record, Records};
use virpack_core::{DeviceChoice, DeviceOptions, Embedder, EmbedderOptions};

/// Returns a number of this process's `status`, such as kB of memory.
fn status(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn memory_and_threads_are_the_same_after_a_thousand_calls() {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/esm2_tiny");
    let cpu = DeviceOptions::default().device(DeviceChoice::Cpu).threads(NonZeroUsize::new(2));
    let embedder = Embedder::new(EmbedderOptions::new(&model).device(cpu), |_| ()).unwrap();
    let call = || {
        let records = (1..=5).map(|i| Record::new(format!("{i}"), "MKTLLV".repeat(i)));
        let embeddings = embedder.embed(Records::from_records("sequences", records)).unwrap();
        assert_eq!(embeddings.rows.len(), 5);
    };
    (0..100).for_each(|_| call());
    let before = status("VmRSS:");
    (0..1_000).for_each(|_| call());
    let after = status("VmRSS:");
    // A call starts five threads and makes batches, rows and values. If one call kept 2 kB, that would be 2
    // MB, and a stack far more.
    assert!(after < before + 2_000, "{before} kB after 100 calls, {after} kB after 1,100");
    // The threads of a call end by themselves, soon after it.
    let begin = std::time::Instant::now();
    while status("Threads:") > 6 {
        assert!(begin.elapsed().as_secs() < 20, "{} threads are left", status("Threads:"));
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}
