//! What the fuzz targets call, as it is private otherwise. No part of the library's interface.

use ureq::http::{HeaderMap, HeaderName, HeaderValue};

use crate::hub;
pub use crate::weights::pickle::Pickle;
pub use crate::weights::safetensors::tensors as safetensors;
pub use crate::weights::torch::checkpoint;

/// Returns the commit and the names of files in the Hub's answer about a repository.
#[must_use]
pub fn hub_list(text: &[u8]) -> Option<(String, Vec<String>)> {
    hub::listed(text)
}

/// The ETag, which becomes a name in the cache, and the size of a file in the Hub's answers, the own one first; headers that HTTP
/// does not allow are left out.
#[must_use]
pub fn hub_file(answers: [&[(&str, &[u8])]; 2]) -> Option<(String, u64)> {
    hub::described(answers.map(|answer| {
        let header = |(name, value): &(&str, &[u8])| {
            Some((HeaderName::try_from(*name).ok()?, HeaderValue::from_bytes(value).ok()?))
        };
        answer.iter().filter_map(header).collect::<HeaderMap>()
    }))
}
