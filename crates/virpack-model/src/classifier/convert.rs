//! A classifier of any form as safetensors, which no program needs to run code for.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use safetensors::tensor::{TensorView, serialize};

use super::layers::{DEFAULT_EPS, Layers};
use super::{BATCH_NORM_EPS, CHUNK_LENGTH, ClassifierFacts, FEATURES, JOINT};
use crate::ModelError;
use crate::weights::{StoredDtype, TensorFile};

/// Returns the classifier in `from` as a safetensors file: its tensors under their own names in float32,
/// and the length of its chunks, its batch norm's eps and whether it is joint as metadata.
/// [`Classifier::open`](super::Classifier::open) reads the same from both.
///
/// # Errors
///
/// Returns the errors of [`Classifier::open`](super::Classifier::open) for `from`.
pub fn to_safetensors(from: &Path) -> Result<Vec<u8>, ModelError> {
    // What cannot be run is not worth another form.
    super::Classifier::open(from)?;
    let file = TensorFile::open(from.into())?;
    let layers =
        Layers::find(&file).map_err(|problem| ModelError::Classifier { path: from.to_owned(), problem })?;
    let facts = ClassifierFacts::of(&file, &layers)?;
    let mut metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    if let Some(length) = facts.chunk_length {
        metadata.insert(CHUNK_LENGTH.to_owned(), length.to_string());
    }
    if facts.is_joint {
        metadata.insert(FEATURES.to_owned(), JOINT.to_owned());
    }
    if layers.norm.is_some() && facts.eps != DEFAULT_EPS {
        metadata.insert(BATCH_NORM_EPS.to_owned(), facts.eps.to_string());
    }
    let values: Vec<_> = layers
        .tensors()
        .map(|tensor| {
            let bytes: Vec<u8> = file.read(tensor).iter().flat_map(|value| value.to_le_bytes()).collect();
            (&tensor.name, &tensor.shape, bytes)
        })
        .collect();
    let broken = |source| ModelError::Safetensors { path: from.to_owned(), source };
    let views = values
        .iter()
        .map(|(name, shape, bytes)| Ok((*name, TensorView::new(StoredDtype::F32, (*shape).clone(), bytes)?)))
        .collect::<Result<Vec<_>, _>>()
        .map_err(broken)?;
    let bytes = serialize(views, Some(metadata)).map_err(broken)?;
    Ok(with_sorted_header(bytes))
}

/// Sorts the entries of the header, which [`serialize`] writes in the random order of a [`HashMap`], so that
/// the same classifier is always the same bytes. Sorting moves bytes of the header and changes no offset.
fn with_sorted_header(mut bytes: Vec<u8>) -> Vec<u8> {
    const LENGTH: usize = size_of::<u64>();
    let length = u64::from_le_bytes(bytes[..LENGTH].try_into().expect("the length of the header"));
    let header = &mut bytes[LENGTH..][..length as usize];
    let entries: BTreeMap<String, BTreeMap<String, serde_json::Value>> =
        serde_json::from_slice(header).expect("a header that was just written");
    let sorted = serde_json::to_vec(&entries).expect("JSON of JSON");
    header[..sorted.len()].copy_from_slice(&sorted);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_classifier_is_always_the_same_bytes() {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/predict/300_model.pth");
        let first = to_safetensors(&from).unwrap();
        // Each map of the standard library has an order of its own: those of twenty maps of two entries agree
        // by chance once in a million times.
        assert!((0..20).all(|_| to_safetensors(&from).unwrap() == first));
        let (_, header) = safetensors::SafeTensors::read_metadata(&first).unwrap();
        assert_eq!(header.metadata().as_ref().unwrap()[CHUNK_LENGTH], "300");
    }
}
