//! Whole models: what `torch.save(model)` writes in place of a dict of tensors.
//!
//! A module is an object whose state holds three dicts: `_parameters`, `_buffers` and `_modules`, the modules in it
//! (torch's `nn/modules/module.py`). Walking them gives every tensor the name that `state_dict()` gives it; the
//! classes, which only Python could run, are names and no more.

use std::collections::HashSet;

use super::{CheckpointError, Storages, StoredModule, TensorProblem, named_tensor, rebuild};
use crate::weights::StoredTensor;
use crate::weights::pickle::{Id, Node, Pickle};

/// Most entries looked at. The largest models have some thousand; a hostile file could let its modules hold each
/// other in far more ways than it has bytes.
pub(super) const MOST_PLACES: usize = 1 << 20;

/// Most bytes of a name, for the same reason: names add up on the way down.
const LONGEST_NAME: usize = 512;

/// Returns whether calling and building this object would have made a module.
pub(super) fn is_module(pickle: &Pickle<'_>, id: Id) -> bool {
    let has = |part| {
        let dict = pickle.attribute(id, part);
        dict.is_some_and(|dict| matches!(pickle.node(dict), Node::Dict(_)))
    };
    matches!(pickle.node(id), Node::Object { .. }) && has("_parameters") && has("_modules")
}

/// Returns the class of an object: `torch.nn.modules.linear.Linear`.
pub(super) fn class(pickle: &Pickle<'_>, id: Id) -> Option<String> {
    let Node::Object { callable, .. } = pickle.node(id) else { return None };
    let class = match pickle.node(*callable) {
        // torch's old format keeps a module's source beside its class: `("module", class, file, source)`.
        Node::Persistent(identifier) => *pickle.elements(*identifier).get(1)?,
        _ => *callable,
    };
    match pickle.node(class) {
        Node::Global { module, name } if module.len() + name.len() < LONGEST_NAME => {
            Some(format!("{module}.{name}"))
        }
        _ => None,
    }
}

/// Returns all tensors of the model at `root`, in the order of its `state_dict()`, and all its modules.
///
/// A module that is in several places is named after one of them.
pub(super) fn contents(
    pickle: &Pickle<'_>,
    root: Id,
    storages: &Storages,
) -> Result<(Vec<StoredTensor>, Vec<StoredModule>), CheckpointError> {
    let (mut tensors, mut modules) = (Vec::new(), Vec::new());
    let mut met = HashSet::from([root]);
    let mut places = 0;
    let mut look = |entries: usize| {
        places += entries;
        if places > MOST_PLACES { Err(CheckpointError::TooManyModules) } else { Ok(()) }
    };
    let mut waiting = vec![(String::new(), root)];
    while let Some((name, module)) = waiting.pop() {
        for part in ["_parameters", "_buffers"] {
            let own = attribute_items(pickle, module, part);
            look(own.len())?;
            for (key, id) in own {
                // A parameter that a layer goes without is there as None.
                if let Some(key) = pickle.str(*key)
                    && rebuild::is_tensor(pickle, *id)
                {
                    tensors.push(named_tensor(pickle, *id, join(&name, key)?, storages)?);
                }
            }
        }
        let mut children = Vec::new();
        for (key, id) in attribute_items(pickle, module, "_modules") {
            look(1 + state_entries(pickle, *id))?;
            if let Some(key) = pickle.str(*key)
                && is_module(pickle, *id)
                && met.insert(*id)
            {
                children.push((join(&name, key)?, *id));
            }
        }
        modules.push(StoredModule {
            class: class(pickle, module).unwrap_or_else(|| "a class without a name".to_owned()),
            eps: pickle.attribute(module, "eps").and_then(|eps| match pickle.node(eps) {
                Node::Float(eps) => Some(*eps),
                _ => None,
            }),
            children: children.len(),
            name,
        });
        waiting.extend(children.into_iter().rev());
    }
    Ok((tensors, modules))
}

fn attribute_items<'p>(pickle: &'p Pickle<'_>, module: Id, name: &str) -> &'p [(Id, Id)] {
    pickle.attribute(module, name).map_or(&[], |dict| pickle.items(dict))
}

/// Attributes of an object: what finding one of them costs.
fn state_entries(pickle: &Pickle<'_>, id: Id) -> usize {
    match pickle.node(id) {
        Node::Object { state: Some(state), .. } => pickle.items(*state).len(),
        _ => 0,
    }
}

fn join(parent: &str, key: &str) -> Result<String, CheckpointError> {
    if parent.len() + key.len() >= LONGEST_NAME {
        let tensor = format!("{parent}…");
        return Err(CheckpointError::Tensor { tensor, problem: TensorProblem::Unknown });
    }
    Ok(if parent.is_empty() { key.to_owned() } else { format!("{parent}.{key}") })
}
