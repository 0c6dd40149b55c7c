//! What `run.json` says of a run of `predict`.

use serde_json::{Map, Value, json};
use virpack_seq::frames::FrameOptions;

use super::encoder_runner::DeviceWork;
use super::summary::PredictSummary;
use super::{Compat, PredictOptions};
use crate::calls::RecordCount;
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
        "calibration": options.scoring(frames.length.get()).model(),
        "files": report::files(files),
    });
    let asked = json!({
        "length": frames.length,
        "genetic_code": options.genetic_code.number(),
        "min_length": options.min_length,
        "min_score": options.calls.thresholds.viral(),
        "min_score_uncertain": options.calls.thresholds.cellular(),
        "min_chunk_score": options.calls.min_chunk_score,
        "prevalence": options.calls.prevalence.share(),
        "compat": options.compat.map(Compat::as_str),
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
        "proviruses": counts.proviruses,
        "viral_regions": counts.viral_regions,
        "viral": record_count(counts.viral),
        "uncertain": record_count(counts.uncertain),
        "cellular": record_count(counts.cellular),
        "not_judged": record_count(counts.not_judged),
        "chunks_finished_before": predicted.before.chunks,
        "no_open_frame": counts.no_open_frame,
        "too_short": counts.too_short,
        "empty": counts.empty,
        "below_min_length": counts.below_min_length.records,
        "repeated_ids": predicted.repeated.ids,
        "nucleotide_tokens": predicted.tokens.nucleotide,
        "protein_tokens": predicted.tokens.protein,
        "repeated_nucleotides": predicted.frames.repeated.nucleotide,
        "repeated_peptides": predicted.frames.repeated.protein,
    })
}

fn record_count(count: RecordCount) -> Value {
    json!({ "records": count.records, "bases": count.bases })
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
        "bases_per_second": rate(counts.bases_computed().saturating_sub(before.bases)),
        "frames_per_second": rate(counts.frames - before.frames),
        "nucleotide_tokens_per_second": rate(predicted.tokens.nucleotide),
        "protein_tokens_per_second": rate(predicted.tokens.protein),
    })
}
