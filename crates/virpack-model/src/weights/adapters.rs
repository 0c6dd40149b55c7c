//! What else than the weights of its files a directory may mean: adapters (PEFT), whose small weights are added to a base
//! model's, beside it or instead of it, and modules of sentence-transformers.

use std::path::PathBuf;

use crate::ModelError;
use crate::location::Location;

/// What PEFT writes of an adapter, and `transformers` looks for.
pub(crate) const SETTINGS: &str = "adapter_config.json";

/// Files of adapters alone.
const FILES: [&str; 3] = ["adapter_model.safetensors", "adapter_model.bin", "pytorch_adapter.bin"];

/// Modules that only adapters have, in a model that was saved with them in it.
const MODULES: [&str; 19] = [
    "lora_A",
    "lora_B",
    "lora_embedding_A",
    "lora_embedding_B",
    "lora_magnitude_vector",
    "lora_E",
    "base_layer",
    "modules_to_save",
    "original_module",
    "ia3_l",
    "hada_w1_a",
    "lokr_w1",
    "vera_lambda_b",
    "vera_lambda_d",
    "oft_r",
    "oft_R",
    "boft_R",
    "prompt_embeddings",
    "prompt_encoder",
];

/// Refuses a directory that holds an adapter: `transformers` would load the base model that the adapter names and add
/// it, even where the directory has weights of its own.
pub(super) fn refuse_beside(directory: &Location) -> Result<(), ModelError> {
    let files = std::iter::once(SETTINGS).chain(FILES);
    match files.map(|name| directory.join(name)).find(Location::exists) {
        None => Ok(()),
        Some(file) => {
            let base = base_model(&directory.join(SETTINGS));
            Err(refused(directory.path(), file.path(), base))
        }
    }
}

/// Refuses a directory of sentence-transformers whose model is in another folder, or is followed by layers of its own.
pub(super) fn refuse_modules(directory: &Location) -> Result<(), ModelError> {
    let file = directory.join("modules.json");
    if !file.exists() {
        return Ok(());
    }
    let modules: Vec<serde_json::Value> = serde_json::from_slice(&file.read()?)
        .map_err(|source| ModelError::Json { path: file.path(), source })?;
    let text = |module: &serde_json::Value, key: &str| {
        module.get(key).and_then(|v| v.as_str()).unwrap_or_default().to_owned()
    };
    for module in &modules {
        let (kind, path) = (text(module, "type"), text(module, "path"));
        let is_refused = match kind.rsplit('.').next().unwrap_or_default() {
            "Transformer" => !path.is_empty(),
            "Pooling" | "Normalize" | "Dropout" => false,
            _ => true,
        };
        if is_refused {
            return Err(ModelError::Modules { path: file.path(), kind, folder: path });
        }
    }
    Ok(())
}

/// Refuses a model with a tensor of an adapter in it.
pub(super) fn refuse_tensor(path: PathBuf, name: &str) -> Result<(), ModelError> {
    let is_adapter = name.split('.').any(|part| MODULES.contains(&part));
    if is_adapter { Err(refused(path, name.into(), None)) } else { Ok(()) }
}

/// Returns a repository or a directory whose adapter makes other weights than its files hold.
pub(crate) fn refused(path: PathBuf, found: PathBuf, base: Option<String>) -> ModelError {
    let found = found.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    ModelError::Adapter { path, found, base }
}

fn base_model(settings: &Location) -> Option<String> {
    let json: serde_json::Value = serde_json::from_slice(&settings.read().ok()?).ok()?;
    json.get("base_model_name_or_path")?.as_str().map(str::to_owned)
}
