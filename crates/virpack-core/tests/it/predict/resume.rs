//! Runs that are stopped and resumed: the tables are those of an undisturbed run, whatever was kept.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;
use virpack_core::Error;
use virpack_core::calls::{CallOptions, Compat, Draw};
use virpack_core::predict::{PredictOptions, PredictSummary, predict};
use virpack_core::verdict::{CallThresholds, Prevalence};
use virpack_core::{CancelToken, Event};
use virpack_core::{CheckpointOptions, ResumeErrorKind, Unit};
use virpack_seq::GeneticCode;
use virpack_seq::frames::Pair;

use super::fixture;
use crate::parts;

/// Returns every file of a directory, by name, except those with times.
pub(super) fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    let tables = entries.filter(|path| !["run.json", "report.html"].contains(&&*name(path)));
    tables.map(|path| (name(&path), std::fs::read(&path).unwrap_or_default())).collect()
}

/// Returns the tokens of both models together.
fn total(tokens: Pair<u64>) -> u64 {
    tokens.nucleotide + tokens.protein
}

/// Stops a run after a number of written records, and returns how many chunks it resumed from.
pub(super) fn run_until(options: &PredictOptions, records: u64) -> (Result<PredictSummary, Error>, u64) {
    let cancel = CancelToken::new();
    if records == 0 {
        cancel.cancel();
    }
    let mut resumed = 0;
    let result = predict(options, &cancel, |what| match what {
        Event::Kept(kept) => resumed = kept.saved.finished,
        Event::Progress(progress) if progress.records >= records => cancel.cancel(),
        _ => (),
    });
    (result, resumed)
}

/// Records that share chunks and frames, some without an open frame, some without letters.
fn records() -> impl Strategy<Value = Vec<String>> {
    let letters = prop_oneof![
        4 => "[ACGT]{20,310}",
        2 => "(GCC|ATG|AAC){20,200}",
        2 => "[ACGT]{600,1000}",
        1 => "[ACGTN]{0,8}",
        1 => "N{0,400}",
    ];
    prop::collection::vec(letters, 1..12)
        .prop_flat_map(|few| prop::collection::vec(prop::sample::select(few), 1..40))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn a_run_stopped_anywhere_and_resumed_writes_the_same_tables(
        records in records(),
        buffer_size in 1..60usize,
        token_budget in 302..900usize,
        most_waiting in prop::sample::select(vec![1u64, 8_000, 256 << 20]),
        alone: bool,
        chunks in 1..20u64,
        stops in prop::collection::vec((0..30u64, 0..4usize, any::<u16>()), 1..6),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let [input, output] = ["in.fa", "out"].map(|name| directory.path().join(name));
        let text: String = (0..).zip(&records).map(|(i, letters)| format!(">r{i}\n{letters}\n")).collect();
        std::fs::write(&input, text).unwrap();
        let options = super::options(&[input], &output)
            .buffer_size(buffer_size)
            .token_budget(token_budget)
            .most_waiting(most_waiting)
            .nucleotide_classifier(alone.then(|| fixture("predict/300_nucleotide_model.pth").into()))
            .checkpoint(CheckpointOptions::default().records(chunks).every(Duration::MAX).resume(true));
        let whole = predict(&options, &CancelToken::new(), |_| ()).unwrap();
        let undisturbed = files(&output);
        prop_assert_eq!(undisturbed.len(), 11);
        std::fs::remove_dir_all(&output).unwrap();

        let (mut kept, mut sound) = (0, true);
        for (records, how, place) in stops {
            let (result, resumed) = run_until(&options, records);
            prop_assert!(resumed == kept || !sound && resumed < kept, "{} of {} kept", resumed, kept);
            match result {
                Err(Error::Interrupted { kept: now }) => {
                    // Without checkpoints nothing remains.
                    prop_assert_eq!(output.join("run.partial").exists(), now.is_some());
                    kept = now.map_or(0, |saved| saved.finished);
                }
                result => {
                    result.unwrap();
                    break;
                }
            }
            prop_assert!(kept >= resumed && !output.join("sequences.tsv").exists());
            prop_assert!(!output.exists() || files(&output).into_keys().all(|name| name == "run.partial"));
            parts::damage(&output.join("run.partial"), how, place.into());
            sound = how == 0;
        }
        if !output.join("run.json").exists() {
            let last = predict(&options, &CancelToken::new(), |_| ()).unwrap();
            prop_assert!(last.before.chunks == kept || !sound);
            prop_assert_eq!(last.calls.counts, whole.calls.counts);
            prop_assert!(last.before.chunks == 0 || !sound || total(last.tokens) < total(whole.tokens));
        }
        prop_assert_eq!(files(&output), undisturbed);
    }
}

/// Returns a run over the fixture that was stopped early, and its options.
fn stopped(directory: &Path) -> PredictOptions {
    let input = directory.join("input.fa");
    std::fs::copy(fixture("predict/input.fa"), &input).unwrap();
    let checkpoint = CheckpointOptions::default().records(1).every(Duration::MAX).resume(false);
    let options = super::options(&[input], &directory.join("out"))
        .buffer_size(6)
        .token_budget(302)
        .checkpoint(checkpoint);
    let (result, _) = run_until(&options, 1);
    let Err(Error::Interrupted { kept: Some(saved) }) = result else { panic!("{result:?}") };
    assert!(saved.finished > 0 && saved.unit == Unit::Chunks);
    assert_eq!(saved.folder, directory.join("out/run.partial"));
    assert_eq!(options.saved(), Some(saved));
    options.checkpoint(checkpoint.resume(true))
}

#[test]
fn another_run_is_refused_with_what_differs() {
    let directory = tempfile::tempdir().unwrap();
    let options = stopped(directory.path());
    let partial = directory.path().join("out/run.partial");
    let before = files(&partial);
    let refused = |options: PredictOptions, said: &str| {
        let error = predict(&options, &CancelToken::new(), |_| ()).unwrap_err();
        assert!(matches!(error, Error::Resume(_)), "{error}");
        assert!(error.to_string().contains(said), "{error}");
    };
    let with = || options.clone();
    refused(with().length(NonZeroUsize::new(299)), "length: 300 there, 299 here");
    let genetic_code = GeneticCode::ncbi(11).unwrap();
    refused(with().genetic_code(genetic_code), "genetic code: 1 there, 11 here");
    refused(with().token_budget(303), "token budget: 302 there, 303 here");
    refused(with().min_length(9), "least bases of a record: nothing there, 9 here");
    refused(with().buffer_size(None), "buffer size: 6 there, auto here");
    refused(with().most_waiting(9), "bytes under way: 268435456 there, 9 here");
    let alone = Some(fixture("predict/300_nucleotide_model.pth").into());
    refused(with().nucleotide_classifier(alone), "nucleotide classifier: nothing there, ");
    let other = directory.path().join("300_other.pth");
    let bytes = std::fs::read(fixture("predict/300_model.pth")).unwrap();
    std::fs::write(&other, [bytes, vec![0]].concat()).unwrap();
    refused(with().classifier(other), "classifier: ");
    let tiny = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/esm2_tiny");
    let proteins = directory.path().join("proteins");
    std::fs::create_dir(&proteins).unwrap();
    for entry in std::fs::read_dir(tiny).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, proteins.join(path.file_name().unwrap())).unwrap();
    }
    let config = proteins.join("config.json");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text + "\n").unwrap();
    refused(with().protein_model(&*proteins), "protein model's config.json: ");
    let input = directory.path().join("input.fa");
    let text = std::fs::read(&input).unwrap();
    std::fs::write(&input, [&text[..], b"A\n"].concat()).unwrap();
    refused(with(), "input: ");
    std::fs::write(&input, text).unwrap();
    let error = with().inputs(vec!["-".into()]).check().unwrap_err();
    assert!(
        matches!(&error, Error::Resume(error) if matches!(error.kind(), ResumeErrorKind::Pipe(_))),
        "{error}"
    );
    let unsaid = with().checkpoint(CheckpointOptions::default());
    refused(unsaid, " of a run that was interrupted");
    assert_eq!(files(&partial), before, "it is left as it was");
}

#[test]
fn what_shapes_the_tables_alone_may_change() {
    let directory = tempfile::tempdir().unwrap();
    let options = stopped(directory.path());
    let elsewhere = directory.path().join("elsewhere.fa");
    std::fs::rename(directory.path().join("input.fa"), &elsewhere).unwrap();
    let options = options.inputs(vec![elsewhere.into()]).calls(
        CallOptions::default()
            .thresholds(CallThresholds::RELAXED)
            .min_chunk_score(0.6)
            .prevalence(Prevalence::new(0.5).unwrap())
            .compat(Compat::Broad)
            .plot(Draw {
                track: |track| Ok(track.id.to_string()),
                overview: |tracks| Ok(tracks.len().to_string()),
            }),
    );
    let (result, resumed) = run_until(&options, u64::MAX);
    assert!(resumed > 0 && result.unwrap().before.chunks == resumed);
    let [gone_on, undisturbed] = ["out", "undisturbed"].map(|name| directory.path().join(name));
    let checkpoint = Some(CheckpointOptions::default());
    predict(&options.output(undisturbed.clone()).checkpoint(checkpoint), &CancelToken::new(), |_| ())
        .unwrap();
    assert_eq!(files(&gone_on), files(&undisturbed));
    assert_eq!(files(&gone_on.join("plots")), files(&undisturbed.join("plots")));
    assert!(files(&gone_on.join("plots")).len() > 3 && !gone_on.join("run.partial").exists());
}

#[test]
fn force_starts_again_and_removes_the_files_of_a_dead_process() {
    let directory = tempfile::tempdir().unwrap();
    let options = stopped(directory.path());
    let out = directory.path().join("out");
    // No process has that number.
    std::fs::write(out.join("run.partial/lock"), "4294967295").unwrap();
    for name in [".frames.tsv.tmp-4294967295", ".run.json.tmp-4294967295-2", ".frames.tsv.tmp-1", "mine"] {
        std::fs::write(out.join(name), "").unwrap();
    }
    std::fs::create_dir(out.join(".plots.tmp-4294967295")).unwrap();
    std::fs::write(out.join(".plots.tmp-4294967295/000001_a.svg"), "").unwrap();
    let checkpoint = Some(CheckpointOptions::default());
    let forced = options.checkpoint(checkpoint).force(true).length(NonZeroUsize::new(200));
    assert_eq!(predict(&forced, &CancelToken::new(), |_| ()).unwrap().before.chunks, 0);
    let names: Vec<String> = files(&out).into_keys().filter(|name| !name.contains(".tsv")).collect();
    let tables = [
        "mine",
        "prediction_results.txt",
        "prediction_results_highestscore.csv",
        "proviruses.bed",
        "proviruses.fna",
        "proviruses.gff3",
        "viral.fna",
        "virpack_mqc.json",
    ];
    assert_eq!(names, tables);
    assert_eq!(files(&out).into_keys().next().unwrap(), ".frames.tsv.tmp-1", "it is another's");
}
