//! One name for each tensor, whatever program saved it.

use std::borrow::Cow;

/// Prefixes that a complete encoder may have: a head's model in Hugging Face layout has the encoder as its
/// `esm` (or, for MosaicBERT, `bert`).
const HEAD_PREFIXES: [&str; 2] = ["esm.", "bert."];

/// Prefixes of fair-esm's published checkpoints, longest first, as its `upgrade_state_dict` takes them off.
const FAIR_ESM_PREFIXES: [&str; 2] = ["encoder.sentence_encoder.", "encoder."];

/// fair-esm's names outside its layers (left) and Hugging Face's (right).
const FAIR_ESM_MODEL: [(&str, &str); 8] = [
    ("embed_tokens.", "embeddings.word_embeddings."),
    ("embed_positions.", "embeddings.position_embeddings."),
    ("emb_layer_norm_before.", "embeddings.layer_norm."),
    ("emb_layer_norm_after.", "encoder.emb_layer_norm_after."),
    ("lm_head.weight", "lm_head.decoder.weight"),
    // The rest has the same names; it is listed so that a fair-esm prefix is removed.
    ("lm_head.", "lm_head."),
    ("contact_head.", "contact_head."),
    ("embed_out", "embed_out"),
];

/// fair-esm's names in a layer, after `layers.N.` (left), and Hugging Face's, after `encoder.layer.N.` (right).
const FAIR_ESM_LAYER: [(&str, &str); 9] = [
    ("self_attn.q_proj.", "attention.self.query."),
    ("self_attn.k_proj.", "attention.self.key."),
    ("self_attn.v_proj.", "attention.self.value."),
    ("self_attn.out_proj.", "attention.output.dense."),
    ("self_attn.rot_emb.", "attention.self.rotary_embeddings."),
    ("self_attn_layer_norm.", "attention.LayerNorm."),
    ("fc1.", "intermediate.dense."),
    ("fc2.", "output.dense."),
    ("final_layer_norm.", "LayerNorm."),
];

/// Returns the name of a tensor in Hugging Face's bare encoder, given its name in a file.
///
/// Names of heads (`lm_head.…`, `classifier.…`) and unknown names stay as they are.
pub(super) fn canonical(name: &str) -> Cow<'_, str> {
    let name = encoder_name(name);
    // TensorFlow's names for a layer norm's parameters, which transformers 5 writes again.
    for (from, to) in [("LayerNorm.gamma", "LayerNorm.weight"), ("LayerNorm.beta", "LayerNorm.bias")] {
        if let Some(layer) = name.strip_suffix(from) {
            return Cow::Owned(format!("{layer}{to}"));
        }
    }
    name
}

fn encoder_name(name: &str) -> Cow<'_, str> {
    if let Some(rest) = HEAD_PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix)) {
        return Cow::Borrowed(rest);
    }
    let without_prefix = FAIR_ESM_PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix));
    let fair_esm = without_prefix.unwrap_or(name);
    // Hugging Face's own `encoder.emb_layer_norm_after` and `encoder.layer.N` come out of this unchanged.
    match from_fair_esm(fair_esm) {
        Some(canonical) => Cow::Owned(canonical),
        None => Cow::Borrowed(name),
    }
}

fn from_fair_esm(name: &str) -> Option<String> {
    if let Some(rest) = name.strip_prefix("layers.") {
        let (layer, part) = rest.split_once('.')?;
        layer.parse::<u32>().ok()?;
        let (from, to) = FAIR_ESM_LAYER.iter().find(|(from, _)| part.starts_with(from))?;
        return Some(format!("encoder.layer.{layer}.{to}{}", &part[from.len()..]));
    }
    let (from, to) = FAIR_ESM_MODEL.iter().find(|(from, _)| name.starts_with(from))?;
    Some(format!("{to}{}", &name[from.len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_canonical_name_is_its_own_canonical_name() {
        for name in [
            "embeddings.word_embeddings.weight",
            "encoder.layer.11.LayerNorm.bias",
            "encoder.layer.0.attention.LayerNorm.weight",
            "encoder.layer.0.attention.self.rotary_embeddings.inv_freq",
            "encoder.emb_layer_norm_after.weight",
            "contact_head.regression.weight",
            "lm_head.decoder.weight",
            "lm_head.dense.weight",
        ] {
            assert_eq!(canonical(name), name);
            assert_eq!(canonical(&format!("esm.{name}")), name);
        }
    }

    #[test]
    fn fair_esm_names_of_every_prefix_become_hugging_face_names() {
        let pairs = [
            ("embed_tokens.weight", "embeddings.word_embeddings.weight"),
            ("layers.0.fc1.weight", "encoder.layer.0.intermediate.dense.weight"),
            ("layers.35.fc2.bias", "encoder.layer.35.output.dense.bias"),
            ("layers.2.final_layer_norm.bias", "encoder.layer.2.LayerNorm.bias"),
            ("layers.2.self_attn_layer_norm.bias", "encoder.layer.2.attention.LayerNorm.bias"),
            ("layers.2.self_attn.out_proj.bias", "encoder.layer.2.attention.output.dense.bias"),
            ("emb_layer_norm_after.bias", "encoder.emb_layer_norm_after.bias"),
            ("lm_head.weight", "lm_head.decoder.weight"),
            ("lm_head.layer_norm.weight", "lm_head.layer_norm.weight"),
        ];
        for (fair_esm, hugging_face) in pairs {
            for prefix in ["", "encoder.", "encoder.sentence_encoder."] {
                assert_eq!(canonical(&format!("{prefix}{fair_esm}")), hugging_face);
            }
        }
    }

    #[test]
    fn parameters_of_norms_by_tensorflow_s_names_are_hugging_face_s() {
        for (tensorflow, hugging_face) in [("gamma", "weight"), ("beta", "bias")] {
            let name = canonical(&format!("esm.encoder.layer.3.LayerNorm.{tensorflow}")).into_owned();
            assert_eq!(name, format!("encoder.layer.3.LayerNorm.{hugging_face}"));
        }
        assert_eq!(canonical("classifier.dense.bias"), "classifier.dense.bias");
    }

    #[test]
    fn strange_names_stay() {
        for name in ["", "layers", "layers.", "layers.x.fc1.weight", "layers.1", "encoder.", "ж.esm"] {
            assert_eq!(canonical(name), name);
        }
    }
}
