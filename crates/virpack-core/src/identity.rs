//! Everything that affects the rows of a run, by name, to decide whether another run makes the same rows.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::Error;
use virpack_seq::reader::Change;
use virpack_seq::{Input, InputChecksum, InputError, SeqError};

use virpack_model::{FileChecksum, size_and_sha256};

/// Names and values of everything that affects a run's rows: inputs, model, options, version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Identity(BTreeMap<String, String>);

/// A difference between two runs; None if one of them does not have the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IdentityDifference {
    /// The name of the value.
    pub name: String,
    /// The earlier value.
    pub was: Option<String>,
    /// The value now.
    pub is: Option<String>,
}

/// An identity that takes time to compute, because files are hashed.
pub(crate) type PendingIdentity = Box<dyn FnOnce() -> Result<Identity, Error> + Send>;

impl Identity {
    pub(crate) fn set(&mut self, name: impl Into<String>, value: impl ToString) {
        self.0.insert(name.into(), value.to_string());
    }

    /// Adds the checksums of files: first the inputs, whose names affect rows if there are several, then
    /// other files by name.
    pub(crate) fn with_files(mut self, inputs: &[String], files: &[FileChecksum]) -> Identity {
        for (i, file) in files.iter().enumerate() {
            let sum = file.size_and_sha256();
            match inputs.get(i) {
                Some(input) if inputs.len() > 1 => {
                    self.set(format!("input {}", i + 1), format!("{input}, {sum}"))
                }
                Some(_) => self.set("input", sum),
                None => self.set(file.location.path().file_name().unwrap_or_default().to_string_lossy(), sum),
            }
        }
        self
    }

    /// Checks that the bytes that were `read` of the inputs are those that were hashed.
    ///
    /// # Errors
    ///
    /// [`InputError::Changed`] for the first input that differs.
    pub(crate) fn check_read(&self, read: &[(Input, Option<InputChecksum>)]) -> Result<(), SeqError> {
        for (i, (input, checksum)) in (1..).zip(read) {
            let name = if read.len() > 1 { format!("input {i}") } else { "input".to_owned() };
            if let (Some(hashed), Some(checksum)) = (self.0.get(&name), checksum)
                && let read = size_and_sha256(checksum.bytes, &checksum.sha256)
                && !hashed.ends_with(&read)
            {
                let hashed = hashed.strip_prefix(&format!("{input}, ")).unwrap_or(hashed).to_owned();
                let change = Change::Content { hashed, read };
                return Err(SeqError::Input(InputError::Changed { path: input.path().into(), change }));
            }
        }
        Ok(())
    }

    /// Returns the identity without one value.
    pub(crate) fn without(&self, name: &str) -> Identity {
        let mut rest = self.clone();
        rest.0.remove(name);
        rest
    }

    /// Returns the differences from `earlier`.
    pub(crate) fn differences(&self, earlier: &Identity) -> Vec<IdentityDifference> {
        let only_earlier = earlier.0.keys().filter(|name| !self.0.contains_key(*name));
        let names = self.0.keys().chain(only_earlier).cloned();
        let differences = names.map(|name| {
            let [was, is] = [earlier, self].map(|identity| identity.0.get(&name).cloned());
            IdentityDifference { name, was, is }
        });
        differences.filter(|difference| difference.was != difference.is).collect()
    }

    pub(crate) fn to_json(&self) -> Value {
        Value::Object(self.0.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect())
    }

    /// Parses what [`Identity::to_json`] returned; None for anything else.
    pub(crate) fn of_json(value: &Value) -> Option<Identity> {
        let all: &Map<String, Value> = value.as_object()?;
        let one = |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
        all.iter().map(one).collect::<Option<_>>().map(Identity)
    }
}

impl std::fmt::Display for IdentityDifference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown =
            |value: &Option<String>| value.as_deref().map_or_else(|| "nothing".to_owned(), short_sums);
        write!(f, "{}: {} there, {} here", self.name, shown(&self.was), shown(&self.is))
    }
}

/// Shortens each SHA-256 in a text to its first 12 digits.
fn short_sums(text: &str) -> String {
    let is_sum = |word: &&str| word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let sums: Vec<&str> = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(is_sum).collect();
    sums.into_iter().fold(text.to_owned(), |text, sum| text.replace(sum, &sum[..12]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_named() {
        let mut was = Identity::default();
        was.set("pool", "mean");
        was.set("layer", 6);
        let mut is = was.clone();
        assert_eq!(Identity::of_json(&was.to_json()), Some(was.clone()));
        assert!(is.differences(&was).is_empty());
        is.set("pool", "max");
        is.set("shard", "1/2");
        let said: Vec<_> = is.differences(&was).iter().map(ToString::to_string).collect();
        assert_eq!(said, ["pool: mean there, max here", "shard: nothing there, 1/2 here"]);
        assert_eq!(was.differences(&is).len(), 2);
    }

    #[test]
    fn a_sum_that_differs_is_short() {
        let [was, is] = ["0f".repeat(32), "f0".repeat(32)].map(|sum| size_and_sha256(12, &sum));
        let difference = IdentityDifference { name: "input".to_owned(), was: Some(was), is: Some(is) };
        assert_eq!(
            difference.to_string(),
            "input: 12 bytes, SHA-256 0f0f0f0f0f0f there, 12 bytes, SHA-256 f0f0f0f0f0f0 here"
        );
        assert_eq!(short_sums(&"0f".repeat(31)), "0f".repeat(31));
    }

    #[test]
    fn what_was_read_is_what_was_hashed() {
        let read = |bytes, sha256: &str| InputChecksum { source: 0, bytes, sha256: sha256.to_owned() };
        let inputs = |sums: &[InputChecksum]| -> Vec<_> {
            sums.iter().map(|sum| (Input::from("a.fa"), Some(sum.clone()))).collect()
        };
        let (mut one, mut two) = (Identity::default(), Identity::default());
        one.set("input", size_and_sha256(3, "abc"));
        two.set("input 1", format!("a.fa, {}", size_and_sha256(3, "abc")));
        two.set("input 2", format!("a.fa, {}", size_and_sha256(4, "def")));
        one.check_read(&inputs(&[read(3, "abc")])).unwrap();
        two.check_read(&inputs(&[read(3, "abc"), read(4, "def")])).unwrap();
        for error in [
            one.check_read(&inputs(&[read(4, "abc")])),
            one.check_read(&inputs(&[read(3, "abd")])),
            two.check_read(&inputs(&[read(3, "abc"), read(4, "dee")])),
        ] {
            let message = error.unwrap_err().to_string();
            assert!(
                message.starts_with("a.fa: the input changed") && message.contains("it had "),
                "{message}"
            );
            assert!(!message.contains("a.fa, "), "{message}");
        }
    }
}
