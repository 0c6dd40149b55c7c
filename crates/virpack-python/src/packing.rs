//! Packs lengths into batches.

use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use virpack_core::seq::{Algorithm, GreedyPacker, PackerOptions, SeqError};

use crate::error::Outcome;

/// Adds this file's names to the module.
pub(crate) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(pack_lengths, module)?)
}

/// The order of positions `[n]`, the start of each batch in it, `[batches + 1]`, and the total of tokens.
type PackingArrays<'py> = (Bound<'py, PyArray1<u32>>, Bound<'py, PyArray1<u32>>, u64);

/// Packs `lengths` (tokens), `[n]`; `algorithm` is `ffd`, `bfd`, `nfd` or `nf`.
#[pyfunction]
fn pack_lengths<'py>(
    py: Python<'py>,
    lengths: PyReadonlyArray1<'py, u32>,
    token_budget: usize,
    algorithm: &str,
    max_sequences: Option<usize>,
) -> Outcome<PackingArrays<'py>> {
    let mut options = PackerOptions::new(token_budget, 1).algorithm(algorithm_of(algorithm)?);
    options.max_sequences = max_sequences;
    let packer = GreedyPacker::new(options)?;
    let lengths = lengths.as_slice().map_err(PyErr::from)?;
    let packed = py.detach(|| {
        let (order, starts) = packer.pack(lengths)?.into_arrays();
        let tokens = lengths.iter().map(|&length| u64::from(length)).sum();
        Ok::<_, SeqError>((order, starts, tokens))
    });
    let (order, starts, tokens) = packed?;
    Ok((order.into_pyarray(py), starts.into_pyarray(py), tokens))
}

/// Returns the algorithm of that short name, which `_packing.py` has checked.
fn algorithm_of(name: &str) -> PyResult<Algorithm> {
    let found = Algorithm::ALL.into_iter().find(|algorithm| algorithm.as_str() == name);
    found.ok_or_else(|| PyValueError::new_err(format!("there is no algorithm {name:?}")))
}
