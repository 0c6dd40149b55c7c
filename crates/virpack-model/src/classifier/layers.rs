//! The layers of a classifier, found by their shapes, because layer names differ between programs.

use super::ClassifierProblem;
use crate::weights::{StoredModule, StoredTensor, TensorFile};

/// What torch's BatchNorm adds to a variance unless asked otherwise.
pub(super) const DEFAULT_EPS: f64 = 1e-5;

/// Outputs of a classifier: others, virus.
pub(super) const CLASSES: usize = 2;

/// Modules that pass their input through when a model is not being trained, or that only training uses.
const IDLE_MODULES: [&str; 3] =
    ["torch.nn.modules.dropout.", "torch.nn.modules.linear.Identity", "torch.nn.modules.loss."];

/// Modules that the layers are made of.
const OWN_MODULES: [&str; 4] = [
    "torch.nn.modules.linear.Linear",
    "torch.nn.modules.batchnorm.BatchNorm1d",
    "torch.nn.modules.batchnorm.SyncBatchNorm",
    "torch.nn.modules.activation.ReLU",
];

/// The layers of `Linear, BatchNorm1d, ReLU, Dropout, Linear`.
#[derive(Debug)]
pub(super) struct Layers<'a> {
    pub(super) hidden: StoredLinear<'a>,
    /// After `hidden`.
    pub(super) norm: Option<BatchNorm<'a>>,
    pub(super) output: StoredLinear<'a>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct StoredLinear<'a> {
    /// `[outputs, inputs]`.
    pub(super) weight: &'a StoredTensor,
    pub(super) bias: Option<&'a StoredTensor>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct BatchNorm<'a> {
    pub(super) weight: Option<&'a StoredTensor>,
    pub(super) bias: Option<&'a StoredTensor>,
    pub(super) mean: &'a StoredTensor,
    pub(super) variance: &'a StoredTensor,
    /// Where a complete saved model states it.
    pub(super) eps: Option<f64>,
}

impl<'a> Layers<'a> {
    /// Finds the layers, or reports why they are not those of a classifier.
    pub(super) fn find(file: &'a TensorFile) -> Result<Self, ClassifierProblem> {
        file.modules.iter().try_for_each(check_module)?;
        let (mut linears, mut norms) = (Vec::new(), Vec::new());
        for group in groups(&file.tensors) {
            if let (Some(mean), Some(variance)) = (group.get("running_mean"), group.get("running_var")) {
                let eps = file.modules.iter().find(|m| m.name == group.name).and_then(|m| m.eps);
                let (weight, bias) = (group.get("weight"), group.get("bias"));
                norms.push(BatchNorm { weight, bias, mean, variance, eps });
            } else if let Some(weight) = group.get("weight").filter(|w| w.shape.len() == 2) {
                linears.push(StoredLinear { weight, bias: group.get("bias") });
            } else {
                let tensors = group.tensors.iter().map(|(_, t)| format!("{} {:?}", t.name, t.shape));
                return Err(ClassifierProblem::Layer { tensors: tensors.take(4).collect() });
            }
        }
        let [first, second] = linears[..] else {
            return Err(ClassifierProblem::Linears { found: linears.len() });
        };
        let follows = |first: StoredLinear<'_>, second: StoredLinear<'_>| {
            let whole = first.inputs() > 0 && first.outputs() > 0;
            whole && second.inputs() == first.outputs() && second.outputs() == CLASSES
        };
        // safetensors keeps no order of layers; where both fit, the first is the first.
        let [hidden, output] = if follows(first, second) {
            [first, second]
        } else if follows(second, first) {
            [second, first]
        } else {
            let shapes = [first, second].map(|linear| linear.weight.shape.clone());
            return Err(ClassifierProblem::Shapes { shapes });
        };
        if norms.len() > 1 {
            return Err(ClassifierProblem::Norms { found: norms.len() });
        }
        let layers = Layers { hidden, norm: norms.pop(), output };
        layers.check_vectors()?;
        Ok(layers)
    }

    /// Every tensor of the layers, each once.
    pub(super) fn tensors(&self) -> impl Iterator<Item = &'a StoredTensor> {
        let norm = self.norm.map(|norm| [norm.weight, norm.bias, Some(norm.mean), Some(norm.variance)]);
        let linears = [self.hidden, self.output].map(|linear| [Some(linear.weight), linear.bias]);
        linears.into_iter().flatten().chain(norm.into_iter().flatten()).flatten()
    }

    fn check_vectors(&self) -> Result<(), ClassifierProblem> {
        let (hidden, output) = (self.hidden.outputs(), self.output.outputs());
        let norm = self.norm.map(|n| [n.weight, n.bias, Some(n.mean), Some(n.variance)]);
        let of_hidden = norm.into_iter().flatten().chain([self.hidden.bias]).map(|vector| (vector, hidden));
        for (vector, width) in of_hidden.chain([(self.output.bias, output)]) {
            if let Some(vector) = vector.filter(|vector| vector.shape != [width]) {
                return Err(ClassifierProblem::Vector { tensor: vector.name.clone(), width });
            }
        }
        match self.tensors().find(|tensor| !tensor.is_float()) {
            Some(tensor) => {
                Err(ClassifierProblem::Dtype { tensor: tensor.name.clone(), dtype: tensor.dtype })
            }
            None => Ok(()),
        }
    }
}

impl StoredLinear<'_> {
    pub(super) fn outputs(&self) -> usize {
        self.weight.shape[0]
    }

    pub(super) fn inputs(&self) -> usize {
        self.weight.shape[1]
    }
}

/// Refuses what would compute something else than the layers say. What a class of the user's own does in its
/// `forward` cannot be seen; a module inside it can.
fn check_module(module: &StoredModule) -> Result<(), ClassifierProblem> {
    let class = &module.class;
    let is_known = OWN_MODULES.contains(&class.as_str()) || IDLE_MODULES.iter().any(|c| class.starts_with(c));
    if module.children > 0 || is_known {
        return Ok(());
    }
    Err(ClassifierProblem::Module { module: module.name.clone(), class: class.clone() })
}

/// Tensors of one layer: those whose names differ only behind the last point.
struct LayerTensors<'a> {
    name: &'a str,
    tensors: Vec<(&'a str, &'a StoredTensor)>,
}

impl<'a> LayerTensors<'a> {
    fn get(&self, name: &str) -> Option<&'a StoredTensor> {
        // Of a name given twice, Python keeps the last.
        self.tensors.iter().rev().find(|(own, _)| *own == name).map(|(_, tensor)| *tensor)
    }
}

/// Returns the tensors layer by layer, without BatchNorm's count of batches.
fn groups(tensors: &[StoredTensor]) -> Vec<LayerTensors<'_>> {
    let mut groups: Vec<LayerTensors<'_>> = Vec::new();
    for tensor in tensors {
        let (layer, name) = tensor.name.rsplit_once('.').unwrap_or(("", &tensor.name));
        if name == "num_batches_tracked" {
            continue;
        }
        match groups.iter_mut().find(|group| group.name == layer) {
            Some(group) => group.tensors.push((name, tensor)),
            None => groups.push(LayerTensors { name: layer, tensors: vec![(name, tensor)] }),
        }
    }
    groups
}
