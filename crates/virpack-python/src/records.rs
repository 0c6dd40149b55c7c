//! Packs records, which are Python dictionaries, into batches.

use std::cmp::{Ordering, Reverse};

use pyo3::exceptions::PyKeyError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PySlice, PyString};

use virpack_core::seq::{GreedyPacker, PackerOptions, SeqError};

use crate::error::Outcome;

/// Tokens of a sequence beside its letters: one before and one after.
const SPECIAL_TOKENS: u32 = 2;

/// Adds this file's names to the module.
pub(crate) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(pack_records, module)?)
}

/// Batches of records; the ids of truncated records, with their lengths before truncation; and the tokens
/// of all batches except the last.
type PackedRecords<'py> = (Bound<'py, PyList>, Vec<(Py<PyAny>, usize)>, u64);

/// Packs `records`, dictionaries with `id` and `sequence`, first fit by `(-length, id)`. A sequence counts
/// two special tokens. A record of more than `longest` letters is in its batch as a truncated and flagged
/// copy.
#[pyfunction]
fn pack_records<'py>(
    records: &Bound<'py, PyList>,
    token_budget: usize,
    longest: usize,
) -> Outcome<PackedRecords<'py>> {
    let py = records.py();
    let (mut cut, mut copies) = (Vec::new(), Vec::new());
    let mut sorted = Vec::with_capacity(records.len());
    for (place, record) in (0..).zip(records) {
        let sequence = item(&record, intern!(py, "sequence"))?;
        let id = item(&record, intern!(py, "id"))?;
        let letters = sequence.len()?;
        let key = Key { letters: letters.min(longest) as u32, place, id: beginning(&id) };
        if letters > longest {
            copies.push((place, truncated(&record, &sequence, longest)?));
            cut.push((id.unbind(), letters));
        }
        sorted.push(key);
    }
    sort(&mut sorted, records)?;
    let lengths: Vec<u32> = sorted.iter().map(|key| key.letters + SPECIAL_TOKENS).collect();
    let packer = GreedyPacker::new(PackerOptions::new(token_budget, 1))?;
    let packing = packer.pack(&lengths).map_err(|error| match error {
        SeqError::LengthOutOfRange { position, tokens, .. } => {
            let id = records.get_item(sorted[position].place as usize).and_then(|record| id_of(&record));
            SeqError::OverBudget {
                id: id.map_or_else(|_| "".into(), |id| id.to_string().into()),
                tokens,
                token_budget,
            }
        }
        error => error,
    })?;
    let batches = PyList::empty(py);
    for batch in &packing {
        let record = |&position: &u32| {
            let place = sorted[position as usize].place;
            match copies.binary_search_by_key(&place, |(place, _)| *place) {
                Ok(copy) => Ok(copies[copy].1.clone()),
                Err(_) => records.get_item(place as usize),
            }
        };
        batches.append(PyList::new(py, batch.iter().map(record).collect::<PyResult<Vec<_>>>()?)?)?;
    }
    let closed = packing.starts().iter().rev().nth(1).map_or(0, |&start| start as usize);
    let tokens =
        packing.order()[..closed].iter().map(|&position| u64::from(lengths[position as usize])).sum();
    Ok((batches, cut, tokens))
}

/// The sort key of a record. Keys are adjacent in memory; Python's objects are scattered.
#[derive(Clone, Copy)]
struct Key {
    /// Letters that are packed.
    letters: u32,
    /// The record's place in the list.
    place: u32,
    /// The first 16 bytes of its id, as [`beginning`] returns them.
    id: Option<u128>,
}

/// Returns the first bytes of an id as a number with the same order; None for an id that is not text.
fn beginning(id: &Bound<'_, PyAny>) -> Option<u128> {
    let text = id.cast::<PyString>().ok()?.to_str().ok()?.as_bytes();
    let mut bytes = [0; 16];
    let length = text.len().min(16);
    bytes[..length].copy_from_slice(&text[..length]);
    Some(u128::from_be_bytes(bytes))
}

/// Sorts by `(-letters, id)`; records of equal length and id keep their order.
fn sort(keys: &mut Vec<Key>, records: &Bound<'_, PyList>) -> PyResult<()> {
    by_length(keys);
    let mut failure = None;
    for run in keys.chunk_by_mut(|a, b| a.letters == b.letters) {
        run.sort_by(|a, b| match (a.id, b.id) {
            (Some(one), Some(other)) if one != other => one.cmp(&other),
            _ => compared(a, b, records).unwrap_or_else(|error| {
                failure.get_or_insert(error);
                Ordering::Equal
            }),
        });
    }
    failure.map_or(Ok(()), Err)
}

/// Sorts by length, the longest first, and keeps the order of equal ones: a counting sort if lengths are
/// short.
fn by_length(keys: &mut Vec<Key>) {
    let most = keys.iter().map(|key| key.letters as usize).max().unwrap_or(0);
    if most > 4 * keys.len() + 4096 {
        return keys.sort_by_key(|key| Reverse(key.letters));
    }
    let mut next = vec![0u32; most + 2];
    keys.iter().for_each(|key| next[most - key.letters as usize + 1] += 1);
    (1..next.len()).for_each(|i| next[i] += next[i - 1]);
    let mut sorted = keys.clone();
    for key in keys.iter() {
        let place = &mut next[most - key.letters as usize];
        sorted[*place as usize] = *key;
        *place += 1;
    }
    *keys = sorted;
}

/// Compares two ids as Python does.
fn compared(a: &Key, b: &Key, records: &Bound<'_, PyList>) -> PyResult<Ordering> {
    let id = |key: &Key| id_of(&records.get_item(key.place as usize)?);
    id(a)?.compare(id(b)?)
}

fn id_of<'py>(record: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    item(record, intern!(record.py(), "id"))
}

/// Returns `record[key]`. A dictionary is read directly, without its methods.
fn item<'py>(record: &Bound<'py, PyAny>, key: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyAny>> {
    match record.cast_exact::<PyDict>() {
        Ok(dict) => dict.get_item(key)?.ok_or_else(|| PyKeyError::new_err(key.clone().unbind())),
        Err(_) => record.get_item(key),
    }
}

/// Returns a copy of a record with the first `longest` letters of its sequence.
fn truncated<'py>(
    record: &Bound<'py, PyAny>,
    sequence: &Bound<'py, PyAny>,
    longest: usize,
) -> PyResult<Bound<'py, PyAny>> {
    let py = record.py();
    let copy = py.get_type::<PyDict>().call1((record,))?;
    copy.set_item(intern!(py, "sequence"), sequence.get_item(PySlice::new(py, 0, longest as isize, 1))?)?;
    copy.set_item(intern!(py, "truncated"), true)?;
    Ok(copy)
}
