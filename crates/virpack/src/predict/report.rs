//! `run.json`: what was done, to be done again.

use serde_json::{Map, Value, json};
use virpack_seq::PackStats;
use virpack_seq::frames::FrameOptions;

use super::summary::Predicted;
use super::{Compat, PredictOptions};
use crate::model::checksum::FileChecksum;

/// The report of a run.
pub(super) fn text(
    options: &PredictOptions,
    frames: &FrameOptions,
    device: &str,
    predicted: &Predicted,
    files: &[FileChecksum],
) -> String {
    let report = json!({
        "virpack": env!("CARGO_PKG_VERSION"),
        "inputs": inputs(predicted),
        "models": {
            "name": options.name,
            "nucleotide": options.model_names[0],
            "protein": options.model_names[1],
            "classifier": options.classifier.to_string(),
            "nucleotide_classifier": options.nucleotide_classifier.as_ref().map(ToString::to_string),
            "files": files.iter().map(file).collect::<Vec<_>>(),
        },
        "options": {
            "length": frames.length,
            "genetic_code": options.genetic_code.number(),
            "min_score": options.rule.min_score,
            "min_fraction": options.rule.min_fraction,
            "compat": match options.compat {
                Compat::VirNucPro => "virnucpro",
                Compat::Broad => "broad",
            },
            "token_budget": options.token_budget,
            "buffer_size": options.buffer_size,
        },
        "device": device,
        "counts": counts(predicted),
        "seconds": seconds(predicted),
        "rates": rates(predicted),
        "packing": {
            "nucleotide": predicted.packing[0].as_ref().map(packing),
            "protein": predicted.packing[1].as_ref().map(packing),
        },
    });
    format!("{report:#}\n")
}

fn inputs(predicted: &Predicted) -> Vec<Value> {
    let input = |(input, checksum): &(virpack_seq::Input, Option<virpack_seq::InputChecksum>)| {
        json!({
            "path": input.to_string(),
            "bytes": checksum.as_ref().map(|sum| sum.bytes),
            "sha256": checksum.as_ref().map(|sum| &sum.sha256),
        })
    };
    predicted.inputs.iter().map(input).collect()
}

fn file(file: &FileChecksum) -> Value {
    json!({ "path": file.location.to_string(), "bytes": file.bytes, "sha256": file.sha256 })
}

fn counts(predicted: &Predicted) -> Value {
    let counts = &predicted.counts;
    json!({
        "records": counts.records,
        "bases": counts.bases,
        "chunks": counts.chunks,
        "chunks_classified": counts.chunks_classified,
        "chunks_by_nucleotides": counts.chunks_by_nucleotides,
        "chunks_viral": counts.chunks_viral,
        "frames": counts.frames,
        "regions": counts.regions,
        "viral": counts.viral,
        "no_open_frame": counts.no_open_frame,
        "too_short": counts.too_short,
        "empty": counts.empty,
        "nucleotide_tokens": predicted.tokens[0],
        "protein_tokens": predicted.tokens[1],
        "repeated_nucleotides": predicted.frames.repeated[0],
        "repeated_peptides": predicted.frames.repeated[1],
    })
}

fn seconds(predicted: &Predicted) -> Value {
    let mut seconds = Map::new();
    seconds.insert("all".to_owned(), predicted.elapsed.as_secs_f64().into());
    for (stage, time) in predicted.stages {
        seconds.insert(stage.as_str().replace(' ', "_"), time.as_secs_f64().into());
    }
    seconds.into()
}

fn rates(predicted: &Predicted) -> Value {
    let seconds = predicted.elapsed.as_secs_f64().max(1e-9);
    let rate = |count: u64| count as f64 / seconds;
    json!({
        "records_per_second": rate(predicted.counts.records),
        "bases_per_second": rate(predicted.counts.bases),
        "frames_per_second": rate(predicted.counts.frames),
        "nucleotide_tokens_per_second": rate(predicted.tokens[0]),
        "protein_tokens_per_second": rate(predicted.tokens[1]),
    })
}

fn packing(stats: &PackStats) -> Value {
    json!({
        "batches": stats.batches,
        "sequences": stats.sequences,
        "token_budget": stats.token_budget,
        "efficiency": stats.efficiency(),
    })
}
