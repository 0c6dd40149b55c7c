//! Hashes numbers for the tables of a run's records. No attacker chooses these numbers, so a multiplication
//! replaces a hash that withstands attacks.

use std::hash::{BuildHasherDefault, Hasher};

/// Builds [`NumberHasher`]s.
pub(super) type NumberHash = BuildHasherDefault<NumberHasher>;

/// Hashes one number: that of a record, or one that is a hash already.
#[derive(Default)]
pub(super) struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64((self.0 << 8) | u64::from(*byte)));
    }

    fn write_u64(&mut self, number: u64) {
        // Tables use the upper and the lower bits.
        let product = u128::from(number ^ 0x9e37_79b9_7f4a_7c15) * 0xa076_1d64_78bd_642f;
        self.0 = (product >> 64) as u64 ^ product as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::hash::BuildHasher;

    use super::*;

    #[test]
    fn neighbours_get_places_of_their_own() {
        let hash = NumberHash::default();
        for step in [1, 8, 1 << 20] {
            let hashes: Vec<u64> = (0..4_096_u64).map(|i| hash.hash_one(i * step)).collect();
            let lower = hashes.iter().map(|hash| hash & 0xffff).collect::<HashSet<_>>();
            let upper = hashes.iter().map(|hash| hash >> 57).collect::<HashSet<_>>();
            // Of 4,096 random numbers, some 3,970 have distinct lower bits.
            assert!(lower.len() > 3_800 && upper.len() == 128, "{step}: {} {}", lower.len(), upper.len());
        }
    }
}
