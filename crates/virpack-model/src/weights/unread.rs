//! Tensors in a model's files that the encoder does not read: heads that are known, and all else, which is an error.

/// Heads and tables of Hugging Face's and fair-esm's models that take no part in embeddings, by how their names begin
/// once these are canonical.
const HARMLESS: [&str; 13] = [
    "lm_head.",
    "contact_head.",
    "pooler.",
    "classifier.",
    "classification_head.",
    "qa_outputs.",
    "score.",
    "cls.",
    "embed_out",
    // With rotary positions or ALiBi these tables are made and never looked into.
    "embeddings.position_ids",
    "embeddings.token_type_ids",
    "embeddings.position_embeddings.",
    // fair-esm's mark of its format.
    "version",
];

/// Returns the known head or table that `name`, a canonical one, belongs to.
pub(super) fn harmless(name: &str) -> Option<&'static str> {
    let found = HARMLESS.iter().find(|start| name.starts_with(**start))?;
    Some(found.trim_end_matches('.'))
}
