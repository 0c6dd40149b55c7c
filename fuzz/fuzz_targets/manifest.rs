//! Any bytes as a checkpoint's manifest, with their own checksum and with the right one, and as the facts
//! of a shard: no panic, and a manifest that is read, written and read again is the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use virpack_core::fuzzing::{manifest, shard, signed_manifest};

fuzz_target!(|data: &[u8]| {
    check(data);
    // No mutation has the right checksum by chance.
    if let Some(signed) = signed_manifest(data) {
        check(signed.as_bytes());
    }
    if let Some(text) = shard(data) {
        assert_eq!(shard(text.as_bytes()), Some(text));
    }
});

fn check(text: &[u8]) {
    if let Some((text, entries, last)) = manifest(text) {
        assert_eq!(manifest(text.as_bytes()), Some((text, entries, last)));
        assert!(last < u64::MAX, "the next part has a number");
    }
}
