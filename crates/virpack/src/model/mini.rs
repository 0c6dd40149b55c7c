//! The model that is part of the program: a small one, so that the first command on a machine gives an answer.
//!
//! `models/virpack-mini/README.md` says what it was trained on, how good it is, and what it is not for.

use virpack_seq::{Input, Record, count_bases, expect_nucleotides, reader};

use super::location::{Location, MemoryFile};
use crate::Error;

/// What it is called.
pub const NAME: &str = "virpack-mini";

/// What its two models are called: the peptides', and the nucleotides'.
pub const MODELS: [&str; 2] = ["virpack-mini/peptide", "virpack-mini/nucleotide"];

/// Records and letters that tell nucleotides from proteins.
const MOST_RECORDS: u64 = 1_000;
const MOST_LETTERS: u64 = 1 << 20;

macro_rules! file {
    ($path:literal) => {
        MemoryFile {
            path: concat!("virpack-mini/", $path),
            bytes: include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/virpack-mini/", $path)),
        }
    };
}

static FILES: [MemoryFile; 9] = [
    file!("peptide/config.json"),
    file!("peptide/model.safetensors"),
    file!("nucleotide/config.json"),
    file!("nucleotide/model.safetensors"),
    file!("nucleotide/tokenizer.json"),
    file!("classifier_300.safetensors"),
    file!("classifier_500.safetensors"),
    file!("nucleotide_classifier_300.safetensors"),
    file!("nucleotide_classifier_500.safetensors"),
];

/// All of it: both models with their classifiers, a [`Bundle`](crate::predict::Bundle).
#[must_use]
pub fn location() -> Location {
    Location::memory(&FILES, NAME)
}

/// One of its [`MODELS`] by its name.
pub(super) fn model(name: &str) -> Option<Location> {
    MODELS.contains(&name).then(|| Location::memory(&FILES, name))
}

/// The one of its [`MODELS`] that reads what the inputs hold: the nucleotides' where none of the first records is a
/// protein ([`expect_nucleotides`]) and at least half of their letters are bases.
///
/// # Errors
///
/// [`Error::AlphabetOfPipe`] for inputs that can be read once only; inputs that cannot be read.
pub fn model_for(inputs: &[Input]) -> Result<&'static str, Error> {
    let mut records = reader::open(inputs)?;
    if records.is_pipe() || inputs.contains(&Input::Stdin) {
        return Err(Error::AlphabetOfPipe);
    }
    let (mut record, mut counted, mut seen) = (Record::default(), [0; 2], 0);
    while seen < MOST_RECORDS && counted[1] < MOST_LETTERS && records.read(&mut record)? {
        if expect_nucleotides(&record, inputs).is_err() {
            return Ok(MODELS[0]);
        }
        let [bases, letters] = count_bases(&record.sequence);
        counted = [counted[0] + bases, counted[1] + letters];
        seen += 1;
    }
    let [bases, letters] = counted;
    Ok(MODELS[usize::from(letters > 0 && 2 * bases >= letters)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_small() {
        let bytes: usize = FILES.iter().map(|file| file.bytes.len()).sum();
        assert!(bytes <= 8_000_000, "{bytes} bytes");
        assert!(MODELS.iter().all(|name| model(name).is_some_and(|model| model.is_directory())));
        assert_eq!(model(NAME), None);
    }

    #[test]
    fn the_letters_say_which_model_reads_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("in.fa");
        let model = |text: &str| {
            std::fs::write(&path, text).unwrap();
            model_for(&[path.as_path().to_owned().into()]).unwrap()
        };
        let [peptides, nucleotides] = MODELS;
        assert_eq!(model(">a\nMKTLLVAGG\n>b\nACGT\n"), peptides);
        // None of its letters is a residue's alone.
        assert_eq!(model(">a\nMKSHRDV\n"), peptides);
        assert_eq!(model(">a\n\n>b\nACGUNNacgtRY\n>c\nM\n"), nucleotides);
        assert_eq!(model(""), peptides);
        let error = model_for(&[Input::Stdin]).unwrap_err().to_string();
        assert!(error.contains("virpack-mini/nucleotide"), "{error}");
    }
}
