//! The running command, and the command that resumes it.

use std::borrow::Cow;
use std::ffi::OsString;
use virpack_seq::ObjectUrl;

/// Returns the command of `arguments`, the program and its arguments, with `--resume`, quoted for a shell.
pub(crate) fn with_resume(arguments: &[OsString]) -> String {
    let mut words: Vec<String> = arguments.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    if !words.iter().any(|word| word == "--resume") {
        // It follows the command's name, because words after `--` are inputs.
        words.insert(words.len().min(2), "--resume".to_owned());
    }
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

/// Returns the command of `arguments`, quoted for a shell.
pub(crate) fn command(arguments: &[OsString]) -> String {
    let words = arguments.iter().map(|word| quoted(&word.to_string_lossy()).into_owned());
    words.collect::<Vec<_>>().join(" ")
}

/// Quotes a word for a shell; a URL without the parts that may be secret.
fn quoted(word: &str) -> Cow<'_, str> {
    if let Some(url) = ObjectUrl::parse(word).filter(ObjectUrl::has_secret) {
        return quoted(&url.to_string()).into_owned().into();
    }
    let is_plain = |c: char| c.is_alphanumeric() || "-_./:=,+@%".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.into(),
        false => format!("'{}'", word.replace('\'', r"'\''")).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_takes_it_as_it_was_given() {
        let said = |words: &[&str]| with_resume(&words.iter().map(OsString::from).collect::<Vec<_>>());
        assert_eq!(
            said(&["virpack", "embed", "a b.fa", "-o", "it's.npy"]),
            r"virpack embed --resume 'a b.fa' -o 'it'\''s.npy'"
        );
        assert_eq!(said(&["virpack", "embed", "--resume", "--", "x"]), "virpack embed --resume -- x");
        let plain = ["virpack", "predict", "a b.fa"].map(OsString::from);
        assert_eq!(command(&plain), "virpack predict 'a b.fa'");
        assert_eq!(said(&["virpack", "embed", ""]), "virpack embed --resume ''");
    }
}
