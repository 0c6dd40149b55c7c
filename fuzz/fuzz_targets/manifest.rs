//! Any bytes as a checkpoint's manifest and as what a shard says of itself: no panic, and what is written of what was read
//! is read as the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use virpack::fuzzing::{manifest, shard};

fuzz_target!(|data: &[u8]| {
    if let Some((text, entries, last)) = manifest(data) {
        assert_eq!(manifest(text.as_bytes()), Some((text, entries, last)));
        assert!(last < u64::MAX, "the next part has a number");
    }
    if let Some(text) = shard(data) {
        assert_eq!(shard(text.as_bytes()), Some(text));
    }
});
