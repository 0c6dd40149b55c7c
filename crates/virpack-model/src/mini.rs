//! The model that is part of the program: a small one, so that the first command on a machine gives an answer.
//!
//! `virpack-mini/README.md` states what it was trained on, how good it is, and what it is not for.

use std::path::Path;

use virpack_seq::{Alphabet, AlphabetSample, Input, ReadLimits, Record, reader};

use crate::ModelError;
use crate::location::{Location, MemoryFile};

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
            bytes: include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/virpack-mini/", $path)),
        }
    };
}

static FILES: [MemoryFile; 8] = [
    file!("peptide/config.json"),
    file!("peptide/model.safetensors"),
    file!("nucleotide/config.json"),
    file!("nucleotide/model.safetensors"),
    file!("nucleotide/tokenizer.json"),
    file!("classifier_300.safetensors"),
    file!("classifier_500.safetensors"),
    file!("record_calibration.json"),
];

/// Returns all of it: both models with their classifiers, as `predict` takes them together.
///
/// ```
/// let names = virpack_model::mini::location().names()?;
/// assert!(names.contains(&"peptide".to_owned()) && names.contains(&"nucleotide".to_owned()));
/// # Ok::<(), virpack_model::ModelError>(())
/// ```
#[must_use]
pub fn location() -> Location {
    Location::memory(&FILES, NAME)
}

/// One of its [`MODELS`] by its name.
pub(super) fn model(name: &str) -> Option<Location> {
    MODELS.contains(&name).then(|| Location::memory(&FILES, name))
}

/// Returns the one of its [`MODELS`] that reads what the inputs hold, by the letters of their first records
/// ([`AlphabetSample`]); the peptides' if there is no record.
///
/// # Errors
///
/// [`ModelError::AlphabetOfPipe`] for a pipe or a device; [`ModelError::AlphabetUnclear`] where the letters
/// may be those of either; inputs that cannot be read.
///
/// ```
/// use virpack_model::mini;
/// use virpack_seq::ReadLimits;
///
/// # let path = std::env::temp_dir().join(format!("virpack-doc-mini-{}.fasta", std::process::id()));
/// std::fs::write(&path, ">gene\nATGGCCAAAGAACTGCGTTTCGACGTTCAGATC\n").expect("a directory to write to");
/// assert_eq!(mini::model_for(&[path.clone().into()], ReadLimits::default())?, "virpack-mini/nucleotide");
/// # std::fs::remove_file(path).expect("the file is there");
/// # Ok::<(), virpack_model::ModelError>(())
/// ```
pub fn model_for(inputs: &[Input], limits: ReadLimits) -> Result<&'static str, ModelError> {
    let Some(mut look) = reader::look(inputs, limits)? else { return Err(of_pipe(inputs)) };
    let (mut record, mut sample, mut seen) = (Record::default(), AlphabetSample::default(), 0);
    while seen < MOST_RECORDS && sample.letters() < MOST_LETTERS && !sample.has_protein() {
        match look.records.read(&mut record) {
            Ok(true) => sample.add(&record.sequence),
            Ok(false) => break,
            // What was looked at may end inside compressed data.
            Err(_) if look.is_part => break,
            Err(error) => return Err(error.into()),
        }
        seen += 1;
    }
    match sample.alphabet() {
        Some(Alphabet::Proteins) => Ok(MODELS[0]),
        Some(Alphabet::Nucleotides) => Ok(MODELS[1]),
        None if seen == 0 && !look.is_part => Ok(MODELS[0]),
        None => Err(ModelError::AlphabetUnclear { records: seen, letters: sample.letters() }),
    }
}

/// Returns the error that names the first of the inputs that is not a regular file.
fn of_pipe(inputs: &[Input]) -> ModelError {
    let mut paths = inputs.iter().map(Input::path);
    let path = paths.find(|path| special_kind(path).is_some()).unwrap_or(Input::Stdin.path());
    ModelError::AlphabetOfPipe { path: path.to_path_buf(), kind: special_kind(path).unwrap_or("a pipe") }
}

/// Returns what a file is; None for a regular one.
#[cfg(unix)]
fn special_kind(path: &Path) -> Option<&'static str> {
    use std::os::unix::fs::FileTypeExt;
    let kind = path.metadata().ok()?.file_type();
    let is_device = kind.is_char_device() || kind.is_block_device();
    [(kind.is_fifo(), "a pipe"), (is_device, "a device"), (kind.is_socket(), "a socket")]
        .into_iter()
        .find_map(|(is_one, name)| is_one.then_some(name))
}

#[cfg(not(unix))]
fn special_kind(path: &Path) -> Option<&'static str> {
    (!path.metadata().ok()?.is_file()).then_some("a pipe or a device")
}

#[cfg(test)]
mod tests {
    use super::*;
    use virpack_seq::Hint;

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
            model_for(&[path.as_path().to_owned().into()], ReadLimits::default()).unwrap()
        };
        let [peptides, nucleotides] = MODELS;
        assert_eq!(model(">a\nMKTLLVAGG\n>b\nACGT\n"), peptides);
        assert_eq!(model(">p\nMKTLLVAAAGG\n"), peptides);
        let gene = "ATGGCCAAAGAACTGCGTTTCGACGTTCAGATC";
        assert_eq!(model(&format!(">a\n\n>b\n{gene}\n>c\nM\n")), nucleotides);
        assert_eq!(model(&format!(">b\n{gene}\n>c\nMKTLL\n")), peptides);
        assert_eq!(model(""), peptides);
        // None of its letters is a residue's alone.
        std::fs::write(&path, ">a\nMKSHRDV\n").unwrap();
        let error = model_for(&[path.as_path().to_owned().into()], ReadLimits::default()).unwrap_err();
        assert!(error.to_string().contains("7 letters"), "{error}");
        assert!(error.hint().unwrap().contains("virpack-mini/nucleotide"), "{error:?}");
    }
}
