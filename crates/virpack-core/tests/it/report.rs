//! Finished runs that are judged again: the files are those of a run with the same options.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use virpack_core::calls::{CallOptions, Compat, Draw};
use virpack_core::model::mini;
use virpack_core::predict::{Bundle, PredictOptions, predict};
use virpack_core::report::{FinishedRun, ReportError, ReportOptions, ReportSummary, compare, report};
use virpack_core::verdict::{CallThresholds, ContigRule, Prevalence};
use virpack_core::{
    CancelToken, CheckpointOptions, DeviceChoice, DeviceOptions, Error, Event, Hint, ResumeErrorKind,
};

const DRAW: Draw = Draw {
    track: |track| Ok(format!("{} {:?}", track.id, track.points)),
    overview: |tracks| Ok(tracks.iter().map(|track| &*track.id).collect::<Vec<_>>().join(" ")),
};

/// Two files: viral, cellular and unusual records, some without a verdict, and a bacterial one of many
/// chunks with a viral part.
fn inputs(folder: &Path) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let [first, second] = ["one.fa", "two.fa"].map(|name| folder.join(name));
    fs::copy(root.join("contigs.fasta"), &first).unwrap();
    let letters = |text: String| text.lines().filter(|line| !line.starts_with('>')).collect::<String>();
    let known = letters(fs::read_to_string(root.join("metagenome.fasta")).unwrap());
    let odd = ">a\"b\\t \"said\" it\u{2028}s\nACGTNNNNACGGATGGCCATTCTGGCATTAGGA\n>empty\n>short\nAC\n";
    fs::write(
        &second,
        format!("{odd}>long all together\n{known}\n>tab id\tand \u{1}more\n{}\n", &known[..700]),
    )
    .unwrap();
    vec![first, second]
}

fn options(inputs: &[PathBuf], output: PathBuf) -> PredictOptions {
    let bundle = Bundle::open(&mini::location()).unwrap();
    let inputs = inputs.iter().cloned().map(Into::into).collect();
    PredictOptions::with_bundle(inputs, &bundle, None, output)
        .device(DeviceOptions::default().device(DeviceChoice::Cpu))
        .checkpoint(CheckpointOptions::default())
        .min_length(30)
}

fn run(options: &PredictOptions) {
    predict(options, &CancelToken::new(), |_| ()).unwrap();
}

/// Returns every file below a directory, by its path in it.
fn all_files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            files.extend(
                all_files(&path).into_iter().map(|(inner, bytes)| (format!("{name}/{inner}"), bytes)),
            );
        } else {
            files.insert(name, fs::read(path).unwrap());
        }
    }
    files
}

/// Returns the files that two runs share, whatever their times.
fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = all_files(directory);
    files.retain(|name, _| !["run.json", "report.html"].contains(&&**name));
    files
}

/// Checks that directories hold the same files, and names those that differ.
fn assert_same(ours: &BTreeMap<String, Vec<u8>>, theirs: &BTreeMap<String, Vec<u8>>) {
    assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
    for (name, bytes) in ours {
        let [ours, theirs] = [bytes, &theirs[name]].map(|bytes| String::from_utf8_lossy(bytes));
        let mut pairs = ours.lines().zip(theirs.lines()).filter(|(a, b)| a != b);
        assert!(ours == theirs, "{name}: {:?}", pairs.next());
    }
}

/// The parts of `run.json` that are derived from scores and options.
fn told(directory: &Path) -> [serde_json::Value; 4] {
    let text = fs::read_to_string(directory.join("run.json")).unwrap();
    let mut json: serde_json::Value = serde_json::from_str(&text).unwrap();
    ["options", "counts", "files", "run"].map(|name| json[name].take())
}

fn strict() -> CallOptions {
    let calls = CallOptions::default().thresholds(CallThresholds::STRICT).min_chunk_score(0.9);
    calls.prevalence(Prevalence::new(0.01).unwrap())
}

fn again(
    directory: &Path,
    with: impl FnOnce(ReportOptions) -> ReportOptions,
) -> Result<ReportSummary, Error> {
    let run = FinishedRun::open(directory)?;
    report(&run, &with(ReportOptions::of(&run)))
}

fn report_error(result: Result<ReportSummary, Error>) -> ReportError {
    match result {
        Err(Error::Report(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn judged_again_the_files_are_those_of_a_run_with_the_same_options() {
    let folder = tempfile::tempdir().unwrap();
    let inputs = inputs(folder.path());
    let [plain, other] = ["plain/out", "other/out"].map(|name| folder.path().join(name));
    run(&options(&inputs, plain.clone()));
    let rule = ContigRule::default().min_chunks(2).min_viral(0.25);
    let with_all = strict().compat(Compat::Broad).contigs(rule).plot(DRAW).max_plots(3);
    run(&options(&inputs, other.clone()).calls(with_all));
    let [as_plain, as_other] = [&plain, &other].map(|directory| (files(directory), told(directory)));
    assert_ne!(as_plain.0["sequences.tsv"], as_other.0["sequences.tsv"]);
    assert_ne!(as_plain.0["chunks.tsv"], as_other.0["chunks.tsv"]);
    assert_eq!(as_plain.0["frames.tsv"], as_other.0["frames.tsv"]);
    assert!(as_other.0.contains_key("plots/overview.svg") && as_other.0.contains_key("contigs.tsv"));

    // With the same options, no byte changes.
    for (directory, draw) in [(&plain, None), (&other, Some(DRAW))] {
        let before = all_files(directory);
        let calls = FinishedRun::open(directory).unwrap().calls().plot(draw);
        let judged = again(directory, |options| options.calls(calls)).unwrap();
        assert_same(&all_files(directory), &before);
        assert!(judged.files.iter().all(|file| file.exists()));
    }
    let judged = again(&plain, |options| options.calls(with_all));
    assert_same(&files(&plain), &as_other.0);
    assert_eq!(told(&plain), as_other.1);
    let counts = &as_other.1[1];
    assert_eq!(counts["viral"]["records"], judged.unwrap().calls.counts.viral.records);
    let page = fs::read_to_string(plain.join("report.html")).unwrap();
    assert_ne!(page, fs::read_to_string(other.join("report.html")).unwrap(), "they are of two runs");
    again(&other, |options| options.calls(CallOptions::default())).unwrap();
    assert_same(&files(&other), &as_plain.0);
    assert_eq!(told(&other), as_plain.1);
}

#[test]
fn a_complete_run_with_other_calls_differs_from_another_run() {
    let folder = tempfile::tempdir().unwrap();
    let inputs = inputs(folder.path());
    let output = folder.path().join("out");
    let options = options(&inputs, output.clone());
    run(&options);
    let resumed = options.checkpoint(CheckpointOptions::default().resume(true));
    let end = |options: &PredictOptions| match predict(options, &CancelToken::new(), |_| ()) {
        Err(Error::Resume(error)) => error,
        other => panic!("{other:?}"),
    };
    assert_eq!(end(&resumed).kind(), ResumeErrorKind::Complete);
    let drawn = resumed.clone().calls(strict().plot(DRAW));
    assert_eq!(end(&drawn).kind(), ResumeErrorKind::OtherCalls);
    assert_eq!(end(&drawn.clone().min_length(31)).kind(), ResumeErrorKind::AnotherOutput);
    again(&output, |options| options.calls(strict().plot(DRAW))).unwrap();
    assert_eq!(end(&drawn).kind(), ResumeErrorKind::Complete);
}

#[test]
fn sequences_come_from_the_inputs_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let inputs = inputs(folder.path());
    let output = folder.path().join("out");
    run(&options(&inputs, output.clone()));
    let before = all_files(&output);
    let relaxed =
        |options: ReportOptions| options.calls(CallOptions::default().thresholds(CallThresholds::RELAXED));
    let text = fs::read(&inputs[1]).unwrap();
    let mut letters = text.clone();
    letters[40] = if letters[40] == b'A' { b'C' } else { b'A' };
    let longer = [&text[..], b">one more\nACGT\n"].concat();
    for (damaged, expected) in [
        (Some(letters), "its contents have changed"),
        (Some(longer), "bytes now, and had"),
        (None, "cannot be read: "),
    ] {
        match damaged {
            Some(damaged) => fs::write(&inputs[1], damaged).unwrap(),
            None => fs::remove_file(&inputs[1]).unwrap(),
        }
        let error = report_error(again(&output, relaxed));
        assert!(error.is_input(), "{error:?}");
        assert!(error.to_string().contains("two.fa") && error.to_string().contains(expected), "{error}");
        assert!(error.hint().unwrap().contains("files of sequences"));
        assert_same(&all_files(&output), &before);
    }
    // They do not depend on these.
    let prevalence = Prevalence::new(0.5).unwrap();
    let calls = CallOptions::default().prevalence(prevalence).plot(DRAW);
    again(&output, |options| options.calls(calls)).unwrap();
    assert_eq!(files(&output)["viral.fna"], before["viral.fna"]);
    let judged = again(&output, |options| relaxed(options).sequences(false)).unwrap();
    assert!(!output.join("viral.fna").exists() && !output.join("proviruses.fna").exists());
    assert!(judged.files.iter().all(|file| file.exists() && !file.ends_with("viral.fna")));
    fs::write(&inputs[1], text).unwrap();
    again(&output, relaxed).unwrap();
    let right = folder.path().join("right/out");
    run(&options(&inputs, right.clone()).calls(CallOptions::default().thresholds(CallThresholds::RELAXED)));
    assert_same(&files(&output), &files(&right));
}

#[test]
fn tables_that_were_changed_are_refused_with_their_line() {
    let folder = tempfile::tempdir().unwrap();
    let inputs = inputs(folder.path());
    let output = folder.path().join("out");
    run(&options(&inputs, output.clone()));
    let before = all_files(&output);
    let changed = |name: &str, change: &dyn Fn(&str) -> String| {
        let path = output.join(name);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, change(&text)).unwrap();
        let error = again(&output, |options| options);
        fs::write(&path, text).unwrap();
        assert_same(&all_files(&output), &before);
        report_error(error).to_string()
    };
    let without = |line: usize| {
        move |text: &str| {
            let lines = text.lines().enumerate().filter(|(i, _)| i + 1 != line);
            lines.map(|(_, line)| format!("{line}\n")).collect()
        }
    };
    for (name, line, expected) in [
        ("chunks.tsv", 3, "chunks.tsv, line 3: "),
        ("frames.tsv", 2, "frames.tsv, line "),
        ("sequences.tsv", 2, "chunks.tsv, line 2: record 0 where "),
    ] {
        let error = changed(name, &without(line));
        assert!(error.contains(expected) || error.contains("line"), "{name}: {error}");
    }
    let error = changed("chunks.tsv", &|text| text.replacen("\t0.", "\t1.", 1));
    assert!(error.contains("chunks.tsv, line ") && error.contains("not those of frames.tsv"), "{error}");
    let error = changed("sequences.tsv", &|text| text.replacen("length", "width", 1));
    assert!(error.contains("line 1: there is no column `length`"), "{error}");
    let error = changed("chunks.tsv", &|text| text.replacen("\t1\t1\t", "\t1\tone\t", 1));
    assert!(error.contains("\"one\" is no number in the column `start`"), "{error}");
    let error = changed("frames.tsv", &|text| format!("{text}{}\n", text.lines().last().unwrap()));
    assert!(error.contains("belongs to no record"), "{error}");
    let error = changed("run.json", &|_| "{}".to_owned());
    assert!(error.contains("run.json lacks what `predict` writes"), "{error}");
    let error = changed("run.json", &|text| text.replacen("\"models\"", "\"others\"", 1));
    assert!(error.contains("run.json lacks what `predict` writes"), "{error}");
    let error = changed("record_calibration.json", &|text| text.replacen('{', "{ ", 1));
    assert!(error.contains("is not the one that the run has used"), "{error}");
    let error = report_error(again(folder.path(), |options| options));
    assert!(
        error.to_string().contains("not the directory of a complete run") && error.hint().is_some(),
        "{error}"
    );
}

#[test]
fn an_interrupted_publication_is_repaired() {
    let folder = tempfile::tempdir().unwrap();
    let inputs = inputs(folder.path());
    let output = folder.path().join("out");
    run(&options(&inputs, output.clone()));
    let relaxed =
        |options: ReportOptions| options.calls(CallOptions::default().thresholds(CallThresholds::RELAXED));
    // Some files already have their names when one cannot get its own.
    fs::remove_file(output.join("regions.tsv")).unwrap();
    fs::create_dir_all(output.join("regions.tsv/in the way")).unwrap();
    again(&output, relaxed).unwrap_err();
    assert!(output.join("run.json").exists() && output.join("run.partial").exists());
    fs::remove_dir_all(output.join("regions.tsv")).unwrap();
    for entry in fs::read_dir(&output).unwrap().map(Result::unwrap) {
        // The complete files were kept.
        if entry.file_name().to_str().unwrap().contains(".tmp-") {
            fs::remove_file(entry.path()).unwrap();
        }
    }
    // The options are the earlier ones, but the sequences may not be.
    fs::write(output.join("viral.fna"), "of other calls").unwrap();
    again(&output, |options| options).unwrap();
    let right = folder.path().join("right/out");
    run(&options(&inputs, right.clone()));
    assert_same(&files(&output), &files(&right));
}

#[test]
fn what_an_unfinished_run_has_kept_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let inputs = inputs(folder.path());
    let output = folder.path().join("out");
    let options = options(&inputs, output.clone());
    run(&options);
    let kept = CheckpointOptions::default().records(1);
    let cancel = CancelToken::new();
    let forced = options.checkpoint(kept).force(true).buffer_size(2).token_budget(600);
    let stopped = predict(&forced, &cancel, |event| {
        if let Event::Progress(progress) = event
            && progress.records > 0
        {
            cancel.cancel();
        }
    });
    assert!(matches!(stopped, Err(Error::Interrupted { kept: Some(_) })), "{stopped:?}");
    let error = again(&output, |options| options).unwrap_err();
    assert!(matches!(&error, Error::Resume(error) if error.kind() == ResumeErrorKind::Unfinished), "{error}");
    assert!(output.join("run.partial").exists());
}

#[test]
fn runs_are_compared_on_a_page_with_links() {
    let folder = tempfile::tempdir().unwrap();
    let inputs = inputs(folder.path());
    let runs: Vec<_> = ["one", "two"]
        .into_iter()
        .map(|name| {
            let output = folder.path().join(name);
            run(&options(&inputs, output.clone()));
            let run = FinishedRun::open(&output).unwrap();
            let judged = report(&run, &ReportOptions::of(&run)).unwrap();
            (run, judged)
        })
        .collect();
    let page = folder.path().join("comparison.html");
    compare(&page, &runs).unwrap();
    let text = fs::read_to_string(page).unwrap();
    assert!(text.contains("one&#x2f;report.html") && text.contains("two&#x2f;report.html"), "{text}");
}
