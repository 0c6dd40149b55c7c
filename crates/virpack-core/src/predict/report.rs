//! What `run.json` says of a run of `predict`.

use serde_json::{Map, Value, json};
use virpack_seq::frames::FrameOptions;

use super::PredictOptions;
use super::encoder_runner::DeviceWork;
use super::summary::PredictSummary;
use crate::report::{self, rate};
use virpack_model::FileChecksum;

/// The report of a run; `device` for people.
pub(super) fn of(
    options: &PredictOptions,
    frames: &FrameOptions,
    device: &str,
    predicted: &PredictSummary,
    files: &[FileChecksum],
) -> Map<String, Value> {
    let models = json!({
        "name": options.name,
        "nucleotide": options.nucleotide_model.to_string(),
        "protein": options.protein_model.to_string(),
        "classifier": options.classifier.to_string(),
        "nucleotide_classifier": options.nucleotide_classifier.as_ref().map(ToString::to_string),
        "files": report::files(files),
    });
    let asked = json!({
        "length": frames.length,
        "genetic_code": options.genetic_code.number(),
        "min_score": options.rule.min_score,
        "min_fraction": options.rule.min_fraction,
        "compat": options.compat.as_str(),
        "token_budget": options.token_budget.tokens(),
        "buffer_size": options.buffer_size,
    });
    let packing = predicted.packing.as_ref().map(|stats| stats.as_ref().map(report::packing));
    let own = [
        ("models", models),
        ("options", asked),
        ("device", device.into()),
        ("devices", predicted.devices.iter().map(|device| self::device(device, predicted)).collect()),
        ("counts", counts(predicted)),
        ("seconds", seconds(predicted)),
        ("rates", rates(predicted)),
        ("packing", json!({ "nucleotide": packing.nucleotide, "protein": packing.protein })),
    ];
    report::of(&predicted.inputs, &options.output, own)
}

fn device(device: &DeviceWork, predicted: &PredictSummary) -> Value {
    let DeviceWork { model, name, token_budget, tally, computed_by } = device;
    let mut device = report::device(name, tally, *token_budget, predicted.elapsed, computed_by);
    device["model"] = (*model).into();
    device
}

fn counts(predicted: &PredictSummary) -> Value {
    let counts = &predicted.counts;
    json!({
        "records": counts.records,
        "bases": counts.bases,
        "chunks": counts.chunks,
        "odd_letters": predicted.frames.odd_letters,
        "records_with_odd_letters": predicted.frames.odd_records,
        "chunks_classified": counts.chunks_classified,
        "chunks_by_nucleotides": counts.chunks_by_nucleotides,
        "chunks_viral": counts.chunks_viral,
        "frames": counts.frames,
        "regions": counts.regions,
        "viral": counts.viral,
        "chunks_finished_before": predicted.before.chunks,
        "no_open_frame": counts.no_open_frame,
        "too_short": counts.too_short,
        "empty": counts.empty,
        "repeated_ids": predicted.repeated.ids,
        "nucleotide_tokens": predicted.tokens.nucleotide,
        "protein_tokens": predicted.tokens.protein,
        "repeated_nucleotides": predicted.frames.repeated.nucleotide,
        "repeated_peptides": predicted.frames.repeated.protein,
    })
}

fn seconds(predicted: &PredictSummary) -> Value {
    let mut seconds = Map::new();
    seconds.insert("all".to_owned(), predicted.elapsed.as_secs_f64().into());
    for (stage, time) in predicted.stages {
        seconds.insert(stage.as_str().replace(' ', "_"), time.as_secs_f64().into());
    }
    seconds.into()
}

fn rates(predicted: &PredictSummary) -> Value {
    let rate = |count: u64| rate(count, predicted.elapsed);
    let (counts, before) = (&predicted.counts, &predicted.before);
    json!({
        "records_per_second": rate(counts.records - before.records),
        "bases_per_second": rate(counts.bases.saturating_sub(before.bases)),
        "frames_per_second": rate(counts.frames - before.frames),
        "nucleotide_tokens_per_second": rate(predicted.tokens.nucleotide),
        "protein_tokens_per_second": rate(predicted.tokens.protein),
    })
}
