//! Comparison with the plain Python of `training/verdict_golden.py`.

use std::num::NonZeroUsize;

use serde_json::Value;

use super::*;

fn golden() -> Value {
    serde_json::from_str(include_str!("../../../../fixtures/verdicts/golden.json")).expect("JSON")
}

fn mini() -> RecordCalibration {
    let text = include_str!("../../../virpack-model/virpack-mini/record_calibration.json");
    RecordCalibration::parse(text).expect("the file that comes with the model")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

fn whole(value: &Value) -> usize {
    value.as_u64().expect("a whole number") as usize
}

/// Highest scores of each chunk.
fn chunks(value: &Value) -> Vec<Option<[f32; 2]>> {
    let scores = |chunk: &Value| chunk.as_array().map(|both| [0, 1].map(|i| number(&both[i]) as f32));
    list(value).iter().map(scores).collect()
}

fn assert_near(here: f64, there: f64, within: f64, what: &str) {
    assert!((here - there).abs() <= within, "{what}: {here} here, {there} in Python");
}

#[test]
fn scores_and_shares_of_false_calls_are_those_of_python() {
    let (golden, mini) = (golden(), mini());
    let mut scored = 0;
    for record in list(&golden["records"]) {
        let evidence: Evidence = chunks(&record["chunks"]).into_iter().collect();
        assert_eq!(evidence.classified() as usize, whole(&record["classified"]));
        let Some(mean) = evidence.mean() else { continue };
        assert_near(mean, number(&record["mean"]), 1e-9, "mean");
        let uncalibrated = uncalibrated_score(&evidence).expect("classified");
        assert_near(uncalibrated.score, number(&record["uncalibrated"]), 1e-9, "uncalibrated");
        for (length, expected) in record["lengths"].as_object().expect("an object") {
            let fitted = mini.for_length(length.parse().expect("a length")).expect("fitted");
            let score = fitted.score(&evidence).expect("classified");
            assert_near(score.score, number(&expected["score"]), 1e-8, "score");
            for (share, fdr) in list(&golden["prevalences"]).iter().zip(list(&expected["fdr"])) {
                let prevalence = Prevalence::new(number(share)).expect("between 0 and 1");
                assert_near(fitted.fdr(&score, prevalence), number(fdr), 1e-5, "fdr");
                scored += 1;
            }
        }
    }
    assert!(scored > 100, "{scored}");
}

#[test]
fn posteriors_and_regions_are_those_of_python() {
    let (golden, mini) = (golden(), mini());
    let mut regions = 0;
    for genome in list(&golden["genomes"]) {
        let length = whole(&genome["length"]);
        let kind = if genome["viral"] == true { RegionKind::Viral } else { RegionKind::Provirus };
        let scores = chunks(&genome["chunks"]);
        let places = virpack_seq::chunks(whole(&genome["bases"]), NonZeroUsize::new(length).expect("not 0"));
        let evidence: Vec<_> = places.zip(&scores).map(|(bases, s)| ChunkEvidence::new(&bases, *s)).collect();
        assert_eq!(evidence.len(), scores.len());
        let found = segments(&evidence, kind, mini.for_length(length).expect("fitted").segments());
        for (here, there) in found.posterior.iter().zip(list(&genome["posterior"])) {
            assert_near(f64::from(*here), number(there), 2e-5, "posterior");
        }
        assert_eq!(found.regions.len(), list(&genome["regions"]).len());
        for (region, expected) in found.regions.iter().zip(list(&genome["regions"])) {
            assert_eq!(region.bases, whole(&expected["start"])..whole(&expected["end"]));
            assert_eq!(region.kind, kind);
            assert_near(region.score, number(&expected["score"]), 1e-4, "score of a region");
            assert_near(region.mean_posterior, number(&expected["posterior"]), 1e-5, "mean posterior");
            regions += 1;
        }
    }
    assert!(regions >= 15, "{regions}");
}
