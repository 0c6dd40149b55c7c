//! safetensors files: the crate's header check, with errors that say what to do.

use std::collections::HashMap;
use std::path::Path;

use safetensors::SafeTensors;
use safetensors::tensor::Metadata;

use super::tensor::{StoredTensor, contiguous_strides};
use crate::ModelError;

/// Bytes of the header's length, the first field of the file.
const LENGTH_BYTES: usize = 8;

/// Finds the tensors in a complete safetensors file; `path` is for messages only.
///
/// Every tensor returned lies within `file`, and together they fill it.
///
/// # Errors
///
/// [`ModelError::Truncated`] for a file shorter than its header states, [`ModelError::Safetensors`] for any
/// other damage.
pub fn tensors(file: &[u8], path: &Path) -> Result<Vec<StoredTensor>, ModelError> {
    let (header_bytes, metadata) = header(file, path)?;
    let data = LENGTH_BYTES + header_bytes;
    let mut tensors: Vec<StoredTensor> = metadata
        .tensors()
        .into_iter()
        .map(|(name, info)| StoredTensor {
            name,
            dtype: info.dtype,
            strides: contiguous_strides(&info.shape),
            shape: info.shape.clone(),
            storage: data + info.data_offsets.0..data + info.data_offsets.1,
        })
        .collect();
    // Tensors without values begin where others do.
    tensors.sort_by(|a, b| (a.storage.start, &a.name).cmp(&(b.storage.start, &b.name)));
    Ok(tensors)
}

/// Returns the metadata that a complete safetensors file carries beside its tensors; `path` is for messages
/// only.
///
/// # Errors
///
/// As [`tensors`].
pub(crate) fn metadata(file: &[u8], path: &Path) -> Result<HashMap<String, String>, ModelError> {
    Ok(header(file, path)?.1.metadata().clone().unwrap_or_default())
}

fn header(file: &[u8], path: &Path) -> Result<(usize, Metadata), ModelError> {
    SafeTensors::read_metadata(file).map_err(|source| match promised_bytes(file) {
        Some(promised) if promised > file.len() as u64 => {
            ModelError::Truncated { path: path.to_owned(), promised, found: file.len() as u64 }
        }
        _ => ModelError::Safetensors { path: path.to_owned(), source },
    })
}

/// Returns the file's length by its own header, where enough of it can be read: the header's length, then
/// the end of the last tensor. A header too large to be one is not taken at its word.
fn promised_bytes(file: &[u8]) -> Option<u64> {
    let length = file.get(..LENGTH_BYTES)?.try_into().ok()?;
    let header_end = u64::from_le_bytes(length).checked_add(LENGTH_BYTES as u64)?;
    let Some(header) = usize::try_from(header_end).ok().and_then(|end| file.get(LENGTH_BYTES..end)) else {
        // Only a length that is followed by the start of JSON is one: anything else is another format.
        return (file.get(LENGTH_BYTES) == Some(&b'{')).then_some(header_end);
    };
    let header: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(header).ok()?;
    let ends = header.values().filter_map(|tensor| tensor.get("data_offsets")?.get(1)?.as_u64());
    ends.max()?.checked_add(header_end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use virpack_seq::Hint;

    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
    }

    fn error(file: &[u8]) -> ModelError {
        tensors(file, Path::new("model.safetensors")).unwrap_err()
    }

    const GOOD: &str = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;

    #[test]
    fn a_good_file_lists_its_tensors_with_their_place() {
        let file = file(GOOD, &[0; 8]);
        let tensors = tensors(&file, Path::new("x")).unwrap();
        assert_eq!(tensors.len(), 1);
        assert_eq!(tensors[0].storage, file.len() - 8..file.len());
    }

    #[test]
    fn a_file_cut_at_any_byte_is_reported_as_truncated() {
        let whole = file(GOOD, &[0; 8]);
        for cut in 0..whole.len() {
            match error(&whole[..cut]) {
                ModelError::Truncated { promised, found, .. } => {
                    assert!(promised <= whole.len() as u64 && found == cut as u64);
                }
                ModelError::Safetensors { .. } => assert!(cut <= 8, "cut at {cut}"),
                other => panic!("{other}"),
            }
        }
    }

    #[test]
    fn headers_that_lie_are_errors() {
        let lies = [
            // a length beyond all memory, and one that overflows
            (u64::MAX.to_le_bytes().to_vec(), "damaged"),
            ([&u64::MAX.to_le_bytes()[..], b"{}"].concat(), "damaged"),
            // a tensor beyond the end, one shorter than its shape, a shape that overflows, bytes left over
            (file(r#"{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}"#, &[0; 8]), "cut short"),
            (file(r#"{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,8]}}"#, &[0; 8]), "damaged"),
            (
                file(r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}"#, &[]),
                "damaged",
            ),
            (file(GOOD, &[0; 9]), "damaged"),
            (file(r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}"#, &[0; 8]), "damaged"),
            (file("[]", &[]), "damaged"),
            (file("{", &[]), "damaged"),
            (b"\x80\x02}q\x00.".to_vec(), "damaged"),
        ];
        for (lie, says) in lies {
            let error = error(&lie);
            assert!(error.to_string().contains(says) && error.hint().is_some(), "{error}");
        }
    }
}
