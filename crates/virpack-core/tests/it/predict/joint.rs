//! Bundles whose nucleotide model reads all six frames: as their definition has it, sequence by sequence.

use std::collections::HashMap;
use std::fmt::Write;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use safetensors::tensor::TensorView;
use virpack_core::device::{Backend, Cpu};
use virpack_core::model::Location;
use virpack_core::model::classifier::Classifier;
use virpack_core::model::weights::Weights;
use virpack_core::model::{Model, RandomTensors, TensorSource};
use virpack_core::predict::{Bundle, PredictOptions};
use virpack_core::{CheckpointOptions, DeviceChoice, DeviceOptions};
use virpack_seq::frames::Pair;

use super::resume::{files, run_until};
use super::{fixture, rows, run};
use crate::naive;

const LENGTH: usize = 300;
const CODONS: usize = 16;
const PROTEIN: usize = 48;

/// Tensors of these names and shapes by chance, and these facts.
fn write_tensors(path: &Path, tensors: &[(String, Vec<usize>)], facts: &[(&str, &str)]) {
    let random = RandomTensors { seed: 11 };
    let bytes = |name: &str, shape: &[usize]| -> Vec<u8> {
        random.read(name, shape).unwrap().iter().flat_map(|value| value.to_le_bytes()).collect()
    };
    let tensors: Vec<_> =
        tensors.iter().map(|(name, shape)| (name, shape.clone(), bytes(name, shape))).collect();
    let views = tensors.iter().map(|(name, shape, bytes)| {
        (*name, TensorView::new(safetensors::Dtype::F32, shape.clone(), bytes).unwrap())
    });
    let facts: HashMap<_, _> =
        facts.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    std::fs::write(path, safetensors::serialize(views, Some(facts)).unwrap()).unwrap();
}

fn write_classifier(path: &Path, width: usize, facts: &[(&str, &str)]) {
    let tensors = [("first.weight", vec![9, width]), ("first.bias", vec![9])];
    let tensors = tensors.into_iter().chain([("last.weight", vec![2, 9]), ("last.bias", vec![2])]);
    write_tensors(path, &tensors.map(|(name, shape)| (name.to_owned(), shape)).collect::<Vec<_>>(), facts);
}

/// All words of one to three bases behind five special tokens, as `training/` numbers them.
fn tokenizer() -> String {
    let mut vocabulary =
        vec!["[UNK]".to_owned(), "[CLS]".into(), "[SEP]".into(), "[PAD]".into(), "[MASK]".into()];
    let mut words = vec![String::new()];
    for _ in 0..3 {
        words =
            words.iter().flat_map(|word| ["T", "C", "A", "G"].map(|base| format!("{word}{base}"))).collect();
        vocabulary.extend(words.iter().cloned());
    }
    let vocabulary: serde_json::Map<String, serde_json::Value> =
        vocabulary.into_iter().zip((0u64..).map(Into::into)).collect();
    serde_json::json!({ "model": { "type": "BPE", "unk_token": "[UNK]", "vocab": vocabulary } }).to_string()
}

/// A small bundle by chance, in this folder.
fn write_bundle(folder: &Path) -> Bundle {
    let [nucleotide, peptide] = ["nucleotide", "peptide"].map(|name| folder.join(name));
    std::fs::create_dir_all(&nucleotide).unwrap();
    std::fs::create_dir_all(&peptide).unwrap();
    let tiny = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/esm2_tiny");
    for entry in std::fs::read_dir(tiny).unwrap().map(Result::unwrap) {
        std::fs::copy(entry.path(), peptide.join(entry.file_name())).unwrap();
    }
    let config = serde_json::json!({
        "model_type": "codon_conv", "vocab_size": 89, "hidden_size": CODONS, "embedding_window": 9,
        "num_hidden_layers": 2, "window": 5, "intermediate_size": 24, "pad_token_id": 3,
    });
    std::fs::write(nucleotide.join("config.json"), config.to_string()).unwrap();
    std::fs::write(nucleotide.join("tokenizer.json"), tokenizer()).unwrap();
    let config = virpack_core::model::CodonConvConfig::read(&nucleotide.join("config.json")).unwrap();
    write_tensors(&nucleotide.join("model.safetensors"), &config.tensors(), &[]);
    let facts = [("virpack.chunk_length", "300"), ("virpack.features", "joint")];
    write_classifier(&folder.join("classifier_300.safetensors"), 4 * CODONS + PROTEIN + 4, &facts);
    Bundle::open(&Location::from(folder)).unwrap()
}

fn options(inputs: &[PathBuf], bundle: &Bundle, output: &Path) -> PredictOptions {
    options_for(inputs, bundle, None, output)
}

/// The same for chunks of so many bases.
fn options_for(
    inputs: &[PathBuf],
    bundle: &Bundle,
    length: Option<NonZeroUsize>,
    output: &Path,
) -> PredictOptions {
    let inputs = inputs.iter().cloned().map(Into::into).collect();
    let device = DeviceOptions::default().device(DeviceChoice::Cpu);
    PredictOptions::with_bundle(inputs, bundle, length, output).device(device)
}

/// Records of all kinds: open, closed with a long run and without, unknown letters, and next to nothing.
fn records() -> Vec<String> {
    let mut state = 7u64;
    let mut next = move |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let mut records: Vec<String> =
        ["", "A", "AC", "ACG", "ACGT", "NNNNNNNN", "ANNCNN"].map(str::to_owned).to_vec();
    for (letters, length, count) in [
        ("ACGGCC", 300, 12),
        ("ACGT", 300, 12),
        ("ACGT", 725, 6),
        ("TAAG", 300, 6),
        ("ACGTacgtN", 310, 8),
        ("GCCU", 40, 4),
    ] {
        for _ in 0..count {
            records.push((0..length).map(|_| char::from(letters.as_bytes()[next(letters.len())])).collect());
        }
    }
    // A stop at the end of every frame, and a run of 70 residues before it in one of them.
    let run: String = (0..70).map(|_| ["GCC", "AAA", "CTG"][next(3)]).collect();
    records.push(format!("{run}TAATTAATTAACTAACTAACTTAGTTAGTTAG{}", "TAATTAACTAG".repeat(5)));
    records
}

/// The vectors of one model, each of a sequence alone.
struct Vectors {
    cpu: Cpu,
    model: Model<Cpu>,
}

impl Vectors {
    fn of(folder: &Path) -> Self {
        let cpu = Cpu::new(None).unwrap();
        let model = Model::load(&cpu, &Weights::open(folder).unwrap()).unwrap();
        Vectors { cpu, model }
    }

    /// The mean and the largest hidden states of a sequence.
    fn mean_and_max(&self, sequence: &str) -> [Vec<f64>; 2] {
        let (mut ids, Vectors { cpu, model }) = (Vec::new(), self);
        model.tokenizer.tokenize(sequence.as_bytes(), usize::MAX, &mut ids);
        let packed = cpu.packed(&ids, &[0, ids.len() as i32], ids.len()).unwrap();
        let hidden = model.encoder.forward(cpu, &packed, model.encoder.layers()).unwrap();
        let (width, span) = (model.encoder.hidden_size(), model.encoder.span());
        let rows: Vec<&[f32]> = hidden.values().chunks(width).collect();
        let rows = &rows[span.skip_first..rows.len() - span.skip_last];
        let column = |column: usize| rows.iter().map(move |row| f64::from(row[column]));
        let mean = (0..width).map(|c| column(c).sum::<f64>() / rows.len() as f64);
        let max = (0..width).map(|c| column(c).fold(f64::NEG_INFINITY, f64::max));
        [mean.collect(), max.collect()]
    }
}

/// The six frames of a chunk: whole codons in reading direction.
fn six_frames(chunk: &str) -> Vec<String> {
    let strands = [chunk.to_owned(), naive::reverse_complement(chunk)];
    let frame = |strand: &str, offset: usize| {
        let letters = strand.get(offset..).unwrap_or_default();
        letters[..letters.len() / 3 * 3].to_owned()
    };
    strands.iter().flat_map(|strand| (0..3).map(move |offset| frame(strand, offset))).collect()
}

/// The longest run of at least 40 residues, of equal ones the first.
fn partial(frames: &[String]) -> Option<String> {
    let mut best = String::new();
    for frame in frames {
        for run in naive::protein(frame).split('*') {
            if run.len() > best.len() {
                best = run.to_owned();
            }
        }
    }
    (best.len() >= 40).then_some(best)
}

/// What the definition says of a chunk: its highest scores, and how many of its frames are open; None where
/// no codon can be read. Counts what kind of chunk it is.
fn expected(
    chunk: &str,
    models: &Pair<Vectors>,
    classifier: &Classifier,
    kinds: &mut HashMap<&'static str, usize>,
) -> Option<([f32; 2], usize)> {
    let frames = six_frames(chunk);
    let is_codon = |codon: &[u8]| codon.iter().all(|base| b"ACGT".contains(base));
    if !frames.iter().any(|frame| frame.as_bytes().chunks(3).any(is_codon)) {
        *kinds.entry("unread").or_default() += 1;
        return None;
    }
    let pooled: Vec<Vec<f64>> = frames
        .iter()
        .filter(|frame| !frame.is_empty())
        .map(|frame| models.nucleotide.mean_and_max(frame).concat())
        .collect();
    let column = |column: usize| pooled.iter().map(move |row| row[column]);
    let mut of_chunk: Vec<f64> =
        (0..2 * CODONS).map(|c| column(c).sum::<f64>() / pooled.len() as f64).collect();
    of_chunk.extend((0..2 * CODONS).map(|c| column(c).fold(f64::NEG_INFINITY, f64::max)));
    let open: Vec<String> = naive::frames(chunk).into_iter().map(|(_, _, protein)| protein).collect();
    let bases = chunk.bytes().filter(|base| b"ACGT".contains(base)).count();
    let gc = chunk.bytes().filter(|base| b"CG".contains(base)).count() as f64 / bases as f64;
    let row = |protein: Option<&String>, is_open: bool| {
        let protein = protein.map(|protein| models.protein.mean_and_max(protein)[0].clone());
        let is_partial = !is_open && protein.is_some();
        let mut row = of_chunk.clone();
        row.extend(protein.unwrap_or_else(|| vec![0.0; PROTEIN]));
        row.extend([f64::from(is_open), f64::from(is_partial), open.len() as f64 / 6.0, gc]);
        row.into_iter().map(|value| value as f32).collect::<Vec<f32>>()
    };
    let rows: Vec<f32> = match open.is_empty() {
        true => {
            let partial = partial(&frames);
            *kinds.entry(if partial.is_some() { "partial" } else { "closed" }).or_default() += 1;
            row(partial.as_ref(), false)
        }
        false => {
            *kinds.entry("open").or_default() += 1;
            open.iter().flat_map(|protein| row(Some(protein), true)).collect()
        }
    };
    let scores = classifier.scores(&rows).unwrap();
    let highest = |class: usize| scores.iter().map(|row| row[class]).fold(0.0, f32::max);
    Some(([highest(0), highest(1)], open.len()))
}

fn write_records(path: &Path) -> Vec<String> {
    let records = records();
    let mut text = String::new();
    for (i, record) in records.iter().enumerate() {
        writeln!(text, ">r{i}\n{record}").unwrap();
    }
    std::fs::write(path, text).unwrap();
    records
}

#[test]
fn scores_are_those_of_the_definition() {
    let folder = tempfile::tempdir().unwrap();
    let (bundle, input) = (write_bundle(&folder.path().join("bundle")), folder.path().join("in.fa"));
    let records = write_records(&input);
    let output = folder.path().join("out");
    let predicted = run(&options(&[input], &bundle, &output));
    let models = Pair { nucleotide: bundle.nucleotide_model(), protein: bundle.protein_model() };
    let models = models.map(|location| Vectors::of(&location.path()));
    let classifier = Classifier::at(&bundle.classifiers(None).0).unwrap();
    let (mut kinds, mut frames) = (HashMap::new(), 0);
    let table = rows(&output.join("chunks.tsv"));
    let mut table = table.iter();
    for (i, record) in records.iter().enumerate() {
        let letters = record.to_ascii_uppercase().replace('U', "T");
        for chunk in naive::chunks(letters.len(), LENGTH) {
            let row = table.next().unwrap();
            assert_eq!(row[0], format!("r{i}"));
            let Some((scores, open)) = expected(&letters[chunk], &models, &classifier, &mut kinds) else {
                assert_eq!(row[5..8], ["NA", "NA", "NA"], "{row:?}");
                continue;
            };
            let given = [&row[6], &row[7]].map(|score| score.parse::<f32>().unwrap());
            assert!(given.iter().zip(scores).all(|(a, b)| (a - b).abs() < 1e-4), "{row:?} {scores:?}");
            let status = if open > 0 { "classified" } else { "classified_nucleotide" };
            assert_eq!((row[4].parse(), &*row[8]), (Ok(open), status));
            frames += open;
        }
    }
    assert_eq!(table.next(), None);
    assert_eq!(rows(&output.join("frames.tsv")).len(), frames);
    assert_eq!(predicted.calls.counts.frames, frames as u64);
    let least = |kind| kinds.get(kind).copied().unwrap_or(0);
    assert!(["open", "partial", "closed", "unread"].iter().all(|kind| least(kind) > 1), "{kinds:?}");
}

#[test]
fn a_run_that_is_stopped_and_resumed_writes_the_same_files() {
    let folder = tempfile::tempdir().unwrap();
    let (bundle, input) = (write_bundle(&folder.path().join("bundle")), folder.path().join("in.fa"));
    let records = write_records(&input);
    let [whole, stopped] = ["whole", "stopped"].map(|name| folder.path().join(name));
    let options = |output: &Path| {
        let every = CheckpointOptions::default().every(std::time::Duration::ZERO).resume(output.exists());
        options(std::slice::from_ref(&input), &bundle, output).checkpoint(every).token_budget(1_024)
    };
    run(&options(&whole));
    let mut resumed = 0;
    for stop in [3, 20, 40] {
        let (ended, earlier) = run_until(&options(&stopped), stop);
        assert!(ended.is_err() && stop < records.len() as u64);
        resumed = resumed.max(earlier);
    }
    let (ended, earlier) = run_until(&options(&stopped), u64::MAX);
    ended.unwrap();
    assert!(resumed.max(earlier) > 0, "nothing was kept");
    assert_eq!(files(&stopped), files(&whole));
}

#[test]
fn models_and_classifiers_of_two_kinds_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (bundle, output) = (write_bundle(&folder.path().join("bundle")), folder.path().join("out"));
    let input = fixture("predict/input.fa");
    let refused = |options: PredictOptions| {
        virpack_core::predict::predict(&options, &virpack_core::CancelToken::new(), |_| ())
            .unwrap_err()
            .to_string()
    };
    let options = options(&[input], &bundle, &output);
    let said = refused(options.clone().classifier(fixture("predict/300_model.pth")));
    assert!(said.contains("300_model.pth takes "), "{said}");
    let dnabert = Location::from(&*fixture("dnabert_tiny/8"));
    let said = refused(options.clone().nucleotide_model(dnabert));
    assert!(said.contains("takes all six frames") && said.contains("DNABERT-S"), "{said}");
    let alone = Location::from(&*fixture("predict/300_nucleotide_model.pth"));
    let said = refused(options.clone().nucleotide_classifier(alone));
    assert!(said.contains("300_nucleotide_model.pth: no chunk is left for it"), "{said}");
    let narrow = folder.path().join("narrow_300.safetensors");
    write_classifier(&narrow, 4 * CODONS + PROTEIN, &[("virpack.features", "joint")]);
    let said = refused(options.clone().classifier(narrow));
    assert!(said.contains("takes 112 features, but these models give 116"), "{said}");
    let odd = folder.path().join("odd_300.safetensors");
    write_classifier(&odd, 4 * CODONS + PROTEIN + 4, &[("virpack.features", "all")]);
    let said = refused(options.classifier(odd));
    assert!(said.contains("virpack.features in its metadata is \"all\""), "{said}");
}

/// `training/` has made the golden file, by PyTorch in float32.
#[test]
fn the_built_in_model_scores_as_it_was_trained() {
    let golden: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(fixture("mini/golden.json")).unwrap()).unwrap();
    let bundle = Bundle::open(&virpack_core::model::mini::location()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (mut compared, mut unread) = (0, 0);
    for length in bundle.lengths() {
        let all = golden.as_array().unwrap().iter();
        let chunks: Vec<_> = all.filter(|chunk| chunk["length"].as_u64() == Some(*length as u64)).collect();
        let text: String =
            chunks.iter().map(|chunk| format!(">c\n{}\n", chunk["sequence"].as_str().unwrap())).collect();
        let [input, output] = ["in.fa", "out"].map(|name| folder.path().join(format!("{length}_{name}")));
        std::fs::write(&input, text).unwrap();
        run(&options_for(&[input], &bundle, NonZeroUsize::new(*length), &output));
        let table = rows(&output.join("chunks.tsv"));
        assert_eq!(table.len(), chunks.len());
        for (row, chunk) in table.iter().zip(chunks) {
            assert_eq!(row[4], chunk["open_frames"].to_string());
            if row[6] == "NA" {
                // A row of unknown words alone, which a run does not score.
                unread += 1;
                continue;
            }
            let expected =
                [&chunk["score_others"], &chunk["score_virus"]].map(|score| score.as_f64().unwrap());
            let given = [&row[6], &row[7]].map(|score| score.parse::<f64>().unwrap());
            assert!(given.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-3), "{row:?} {expected:?}");
            assert_eq!(row[5] == "True", expected[1] >= expected[0]);
            compared += 1;
        }
    }
    assert!(compared > 150 && unread < 10, "{compared} compared, {unread} not");
}
