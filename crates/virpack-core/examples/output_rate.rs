//! Measures how fast embeddings are written to a file, and how much waits in memory.
//!
//! `cargo run --release -p virpack-core --example output_rate -- OUT ROWS HIDDEN [REORDER_MIB]`: random
//! embeddings of the spread of ESM-2's, shuffled within windows of 2,000 rows as a packer delivers them.
//! The clock includes the sync to disk; the disk and its cache are the machine's own, so read the figures
//! as ratios.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use virpack_core::output::{self, OutputOptions, Row};

const WINDOW: u64 = 2000;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [path, rows, hidden, reorder @ ..] = &arguments[..] else {
        return Err("usage: output_rate OUT ROWS HIDDEN [REORDER_MIB]".into());
    };
    let (rows, hidden): (u64, usize) = (rows.parse()?, hidden.parse()?);
    let mut options = OutputOptions::default().force(true);
    if let Some(mib) = reorder.first() {
        options = options.reorder_bytes(mib.parse::<usize>()? << 20);
    }

    let mut random = 1;
    let pool: Vec<f32> = (0..hidden * 1009).map(|_| normal(&mut random)).collect();
    let start = Instant::now();
    let mut out = output::create(Path::new(path), hidden, options)?;
    for window in (0..rows).step_by(WINDOW as usize) {
        let mut records: Vec<u64> = (window..rows.min(window + WINDOW)).collect();
        for i in (1..records.len()).rev() {
            records.swap(i, next(&mut random) as usize % (i + 1));
        }
        for record in records {
            let id = Arc::from(format!("sp|P{record:07}|NAME_HUMAN"));
            let row = Row { record, source: 0, id, length: 300, truncated: false, unknown: 0, gaps: 0 };
            let begin = (record % 1009) as usize * hidden;
            out.write(row, &pool[begin..begin + hidden])?;
        }
    }
    let written = out.finish(rows)?;
    let seconds = start.elapsed().as_secs_f64();

    let raw = rows as f64 * hidden as f64 * 4.0 / 1e6;
    let file = std::fs::metadata(path)?.len() as f64 / 1e6;
    println!(
        "{path}: {rows} x {hidden} in {seconds:.2} s, {:.0} rows/s, {:.0} MB/s",
        rows as f64 / seconds,
        raw / seconds
    );
    println!("  {raw:.0} MB of floats, {file:.0} MB of file");
    let (memory, disk) = (written.peak_waiting_memory as f64 / 1e6, written.peak_waiting_disk as f64 / 1e6);
    println!("  waiting at most: {memory:.1} MB in memory, {disk:.1} MB on disk; {}", peak_memory());
    Ok(())
}

/// Returns the next random number (xorshift64*, Vigna 2016).
fn next(state: &mut u64) -> u64 {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
}

/// Nearly normal, with a standard deviation of 0.2.
fn normal(state: &mut u64) -> f32 {
    let sum: f64 = (0..12).map(|_| next(state) as f64 / (1_u64 << 48) as f64).sum();
    (0.2 * (sum - 6.0)) as f32
}

/// Returns the peak memory of this process, if the system reports it.
fn peak_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM"));
    line.map_or_else(
        || "peak memory unknown".to_owned(),
        |line| line.split_whitespace().collect::<Vec<_>>().join(" "),
    )
}
