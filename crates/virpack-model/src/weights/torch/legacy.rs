//! The format that torch wrote before 1.6: a magic number, a version, facts about the machine, the object and the
//! list of its storages' keys, each a pickle; then for each storage its length in values and the values.

use std::collections::HashMap;

use super::rebuild;
use super::{CheckpointError, Storages, TensorProblem};
use crate::weights::pickle::{Node, Pickle};

/// torch's magic number `0x1950a86a20f9469cfc6c`, ten bytes in little-endian.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// Finds the pickle and the storages in a file of the old format.
pub(super) fn open(file: &[u8]) -> Result<(Pickle<'_>, Storages), CheckpointError> {
    let mut at = 0;
    let mut next = || {
        let pickle = Pickle::parse(&file[at..])?;
        at += pickle.len();
        Ok::<_, CheckpointError>(pickle)
    };
    let magic = next()?;
    if magic.node(magic.root()) != &Node::Long(&MAGIC) {
        return Err(CheckpointError::NotACheckpoint);
    }
    let _version = next()?;
    let machine = next()?;
    if let Some(little) = machine.get(machine.root(), "little_endian")
        && machine.node(little) == &Node::Bool(false)
    {
        return Err(CheckpointError::Entry { entry: "the file".to_owned(), problem: "big-endian" });
    }
    let object = next()?;
    let keys = next()?;
    let widths = widths(&object);
    let mut storages = Storages::new();
    for key in keys.elements(keys.root()) {
        let Some(key) = keys.str(*key) else { continue };
        let missing =
            || CheckpointError::Tensor { tensor: key.to_owned(), problem: TensorProblem::NoStorage };
        let width = *widths.get(key).ok_or_else(missing)?;
        let start = at.checked_add(8).ok_or_else(missing)?;
        let count = file.get(at..start).ok_or_else(missing)?;
        let count = u64::from_le_bytes(count.try_into().map_err(|_| missing())?);
        let bytes = usize::try_from(count).ok().and_then(|count| count.checked_mul(width));
        let end = bytes.and_then(|bytes| start.checked_add(bytes)).filter(|end| *end <= file.len());
        at = end.ok_or_else(missing)?;
        storages.insert(key.to_owned(), start..at);
    }
    Ok((object, storages))
}

/// Bytes of one value of every storage that the object names.
fn widths<'a>(object: &Pickle<'a>) -> HashMap<&'a str, usize> {
    let storages = object.ids().filter_map(|id| match object.node(id) {
        Node::Persistent(identifier) => rebuild::storage(object, *identifier),
        _ => None,
    });
    storages.map(|(dtype, key)| (key, dtype.bitsize() / 8)).collect()
}
