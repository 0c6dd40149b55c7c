//! Models that are missing or damaged.

use super::TWO;
use crate::support::{MODEL, Place, Ran};

type Tensors = serde_json::Map<String, serde_json::Value>;

/// The example model in `model/`, with its safetensors header changed by `change` and its values unchanged.
fn damaged_model(change: impl FnOnce(&mut Tensors)) -> Place {
    let place = Place::new();
    place.write("two.fa", TWO);
    let read = |name: &str| std::fs::read(format!("{MODEL}/{name}")).unwrap();
    let bytes = read("model.safetensors");
    let length = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let mut tensors: Tensors = serde_json::from_slice(&bytes[8..length]).unwrap();
    change(&mut tensors);
    let header = serde_json::to_vec(&tensors).unwrap();
    let start = (header.len() as u64).to_le_bytes();
    place.write("model/model.safetensors", [&start, &header[..], &bytes[length..]].concat());
    place.write("model/config.json", read("config.json"));
    place
}

#[track_caller]
fn refused_model(place: &Place, said: &[&str]) {
    let arguments = ["embed", "two.fa", "-o", "out/emb.npy", "-m", "model"];
    place.run(&arguments).is_refused(said);
    assert_eq!(place.outputs(), [""; 0]);
    place.run(&["models", "info", "model"]).is_refused(said);
    place.run(&["pack", "two.fa", "--model", "model"]).is_refused(said);
}

const TENSOR: &str = "encoder.layer.1.output.dense.weight";

#[test]
fn the_changed_model_works_unchanged() {
    let place = damaged_model(|_| ());
    place.run(&["embed", "two.fa", "-o", "out/emb.npy", "-m", "model"]).succeeds(&["2 sequences"]);
    place.run(&["pack", "two.fa", "-m", "model"]).succeeds(&[]);
}

#[test]
fn a_directory_without_weights() {
    let place = Place::new();
    place.write("two.fa", TWO).write("model/config.json", "{}");
    refused_model(&place, &["model: no weights here", "model.safetensors", "hint: "]);
}

#[test]
fn weights_without_settings() {
    let place = damaged_model(|_| ());
    std::fs::remove_file(place.path("model/config.json")).unwrap();
    refused_model(
        &place,
        &["no settings for the model", "hint: put the model's config.json beside its weights"],
    );
    place.write("model/config.json", "{\"model_type\": \"esm\",");
    refused_model(&place, &["model/config.json: ", "line 1", "hint: "]);
    place.write("model/config.json", "{\"model_type\": \"bert\"}");
    refused_model(&place, &["model/config.json: model_type is \"bert\"", "ESM-2"]);
}

#[test]
fn a_missing_tensor() {
    // Under another name, so that the file stays complete.
    let place = damaged_model(|tensors| {
        let tensor = tensors.iter().find(|(name, _)| name.ends_with(TENSOR)).unwrap().0.clone();
        let value = tensors.remove(&tensor).unwrap();
        tensors.insert("other".to_owned(), value);
    });
    refused_model(&place, &[&format!("model: no tensor {TENSOR} of shape [48, 96]"), "hint: "]);
}

#[test]
fn a_misshapen_tensor() {
    let place = damaged_model(|tensors| {
        let tensor = tensors.iter_mut().find(|(name, _)| name.ends_with(TENSOR)).unwrap().1;
        tensor["shape"] = serde_json::json!([96, 48]);
    });
    let said = format!("model/model.safetensors: tensor {TENSOR} has shape [96, 48], expected [48, 96]");
    refused_model(&place, &[&said, "hint: "]);
}

#[test]
fn weights_that_are_not_numbers() {
    let place = damaged_model(|_| ());
    let mut bytes = std::fs::read(place.path("model/model.safetensors")).unwrap();
    let end = bytes.len();
    bytes[end - 9_000..].fill(0xFF);
    place.write("model/model.safetensors", bytes);
    let ran = place.run(&["embed", "two.fa", "-o", "out/emb.npy", "-m", "model"]);
    ran.is_refused(&["NaN or infinity in the embeddings of a, b", "hint: the weights may be damaged"]);
    assert_eq!(place.outputs(), [""; 0]);
}

#[test]
fn truncated_weights() {
    let place = damaged_model(|_| ());
    let whole = std::fs::read(place.path("model/model.safetensors")).unwrap();
    for kept in [whole.len() - 1, whole.len() / 2, 1_000, 9, 8, 3, 0] {
        place.write("model/model.safetensors", &whole[..kept]);
        refused_model(&place, &["model/model.safetensors: ", "hint: "]);
    }
}

#[test]
fn a_header_that_lies() {
    // About its own size, ...
    let place = damaged_model(|_| ());
    let whole = std::fs::read(place.path("model/model.safetensors")).unwrap();
    for size in [0, 7, 100, 1 << 20, 1 << 40, u64::MAX, u64::MAX - 7] {
        place.write("model/model.safetensors", [&size.to_le_bytes(), &whole[8..]].concat());
        refused_model(&place, &["model/model.safetensors: ", "hint: "]);
    }
    // ... about a tensor's place and about its shape.
    for (field, value) in [
        ("data_offsets", serde_json::json!([0, u64::MAX])),
        ("data_offsets", serde_json::json!([1u64 << 40, (1u64 << 40) + 18_432])),
        ("shape", serde_json::json!([u32::MAX, u32::MAX, u32::MAX])),
    ] {
        let place = damaged_model(|tensors| {
            let tensor = tensors.iter_mut().find(|(name, _)| name.ends_with(TENSOR)).unwrap().1;
            tensor[field] = value;
        });
        refused_model(&place, &["model/model.safetensors: ", "hint: "]);
    }
}

#[test]
fn missing_models_are_reported() {
    let place = Place::new();
    place.write("two.fa", TWO);
    let with = |model: &str| place.run(&["embed", "two.fa", "-o", "out/emb.npy", "-m", model]);
    with("esm2").is_refused(&["no model \"esm2\"", "hint: ", "8M, 35M, 150M, 650M, 3B, 15B, dnabert-s"]);
    with("./models/esm2").is_refused(&["no file or directory ./models/esm2", "hint: "]);
    with("two.fa").is_refused(&["two.fa: not a weights file by its name", "hint: "]);
    let settings = format!("{MODEL}/config.json");
    with(&settings).is_refused(&["config.json: no weight_map", "hint: name the directory"]);
    with("someone/model").is_refused(&[
        "someone/model is neither a local path nor in the cache",
        "HF_HUB_OFFLINE",
        "hint: ",
    ]);
    assert_eq!(place.outputs(), [""; 0]);
    // A query of the model does not need the network.
    let mut info = place.command(&["models", "info", "someone/model"]);
    info.env_remove("HF_HUB_OFFLINE");
    let ran = Ran::of(info);
    ran.is_refused(&["someone/model is neither a local path nor in the cache", "hint: check the name"]);
    assert!(!ran.stderr.contains("HF_HUB_OFFLINE"), "{ran:?}");
    place.run(&["pack", "two.fa", "-m", "esm2"]).is_refused(&["no model \"esm2\""]);
    place.run(&["pack", "two.fa", "-m", "esm2_t48_15B_UR50D"]).succeeds(&[]);
}
