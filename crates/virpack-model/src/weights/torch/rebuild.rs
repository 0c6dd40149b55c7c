//! What torch's `_rebuild_tensor_v2` would have built, without calling it.

use safetensors::Dtype;

use super::{Storages, TensorProblem};
use crate::weights::StoredTensor;
use crate::weights::pickle::{Id, Node, Pickle};
use crate::weights::tensor::contiguous_strides;

/// Most values of a tensor that repeats its own by strides of 0, as `expand` leaves them in small buffers. Above it,
/// the shape is not a model's: a hostile file of a few bytes could ask for all memory.
const MAX_REPEATED: usize = 1 << 24;

/// Most wrappers around one tensor: a parameter of a subclass has two.
const MAX_WRAPPERS: usize = 4;

/// Returns whether calling this object would have made a tensor.
pub(super) fn is_tensor(pickle: &Pickle<'_>, id: Id) -> bool {
    unwrapped(pickle, id).is_some()
}

/// Returns the arguments of the innermost `_rebuild_tensor…`: storage, offset, size, strides, …
fn unwrapped<'p>(pickle: &'p Pickle<'_>, mut id: Id) -> Option<&'p [Id]> {
    for _ in 0..MAX_WRAPPERS {
        let (module, name, args) = pickle.call(id)?;
        match (module, name) {
            ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2" | "_rebuild_tensor_v3") => {
                return Some(args);
            }
            ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => id = *args.first()?,
            _ => return None,
        }
    }
    None
}

/// Returns the type of values and the key of a storage, given its persistent identifier `("storage",
/// torch.FloatStorage, key, device, values)`, with `None` after them in the old format.
pub(super) fn storage<'a>(pickle: &Pickle<'a>, identifier: Id) -> Option<(Dtype, &'a str)> {
    let [tag, class, key, _device, _values, view @ ..] = pickle.elements(identifier) else { return None };
    // The old format could name a part of another storage; nothing has written that since torch 0.4.
    let is_whole = view.iter().all(|view| pickle.node(*view) == &Node::None);
    if pickle.str(*tag) != Some("storage") || !is_whole {
        return None;
    }
    let Node::Global { module: "torch" | "torch.storage", name } = pickle.node(*class) else { return None };
    let dtype = match *name {
        "FloatStorage" => Dtype::F32,
        "HalfStorage" => Dtype::F16,
        "BFloat16Storage" => Dtype::BF16,
        "DoubleStorage" => Dtype::F64,
        "LongStorage" => Dtype::I64,
        "IntStorage" => Dtype::I32,
        "ShortStorage" => Dtype::I16,
        "CharStorage" => Dtype::I8,
        // Quantized and 8-bit values too come as untyped bytes: nothing that is read.
        "ByteStorage" | "UntypedStorage" => Dtype::U8,
        "BoolStorage" => Dtype::BOOL,
        _ => return None,
    };
    Some((dtype, pickle.str(*key)?))
}

/// Returns the tensor of this object; every value is checked to be in its storage.
pub(super) fn tensor(
    pickle: &Pickle<'_>,
    id: Id,
    name: &str,
    storages: &Storages,
) -> Result<StoredTensor, TensorProblem> {
    let args = unwrapped(pickle, id).ok_or(TensorProblem::Unknown)?;
    let [identifier, offset, shape, strides, ..] = args else { return Err(TensorProblem::Unknown) };
    let Node::Persistent(identifier) = pickle.node(*identifier) else { return Err(TensorProblem::Unknown) };
    let (dtype, key) = storage(pickle, *identifier).ok_or(TensorProblem::Unknown)?;
    let shape = numbers(pickle, *shape)?;
    let mut strides = numbers(pickle, *strides)?;
    let [offset] = numbers_of(pickle, &[*offset])?[..] else { return Err(TensorProblem::Unknown) };
    if shape.len() != strides.len() {
        return Err(TensorProblem::Unknown);
    }
    let storage = storages.get(key).ok_or(TensorProblem::NoStorage)?;
    let width = dtype.bitsize() / 8;
    let span = span(&shape, &strides).ok_or(TensorProblem::OutOfStorage)?;
    let start = offset.checked_mul(width).and_then(|bytes| storage.start.checked_add(bytes));
    let range = start.and_then(|start| Some(start..start.checked_add(span.checked_mul(width)?)?));
    let range = range.filter(|range| range.end <= storage.end).ok_or(TensorProblem::OutOfStorage)?;
    // A stride along a dimension of one value steps nowhere: written as in C order, it is recognised as such.
    for (dimension, stride) in contiguous_strides(&shape).into_iter().enumerate() {
        if shape[dimension] == 1 {
            strides[dimension] = stride;
        }
    }
    Ok(StoredTensor { name: name.to_owned(), dtype, shape, strides, storage: range })
}

/// Values from a tensor's first to its last, both included, or nothing where no memory could hold them.
fn span(shape: &[usize], strides: &[usize]) -> Option<usize> {
    let count = shape.iter().try_fold(1usize, |count, n| count.checked_mul(*n))?;
    if count == 0 {
        return Some(0);
    }
    let mut span = 1usize;
    for (&n, stride) in shape.iter().zip(strides) {
        span = span.checked_add((n - 1).checked_mul(*stride)?)?;
    }
    (count <= span.max(MAX_REPEATED)).then_some(span)
}

fn numbers(pickle: &Pickle<'_>, tuple: Id) -> Result<Vec<usize>, TensorProblem> {
    match pickle.node(tuple) {
        Node::Tuple(elements) | Node::List(elements) => numbers_of(pickle, elements),
        // `torch.Size([…])` in checkpoints of some versions.
        Node::Object { args, .. } => match pickle.elements(*args) {
            [size] if *size != tuple => numbers_of(pickle, pickle.elements(*size)),
            _ => Err(TensorProblem::Unknown),
        },
        _ => Err(TensorProblem::Unknown),
    }
}

fn numbers_of(pickle: &Pickle<'_>, elements: &[Id]) -> Result<Vec<usize>, TensorProblem> {
    let number = |id: &Id| match pickle.node(*id) {
        Node::Int(number) => usize::try_from(*number).map_err(|_| TensorProblem::Unknown),
        _ => Err(TensorProblem::Unknown),
    };
    // torch allows 64 dimensions.
    if elements.len() > 64 { Err(TensorProblem::Unknown) } else { elements.iter().map(number).collect() }
}
