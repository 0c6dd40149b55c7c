//! What a person can do about an error of a model.

use std::borrow::Cow;

use virpack_seq::Hint;

use super::ModelError;
use crate::classifier::{ClassifierProblem, fitting};
use crate::mini::MODELS;

impl Hint for ModelError {
    fn hint(&self) -> Option<Cow<'_, str>> {
        Some(match self {
            ModelError::Hub(error) => return error.hint(),
            ModelError::DamagedInCache(damage) => return damage.hint(),
            ModelError::Checkpoint { source, .. } => return source.hint(),
            ModelError::Device(error) => return error.hint(),
            ModelError::Seq(error) => return error.hint(),
            ModelError::Thread(error) => return error.hint(),
            ModelError::ReadModel { .. } => "check the path and its permissions".into(),
            ModelError::NoWeights { found, .. } => match &found[..] {
                [] => "give a directory in Hugging Face layout, or a fair-esm .pt file".into(),
                found => format!("it has {}: name the file or folder that you mean", found.join(", ")).into(),
            },
            ModelError::ManyCheckpoints { .. } => "give the path of one of them".into(),
            ModelError::UnknownWeights { .. } => {
                "virpack reads .safetensors, .bin and .pt files, and directories that hold them".into()
            }
            ModelError::Truncated { .. } => "copy or download it again".into(),
            ModelError::Safetensors { .. } | ModelError::Json { .. } | ModelError::BadSetting { .. } => {
                "copy or download the file again".into()
            }
            ModelError::ShardIndex { shard: None, .. } => "name the directory of the model's files".into(),
            ModelError::IndexedTensor { .. } => {
                "index and shards are of different models or savings: copy or download them all again".into()
            }
            ModelError::LfsPointer { .. } => {
                "run `git lfs pull` in the repository to fetch the file itself".into()
            }
            ModelError::Adapter { .. } => {
                "merge first: in Python `model.merge_and_unload().save_pretrained(DIR)`, then name DIR; for the base model \
                 alone name its weights file"
                    .into()
            }
            ModelError::Modules { .. } => {
                "name the weights file itself for the transformer alone, and choose the pooling".into()
            }
            ModelError::UnlikeWeights { .. } => {
                "remove the one that is out of date, or name the file that you mean".into()
            }
            ModelError::UnreadTensors { .. } => {
                "save the encoder alone, as the class that config.json names; heads that virpack knows (lm_head, \
                 classifier, pooler, …) may stay"
                    .into()
            }
            ModelError::UnlikeFrequencies { .. } => {
                "ESM-2 has one set of frequencies: the file is damaged, or of another model".into()
            }
            ModelError::MissingTensor { .. } => {
                "the weights are of another model than its settings say, or a shard is missing".into()
            }
            ModelError::TensorShape { .. } => "the weights and config.json are not of the same model".into(),
            ModelError::TensorDtype { .. } => {
                "save the weights in one of these, without quantization".into()
            }
            ModelError::NoConfig { .. } => "put the model's config.json beside its weights".into(),
            ModelError::TwoModels { models, .. } => format!("name {} or {}", models[0], models[1]).into(),
            ModelError::AlphabetOfPipe { .. } | ModelError::AlphabetUnclear { .. } => {
                format!("name the model, {} or {}", MODELS[0], MODELS[1]).into()
            }
            ModelError::Classifier { .. } => {
                "it runs Linear, BatchNorm1d, ReLU, Dropout, Linear to 2 classes (others, virus), saved by torch as a \
                 module or a state dict, or as safetensors"
                    .into()
            }
            ModelError::ClassifierWidths { width, nucleotide, protein, .. } => format!(
                "name the models that the classifier was trained with: {}",
                fitting(*width, *nucleotide, *protein)
            )
            .into(),
            ModelError::ShardIndex { shard: Some(_), .. }
            | ModelError::DuplicateTensor { .. }
            | ModelError::UnsupportedModel { .. } => return None,
        })
    }
}

/// The error that holds it has the hint.
impl Hint for ClassifierProblem {}
