//! Converts a classifier of torch to a safetensors file.

use std::io::Write;
use std::path::Path;

use virpack_model::classifier::to_safetensors;

use crate::Error;
use crate::files::FileProblem;
use crate::output::{self, OutputError, OutputProblem};

/// Writes the classifier in `from` as safetensors, as [`to_safetensors`] makes it.
///
/// # Errors
///
/// Those of [`to_safetensors`]; [`Error::Output`] if `to` exists (unless `force`), is not named
/// `.safetensors`, or cannot be written.
pub fn convert_classifier(from: &Path, to: &Path, force: bool) -> Result<(), Error> {
    let ending = to.extension().map(|ending| ending.to_string_lossy().into_owned());
    if ending.as_deref() != Some("safetensors") {
        let (path, supported) = (to.to_owned(), ".safetensors".to_owned());
        return Err(OutputProblem::UnknownFormat { path, ending, supported }.into());
    }
    FileProblem::refuse_url(to).map_err(OutputError::from)?;
    output::check_free(to, force)?;
    output::check_apart_from_models([to], [from.into()])?;
    let bytes = to_safetensors(from)?;
    Ok(output::write_file(to, force, |file| file.write_all(&bytes))?)
}

#[cfg(test)]
mod tests {
    use virpack_seq::Hint;

    use super::*;

    #[test]
    fn a_file_is_replaced_when_asked_and_has_the_right_ending() {
        let folder = tempfile::tempdir().unwrap();
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/predict/300_model.pth");
        let to = folder.path().join("model.safetensors");
        convert_classifier(&from, &to, false).unwrap();
        let again = convert_classifier(&from, &to, false).unwrap_err().to_string();
        assert!(again.contains("exists"), "{again}");
        std::fs::write(&to, "").unwrap();
        convert_classifier(&from, &to, true).unwrap();
        assert_eq!(std::fs::read(&to).unwrap(), to_safetensors(&from).unwrap());
        let wrong = convert_classifier(&from, &folder.path().join("model.pth"), false).unwrap_err();
        assert!(wrong.hint().unwrap().contains(".safetensors"), "{wrong:?}");
    }
}
