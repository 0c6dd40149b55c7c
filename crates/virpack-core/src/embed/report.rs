//! The facts about a run of `embed` in `OUT.run.json`.

use std::time::Duration;
use virpack_device::Device;

use serde_json::{Map, Value, json};
use virpack_seq::LengthPolicy;

use super::{EmbedOptions, EmbedSummary};
use crate::Error;
use crate::embedder::WarmModel;
use crate::options::named_long_records;
use crate::run_json::{self, rate};

/// Returns the report of a run whose files are complete; `loading` is the time before its first record.
pub(super) fn of<B: Device + 'static>(
    options: &EmbedOptions,
    loaded: &WarmModel<B>,
    loading: Duration,
    summary: &EmbedSummary,
) -> Result<Map<String, Value>, Error> {
    let model = json!({
        "name": loaded.name,
        "sha256": loaded.checksums.sha256(),
        "files": run_json::files(&loaded.checksums.weights),
    });
    let packing = summary.packing.as_ref();
    let token_budget = packing.map_or(0, |packing| packing.token_budget);
    let devices = summary.devices.iter().zip(loaded.computed_by()).zip(loaded.work());
    let devices = devices.map(|(((name, tally), computed_by), work)| {
        run_json::device(name, tally, token_budget, summary.elapsed, &computed_by, work)
    });
    let names: Vec<&str> = summary.devices.iter().map(|(name, _)| &**name).collect();
    let own = [
        ("model", model),
        ("options", asked(options, loaded.lengths, options.embedder.layer_of(&loaded.config)?)),
        ("device", names.join("; ").into()),
        ("devices", devices.collect()),
        ("counts", counts(summary)),
        ("seconds", seconds(summary, loading)),
        ("rates", rates(summary)),
        ("packing", packing.map(run_json::packing).into()),
    ];
    Ok(run_json::of(&summary.inputs, &options.output, own))
}

fn asked(options: &EmbedOptions, lengths: LengthPolicy, layer: usize) -> Value {
    let (long_records, overlap) = named_long_records(lengths.long_records);
    json!({
        "format": options.format.map(|format| format.ending()),
        "dtype_out": options.dtype_out.to_string(),
        "pool": options.embedder.pool_name(),
        "layer": layer,
        "max_length": lengths.max_length,
        "min_length": lengths.min_length,
        "long_records": long_records,
        "window_overlap": overlap,
        "token_budget": options.embedder.token_budget.tokens(),
        "buffer_size": options.embedder.buffer_size,
        "packing": options.embedder.packing,
        "report": options.report,
        "shard": options.shard.map(|shard| shard.to_string()),
    })
}

fn counts(summary: &EmbedSummary) -> Value {
    let lengths = &summary.lengths;
    json!({
        "records": lengths.records,
        "rows": summary.written.rows,
        "finished_before": summary.resumed,
        "skipped": summary.written.skipped,
        "truncated": lengths.truncated,
        "windowed": lengths.windowed,
        "windows": lengths.windows,
        "too_long": lengths.too_long,
        "too_short": lengths.too_short,
        "empty": lengths.empty,
        "unknown_letters": lengths.unknown,
        "records_with_unknown_letters": summary.written.unknown.records,
        "gaps": lengths.gaps,
        "records_with_gaps": summary.written.gaps.records,
        "repeated_ids": summary.written.repeated.ids,
        "tokens": summary.tokens,
    })
}

fn seconds(summary: &EmbedSummary, loading: Duration) -> Value {
    json!({
        "all": summary.elapsed.as_secs_f64(),
        "loading": loading.as_secs_f64(),
        "waiting_for_data": summary.waited.as_secs_f64(),
    })
}

fn rates(summary: &EmbedSummary) -> Value {
    json!({
        "records_per_second": rate(summary.lengths.records.saturating_sub(summary.resumed), summary.elapsed),
        "tokens_per_second": rate(summary.tokens, summary.elapsed),
    })
}
