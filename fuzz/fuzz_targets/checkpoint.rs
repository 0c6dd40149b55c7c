//! Any bytes, read as a torch checkpoint (zip or legacy): no panic, and every tensor is within the file.

#![no_main]

use libfuzzer_sys::fuzz_target;
use virpack_model::fuzzing::checkpoint;

fuzz_target!(|input: &[u8]| {
    let Ok(checkpoint) = checkpoint(input) else { return };
    for tensor in checkpoint.tensors {
        assert!(tensor.storage.start <= tensor.storage.end && tensor.storage.end <= input.len());
        assert_eq!(tensor.shape.len(), tensor.strides.len());
        // A file of a few bytes must not be able to claim all memory.
        let values = tensor.storage.len() / (tensor.dtype.bitsize() / 8);
        assert!(tensor.len() <= values.max(1 << 24));
    }
});
