//! Any bytes, read as a safetensors file: no panic, and the tensors fill the file after its header.

#![no_main]

use libfuzzer_sys::fuzz_target;
use virpack_model::fuzzing::safetensors;

fuzz_target!(|input: &[u8]| {
    let Ok(tensors) = safetensors(input, "fuzz.safetensors".as_ref()) else { return };
    let mut end = tensors.first().map_or(input.len(), |tensor| tensor.storage.start);
    for tensor in tensors {
        assert_eq!(tensor.storage.start, end);
        end = tensor.storage.end;
        assert_eq!(tensor.storage.len(), tensor.bytes());
    }
    assert_eq!(end, input.len());
});
