//! Makes ids unique: a record whose id came before gets a number behind it.
//!
//! The rule is that of `_ensure_unique_fasta_ids` in broadinstitute/virnucpro-cuda (`virnucpro.py` at commit
//! 064cb73). There a record of a name that was made for an earlier one (`r, r, r_1`) gets that name a second
//! time; here such a name counts as taken, so that ids are always unique.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher};
use std::sync::Arc;

/// Numbers ids that come again: `r, r, r` become `r, r_1, r_2`.
///
/// It remembers 128 bits of hash and a number for each different id, 24 bytes in a table that doubles. Two
/// ids of one hash would be numbered as one id: among a thousand million ids that happens once in 10^20
/// inputs.
#[derive(Debug, Default)]
pub(super) struct UniqueIds {
    /// The last number given to records of each id.
    last: HashMap<[u64; 2], u64>,
}

impl UniqueIds {
    /// Returns the id of the next record, where it is another than its own.
    pub(super) fn number(&mut self, id: &str) -> Option<Arc<str>> {
        let key = hash(id);
        let Some(&last) = self.last.get(&key) else {
            self.last.insert(key, 0);
            return None;
        };
        let mut number = last + 1;
        let (name, name_key) = loop {
            let name = format!("{id}_{number}");
            let name_key = hash(&name);
            if !self.last.contains_key(&name_key) {
                break (name, name_key);
            }
            number += 1;
        };
        self.last.insert(key, number);
        self.last.insert(name_key, 0);
        Some(name.into())
    }
}

/// 128 bits of hash.
fn hash(id: &str) -> [u64; 2] {
    [0, 1].map(|half| {
        let mut hasher = DefaultHasher::new();
        hasher.write_u8(half);
        hasher.write(id.as_bytes());
        hasher.finish()
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn unique(ids: &[&str]) -> Vec<String> {
        let mut unique = UniqueIds::default();
        ids.iter().map(|id| unique.number(id).map_or_else(|| (*id).to_owned(), |id| id.to_string())).collect()
    }

    /// Returns the published rule, with names in place of hashes: what was seen, what was given, the next
    /// number.
    fn published(ids: &[&str]) -> Vec<String> {
        let (mut seen, mut given) = (HashMap::new(), HashSet::new());
        let mut names = Vec::new();
        for &id in ids {
            let name = match seen.get_mut(id) {
                None => {
                    seen.insert(id, 0);
                    id.to_owned()
                }
                Some(count) => {
                    *count = (*count + 1..).find(|n| !given.contains(&format!("{id}_{n}"))).unwrap();
                    format!("{id}_{count}")
                }
            };
            given.insert(name.clone());
            names.push(name);
        }
        names
    }

    #[test]
    fn the_published_cases() {
        for (ids, expected) in [
            (&["read1", "read2"][..], &["read1", "read2"][..]),
            (&["read1", "read1", "read1"], &["read1", "read1_1", "read1_2"]),
            (&["read1", "read1_1", "read1"], &["read1", "read1_1", "read1_2"]),
            (&["a", "b", "a", "b", "a"], &["a", "b", "a_1", "b_1", "a_2"]),
            (&["", ""], &["", "_1"]),
        ] {
            assert_eq!(unique(ids), expected);
            assert_eq!(published(ids), expected);
        }
    }

    #[test]
    fn a_name_that_was_given_is_not_given_again() {
        let ids = ["r", "r", "r_1", "r_1", "r"];
        assert_eq!(published(&ids)[1..3], ["r_1", "r_1"]);
        assert_eq!(unique(&ids), ["r", "r_1", "r_1_1", "r_1_2", "r_2"]);
    }

    proptest! {
        #[test]
        fn ids_are_unique_and_the_published_ones_where_those_are(
            ids in prop::collection::vec("(a|b)(_[1-3]){0,2}", 0..40),
        ) {
            let ids: Vec<_> = ids.iter().map(String::as_str).collect();
            let (own, published) = (unique(&ids), published(&ids));
            let is_unique = |names: &[String]| names.iter().collect::<HashSet<_>>().len() == names.len();
            prop_assert!(is_unique(&own), "{own:?}");
            if is_unique(&published) {
                prop_assert_eq!(&own, &published);
            }
            for (own, id) in own.iter().zip(ids) {
                let is_numbered = own.starts_with(&format!("{id}_"));
                prop_assert!(own == id || is_numbered);
            }
        }
    }
}
