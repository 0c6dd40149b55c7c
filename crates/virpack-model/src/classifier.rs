//! The classifier: the vectors of a frame to *others* or *virus*.
//!
//! `Linear(features → hidden), BatchNorm1d, ReLU, Dropout, Linear(hidden → 2), softmax`, as VirNucPro trains it. It
//! runs on one core of the CPU: a frame costs a thousandth of what its vectors cost.

mod convert;
mod layers;

use std::path::Path;
use std::sync::Arc;

use virpack_device::{Backend, Cpu, CpuMatrix};

use crate::ModelError;
use crate::location::Location;
use crate::published::PUBLISHED;
use crate::weights::{StoredDtype, StoredTensor, TensorFile};
pub use convert::to_safetensors;
use layers::{CLASSES, DEFAULT_EPS, Layers};

/// The name under which safetensors metadata keep the length of the chunks that a classifier was trained on, bases.
pub const CHUNK_LENGTH: &str = "virpack.chunk_length";
/// The name under which safetensors metadata keep what BatchNorm adds to a variance.
pub const BATCH_NORM_EPS: &str = "virpack.batch_norm_eps";

/// The name under which safetensors metadata keep which features a classifier takes; [`JOINT`] is the one
/// value.
pub const FEATURES: &str = "virpack.features";
/// The value of [`FEATURES`] of a classifier that takes all six frames of a chunk together: for each row the
/// mean and then the largest values of the frames' vectors of a convolutional codon model, the vector of a
/// protein, and four facts.
pub const JOINT: &str = "joint";

/// Lengths of chunks that the reference trains classifiers for, and names their files after.
const PUBLISHED_LENGTHS: [usize; 2] = [300, 500];

/// What keeps a file from being a classifier.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ClassifierProblem {
    /// More or fewer linear layers than two.
    #[error("it has {found} linear layers, not two")]
    Linears {
        /// How many.
        found: usize,
    },
    /// Linear layers of which neither leads to two classes through the other.
    #[error(
        "linear layers of shapes {:?} and {:?}: one must take what the other gives, and give {CLASSES}",
        shapes[0], shapes[1]
    )]
    Shapes {
        /// `[outputs, inputs]` of each.
        shapes: [Vec<usize>; 2],
    },
    /// More batch norms than one.
    #[error("it has {found} batch norms, not one")]
    Norms {
        /// How many.
        found: usize,
    },
    /// A layer that is neither linear nor a batch norm with running statistics.
    #[error("a layer that is neither Linear nor BatchNorm1d with running statistics: {}", tensors.join(", "))]
    Layer {
        /// The first of its tensors, with their shapes.
        tensors: Vec<String>,
    },
    /// A module that computes something else.
    #[error("its module {module:?} is a {class}")]
    Module {
        /// Its name.
        module: String,
        /// Its class.
        class: String,
    },
    /// A bias or a statistic of another length than its layer.
    #[error("{tensor} must have {width} values, as its layer has")]
    Vector {
        /// The tensor.
        tensor: String,
        /// How many values it should have.
        width: usize,
    },
    /// A tensor of numbers that are not weights.
    #[error("{tensor} holds {dtype} values, not F32, F16, BF16 or F64")]
    Dtype {
        /// The tensor.
        tensor: String,
        /// What it holds.
        dtype: StoredDtype,
    },
    /// Weights with NaN or infinity.
    #[error("NaN or infinity in its weights")]
    NotFinite,
    /// Scores that are no numbers.
    #[error("NaN in its scores: its weights or the vectors are too large")]
    Overflow,
    /// Features that no run makes.
    #[error("{FEATURES} in its metadata is {value:?}, not {JOINT:?}")]
    Features {
        /// What it is.
        value: String,
    },
    /// Metadata that should be a number and is not.
    #[error("{name} in its metadata is {value:?}, not a number above 0")]
    Metadata {
        /// The fact's name.
        name: &'static str,
        /// The value found.
        value: String,
    },
}

/// Whose vectors a classifier takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Towers {
    /// The nucleotide model's, then the protein model's.
    Both,
    /// The nucleotide model's alone.
    Nucleotide,
    /// The protein model's alone.
    Protein,
}

/// A classifier, its batch norm folded into the layer before it.
#[derive(Debug)]
pub struct Classifier {
    location: Location,
    cpu: Cpu,
    /// `[hidden, features]`.
    first: Arc<CpuMatrix>,
    first_bias: Vec<f32>,
    /// A row of `[hidden]` for each class.
    second: [Vec<f32>; CLASSES],
    second_bias: [f32; CLASSES],
    input_width: usize,
    chunk_length: Option<usize>,
    is_joint: bool,
}

impl Classifier {
    /// Opens a classifier: a `.pth` of torch (a complete module, whatever its class, or a state dict,
    /// whatever its names), or `.safetensors` of the same tensors. No code of the file is run.
    ///
    /// ```no_run
    /// use virpack_model::classifier::{Classifier, Towers};
    ///
    /// let classifier = Classifier::open("500_model.pth".as_ref())?;
    /// assert_eq!(classifier.chunk_length(), Some(500));
    /// assert_eq!(classifier.check_widths(768, 2560)?, Towers::Both);
    /// let [others, virus] = classifier.scores(&[0.0; 768 + 2560])?[0];
    /// # Ok::<(), virpack_model::ModelError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ModelError::ReadModel`] and others for files that cannot be read; [`ModelError::Classifier`] for those that hold something else.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        Self::at(&path.into())
    }

    /// As [`Classifier::open`], on disk or in memory.
    ///
    /// # Errors
    ///
    /// As [`Classifier::open`].
    pub fn at(location: &Location) -> Result<Self, ModelError> {
        let file = TensorFile::open(location.clone())?;
        let refuse = |problem| ModelError::Classifier { path: location.path(), problem };
        let layers = Layers::find(&file).map_err(refuse)?;
        let facts = ClassifierFacts::of(&file, &layers)?;
        let (hidden, input_width) = (layers.hidden.outputs(), layers.hidden.inputs());
        let [weight, bias] = folded(&file, &layers, facts.eps);
        let mut second = file.read(layers.output.weight);
        let second_bias = read_or(&file, layers.output.bias, 0.0, CLASSES);
        let values = [&weight, &bias, &second, &second_bias];
        if !values.iter().all(|values| values.iter().all(|v| v.is_finite())) {
            return Err(refuse(ClassifierProblem::NotFinite));
        }
        let virus = second.split_off(hidden);
        // One thread: it is enough for any device, and the others are at work elsewhere.
        let cpu = Cpu::new(Some(std::num::NonZeroUsize::MIN))?;
        Ok(Classifier {
            location: location.clone(),
            first: Arc::new(cpu.matrix(hidden, input_width, weight)?),
            first_bias: bias,
            second: [second, virus],
            second_bias: [second_bias[0], second_bias[1]],
            input_width,
            chunk_length: facts.chunk_length,
            is_joint: facts.is_joint,
            cpu,
        })
    }

    /// Returns the classifier for another thread: the weights are shared, and neither thread waits for the
    /// other.
    ///
    /// # Errors
    ///
    /// If the system refuses the thread that computes.
    pub fn beside(&self) -> Result<Self, ModelError> {
        let cpu = Cpu::new(Some(std::num::NonZeroUsize::MIN))?;
        Ok(Classifier {
            location: self.location.clone(),
            first: Arc::clone(&self.first),
            first_bias: self.first_bias.clone(),
            second: self.second.clone(),
            second_bias: self.second_bias,
            input_width: self.input_width,
            chunk_length: self.chunk_length,
            is_joint: self.is_joint,
            cpu,
        })
    }

    /// Returns the file it was opened from.
    #[must_use]
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// Features that it takes: the widths of the models it was trained with, together.
    #[must_use]
    pub fn input_width(&self) -> usize {
        self.input_width
    }

    /// Width of its hidden layer.
    #[must_use]
    pub fn hidden(&self) -> usize {
        self.first_bias.len()
    }

    /// Length of the chunks it was trained on, bases, where its metadata or its file's name (`500_model.pth`) say so.
    #[must_use]
    pub fn chunk_length(&self) -> Option<usize> {
        self.chunk_length
    }

    /// Returns whether its metadata say that it takes all six frames of a chunk together ([`JOINT`]).
    #[must_use]
    pub fn is_joint(&self) -> bool {
        self.is_joint
    }

    /// Returns the scores `[others, virus]` of each row of `features`, `[rows, input_width]`: softmax, so
    /// that they add to 1.
    ///
    /// A row's scores do not depend on the rows beside it. The hidden layer takes `rows · hidden · 4` bytes.
    ///
    /// # Errors
    ///
    /// Features whose count is not a multiple of a row.
    ///
    /// ```
    /// use virpack_model::classifier::Classifier;
    /// use virpack_model::mini;
    ///
    /// let classifier = Classifier::at(&mini::location().join("classifier_500.safetensors"))?;
    /// let rows = vec![0.5; 2 * classifier.input_width()]; // the vectors of two frames
    /// for [others, virus] in classifier.scores(&rows)? {
    ///     assert!((others + virus - 1.0).abs() < 1e-6);
    /// }
    /// # Ok::<(), virpack_model::ModelError>(())
    /// ```
    pub fn scores(&self, features: &[f32]) -> Result<Vec<[f32; CLASSES]>, ModelError> {
        let rows = features.len() / self.input_width;
        let x = self.cpu.tensor(rows, self.input_width, features)?;
        let hidden = self.cpu.product(&x, &self.first, Some(&self.first_bias))?;
        let scores: Vec<_> =
            hidden.values().chunks_exact(self.hidden()).map(|hidden| self.classify(hidden)).collect();
        if scores.iter().flatten().any(|score| score.is_nan()) {
            let (path, problem) = (self.location.path(), ClassifierProblem::Overflow);
            return Err(ModelError::Classifier { path, problem });
        }
        Ok(scores)
    }

    /// ReLU, the second layer and the softmax of one row, in float64.
    fn classify(&self, hidden: &[f32]) -> [f32; CLASSES] {
        let logit = |class: usize| {
            let products =
                hidden.iter().zip(&self.second[class]).map(|(h, w)| f64::from(relu(*h)) * f64::from(*w));
            products.sum::<f64>() + f64::from(self.second_bias[class])
        };
        let margin = logit(1) - logit(0);
        [(1.0 / (1.0 + margin.exp())) as f32, (1.0 / (1.0 + (-margin).exp())) as f32]
    }

    /// Whose vectors it takes, given the widths of the two models; if they are equal and one is enough, the
    /// protein model's.
    ///
    /// # Errors
    ///
    /// [`ModelError::ClassifierWidths`], which names what would fit, if it takes neither both nor one of
    /// them.
    ///
    /// ```
    /// use virpack_model::classifier::{Classifier, Towers};
    /// use virpack_model::mini;
    ///
    /// let classifier = Classifier::at(&mini::location().join("classifier_500.safetensors"))?;
    /// assert_eq!(classifier.check_widths(452, 128)?, Towers::Both);
    /// let error = classifier.check_widths(768, 128).unwrap_err();
    /// assert!(error.to_string().contains("580"), "{error}");
    /// # Ok::<(), virpack_model::ModelError>(())
    /// ```
    pub fn check_widths(&self, nucleotide: usize, protein: usize) -> Result<Towers, ModelError> {
        match self.input_width {
            width if width == nucleotide + protein => Ok(Towers::Both),
            width if width == protein => Ok(Towers::Protein),
            width if width == nucleotide => Ok(Towers::Nucleotide),
            width => {
                Err(ModelError::ClassifierWidths { path: self.location.path(), width, nucleotide, protein })
            }
        }
    }
}

/// Returns the largest of 0 and `x`, NaN where `x` is: what is broken must be seen.
fn relu(x: f32) -> f32 {
    if x < 0.0 { 0.0 } else { x }
}

/// The metadata of a classifier beside the weights.
struct ClassifierFacts {
    eps: f64,
    chunk_length: Option<usize>,
    is_joint: bool,
}

impl ClassifierFacts {
    fn of(file: &TensorFile, layers: &Layers<'_>) -> Result<Self, ModelError> {
        let metadata = file.metadata()?;
        let problem = |name, value: &String| ModelError::Classifier {
            path: file.path.clone(),
            problem: ClassifierProblem::Metadata { name, value: value.clone() },
        };
        let eps = match metadata.get(BATCH_NORM_EPS) {
            Some(text) => {
                let eps = text.parse().ok().filter(|eps: &f64| eps.is_finite() && *eps >= 0.0);
                Some(eps.ok_or_else(|| problem(BATCH_NORM_EPS, text))?)
            }
            None => layers.norm.and_then(|norm| norm.eps),
        };
        let chunk_length = match metadata.get(CHUNK_LENGTH) {
            Some(text) => {
                let length = text.parse().ok().filter(|length| *length > 0);
                Some(length.ok_or_else(|| problem(CHUNK_LENGTH, text))?)
            }
            None => length_in_name(&file.path),
        };
        let is_joint = match metadata.get(FEATURES) {
            Some(value) if value != JOINT => {
                let (path, value) = (file.path.clone(), value.clone());
                return Err(ModelError::Classifier { path, problem: ClassifierProblem::Features { value } });
            }
            features => features.is_some(),
        };
        Ok(ClassifierFacts { eps: eps.unwrap_or(DEFAULT_EPS), chunk_length, is_joint })
    }
}

/// Returns the published length that the file's name contains as a separate number, if it has only one.
fn length_in_name(path: &Path) -> Option<usize> {
    let stem = path.file_stem()?.to_string_lossy();
    let numbers = stem.split(|c: char| !c.is_ascii_digit());
    let mut lengths = numbers.filter_map(|n| n.parse().ok()).filter(|n| PUBLISHED_LENGTHS.contains(n));
    let first = lengths.next()?;
    lengths.all(|length| length == first).then_some(first)
}

/// Weight and bias of the first layer with the batch norm in them, computed in float64:
/// `w · g / √(variance + eps)` and `(b - mean) · g / √(variance + eps) + shift`.
fn folded(file: &TensorFile, layers: &Layers<'_>, eps: f64) -> [Vec<f32>; 2] {
    let (outputs, inputs) = (layers.hidden.outputs(), layers.hidden.inputs());
    let mut weight = file.read(layers.hidden.weight);
    let mut bias = read_or(file, layers.hidden.bias, 0.0, outputs);
    let Some(norm) = layers.norm else { return [weight, bias] };
    let (mean, variance) = (file.read(norm.mean), file.read(norm.variance));
    let (gain, shift) = (read_or(file, norm.weight, 1.0, outputs), read_or(file, norm.bias, 0.0, outputs));
    for i in 0..outputs {
        let scale = f64::from(gain[i]) / (f64::from(variance[i]) + eps).sqrt();
        bias[i] = ((f64::from(bias[i]) - f64::from(mean[i])) * scale + f64::from(shift[i])) as f32;
        for w in &mut weight[i * inputs..(i + 1) * inputs] {
            *w = (f64::from(*w) * scale) as f32;
        }
    }
    [weight, bias]
}

fn read_or(file: &TensorFile, tensor: Option<&StoredTensor>, default: f32, width: usize) -> Vec<f32> {
    tensor.map_or_else(|| vec![default; width], |tensor| file.read(tensor))
}

/// Returns what would fit a classifier of `width` features better than models of these widths.
pub(crate) fn fitting(width: usize, nucleotide: usize, protein: usize) -> String {
    let published = |hidden: usize| match PUBLISHED.iter().find(|model| model.hidden == hidden) {
        Some(model) => format!(" ({})", model.name),
        None => String::new(),
    };
    let mut fits = Vec::new();
    if let Some(protein) = width.checked_sub(nucleotide).filter(|width| *width > 0) {
        let model = published(protein);
        fits.push(format!("with this nucleotide model a protein model of {protein}{model}"));
    }
    if let Some(nucleotide) = width.checked_sub(protein).filter(|width| *width > 0) {
        fits.push(format!("with this protein model a nucleotide model of {nucleotide}"));
    }
    fits.push(format!("one model alone of {width}{}", published(width)));
    fits.join(", or ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read_from_names() {
        let length = |name: &str| length_in_name(Path::new(name));
        assert_eq!(length("300_model.pth"), Some(300));
        assert_eq!(length("/models/mlp-500.safetensors"), Some(500));
        assert_eq!(length("500/model.pth"), None);
        assert_eq!(length("model_1500.pth"), None);
        assert_eq!(length("300_to_500.pth"), None);
        assert_eq!(length("model.300"), None);
    }

    #[test]
    fn what_fits_is_named() {
        let said = fitting(3328, 768, 640);
        assert!(said.contains("a protein model of 2560 (esm2_t36_3B_UR50D)"), "{said}");
        assert!(said.contains("a nucleotide model of 2688"), "{said}");
        assert_eq!(fitting(320, 768, 640), "one model alone of 320 (esm2_t6_8M_UR50D)");
    }
}
