//! Models and classifiers that belong together.

use std::num::NonZeroUsize;

use super::{BundleProblem, DEFAULT_LENGTH};
use crate::Error;
use crate::verdict::RecordCalibration;
use virpack_model::Location;

/// The directory of the nucleotide model in a bundle.
const NUCLEOTIDE: &str = "nucleotide";
/// The directory of the protein model, in published bundles.
const PROTEIN: &str = "peptide";

/// The file with the calibration of record scores.
const CALIBRATION: &str = "record_calibration.json";

/// Both models of `virpack predict` and their classifiers in one directory, as `training/` exports them.
///
/// `nucleotide/` and `peptide/` are model directories. `classifier_N.safetensors` scores open frames of
/// chunks of `N` bases, and `nucleotide_classifier_N.safetensors`, which may be missing, scores chunks
/// without any. `record_calibration.json`, which may be missing, calibrates the scores of records. If the
/// nucleotide model is a convolutional codon model, the classifiers are joint: each also scores chunks
/// without an open frame.
///
/// ```
/// use virpack_core::predict::Bundle;
///
/// let built_in = Bundle::open(&virpack_core::model::mini::location())?;
/// assert_eq!(built_in.lengths(), [300, 500]);
/// # Ok::<(), virpack_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Bundle {
    location: Location,
    lengths: Vec<usize>,
    calibration: Option<RecordCalibration>,
}

impl Bundle {
    /// Lists the models and classifiers in the directory.
    ///
    /// ```
    /// use std::path::Path;
    /// use virpack_core::Error;
    /// use virpack_core::model::Location;
    /// use virpack_core::predict::Bundle;
    ///
    /// let found = Bundle::open(&Location::from(Path::new("../../examples")));
    /// assert!(matches!(found, Err(Error::Bundle(error)) if error.is_incomplete()));
    /// ```
    ///
    /// # Errors
    ///
    /// Returns [`Error::Bundle`] if a model or every classifier is missing or the calibration is not valid,
    /// and [`Error::Model`] for a file that cannot be read.
    pub fn open(location: &Location) -> Result<Self, Error> {
        location.check()?;
        let missing = |missing| Err(BundleProblem::Incomplete { path: location.path(), missing }.into());
        if let Some(directory) = [NUCLEOTIDE, PROTEIN].iter().find(|name| !location.join(name).is_directory())
        {
            return missing(format!("directory {directory}"));
        }
        let length = |name: &String| {
            name.strip_prefix("classifier_")?.strip_suffix(".safetensors")?.parse().ok().filter(|n| *n > 0)
        };
        let mut lengths: Vec<usize> = location.names()?.iter().filter_map(length).collect();
        lengths.sort_unstable();
        if lengths.is_empty() {
            return missing("classifier_500.safetensors, nor one of another length".to_owned());
        }
        let calibration = location.join(CALIBRATION);
        let calibration = calibration.exists().then(|| read_calibration(&calibration)).transpose()?;
        Ok(Bundle { location: location.clone(), lengths, calibration })
    }

    /// Returns the chunk lengths that its classifiers are for, shortest first; at least one.
    #[must_use]
    pub fn lengths(&self) -> &[usize] {
        &self.lengths
    }

    /// Returns the calibration of record scores, if it has one.
    pub(super) fn calibration(&self) -> Option<&RecordCalibration> {
        self.calibration.as_ref()
    }

    /// Returns its name, which is its path.
    pub(super) fn name(&self) -> String {
        self.location.to_string()
    }

    /// Returns the nucleotide model.
    ///
    /// ```
    /// use virpack_core::model::mini;
    /// use virpack_core::predict::Bundle;
    ///
    /// let built_in = Bundle::open(&mini::location())?;
    /// assert!(built_in.nucleotide_model().to_string().ends_with("nucleotide"));
    /// assert!(built_in.protein_model().to_string().ends_with("peptide"));
    /// # Ok::<(), virpack_core::Error>(())
    /// ```
    #[must_use]
    pub fn nucleotide_model(&self) -> Location {
        self.location.join(NUCLEOTIDE)
    }

    /// Returns the protein model.
    #[must_use]
    pub fn protein_model(&self) -> Location {
        self.location.join(PROTEIN)
    }

    /// Returns the classifier of open frames for chunks of `length` bases (500 if `None`), and
    /// the classifier of chunks without any. Their length is the nearest one; of two equally near, the
    /// longer.
    ///
    /// ```
    /// use std::num::NonZeroUsize;
    /// use virpack_core::model::mini;
    /// use virpack_core::predict::Bundle;
    ///
    /// let built_in = Bundle::open(&mini::location())?;
    /// let (classifier, _) = built_in.classifiers(NonZeroUsize::new(320));
    /// assert!(classifier.to_string().ends_with("classifier_300.safetensors"));
    /// # Ok::<(), virpack_core::Error>(())
    /// ```
    #[must_use]
    pub fn classifiers(&self, length: Option<NonZeroUsize>) -> (Location, Option<Location>) {
        let length = length.unwrap_or(DEFAULT_LENGTH).get();
        let nearest = self.lengths.iter().rev().min_by_key(|own| own.abs_diff(length));
        let nearest = nearest.expect("a bundle has a classifier");
        let file = |kind: &str| self.location.join(&format!("{kind}_{nearest}.safetensors"));
        let alone = file("nucleotide_classifier");
        (file("classifier"), alone.exists().then_some(alone))
    }
}

fn read_calibration(location: &Location) -> Result<RecordCalibration, Error> {
    let bytes = location.read()?;
    let wrong = |source| BundleProblem::Calibration { path: location.path(), source };
    Ok(RecordCalibration::parse(&String::from_utf8_lossy(&bytes)).map_err(wrong)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use virpack_model::MemoryFile;

    const fn file(path: &'static str) -> MemoryFile {
        MemoryFile { path, bytes: b"" }
    }

    static FILES: [MemoryFile; 6] = [
        file("b/nucleotide/config.json"),
        file("b/peptide/config.json"),
        file("b/classifier_500.safetensors"),
        file("b/classifier_300.safetensors"),
        file("b/nucleotide_classifier_500.safetensors"),
        file("b/classifier_x.safetensors"),
    ];

    #[test]
    fn the_nearest_length_is_taken() {
        let bundle = Bundle::open(&Location::memory(&FILES, "b")).unwrap();
        assert_eq!(bundle.lengths(), [300, 500]);
        let taken = |length| {
            let (frames, alone) = bundle.classifiers(NonZeroUsize::new(length));
            (frames.to_string(), alone.is_some())
        };
        let [short, long] = [
            ("b/classifier_300.safetensors".to_owned(), false),
            ("b/classifier_500.safetensors".to_owned(), true),
        ];
        for (length, expected) in [(0, &long), (1, &short), (399, &short), (400, &long), (9_000, &long)] {
            assert_eq!(&taken(length), expected, "{length}");
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let refused = |files: &'static [MemoryFile]| {
            Bundle::open(&Location::memory(files, "b")).unwrap_err().to_string()
        };
        assert!(refused(&FILES[..1]).contains("no directory peptide"), "{}", refused(&FILES[..1]));
        assert!(refused(&FILES[1..]).contains("no directory nucleotide"));
        assert!(refused(&FILES[..2]).contains("no classifier_500.safetensors"));
        assert!(refused(&[]).contains("cannot read b"));
    }
}
