//! Every form of weights, read into the same tensors; every damage, refused with its name.

use std::fs;
use std::path::{Path, PathBuf};

use virpack_model::weights::{CheckpointError, StoredDtype, TensorProblem, Weights};
use virpack_model::{Esm2Config, ModelError};
use virpack_seq::Hint;

/// The real weights beside the repository, or nothing, said aloud.
fn shared(path: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared").join(path);
    if !path.exists() {
        eprintln!("SKIPPED: {} is absent", path.display());
        return None;
    }
    Some(path)
}

/// One tiny model, the same in every form (`fixtures/make_weights.py`).
fn fixture(form: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/weights").join(form)
}

/// Every tensor of the encoder, in the order of the config.
fn read_all(path: &Path) -> (Esm2Config, Vec<Vec<f32>>) {
    let weights = Weights::open(path).unwrap();
    let config = Esm2Config::of(&weights).unwrap();
    let read = |(name, shape): &(String, Vec<usize>)| weights.read(name, shape).unwrap();
    let tensors = config.tensors().iter().map(read).collect();
    (config, tensors)
}

/// A directory with a copy of one form's files.
fn copy(form: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in fs::read_dir(fixture(form)).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
    }
    folder
}

fn error(path: &Path) -> ModelError {
    match Weights::open(path).and_then(|weights| Esm2Config::of(&weights)) {
        Ok(_) => panic!("{} was read", path.display()),
        Err(error) => error,
    }
}

#[test]
fn all_forms_hold_the_same_tensors() {
    let expected = read_all(&fixture("safetensors"));
    assert_eq!(expected.0, Esm2Config { intermediate: 32, ..Esm2Config::published(2, 8, 2) });
    let forms = [
        "safetensors_sharded",
        "f16",
        "bf16",
        "f64",
        "bin",
        "bin_sharded",
        "bin_legacy",
        "bin_bf16",
        "bin_strided",
        "fair_esm",
        "safetensors/model.safetensors",
        "safetensors_sharded/model.safetensors.index.json",
        "bin/pytorch_model.bin",
        "fair_esm/esm2_tiny.pt",
    ];
    for form in forms {
        assert_eq!(read_all(&fixture(form)), expected, "{form}");
    }
}

#[test]
fn heads_and_buffers_are_listed_and_not_converted() {
    let weights = Weights::open(&fixture("bin")).unwrap();
    assert!(weights.names().any(|name| name == "lm_head.dense.weight"));
    assert_eq!(weights.dtype("embeddings.position_ids"), Some(StoredDtype::I64));
    let refused = weights.read("embeddings.position_ids", &[1, 16]).unwrap_err();
    assert!(matches!(refused, ModelError::TensorDtype { dtype: StoredDtype::I64, .. }), "{refused}");
}

#[test]
fn the_real_safetensors_and_bin_hold_the_same_model() {
    let Some(path) = shared("models/esm2_t6_8M_finetuned") else { return };
    let safetensors = read_all(&path.join("model.safetensors"));
    assert_eq!(safetensors.0, Esm2Config::published(6, 320, 20));
    assert!(safetensors == read_all(&path.join("pytorch_model.bin")));
}

#[test]
fn dnabert_s_is_recognised_and_its_weights_open() {
    let Some(path) = shared("golden/dnabert_tiny_12h") else { return };
    let weights = Weights::open(&path).unwrap();
    let message = Esm2Config::of(&weights).unwrap_err().to_string();
    assert!(message.contains("DNABERT-S"), "{message}");
    let name = "encoder.layer.0.attention.self.Wqkv.weight";
    let bin = Weights::open(&path.join("pytorch_model.bin")).unwrap();
    assert_eq!(weights.read(name, &[576, 192]).unwrap(), bin.read(name, &[576, 192]).unwrap());
}

#[test]
fn directories_without_one_set_of_weights_say_what_was_looked_for() {
    let folder = tempfile::tempdir().unwrap();
    let message = error(folder.path()).to_string();
    assert!(message.contains("model.safetensors, ") && message.contains("pytorch_model.bin"), "{message}");
    fs::write(folder.path().join("a.pt"), "").unwrap();
    fs::write(folder.path().join("a-contact-regression.pt"), "").unwrap();
    assert!(matches!(
        error(folder.path()),
        ModelError::Checkpoint { source: CheckpointError::NotACheckpoint, .. }
    ));
    fs::write(folder.path().join("b.pt"), "").unwrap();
    assert!(
        matches!(error(folder.path()), ModelError::ManyCheckpoints { found, .. } if found == ["a.pt", "b.pt"])
    );
    let readme = folder.path().join("README.md");
    fs::write(&readme, "").unwrap();
    assert!(matches!(error(&readme), ModelError::UnknownWeights { .. }));
    assert!(matches!(error(&folder.path().join("absent")), ModelError::ReadModel { .. }));
}

#[test]
fn missing_and_misshapen_tensors_are_named() {
    let folder = copy("safetensors");
    let config = folder.path().join("config.json");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3")).unwrap();
    let message = error(folder.path()).to_string();
    assert!(
        message.contains("no tensor encoder.layer.2.attention.self.query.weight of shape [8, 8]"),
        "{message}"
    );
    fs::write(&config, text.replace("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1")).unwrap();
    assert!(matches!(error(folder.path()), ModelError::UnsupportedModel { .. }));
    fs::write(&config, text.replace("\"intermediate_size\": 32", "\"intermediate_size\": 16")).unwrap();
    let message = error(folder.path()).to_string();
    assert!(message.contains("has shape [32, 8], expected [16, 8]"), "{message}");
    fs::remove_file(&config).unwrap();
    assert!(matches!(error(folder.path()), ModelError::NoConfig { in_checkpoint: false, .. }));
}

#[test]
fn missing_and_lying_shards_are_named() {
    let folder = copy("safetensors_sharded");
    let shard = folder.path().join("model-00002-of-00002.safetensors");
    fs::remove_file(&shard).unwrap();
    assert!(matches!(error(folder.path()), ModelError::ReadModel { path, .. } if path == shard));
    let index = folder.path().join("model.safetensors.index.json");
    for (text, named) in [
        (r#"{"weight_map":{"a":"../../etc/passwd"}}"#, "passwd"),
        (r#"{"weight_map":{"a":"/etc/passwd"}}"#, "passwd"),
        (r#"{"weight_map":{"a":7}}"#, "7"),
        (r#"{"weight_map":{}}"#, "no weight_map"),
        ("[]", "no weight_map"),
        ("{", "line 1"),
    ] {
        fs::write(&index, text).unwrap();
        let message = error(folder.path()).to_string();
        assert!(message.contains(named), "{message}");
    }
    // the same tensor in two shards
    let first = folder.path().join("model-00001-of-00002.safetensors");
    fs::copy(&first, &shard).unwrap();
    let text = fs::read(fixture("safetensors_sharded/model.safetensors.index.json")).unwrap();
    let mut json: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let map = json["weight_map"].as_object_mut().unwrap();
    map.retain(|_, shard| shard == "model-00001-of-00002.safetensors");
    *map.values_mut().next().unwrap() = "model-00002-of-00002.safetensors".into();
    fs::write(&index, json.to_string()).unwrap();
    assert!(matches!(error(folder.path()), ModelError::DuplicateTensor { path, .. } if path == shard));
}

#[test]
fn a_checkpoint_cut_anywhere_is_an_error() {
    for form in ["bin/pytorch_model.bin", "bin_legacy/pytorch_model.bin", "safetensors/model.safetensors"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(Path::new(form).file_name().unwrap());
        let whole = fs::read(fixture(form)).unwrap();
        for cut in (0..whole.len()).step_by(whole.len() / 97) {
            fs::write(&path, &whole[..cut]).unwrap();
            let refused = Weights::open(&path).unwrap_err();
            assert!(refused.hint().is_some() && refused.to_string().contains("model"), "{refused}");
        }
    }
}

#[test]
fn flipped_bytes_never_panic() {
    for form in [
        "bin/pytorch_model.bin",
        "bin_legacy/pytorch_model.bin",
        "fair_esm/esm2_tiny.pt",
        "f16/model.safetensors",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(Path::new(form).file_name().unwrap());
        let whole = fs::read(fixture(form)).unwrap();
        for at in (0..whole.len()).step_by(whole.len() / 331) {
            let mut damaged = whole.clone();
            damaged[at] ^= 1 << (at % 8);
            fs::write(&path, &damaged).unwrap();
            let Ok(weights) = Weights::open(&path) else { continue };
            for name in weights.names() {
                let _either = weights.read(name, weights.shape(name).unwrap());
            }
        }
    }
}

/// A pickle in torch's old container, with no storage behind it.
fn legacy(object: &[u8]) -> Vec<u8> {
    let mut file = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.".to_vec();
    file.extend(b"\x80\x02M\xe9\x03.");
    file.extend(b"\x80\x02}.");
    file.extend(object);
    file
}

/// `{"w": torch.zeros(1), "evil": os.system("touch MARKER")}` in protocol 2 or 4.
fn evil(marker: &Path, protocol: u8) -> Vec<u8> {
    let command = format!("touch {}", marker.display());
    let mut object = vec![0x80, protocol];
    object.extend(b"}(X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storage");
    object.extend(
        b"ctorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x01NtQK\x00K\x01\x85K\x01\x85\x89NtR",
    );
    object.extend(b"X\x04\x00\x00\x00evil");
    match protocol {
        2 => object.extend(b"cposix\nsystem\n"),
        _ => object.extend(b"\x8c\x05posix\x8c\x06system\x93"),
    }
    object.push(b'X');
    object.extend((command.len() as u32).to_le_bytes());
    object.extend(command.as_bytes());
    object.extend(b"\x85Ru.");
    let mut file = legacy(&object);
    file.extend(b"\x80\x02]X\x01\x00\x00\x000a.");
    file.extend(1u64.to_le_bytes());
    file.extend(0.5f32.to_le_bytes());
    file
}

#[test]
fn a_pickle_that_would_run_a_command_runs_nothing_and_its_tensors_load() {
    for protocol in [2, 4] {
        let folder = tempfile::tempdir().unwrap();
        let marker = folder.path().join("marker");
        let path = folder.path().join("pytorch_model.bin");
        fs::write(&path, evil(&marker, protocol)).unwrap();
        let weights = Weights::open(&path).unwrap();
        assert_eq!(weights.names().collect::<Vec<_>>(), ["w"]);
        assert_eq!(weights.read("w", &[1]).unwrap(), [0.5]);
        assert!(!marker.exists());
    }
}

#[test]
fn a_pickle_that_is_only_a_call_is_refused_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pytorch_model.bin");
    for call in
        [&b"cposix\nsystem\nX\x02\x00\x00\x00id\x85R."[..], b"cbuiltins\neval\nX\x01\x00\x00\x001\x85R."]
    {
        fs::write(&path, [&legacy(call)[..], b"]."].concat()).unwrap();
        let error = Weights::open(&path).unwrap_err();
        let message = error.to_string();
        assert!(
            message.contains("an object of posix.system") || message.contains("builtins.eval"),
            "{message}"
        );
        assert!(error.hint().unwrap().contains("save the model's state_dict()"), "{error:?}");
    }
}

#[test]
fn a_tensor_beyond_its_storage_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pytorch_model.bin");
    let good = evil(&folder.path().join("marker"), 2);
    // size (1,) becomes (9,), and offset 0 becomes 200: both past the one value there is
    for (from, to) in [(&b"K\x01\x85K\x01\x85"[..], &b"K\x09\x85K\x01\x85"[..]), (b"QK\x00", b"QK\xc8")] {
        let at = good.windows(from.len()).position(|bytes| bytes == from).unwrap();
        let mut bad = good.clone();
        bad[at..at + to.len()].copy_from_slice(to);
        fs::write(&path, bad).unwrap();
        match Weights::open(&path).unwrap_err() {
            ModelError::Checkpoint { source: CheckpointError::Tensor { tensor, problem }, .. } => {
                assert_eq!((tensor.as_str(), problem), ("w", TensorProblem::OutOfStorage));
            }
            other => panic!("{other}"),
        }
    }
}

#[test]
fn models_that_would_run_wrongly_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.json");
    let text = fs::read_to_string(fixture("safetensors/config.json")).unwrap();
    let cases = [
        ("\"esm\"", "\"t5\"", "model_type is \"t5\""),
        ("\"rotary\"", "\"absolute\"", "position_embedding_type is \"absolute\""),
        (
            "\"emb_layer_norm_before\": false",
            "\"emb_layer_norm_before\": true",
            "emb_layer_norm_before is true",
        ),
        ("\"token_dropout\": true", "\"hidden_act\": \"gelu_new\"", "hidden_act is \"gelu_new\""),
        ("\"token_dropout\": true", "\"rope_theta\": 500.0", "rope_theta is 500"),
        ("\"token_dropout\": true", "\"rope_scaling\": {\"rope_type\": \"yarn\"}", "rope_type is \"yarn\""),
        ("\"token_dropout\": true", "\"is_folding_model\": true", "is_folding_model is true"),
        ("\"token_dropout\": true", "\"token_dropout\": 1", "no usable token_dropout: 1"),
        ("\"vocab_size\": 33", "\"vocab_size\": 64", "vocab_size is 64"),
        ("\"mask_token_id\": 32", "\"mask_token_id\": 4", "mask_token_id is 4"),
        ("\"num_attention_heads\": 2", "\"num_attention_heads\": 3", "num_attention_heads is 3"),
        ("\"num_attention_heads\": 2", "\"num_attention_heads\": 0", "num_attention_heads is 0"),
        ("\"hidden_size\": 8", "\"hidden_size\": -8", "no usable hidden_size: -8"),
        ("\"hidden_size\": 8,", "", "no usable hidden_size: missing"),
        ("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 4000000000", "4000000000"),
    ];
    for (from, to, says) in cases {
        assert!(text.contains(from));
        fs::write(&path, text.replace(from, to)).unwrap();
        let message = Esm2Config::read(&path).unwrap_err().to_string();
        assert!(message.contains(says) && message.contains("config.json"), "{message}");
    }
    fs::write(&path, "{").unwrap();
    assert!(matches!(Esm2Config::read(&path).unwrap_err(), ModelError::Json { .. }));
    // as newer transformers write it
    let newer = text.replace(
        "\"token_dropout\": true",
        "\"rope_parameters\": {\"rope_theta\": 10000.0, \"rope_type\": \"default\"}",
    );
    fs::write(&path, newer).unwrap();
    assert!(!Esm2Config::read(&path).unwrap().token_dropout);
}
