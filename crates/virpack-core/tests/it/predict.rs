//! From nucleotides to verdicts: the results of plain PyTorch, and a row for every record.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use virpack_core::CancelToken;
use virpack_core::calls::{CallOptions, Compat, Draw};
use virpack_core::model::{Location, MemoryFile};
use virpack_core::predict::{PredictOptions, PredictSummary, predict};
use virpack_core::verdict::CallThresholds;
use virpack_core::{DeviceChoice, DeviceOptions};
use virpack_seq::frames::Pair;
use virpack_seq::{Record, chunks, reader};

use crate::naive;

mod calls;
mod heads;
mod joint;
mod resume;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(name)
}

/// The tiny models and the classifier made for them, on the CPU; VirNucPro's files are written, too.
fn options(inputs: &[PathBuf], output: &Path) -> PredictOptions {
    let protein = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/esm2_tiny");
    let inputs = inputs.iter().cloned().map(Into::into).collect();
    let models = [fixture("dnabert_tiny/8"), protein];
    let classifier = fixture("predict/300_model.pth");
    let options = PredictOptions::new(inputs, [&models[0], &models[1]], classifier, output);
    let device = DeviceOptions::default().device(DeviceChoice::Cpu);
    options.device(device).calls(CallOptions::default().compat(Compat::VirNucPro))
}

fn run(options: &PredictOptions) -> PredictSummary {
    predict(options, &CancelToken::new(), |_| ()).unwrap()
}

/// Returns the rows of a table without its header.
fn rows(path: &Path) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().skip(1).map(|line| line.split('\t').map(str::to_owned).collect()).collect()
}

/// Checks that names and labels are equal, and scores within 1e-4.
fn compare(ours: &Path, golden: &Path) -> usize {
    let [ours_rows, golden_rows] = [ours, golden].map(|folder| rows(&folder.join("prediction_results.txt")));
    assert_eq!(ours_rows.len(), golden_rows.len());
    for (a, b) in ours_rows.iter().zip(&golden_rows) {
        assert_eq!(a[..2], b[..2]);
        for (x, y) in a[2..].iter().zip(&b[2..]) {
            let (x, y): (f32, f32) = (x.parse().unwrap(), y.parse().unwrap());
            assert!((x - y).abs() <= 1e-4, "{a:?} {b:?}");
        }
    }
    let verdicts =
        |folder: &Path| std::fs::read_to_string(folder.join("prediction_results_highestscore.csv")).unwrap();
    assert_eq!(verdicts(ours), verdicts(golden));
    ours_rows.len()
}

/// `dev/predict.py` made the golden files.
#[test]
fn scores_and_verdicts_are_those_of_plain_pytorch() {
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("made/out");
    let predicted = run(&options(&[fixture("predict/input.fa")], &output));
    assert_eq!(compare(&output, &fixture("predict")), 28);
    assert_eq!((predicted.calls.counts.records, predicted.calls.counts.frames), (13, 28));
    assert_eq!(predicted.calls.counts.not_judged.records, 4);
    // One record occurs twice.
    assert_eq!(predicted.frames.repeated, Pair { nucleotide: 1, protein: 1 });
    assert_eq!(predicted.files.len(), 13);
    assert!(predicted.files.iter().all(|file| file.is_file()));
    assert_eq!(std::fs::read_dir(&output).unwrap().count(), 13);
}

/// Returns the rows of chunks without an open frame.
fn without_frames(output: &Path) -> Vec<Vec<String>> {
    rows(&output.join("chunks.tsv")).into_iter().filter(|row| row[4] == "0").collect()
}

/// `dev/predict.py` made the golden files.
#[test]
fn chunks_without_a_frame_are_scored_as_plain_pytorch_scores_them() {
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("out");
    let alone = Some(fixture("predict/300_nucleotide_model.pth").into());
    let options = options(&[fixture("predict/input.fa")], &output).nucleotide_classifier(alone);
    let predicted = run(&options);
    // VirNucPro's own files leave out such chunks.
    assert_eq!(compare(&output, &fixture("predict")), 28);
    let golden = std::fs::read_to_string(fixture("predict/nucleotides.tsv")).unwrap();
    let mut golden = golden.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    for row in without_frames(&output) {
        if row[8] != "classified_nucleotide" {
            assert!(row[5..8] == ["NA", "NA", "NA"] && !["closed"].contains(&&*row[0]), "{row:?}");
            continue;
        }
        let expected = golden.next().unwrap();
        assert_eq!(format!("{}_chunk_{}", row[0], row[1]), expected[0]);
        let [ours, theirs] =
            [&[&*row[6], &*row[7]], &expected[1..]].map(|x| [x[0], x[1]].map(|s| s.parse::<f32>().unwrap()));
        assert!(ours.iter().zip(theirs).all(|(a, b)| (a - b).abs() <= 1e-4), "{row:?} {expected:?}");
        assert_eq!(row[5] == "True", ours[1] >= ours[0]);
    }
    assert_eq!(golden.next(), None);
    assert_eq!(
        (predicted.calls.counts.chunks_by_nucleotides, predicted.calls.counts.not_judged.records),
        (7, 3)
    );
    let status = |id: &str| {
        rows(&output.join("sequences.tsv")).into_iter().find(|row| row[0] == id).unwrap().pop().unwrap()
    };
    let statuses = ["genome", "closed", "only_n", "two", "empty"].map(status);
    assert_eq!(statuses, ["classified", "classified_nucleotide", "no_open_frame", "too_short", "empty"]);
    let report = std::fs::read_to_string(output.join("run.json")).unwrap();
    assert!(report.contains("\"chunks_by_nucleotides\": 7") && report.contains("300_nucleotide_model.pth"));
}

macro_rules! memory_file {
    ($path:literal, $file:literal) => {
        MemoryFile { path: $path, bytes: include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), $file)) }
    };
}

/// The files of `options`, in memory.
static IN_MEMORY: [MemoryFile; 7] = [
    memory_file!("m/nucleotide/config.json", "/../../fixtures/dnabert_tiny/8/config.json"),
    memory_file!("m/nucleotide/model.safetensors", "/../../fixtures/dnabert_tiny/8/model.safetensors"),
    memory_file!("m/nucleotide/tokenizer.json", "/../../fixtures/dnabert_tiny/8/tokenizer.json"),
    memory_file!("m/peptide/config.json", "/../../examples/esm2_tiny/config.json"),
    memory_file!("m/peptide/model.safetensors", "/../../examples/esm2_tiny/model.safetensors"),
    memory_file!("m/300_model.pth", "/../../fixtures/predict/300_model.pth"),
    memory_file!("m/300_nucleotide_model.pth", "/../../fixtures/predict/300_nucleotide_model.pth"),
];

#[test]
fn from_memory_it_is_as_from_a_disk() {
    let directory = tempfile::tempdir().unwrap();
    let [disk, memory] = ["disk", "memory"].map(|name| directory.path().join(name));
    let alone = Some(fixture("predict/300_nucleotide_model.pth").into());
    let on_disk = options(&[fixture("predict/input.fa")], &disk);
    let on_disk = on_disk.nucleotide_classifier(alone);
    let place = |name: &str| Location::memory(&IN_MEMORY, name);
    let in_memory = on_disk
        .clone()
        .nucleotide_model(place("m/nucleotide"))
        .protein_model(place("m/peptide"))
        .classifier(place("m/300_model.pth"))
        .nucleotide_classifier(place("m/300_nucleotide_model.pth"))
        .output(memory.clone());
    run(&on_disk);
    run(&in_memory);
    for table in ["frames.tsv", "chunks.tsv", "sequences.tsv", "regions.tsv"] {
        let [a, b] = [&disk, &memory].map(|folder| std::fs::read_to_string(folder.join(table)).unwrap());
        assert_eq!(a, b, "{table}");
    }
    // The same sizes and checksums, under any names.
    let sums = |folder: &Path| {
        let text = std::fs::read_to_string(folder.join("run.json")).unwrap();
        let mut lines: Vec<_> =
            text.lines().filter(|line| line.contains("sha256")).map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sums(&disk), sums(&memory));
    assert_eq!(sums(&memory).len(), 8);
}

#[test]
fn however_it_is_packed_the_rows_are_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let plain = directory.path().join("plain");
    run(&options(&[fixture("predict/input.fa")], &plain));
    for (i, (buffer_size, token_budget, most_waiting)) in
        [(1, 302, 1), (3, 400, 1_000), (2_000, 302, 300)].into_iter().enumerate()
    {
        let output = directory.path().join(i.to_string());
        let options = options(&[fixture("predict/input.fa")], &output)
            .buffer_size(buffer_size)
            .token_budget(token_budget)
            .most_waiting(most_waiting);
        run(&options);
        compare(&output, &plain);
        assert_eq!(rows(&output.join("sequences.tsv")).len(), 13);
    }
}

#[test]
fn tables_agree_with_each_other() {
    // The numbers of the records that have plots.
    let plots = |output: &Path| {
        let names = std::fs::read_dir(output.join("plots")).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let names = names.filter(|name| name != "overview.svg");
        let mut numbers: Vec<usize> = names.map(|name| name[..6].parse().unwrap()).collect();
        numbers.sort_unstable();
        numbers
    };
    let mut drawn = Vec::new();
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("out");
    let draw = Draw {
        track: |track| Ok(format!("{} {}", track.id, track.points.len())),
        overview: |tracks| Ok(tracks.len().to_string()),
    };
    let calls = CallOptions::default().compat(Compat::Broad).plot(draw);
    let options = options(&[fixture("predict/input.fa")], &output).calls(calls);
    run(&options);
    let [sequences, chunk_rows, frames] =
        ["sequences.tsv", "chunks.tsv", "frames.tsv"].map(|t| rows(&output.join(t)));
    let mut records = reader::open(&[fixture("predict/input.fa").into()]).unwrap();
    let (mut record, mut viral) = (Record::default(), String::new());
    let (mut chunk_rows, mut frames) = (chunk_rows.into_iter(), frames.into_iter().peekable());
    for row in sequences {
        assert!(records.read(&mut record).unwrap());
        let own = [cell(&record.id), cell(&record.description), record.sequence.len().to_string()];
        assert_eq!(row[..3], own);
        let sequence = String::from_utf8(record.sequence.to_ascii_uppercase()).unwrap().replace('U', "T");
        let (mut classified, mut called, mut odds) = (0, 0, 0.0);
        for (number, chunk) in (1..).zip(chunks(sequence.len(), 300.try_into().unwrap())) {
            let own = chunk_rows.next().unwrap();
            assert_eq!(own[1..4], [number, chunk.start + 1, chunk.end].map(|n| n.to_string()));
            let open: usize = own[4].parse().unwrap();
            for _ in 0..open {
                let frame = frames.next().unwrap();
                assert_eq!(frame[..2], own[..2]);
                let [start, end] = [3, 4].map(|i| frame[i].parse::<usize>().unwrap());
                let codons = &sequence[start - 1..end];
                let strand =
                    if frame[5] == "-" { naive::reverse_complement(codons) } else { codons.to_owned() };
                let expected = naive::frames(&sequence[chunk.clone()]);
                let protein = &expected.iter().find(|(name, ..)| *name == frame[2]).unwrap().2;
                assert_eq!(&naive::protein(&strand), protein);
                assert_eq!(frame[6] == "virus", frame[8].parse::<f32>().unwrap() > frame[7].parse().unwrap());
            }
            classified += usize::from(open > 0);
            called += usize::from(own[5] == "True");
            if open > 0 {
                let [other, virus] = [6, 7].map(|i| own[i].parse::<f64>().unwrap());
                odds += (virus / other).ln().clamp(-3.0, 3.0);
            }
            assert_eq!(own[8] == "classified", open > 0);
            assert_eq!(own[5] == "NA", open == 0);
        }
        assert_eq!([&row[4], &row[5]], [&classified.to_string(), &called.to_string()]);
        // The tiny models have no calibration.
        assert_eq!(row[10], "NA");
        if classified == 0 {
            assert!(row[6..13].iter().all(|cell| cell == "NA"), "{row:?}");
        } else {
            let score = 1.0 / (1.0 + (-odds / classified as f64).exp());
            assert!((row[7].parse::<f64>().unwrap() - score).abs() <= 6e-5, "{row:?} {score}");
            assert_eq!(row[6], format!("{:.4}", called as f64 / classified as f64));
            let call = ["cellular", "uncertain", "viral"];
            let written: f64 = row[7].parse().unwrap();
            assert_eq!(row[8], call[usize::from(written >= 0.3) + usize::from(written >= 0.7)], "{row:?}");
            assert_eq!(row[9], if row[8] == "viral" { "True" } else { "False" });
        }
        if ["viral", "uncertain"].contains(&&*row[8]) && row[3] != "1" {
            drawn.push(record.index as usize + 1);
        }
        if row[9] == "True" {
            let letters = std::str::from_utf8(&record.sequence).unwrap();
            writeln!(viral, ">{} {}\n{letters}", record.id, record.description).unwrap();
        }
    }
    assert!(!records.read(&mut record).unwrap() && frames.peek().is_none() && chunk_rows.next().is_none());
    assert_eq!(std::fs::read_to_string(output.join("viral.fna")).unwrap(), viral);
    let highest = std::fs::read_to_string(output.join("prediction_results_highestscore.csv")).unwrap();
    assert!(highest.starts_with("Modified_ID\tIs_Virus\tmax_score_0\tmax_score_1\n\"a\"\"quote_chunk_1\"\t"));
    assert_eq!(std::fs::read_to_string(output.join("plots/000001_genome.svg")).unwrap(), "genome 11");
    // A record of one chunk has no plot, nor has one that is cellular or not judged.
    drawn.sort();
    assert_eq!(plots(&output), drawn);
    assert_eq!(std::fs::read_to_string(output.join("plots/overview.svg")).unwrap(), drawn.len().to_string());
    let fewer = output.with_file_name("fewer");
    run(&options.output(&fewer).calls(calls.max_plots(2)));
    assert_eq!(plots(&fewer).len(), 2);
    let best: f64 = rows(&fewer.join("sequences.tsv"))
        .iter()
        .filter(|row| row[3] != "1" && row[7] != "NA")
        .map(|row| row[7].parse().unwrap())
        .fold(0.0, f64::max);
    let is_best = |row: &Vec<String>| row[3] != "1" && row[7] == format!("{best:.4}");
    let first = rows(&fewer.join("sequences.tsv")).iter().position(is_best).unwrap();
    assert!(plots(&fewer).contains(&(first + 1)), "{best}");
}

#[test]
fn options_say_what_is_viral() {
    let directory = tempfile::tempdir().unwrap();
    let verdicts = |name: &str, calls: CallOptions| {
        let output = directory.path().join(name);
        let counts = run(&options(&[fixture("predict/input.fa")], &output).calls(calls)).calls.counts;
        // VirNucPro's own file has no other rule.
        compare(&output, &fixture("predict"));
        (counts.chunks_viral, counts.viral.records, counts.uncertain.records, counts.cellular.records)
    };
    let plain = CallOptions::default().compat(Compat::VirNucPro);
    let (chunks, viral, uncertain, cellular) = verdicts("plain", plain);
    assert_eq!(viral + uncertain + cellular, 9);
    let (strict, ..) = verdicts("strict chunks", plain.min_chunk_score(0.6));
    assert!(strict < chunks && strict > 0);
    assert_eq!(verdicts("no chunk", plain.min_chunk_score(1.0)), (0, viral, uncertain, cellular));
    let at = |score| plain.thresholds(CallThresholds::at(score).unwrap());
    assert_eq!(verdicts("all", at(0.0)), (chunks, 9, 0, 0));
    assert_eq!(verdicts("none", at(1.0)).1, 0);
    assert!(verdicts("some", at(0.45)).1 > viral);
}

#[test]
fn no_records_make_tables_of_headers() {
    let directory = tempfile::tempdir().unwrap();
    let [input, output] = ["empty.fa", "out"].map(|name| directory.path().join(name));
    std::fs::write(&input, "").unwrap();
    let predicted = run(&options(std::slice::from_ref(&input), &output));
    assert_eq!((predicted.calls.counts.records, predicted.remarks.len()), (0, 1));
    for table in ["frames.tsv", "chunks.tsv", "sequences.tsv", "regions.tsv", "prediction_results.txt"] {
        let text = std::fs::read_to_string(output.join(table)).unwrap();
        assert!(text.lines().count() == 1 && text.contains('\t'), "{table}: {text}");
    }
    for file in ["viral.fna", "proviruses.fna", "proviruses.bed"] {
        assert_eq!(std::fs::read_to_string(output.join(file)).unwrap(), "", "{file}");
    }
    let gff = std::fs::read_to_string(output.join("proviruses.gff3")).unwrap();
    assert_eq!(gff, "##gff-version 3\n");
    let highest = std::fs::read_to_string(output.join("prediction_results_highestscore.csv")).unwrap();
    assert_eq!(highest, "Modified_ID\tIs_Virus\n");
}

#[test]
fn what_fails_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let input = directory.path().join("in.fa");
    std::fs::write(&input, format!(">a\n{}\n>p\nMKTLLVAGG\n", "GCC".repeat(200))).unwrap();
    let output = directory.path().join("out");
    let options = options(&[input], &output);
    let error = predict(&options, &CancelToken::new(), |_| ()).unwrap_err();
    assert!(error.to_string().contains("record p is not a nucleotide sequence"), "{error}");
    assert!(!output.exists());
    std::fs::create_dir(&output).unwrap();
    std::fs::write(output.join("run.json"), "mine").unwrap();
    let error = predict(&options, &CancelToken::new(), |_| ()).unwrap_err();
    assert!(error.to_string().contains("run.json exists"), "{error}");
    assert_eq!(std::fs::read_dir(&output).unwrap().count(), 1);
    let tiny = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/esm2_tiny");
    let swapped = options
        .clone()
        .protein_model(&fixture("dnabert_tiny/8"))
        .nucleotide_model(&tiny)
        .output(directory.path().join("other"));
    let error = predict(&swapped, &CancelToken::new(), |_| ()).unwrap_err();
    assert!(
        error.to_string().contains("nucleotide_model names ESM-2 here, and must name DNABERT-S"),
        "{error}"
    );
    let wide = swapped.clone().nucleotide_model(&fixture("dnabert_tiny/12"));
    let wide = wide.protein_model(&tiny);
    let error = predict(&wide, &CancelToken::new(), |_| ()).unwrap_err();
    assert!(error.to_string().contains("takes 112 features"), "{error}");
    assert!(!directory.path().join("other").exists());
    for least in [1.5, -0.1, f32::NAN] {
        let calls = CallOptions::default().min_chunk_score(least);
        assert!(predict(&swapped.clone().calls(calls), &CancelToken::new(), |_| ()).is_err());
    }
}

/// What a header may hold.
fn header() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        Just("same".to_owned()),
        Just("NA".to_owned()),
        "[a-z0-9_|.]{1,12}( [ -~]{0,12})?",
        "[\"',;#=\t é\u{2028}]{0,6}x[\"',;\t]{0,3}",
    ]
}

fn letters() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ACGTacgtuN]{0,8}",
        "[ACGT]{290,310}",
        "(GCC|ATG|AAC){0,260}",
        "[ACGTNRY]{0,900}",
        "N{0,700}",
        "-{0,3}"
    ]
}

/// Returns an id as tables have it.
fn cell(id: &str) -> String {
    let text = id.replace('\u{2028}', "\\u2028");
    if text.contains('"') { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

/// Returns whether three bases are adjacent.
fn has_codon(letters: &str) -> bool {
    letters.as_bytes().windows(3).any(|codon| codon.iter().all(|base| b"ACGTUacgtu".contains(base)))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn every_record_has_one_row_in_input_order(
        files in prop::collection::vec(prop::collection::vec((header(), letters()), 0..25), 1..3),
        buffer_size in 1..60usize,
        most_waiting in prop::sample::select(vec![1u64, 2_000, 1 << 20]),
        alone in any::<bool>(),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let mut inputs = Vec::new();
        for (i, records) in files.iter().enumerate() {
            let path = directory.path().join(format!("{i}.fa"));
            let text = records.iter().fold(String::new(), |mut text, (header, letters)| {
                writeln!(text, ">{header}\n{letters}").unwrap();
                text
            });
            std::fs::write(&path, text).unwrap();
            inputs.push(path);
        }
        let output = directory.path().join("out");
        let nucleotide_classifier = alone.then(|| fixture("predict/300_nucleotide_model.pth").into());
        let options = options(&inputs, &output)
            .buffer_size(buffer_size)
            .most_waiting(most_waiting)
            .nucleotide_classifier(nucleotide_classifier);
        let predicted = run(&options);
        let table = rows(&output.join("sequences.tsv"));
        let all = files.iter().enumerate().flat_map(|(i, records)| records.iter().map(move |record| (i, record)));
        let all: Vec<_> = all.collect();
        prop_assert_eq!(table.len(), all.len());
        prop_assert_eq!(predicted.calls.counts.records as usize, all.len());
        let several = usize::from(files.len() > 1);
        for (row, (file, (header, letters))) in table.iter().zip(&all) {
            let id = header.split([' ', '\t']).find(|word| !word.is_empty()).unwrap_or_default();
            prop_assert_eq!(row.len(), 14 + several);
            prop_assert_eq!(&row[0], &cell(id));
            if several == 1 {
                prop_assert_eq!(&row[1], &inputs[*file].display().to_string());
            }
            prop_assert_eq!(&row[2 + several], &letters.len().to_string());
            let open = chunks(letters.len(), 300.try_into().unwrap())
                .map(|chunk| naive::frames(&letters[chunk]).len())
                .collect::<Vec<_>>();
            prop_assert_eq!(&row[3 + several], &open.len().to_string());
            let read = chunks(letters.len(), 300.try_into().unwrap()).map(|chunk| alone && has_codon(&letters[chunk]));
            let classified = open.iter().zip(read).filter(|(frames, read)| **frames > 0 || *read).count();
            prop_assert_eq!(&row[4 + several], &classified.to_string());
            let status = match letters.len() {
                _ if open.iter().any(|frames| *frames > 0) => "classified",
                _ if classified > 0 => "classified_nucleotide",
                0 => "empty",
                1 | 2 => "too_short",
                _ => "no_open_frame",
            };
            prop_assert_eq!(&row[13 + several], status);
        }
        let chunk_rows = rows(&output.join("chunks.tsv"));
        prop_assert_eq!(chunk_rows.len() as u64, predicted.calls.counts.chunks);
        prop_assert_eq!(rows(&output.join("frames.tsv")).len() as u64, predicted.calls.counts.frames);
    }
}
