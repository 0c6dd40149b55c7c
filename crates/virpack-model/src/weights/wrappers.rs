//! What training programs put around a model, and so before its tensors' names.

use std::borrow::Cow;

/// Modules that may be anywhere among others and hold one: of torch.compile, FSDP, activation checkpoints,
/// Fabric.
const ANYWHERE: [&str; 4] =
    ["_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_forward_module"];

/// A tensor that every model has: in Hugging Face's names, and in fair-esm's.
const ANCHORS: [&str; 2] = ["embeddings.word_embeddings.weight", "embed_tokens.weight"];

/// The place of an encoder in models that have names of their own (`names.rs`); no wrappers.
const OWN: [&str; 4] = ["esm.", "bert.", "encoder.sentence_encoder.", "encoder."];

/// The prefix of the names of all tensors of a model.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Wrappers {
    /// The modules of [`ANYWHERE`] that were met.
    modules: Vec<&'static str>,
    /// What all names begin with, once those are taken out.
    prefix: String,
}

impl Wrappers {
    /// Finds what `names`, those of all tensors of a model, have in common and the model's own names do not.
    pub(super) fn find<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Self {
        let is_met =
            |module: &&'static str| names.clone().any(|name| name.split('.').any(|part| part == *module));
        let modules: Vec<_> = ANYWHERE.into_iter().filter(is_met).collect();
        let bare = names.map(|name| without_modules(name, &modules));
        let encoder = bare.clone().find_map(|name| {
            let prefix = ANCHORS.iter().find_map(|anchor| name.strip_suffix(anchor))?;
            (prefix.is_empty() || prefix.ends_with('.')).then(|| prefix.to_owned())
        });
        let encoder = encoder.filter(|prefix| !OWN.contains(&&**prefix)).unwrap_or_default();
        // With a head the encoder's place in the model is not part of the prefix that all names share.
        let model = OWN.iter().filter_map(|own| encoder.strip_suffix(own));
        let prefix = std::iter::once(&*encoder)
            .chain(model)
            .find(|prefix| bare.clone().all(|n| n.starts_with(prefix)));
        Self { prefix: prefix.unwrap_or_default().to_owned(), modules }
    }

    /// Returns a tensor's name without them.
    pub(super) fn strip<'a>(&self, name: &'a str) -> Cow<'a, str> {
        match without_modules(name, &self.modules) {
            Cow::Borrowed(name) => Cow::Borrowed(name.strip_prefix(&*self.prefix).unwrap_or(name)),
            Cow::Owned(name) => Cow::Owned(name.strip_prefix(&*self.prefix).unwrap_or(&name).to_owned()),
        }
    }

    /// Returns what was taken off, for people; nothing where nothing was.
    pub(super) fn note(&self) -> Option<String> {
        let modules = self.modules.iter().map(|module| format!("{module}."));
        let all: Vec<_> = modules.chain([self.prefix.clone()]).filter(|part| !part.is_empty()).collect();
        (!all.is_empty()).then(|| {
            format!(
                "tensors are named {}…: what a training program put before their names is taken off",
                all.join("… and ")
            )
        })
    }
}

fn without_modules<'a>(name: &'a str, modules: &[&str]) -> Cow<'a, str> {
    if modules.is_empty() {
        return Cow::Borrowed(name);
    }
    let parts = name.split('.').filter(|part| !modules.contains(part));
    Cow::Owned(parts.collect::<Vec<_>>().join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stripped(names: &[&str]) -> Vec<String> {
        let wrappers = Wrappers::find(names.iter().copied());
        assert_eq!(wrappers.note().is_some(), names.iter().any(|name| wrappers.strip(name) != *name));
        names.iter().map(|name| wrappers.strip(name).into_owned()).collect()
    }

    #[test]
    fn prefixes_that_all_names_share_are_taken_off_and_others_stay() {
        let bare = ["embeddings.word_embeddings.weight", "encoder.layer.0.output.dense.bias"];
        let headed = ["esm.embeddings.word_embeddings.weight", "lm_head.bias"];
        let fair_esm = ["encoder.sentence_encoder.embed_tokens.weight", "encoder.lm_head.bias"];
        for names in [bare, headed, fair_esm] {
            assert_eq!(stripped(&names), names);
            for wrapper in
                ["module.", "model.", "base_model.model.", "module.module.", "0.auto_model.", "encoder_q."]
            {
                let wrapped = names.map(|name| format!("{wrapper}{name}"));
                assert_eq!(stripped(&wrapped.each_ref().map(String::as_str)), names, "{wrapper}");
            }
            for wrapper in ["_orig_mod.", "_orig_mod.module.", "module._orig_mod.", "_fsdp_wrapped_module."] {
                let wrapped = names.map(|name| format!("{wrapper}{name}"));
                assert_eq!(stripped(&wrapped.each_ref().map(String::as_str)), names, "{wrapper}");
            }
        }
        let inside = ["esm._orig_mod.embeddings.word_embeddings.weight", "lm_head.bias"];
        assert_eq!(stripped(&inside), headed);
        // A head beside the wrapped model: nothing is shared.
        let beside = ["model.esm.embeddings.word_embeddings.weight", "head.weight"];
        assert_eq!(stripped(&beside), beside);
        assert_eq!(stripped(&[]), [""; 0]);
    }

    #[test]
    fn a_bare_encoder_under_a_wrapper_and_its_own_name_loses_both() {
        let names =
            ["model.esm.embeddings.word_embeddings.weight", "model.esm.encoder.layer.0.output.dense.bias"];
        let bare = ["embeddings.word_embeddings.weight", "encoder.layer.0.output.dense.bias"];
        assert_eq!(stripped(&names), bare);
    }
}
