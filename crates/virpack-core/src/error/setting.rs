//! The error of a setting that cannot be used.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;

use virpack_seq::{Hint, shown_path};

use super::{Error, opaque};

opaque! {
    /// An error of a setting that cannot be used: it is out of range, or another setting or the model
    /// excludes it.
    pub struct SettingError(SettingProblem) in Error::Setting;
}

impl SettingError {
    /// Returns the name of the setting: a field of the options, or a name for a value that is given by
    /// itself.
    #[must_use]
    pub fn setting(&self) -> &'static str {
        self.0.setting()
    }

    /// Returns what happened, as Display does, with `name` for the setting where the text has it.
    ///
    /// ```
    /// use virpack_core::Error;
    /// use virpack_core::verdict::CallThresholds;
    ///
    /// let Err(Error::Setting(error)) = CallThresholds::at(1.5) else { panic!("1.5 is out of range") };
    /// assert_eq!(error.setting(), "min_score");
    /// assert_eq!(error.named("--min-score"), "--min-score must be between 0 and 1, and is 1.5");
    /// ```
    #[must_use]
    pub fn named(&self, name: &str) -> String {
        self.0.named(name)
    }
}

/// The problem, with the facts that are needed to correct it.
#[derive(Debug)]
pub(crate) enum SettingProblem {
    /// A fraction outside 0 to 1.
    NoShare {
        /// The name of the field in the options, or of the value.
        setting: &'static str,
        /// The requested value.
        given: f64,
    },
    /// A model of the wrong kind.
    WrongModel {
        /// The model's file or directory.
        path: PathBuf,
        /// The field of [`PredictOptions`](crate::predict::PredictOptions) that named it.
        setting: &'static str,
        /// The kind that it is.
        given: &'static str,
        /// The kind that it must be.
        wanted: &'static str,
    },
    /// A layer that the model does not have.
    NoLayer {
        /// The requested layer.
        layer: i64,
        /// The number of layers of the model.
        layers: usize,
    },
    /// Windows in combination with a row for every residue.
    ResidueWindows,
}

impl SettingProblem {
    fn setting(&self) -> &'static str {
        match self {
            SettingProblem::NoShare { setting, .. } | SettingProblem::WrongModel { setting, .. } => setting,
            SettingProblem::NoLayer { .. } => "layer",
            SettingProblem::ResidueWindows => "long_records",
        }
    }

    fn named(&self, name: &str) -> String {
        match self {
            SettingProblem::NoShare { given, .. } => {
                format!("{name} must be between 0 and 1, and is {given}")
            }
            SettingProblem::WrongModel { path, given, wanted, .. } => {
                format!("{}: {name} names {given} here, and must name {wanted}", shown_path(path))
            }
            SettingProblem::NoLayer { layer, layers } => format!("no layer {layer}: the model has {layers}"),
            SettingProblem::ResidueWindows => {
                "long records cannot be cut into windows where each residue has its row: a record's rows are \
                 written together, and a record in windows can have any number of them"
                    .to_owned()
            }
        }
    }
}

impl fmt::Display for SettingProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.named(self.setting()))
    }
}

impl std::error::Error for SettingProblem {}

impl Hint for SettingProblem {
    fn hint(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(match self {
            SettingProblem::NoShare { .. } => "give a fraction: 70 % is 0.7",
            SettingProblem::WrongModel { .. } => {
                "the nucleotide model reads the bases, the protein model their translation"
            }
            SettingProblem::NoLayer { .. } => {
                "layers count from 0 (the embeddings), negative ones from the end"
            }
            SettingProblem::ResidueWindows => {
                "raise the largest length instead, or truncate, skip or refuse long records"
            }
        }))
    }
}
