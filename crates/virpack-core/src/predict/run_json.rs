//! The contents of `run.json` after `predict`.

use serde_json::{Map, Value, json};
use virpack_seq::frames::FrameOptions;

use super::PredictOptions;
use super::encoder_runner::DeviceWork;
use super::summary::PredictSummary;
use crate::run_json::{self, rate};
use virpack_model::FileChecksum;

/// Returns the contents; `device` is the text that people see.
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
        "calibration": options.scoring(frames.length.get()).calibration().map(|own| {
            json!({ "model": own.model(), "sha256": own.sha256() })
        }),
        "files": run_json::files(files),
    });
    let asked = [
        ("length", json!(frames.length)),
        ("genetic_code", json!(options.genetic_code.number())),
        ("min_length", json!(options.min_length)),
        ("unique_ids", json!(options.unique_ids)),
        ("token_budget", json!(options.token_budget.tokens())),
        ("buffer_size", json!(options.buffer_size)),
    ];
    let mut asked: Map<String, Value> =
        asked.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    options.calls.tell(&mut asked);
    let packing = predicted.packing.as_ref().map(|stats| stats.as_ref().map(run_json::packing));
    let own = [
        ("models", models),
        ("command", options.command.as_deref().into()),
        ("options", asked.into()),
        ("device", device.into()),
        ("devices", predicted.devices.iter().map(|device| self::device(device, predicted)).collect()),
        ("counts", counts(predicted)),
        ("seconds", seconds(predicted)),
        ("rates", rates(predicted)),
        ("packing", json!({ "nucleotide": packing.nucleotide, "protein": packing.protein })),
    ];
    run_json::of(&predicted.inputs, &options.output, own)
}

fn device(device: &DeviceWork, predicted: &PredictSummary) -> Value {
    let DeviceWork { model, name, token_budget, tally, computed_by, work } = device;
    let mut device = run_json::device(name, tally, *token_budget, predicted.elapsed, computed_by, *work);
    device["model"] = (*model).into();
    device
}

fn counts(predicted: &PredictSummary) -> Value {
    let own = [
        ("odd_letters", predicted.frames.odd_letters),
        ("records_with_odd_letters", predicted.frames.odd_records),
        ("chunks_finished_before", predicted.before.chunks),
        ("nucleotide_tokens", predicted.tokens.nucleotide),
        ("protein_tokens", predicted.tokens.protein),
        ("repeated_nucleotides", predicted.frames.repeated.nucleotide),
        ("repeated_peptides", predicted.frames.repeated.protein),
    ];
    let mut counts = own.into_iter().map(|(name, count)| (name.to_owned(), count.into())).collect();
    predicted.calls.tell(&mut counts);
    counts.into()
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
    let (counts, before) = (&predicted.calls.counts, &predicted.before);
    json!({
        "records_per_second": rate(counts.records - before.records),
        "bases_per_second": rate(counts.bases_computed().saturating_sub(before.bases)),
        "frames_per_second": rate(counts.frames - before.frames),
        "nucleotide_tokens_per_second": rate(predicted.tokens.nucleotide),
        "protein_tokens_per_second": rate(predicted.tokens.protein),
    })
}
