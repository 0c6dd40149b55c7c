//! A directory of weights that are all zero: of one layer, as wide as the model that is simulated.

use std::error::Error;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Map, json};
use virpack_core::model::Esm2Config;

/// Writes the directory of a model of width `hidden` below `folder`, and gives its path. The file of
/// weights has a header, and a hole where they are.
pub(crate) fn create(folder: &Path, hidden: usize) -> Result<PathBuf, Box<dyn Error>> {
    let directory = folder.join(format!("one_layer_{hidden}"));
    fs::create_dir_all(&directory)?;
    // What lies between the layers' ends is not computed, and should not be read either.
    let config = Esm2Config { intermediate: 64, ..Esm2Config::published(1, hidden, 20) };
    let settings = json!({
        "model_type": "esm", "vocab_size": config.vocab, "mask_token_id": config.mask_token_id,
        "pad_token_id": config.pad_token_id, "hidden_size": hidden, "num_hidden_layers": 1,
        "num_attention_heads": config.heads, "intermediate_size": config.intermediate,
        "position_embedding_type": "rotary", "token_dropout": true, "emb_layer_norm_before": false,
        "max_position_embeddings": config.max_positions, "hidden_act": "gelu",
        "layer_norm_eps": config.layer_norm_eps,
    });
    fs::write(directory.join("config.json"), settings.to_string())?;
    let (mut header, mut end) = (Map::new(), 0);
    for (name, shape) in config.tensors() {
        let begin = end;
        end += (size_of::<f32>() * shape.iter().product::<usize>()) as u64;
        header.insert(name, json!({ "dtype": "F32", "shape": shape, "data_offsets": [begin, end] }));
    }
    let header = serde_json::to_string(&header)?;
    let mut file = File::create(directory.join("model.safetensors"))?;
    file.write_all(&(header.len() as u64).to_le_bytes())?;
    file.write_all(header.as_bytes())?;
    file.set_len(8 + header.len() as u64 + end)?;
    Ok(directory)
}
