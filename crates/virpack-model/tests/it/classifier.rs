//! The classifier against PyTorch, in every form that it is saved in; what is none, refused by its name.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use safetensors::Dtype;
use safetensors::tensor::{TensorView, serialize};
use virpack_model::ModelError;
use virpack_model::classifier::{
    BATCH_NORM_EPS, CHUNK_LENGTH, Classifier, ClassifierProblem, Towers, to_safetensors,
};
use virpack_model::weights::CheckpointError;
use virpack_seq::Hint;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/classifier").join(name)
}

/// `golden.json`: scores in float64 by PyTorch (`fixtures/make_classifier.py`).
struct Golden(serde_json::Value);

impl Golden {
    fn read() -> Self {
        Golden(serde_json::from_slice(&fs::read(fixture("golden.json")).unwrap()).unwrap())
    }

    /// The features, or all of a row beyond the first `skip`.
    fn features(&self, skip: usize) -> Vec<f32> {
        let rows = self.0["features"].as_array().unwrap();
        let values = |row: &serde_json::Value| {
            let row: Vec<f32> = row.as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect();
            row[skip..].to_vec()
        };
        rows.iter().flat_map(values).collect()
    }

    fn scores(&self, key: &str) -> Vec<[f64; 2]> {
        serde_json::from_value(self.0[key].clone()).unwrap()
    }
}

fn assert_close(name: &str, given: &[[f32; 2]], expected: &[[f64; 2]]) {
    assert_eq!(given.len(), expected.len());
    for (given, expected) in given.iter().zip(expected) {
        let off = (0..2).map(|i| (f64::from(given[i]) - expected[i]).abs()).fold(0.0, f64::max);
        assert!(off <= 1e-6, "{name}: {given:?} is off {expected:?} by {off:e}");
    }
}

fn error(path: &Path) -> ModelError {
    match Classifier::open(path) {
        Ok(_) => panic!("{} was read", path.display()),
        Err(error) => error,
    }
}

#[test]
fn every_form_scores_as_pytorch_does() {
    let golden = Golden::read();
    let features = golden.features(0);
    for (form, key, length) in [
        ("500_model.pth", "scores", Some(500)),
        ("legacy.pth", "scores", None),
        ("model.safetensors", "scores", None),
        ("state_dict_300.pth", "scores_default_eps", Some(300)),
        ("checkpoint.pth", "scores_default_eps", None),
    ] {
        let classifier = Classifier::open(&fixture(form)).unwrap();
        assert_eq!((classifier.input_width(), classifier.hidden()), (64, 20), "{form}");
        assert_eq!(classifier.chunk_length(), length, "{form}");
        let together = classifier.scores(&features).unwrap();
        assert_close(form, &together, &golden.scores(key));
        let alone: Vec<_> = features.chunks(64).map(|row| classifier.scores(row).unwrap()[0]).collect();
        assert_eq!(together, alone, "{form}");
    }
}

#[test]
fn one_models_vectors_are_enough() {
    let golden = Golden::read();
    let classifier = Classifier::open(&fixture("peptide_only.pth")).unwrap();
    let scores = classifier.scores(&golden.features(24)).unwrap();
    assert_close("peptide_only.pth", &scores, &golden.scores("peptide_only"));
    assert_eq!(classifier.check_widths(24, 40).unwrap(), Towers::Protein);
    assert_eq!(classifier.check_widths(40, 24).unwrap(), Towers::Nucleotide);
}

#[test]
fn widths_are_checked_and_the_fitting_models_are_named() {
    let classifier = Classifier::open(&fixture("500_model.pth")).unwrap();
    assert_eq!(classifier.check_widths(24, 40).unwrap(), Towers::Both);
    let error = classifier.check_widths(24, 320).unwrap_err();
    let message = error.to_string();
    assert!(message.contains("takes 64 features"), "{message}");
    assert!(message.contains("the nucleotide model gives 24 and the protein model 320"), "{message}");
    assert!(error.hint().unwrap().contains("a protein model of 40"), "{error:?}");
    assert!(classifier.scores(&[0.0; 65]).is_err());
    assert!(classifier.scores(&[]).unwrap().is_empty());
}

#[test]
fn broken_features_are_not_hidden() {
    let classifier = Classifier::open(&fixture("500_model.pth")).unwrap();
    let mut features = [0.0; 64];
    features[5] = f32::NAN;
    let error = classifier.scores(&features).unwrap_err().to_string();
    assert!(error.contains("NaN in its scores"), "{error}");
}

#[test]
fn what_is_converted_scores_the_same_to_the_last_bit() {
    let folder = tempfile::tempdir().unwrap();
    let features = Golden::read().features(0);
    for form in ["500_model.pth", "legacy.pth", "state_dict_300.pth", "checkpoint.pth", "model.safetensors"] {
        let to = folder.path().join(form).with_extension("of.safetensors");
        fs::write(&to, to_safetensors(&fixture(form)).unwrap()).unwrap();
        let [from, to] = [fixture(form), to].map(|path| Classifier::open(&path).unwrap());
        assert_eq!(from.scores(&features).unwrap(), to.scores(&features).unwrap(), "{form}");
    }
    // The length is in the metadata, whatever the name.
    let renamed = folder.path().join("renamed.safetensors");
    for (form, length) in [("500_model.pth", Some(500)), ("legacy.pth", None)] {
        fs::write(&renamed, to_safetensors(&fixture(form)).unwrap()).unwrap();
        assert_eq!(Classifier::open(&renamed).unwrap().chunk_length(), length, "{form}");
    }
}

/// Random values in [-1, 1).
fn random(count: usize, mut state: u64) -> Vec<f32> {
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// A safetensors file of these tensors and facts.
fn write(path: &Path, tensors: &[(&str, &[usize], Vec<f32>)], metadata: &[(&str, &str)]) {
    let bytes: Vec<Vec<u8>> =
        tensors.iter().map(|(_, _, values)| values.iter().flat_map(|v| v.to_le_bytes()).collect()).collect();
    let views = tensors.iter().zip(&bytes).map(|((name, shape, _), bytes)| {
        (*name, TensorView::new(Dtype::F32, shape.to_vec(), bytes).unwrap())
    });
    let metadata: HashMap<_, _> = metadata.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
    fs::write(path, serialize(views, Some(metadata)).unwrap()).unwrap();
}

/// At the reference's size, against the plain formula in float64.
#[test]
fn full_size_is_as_exact() {
    const WIDTH: usize = 3328;
    const HIDDEN: usize = 512;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let spread = |values: Vec<f32>, by: f32| values.into_iter().map(|v| v * by).collect::<Vec<f32>>();
    let weight = spread(random(HIDDEN * WIDTH, 1), 0.03);
    let (mean, gain) = (random(HIDDEN, 2), random(HIDDEN, 3));
    let variance: Vec<f32> = random(HIDDEN, 4).iter().map(|v| 1.01 + v).collect();
    let output = spread(random(2 * HIDDEN, 5), 0.3);
    let tensors = [
        ("a.weight", &[HIDDEN, WIDTH][..], weight.clone()),
        ("z.weight", &[2, HIDDEN], output.clone()),
        ("n.weight", &[HIDDEN], gain.clone()),
        ("n.bias", &[HIDDEN], vec![0.1; HIDDEN]),
        ("n.running_mean", &[HIDDEN], mean.clone()),
        ("n.running_var", &[HIDDEN], variance.clone()),
    ];
    write(&path, &tensors, &[(CHUNK_LENGTH, "400")]);
    let classifier = Classifier::open(&path).unwrap();
    assert_eq!(classifier.chunk_length(), Some(400));
    let features = random(300 * WIDTH, 6);
    let expected: Vec<[f64; 2]> = features
        .chunks(WIDTH)
        .map(|x| {
            let hidden = (0..HIDDEN).map(|i| {
                let row = &weight[i * WIDTH..(i + 1) * WIDTH];
                let sum: f64 = row.iter().zip(x).map(|(w, x)| f64::from(*w) * f64::from(*x)).sum();
                let scale = f64::from(gain[i]) / (f64::from(variance[i]) + 1e-5).sqrt();
                ((sum - f64::from(mean[i])) * scale + f64::from(0.1f32)).max(0.0)
            });
            let hidden: Vec<f64> = hidden.collect();
            let logit = |class: usize| -> f64 {
                let row = &output[class * HIDDEN..(class + 1) * HIDDEN];
                row.iter().zip(&hidden).map(|(w, h)| f64::from(*w) * h).sum()
            };
            let virus = 1.0 / (1.0 + (logit(0) - logit(1)).exp());
            [1.0 - virus, virus]
        })
        .collect();
    let start = Instant::now();
    let scores = classifier.scores(&features).unwrap();
    eprintln!("{:.0} rows a second", 300.0 / start.elapsed().as_secs_f64());
    assert_close("full size", &scores, &expected);
    // The scores spread: a comparison of ones and zeros would say little.
    assert!(scores.iter().filter(|s| (0.05..0.95).contains(&s[1])).count() > 100);
    // How many are scored at once depends on time, and no table may.
    for together in [1, 2, 3, 5, 7, 16, 33, 100] {
        let groups = features.chunks(together * WIDTH);
        let again = groups.flat_map(|features| classifier.scores(features).unwrap());
        assert!(again.eq(scores.iter().copied()), "{together} at once");
    }
}

#[test]
fn files_that_are_not_classifiers_are_refused_with_their_kind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let problem = |path: &Path| match error(path) {
        ModelError::Classifier { problem, .. } => problem,
        other => panic!("{other}"),
    };
    let silu = problem(&fixture("silu.pth"));
    assert!(
        matches!(&silu, ClassifierProblem::Module { module, class }
            if module == "layers.2" && class == "torch.nn.modules.activation.SiLU"),
        "{silu}"
    );
    let other = error(&fixture("../weights/safetensors/model.safetensors"));
    assert!(other.to_string().contains("not a classifier that virpack can run"), "{other}");
    assert!(other.hint().unwrap().contains("Linear to 2 classes"), "{other:?}");

    let [a, z] = [("a.weight", &[3, 4][..], vec![0.5; 12]), ("z.weight", &[2, 3][..], vec![0.5; 6])];
    let norm = |name, shape: &'static [usize]| (name, shape, vec![1.0; shape.iter().product()]);
    write(&path, &[a.clone(), z.clone()], &[]);
    assert!(Classifier::open(&path).is_ok());
    for (tensors, says) in [
        (vec![a.clone()], "it has 1 linear layers, not two"),
        (vec![a.clone(), norm("z.weight", &[3, 3])], "shapes [3, 4] and [3, 3]"),
        (vec![a.clone(), norm("z.weight", &[2, 4])], "shapes [3, 4] and [2, 4]"),
        (vec![norm("a.weight", &[0, 4]), norm("z.weight", &[2, 0])], "shapes [0, 4] and [2, 0]"),
        (vec![a.clone(), z.clone(), norm("a.bias", &[4])], "a.bias must have 3 values"),
        (vec![a.clone(), z.clone(), norm("z.bias", &[3])], "z.bias must have 2 values"),
        // Without running statistics a batch norm is one of the batch at hand.
        (vec![a.clone(), z.clone(), norm("n.weight", &[3])], "neither Linear nor BatchNorm1d"),
        (
            vec![a.clone(), z.clone(), norm("n.running_mean", &[3]), norm("n.running_var", &[4])],
            "n.running_var must have 3 values",
        ),
        (vec![a.clone(), ("z.weight", &[2, 3], vec![f32::NAN; 6])], "NaN or infinity in its weights"),
        (
            vec![a.clone(), z.clone(), norm("n.running_mean", &[3]), ("n.running_var", &[3], vec![-1.0; 3])],
            "NaN or infinity in its weights",
        ),
    ] {
        write(&path, &tensors, &[]);
        let error = error(&path);
        assert!(error.to_string().contains(says) && error.hint().is_some(), "{error}");
    }
    for (name, value) in
        [(CHUNK_LENGTH, "0"), (CHUNK_LENGTH, "-3"), (BATCH_NORM_EPS, "NaN"), (BATCH_NORM_EPS, "x")]
    {
        write(&path, &[a.clone(), z.clone()], &[(name, value)]);
        let message = error(&path).to_string();
        assert!(message.contains(name) && message.contains(value), "{message}");
    }
    assert!(matches!(error(folder.path()), ModelError::ReadModel { .. } | ModelError::Checkpoint { .. }));
    assert!(matches!(error(&folder.path().join("absent.pth")), ModelError::ReadModel { .. }));
    fs::write(&path, "{}").unwrap();
    assert!(matches!(error(&path), ModelError::Safetensors { .. }));
    let text = folder.path().join("model.pth");
    fs::write(&text, "no model at all").unwrap();
    assert!(matches!(error(&text), ModelError::Checkpoint { source: CheckpointError::NotACheckpoint, .. }));
}

/// A pickle in torch's old container, with no storage behind it.
fn legacy(object: &[u8]) -> Vec<u8> {
    let mut file = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.".to_vec();
    file.extend(b"\x80\x02M\xe9\x03.");
    file.extend(b"\x80\x02}.");
    file.extend(object);
    file.extend(b"].");
    file
}

/// Short text, as a pickle has it.
fn text(text: &str) -> Vec<u8> {
    [&[b'U', text.len() as u8], text.as_bytes()].concat()
}

#[test]
fn a_module_that_would_run_a_command_runs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let marker = folder.path().join("marker");
    let path = folder.path().join("model.pth");
    let command = text(&format!("touch {}", marker.display()));
    let call = [&b"cposix\nsystem\n"[..], &command, b"\x85R"].concat();
    // A call in place of the whole, as the class, as a parameter, as a child, and as a buffer's name.
    let module = |class: &[u8], parameters: &[u8], children: &[u8]| {
        let state = [
            &b"}("[..],
            &text("_parameters"),
            parameters,
            &text("_buffers"),
            b"}",
            &text("_modules"),
            children,
            b"u",
        ];
        [b"\x80\x02", class, b")\x81", &state.concat(), b"b."].concat()
    };
    let plain = b"c__main__\nMLP\n";
    let entry = [&b"}"[..], &text("x"), &call, b"s"].concat();
    let name = [&b"}"[..], &call, b"Ns"].concat();
    for object in [
        [&b"\x80\x02"[..], &call, b"."].concat(),
        module(&call, b"}", b"}"),
        module(plain, &entry, b"}"),
        module(plain, b"}", &entry),
        module(plain, &name, &name),
        module(b"cposix\nsystem\n", b"}", b"}"),
    ] {
        fs::write(&path, legacy(&object)).unwrap();
        let error = error(&path);
        assert!(error.hint().is_some(), "{error}");
        assert!(!marker.exists());
    }
}

/// Modules that hold each other twice on every level, and one that holds itself, end.
#[test]
fn modules_in_circles_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.pth");
    let state = |children: &[u8]| {
        [&b"}("[..], &text("_parameters"), b"}", &text("_modules"), children, b"ub"].concat()
    };
    let mut object = b"\x80\x02c__main__\nM\nq\x01)\x81".to_vec();
    object.extend(state(b"}"));
    object.extend(b"q\x00");
    for _ in 0..64 {
        // {"a": inner, "b": inner}
        object.extend([&b"0h\x01)\x81"[..], &state(b"}(U\x01ah\x00U\x01bh\x00u"), b"q\x00"].concat());
    }
    object.push(b'.');
    fs::write(&path, legacy(&object)).unwrap();
    assert!(matches!(error(&path), ModelError::Classifier { .. }));

    let itself = [b"\x80\x02c__main__\nM\n)\x81q\x00", &state(b"}U\x01ah\x00s")[..], b"."].concat();
    fs::write(&path, legacy(&itself)).unwrap();
    assert!(matches!(error(&path), ModelError::Classifier { .. }));

    // As many modules as a file likes, all with one large state.
    let mut wide = b"\x80\x02}(".to_vec();
    wide.extend([&text("_parameters")[..], b"}", &text("_modules"), b"}"].concat());
    for i in 0..20_000u32 {
        wide.extend([b"J", &i.to_le_bytes()[..], b"N"].concat());
    }
    wide.extend(b"uq\x000}q\x01(");
    for i in 0..20_000u32 {
        wide.extend([&text(&i.to_string())[..], b"c__main__\nM\n)\x81h\x00b"].concat());
    }
    wide.extend(b"uq\x010c__main__\nM\n)\x81}(");
    wide.extend([&text("_parameters")[..], b"}", &text("_modules"), b"h\x01ub."].concat());
    fs::write(&path, legacy(&wide)).unwrap();
    assert!(matches!(error(&path), ModelError::Checkpoint { source: CheckpointError::TooManyModules, .. }));
}

#[test]
fn cut_and_flipped_files_never_panic() {
    let folder = tempfile::tempdir().unwrap();
    for form in ["500_model.pth", "legacy.pth", "model.safetensors"] {
        let path = folder.path().join(form);
        let whole = fs::read(fixture(form)).unwrap();
        for cut in (0..whole.len()).step_by(whole.len() / 97) {
            fs::write(&path, &whole[..cut]).unwrap();
            assert!(error(&path).to_string().contains(form));
        }
        for at in (0..whole.len()).step_by(whole.len() / 331) {
            let mut damaged = whole.clone();
            damaged[at] ^= 1 << (at % 8);
            fs::write(&path, &damaged).unwrap();
            if let Ok(classifier) = Classifier::open(&path) {
                let features = vec![0.25; classifier.input_width()];
                assert_eq!(classifier.scores(&features).unwrap().len(), 1);
            }
        }
    }
}
