//! Every form of weights, read into the same tensors; every damage, refused with its name.

use std::path::{Path, PathBuf};

use virpack::model::config::Esm2Config;
use virpack::model::weights::Weights;

/// The real weights beside the repository, or nothing, said aloud.
fn shared(path: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared").join(path);
    if !path.exists() {
        eprintln!("SKIPPED: {} is absent", path.display());
        return None;
    }
    Some(path)
}

#[test]
fn the_real_safetensors_hold_the_model_of_their_config() {
    let Some(path) = shared("models/esm2_t6_8M_finetuned") else { return };
    let weights = Weights::open(&path).unwrap();
    let config = Esm2Config::of(&weights).unwrap();
    assert_eq!((config.layers, config.hidden, config.heads), (6, 320, 20));
    assert_eq!(config, Esm2Config::published(6, 320, 20));
    let words = weights.read("embeddings.word_embeddings.weight", &[33, 320]).unwrap();
    assert!(words.iter().all(|value| value.is_finite()) && words.iter().any(|value| *value != 0.0));
}
