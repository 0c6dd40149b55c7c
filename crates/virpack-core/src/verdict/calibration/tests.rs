use proptest::prelude::*;
use serde_json::{Value, json};
use virpack_seq::Hint;

use super::*;

/// The file of the built-in model.
const MINI: &str = include_str!("../../../../virpack-model/virpack-mini/record_calibration.json");

fn mini() -> RecordCalibration {
    RecordCalibration::parse(MINI).expect("the file that comes with the model")
}

fn evidence(chunks: usize, score_virus: f32) -> Evidence {
    (0..chunks).map(|_| Some([1.0 - score_virus, score_virus])).collect()
}

/// The built-in model's file with one change.
fn changed(change: impl FnOnce(&mut Value)) -> Result<RecordCalibration, CalibrationError> {
    let mut value: Value = serde_json::from_str(MINI).expect("JSON");
    change(&mut value);
    RecordCalibration::parse(&value.to_string())
}

#[test]
fn the_built_in_model_has_a_calibration_for_both_its_lengths() {
    let mini = mini();
    assert_eq!(mini.model(), "virpack-mini");
    assert!(
        mini.for_length(500).is_some() && mini.for_length(300).is_some() && mini.for_length(400).is_none()
    );
}

#[test]
fn no_verdict_is_no_score() {
    let none: Evidence = [None, None].into_iter().collect();
    let mini = mini();
    assert_eq!(mini.for_length(500).expect("fitted").score(&none), None);
    assert_eq!(uncalibrated_score(&none), None);
}

#[test]
fn without_a_fit_the_score_is_the_mean_log_odds_as_odds() {
    let score = |chunks| uncalibrated_score(&chunks).expect("classified").score;
    assert!((score(evidence(3, 0.75)) - 0.75).abs() < 1e-6);
    assert!((score(evidence(40, 0.75)) - 0.75).abs() < 1e-6);
    // Odds of 3 and 1/3 have an even mean.
    let both: Evidence = [Some([0.25, 0.75]), Some([0.75, 0.25])].into_iter().collect();
    assert!((score(both) - 0.5).abs() < 1e-6);
}

#[test]
fn a_score_is_linear_in_the_logarithm_of_chunks_between_knots() {
    let file = changed(|file| {
        let length = &mut file["lengths"]["500"];
        length["intercept"] = json!([0.0, 1.0, 1.0, 1.0, 1.0, 3.0]);
        length["slope"] = json!([1.0, 1.0, 1.0, 1.0, 1.0, 1.0]);
        length["chunks"] = json!([1, 4, 8, 16, 20, 60]);
    });
    let file = file.expect("well formed");
    let logit = |chunks| {
        file.for_length(500).expect("fitted").score(&evidence(chunks, 0.5)).expect("classified").logit
    };
    assert_eq!([logit(1), logit(4), logit(60), logit(1_000_000)], [0.0, 1.0, 3.0, 3.0]);
    assert!((logit(2) - 0.5).abs() < 1e-12);
}

#[test]
fn the_share_of_false_calls_follows_bayes() {
    let mini = mini();
    let fitted = mini.for_length(500).expect("fitted");
    let record = fitted.score(&evidence(4, 0.9)).expect("classified");
    let [viral, cellular] = fitted.shares(record.score, &fitted.weights(4));
    assert!(viral > cellular && cellular > 0.0);
    for share in [0.001, 0.1, 0.5] {
        let prevalence = Prevalence::new(share).expect("between 0 and 1");
        let expected = (1.0 - share) * cellular / ((1.0 - share) * cellular + share * viral);
        assert!((fitted.fdr(&record, prevalence) - expected).abs() < 1e-6);
    }
    for share in [0.0, 1.0, -0.1, f64::NAN] {
        assert_eq!(Prevalence::new(share), None);
    }
}

#[test]
fn malformed_files_are_refused_with_their_place() {
    type Change = fn(&mut Value);
    let faults: [(Change, &str); 10] = [
        (|f| f["clip"] = json!(2.0), "clips log-odds at 3"),
        (|f| f["more"] = json!(1), "more: it is not known"),
        (|f| f["lengths"]["500"]["slope"] = json!([1, 1]), "lengths.500: `intercept` and `slope`"),
        (|f| f["lengths"]["500"]["slope"][0] = json!(-1), "lengths.500: every `slope`"),
        (|f| f["lengths"]["500"]["chunks"][0] = json!(9), "lengths.500: `chunks`"),
        (|f| f["lengths"]["500"]["intercept"] = json!("x"), "lengths.500.intercept: a list of numbers"),
        (
            |f| f["lengths"]["500"]["survival"]["viral"][0][0] = json!(0.1),
            "lengths.500.survival: each row must fall",
        ),
        (|f| f["lengths"]["500"]["segments"]["enter"] = json!(0), "lengths.500.segments: `slope`"),
        (
            |f| f["lengths"]["500"]["segments"]["background"]["x"] = json!(0),
            "segments.background.x: it is not known",
        ),
        (|f| f["lengths"]["x"] = json!({}), "lengths: \"x\" is not a number of bases"),
    ];
    for (change, expected) in faults {
        let error = changed(change).expect_err(expected);
        assert!(error.to_string().contains(expected), "{error}");
        assert!(error.hint().is_some_and(|hint| hint.contains("verdicts.py")));
    }
    let missing = changed(|f| drop(f["lengths"]["300"].as_object_mut().map(|l| l.remove("logit"))));
    assert!(missing.is_err_and(|e| e.to_string().contains("lengths.300.logit: it is missing")));
    assert!(matches!(RecordCalibration::parse("{"), Err(CalibrationError::NotJson(_))));
}

proptest! {
    #[test]
    fn more_evidence_is_a_higher_score_and_a_lower_share_of_false_calls(
        chunks in 1_usize..200, low in 0.001_f32..0.999, high in 0.001_f32..0.999,
        share in 0.0001_f64..0.9999,
        length in prop::sample::select(vec![300_usize, 500]),
    ) {
        let (low, high) = (low.min(high), low.max(high));
        let mini = mini();
        let fitted = mini.for_length(length).expect("fitted");
        let score = |virus| fitted.score(&evidence(chunks, virus)).expect("classified");
        let (below, above) = (score(low), score(high));
        prop_assert!(below.score <= above.score && below.logit <= above.logit);
        prop_assert!((0.0..=1.0).contains(&below.score));
        let prevalence = Prevalence::new(share).expect("between 0 and 1");
        let [of_below, of_above] = [below, above].map(|record| fitted.fdr(&record, prevalence));
        prop_assert!(of_above <= of_below + 1e-12, "{} {}", of_below, of_above);
        prop_assert!((0.0..=1.0).contains(&of_above));
        // Rarer viruses mean more false calls.
        let rarer = Prevalence::new(share / 2.0).expect("between 0 and 1");
        prop_assert!(fitted.fdr(&above, rarer) >= of_above);
    }
}
