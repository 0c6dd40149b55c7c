//! Writes `run.json`: what a run did, in one form for all commands, so that it can be repeated.

use std::path::Path;
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};
use virpack_seq::reader::ReadProgress;
use virpack_seq::{Input, InputChecksum, PackStats};

use crate::runner::DeviceTally;
use virpack_device::Work;
use virpack_model::FileChecksum;

/// Returns the report of a run from these inputs to this output, with the members of its command.
pub(crate) fn of<const N: usize>(
    inputs: &[(Input, Option<InputChecksum>)],
    output: &Path,
    own: [(&str, Value); N],
) -> Map<String, Value> {
    let common = [
        ("virpack", env!("CARGO_PKG_VERSION").into()),
        ("inputs", self::inputs(inputs)),
        ("output", output.display().to_string().into()),
        ("finished", humantime::format_rfc3339_seconds(SystemTime::now()).to_string().into()),
        ("memory", peak_memory().into()),
    ];
    common.into_iter().chain(own).map(|(key, value)| (key.to_owned(), value)).collect()
}

/// Returns the inputs, as the user named them, with sizes and checksums of those that were read to their
/// end.
pub(crate) fn read(inputs: &[Input], progress: &ReadProgress) -> Vec<(Input, Option<InputChecksum>)> {
    let checksums = progress.checksums();
    let checksum = |i: usize| checksums.iter().find(|sum| sum.source as usize == i).cloned();
    inputs.iter().enumerate().map(|(i, input)| (input.clone(), checksum(i))).collect()
}

/// Returns the peak memory of the process, in bytes; None if the system does not report it as Linux does.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().strip_suffix("kB")?;
    kilobytes.trim().parse::<u64>().ok()?.checked_mul(1_024)
}

fn inputs(inputs: &[(Input, Option<InputChecksum>)]) -> Value {
    let input = |(input, checksum): &(Input, Option<InputChecksum>)| {
        json!({
            "path": input.to_string(),
            "bytes": checksum.as_ref().map(|sum| sum.bytes),
            "sha256": checksum.as_ref().map(|sum| &sum.sha256),
        })
    };
    inputs.iter().map(input).collect()
}

/// Returns the files of a model.
pub(crate) fn files(files: &[FileChecksum]) -> Value {
    let file = |file: &FileChecksum| {
        let path = file.location.to_string();
        json!({ "path": path, "bytes": file.bytes, "sha256": file.sha256 })
    };
    files.iter().map(file).collect()
}

/// Returns how well a model's batches were filled.
pub(crate) fn packing(stats: &PackStats) -> Value {
    json!({
        "batches": stats.batches,
        "sequences": stats.sequences,
        "token_budget": stats.token_budget,
        "efficiency": (stats.batches > 0).then(|| stats.efficiency()),
    })
}

/// Returns the work of a device in the time of the run, and what its bits depend on.
pub(crate) fn device(
    name: &str,
    tally: &DeviceTally,
    token_budget: usize,
    elapsed: Duration,
    computed_by: &[String],
    work: Option<Work>,
) -> Value {
    json!({
        "device": name,
        "tokens": tally.tokens,
        "sequences": tally.sequences,
        "batches": tally.batches,
        "token_budget": token_budget,
        "packing_efficiency": tally.packing_efficiency(token_budget),
        "tokens_per_second": rate(tally.tokens, elapsed),
        "computed_by": computed_by,
        "work": work.map(shares),
        "busy": (tally.busy.as_secs_f64() / elapsed.as_secs_f64().max(1e-9)).min(1.0),
    })
}

/// Returns the share of each kind of work in a device's time since it was opened, for all models that it
/// runs.
fn shares(work: Work) -> Value {
    let Work { products, attention, rest } = work;
    let all = (products + attention + rest).as_secs_f64().max(1e-9);
    let share = |part: Duration| part.as_secs_f64() / all;
    json!({ "products": share(products), "attention": share(attention), "rest": share(rest) })
}

/// Returns a count per second.
pub(crate) fn rate(count: u64, elapsed: Duration) -> f64 {
    count as f64 / elapsed.as_secs_f64().max(1e-9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_of_a_devices_work_are_those_of_its_time() {
        let seconds = Duration::from_secs;
        let work = Work { products: seconds(6), attention: seconds(3), rest: seconds(1) };
        assert_eq!(shares(work), json!({ "products": 0.6, "attention": 0.3, "rest": 0.1 }));
        assert_eq!(shares(Work::default())["products"], 0.0, "before any batch");
    }
}
