//! Turns letters into token ids.

use std::sync::Arc;

use numpy::{IntoPyArray, PyArray1};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;

use virpack_core::model::hub::HubOptions;
use virpack_core::model::{config_of, tokenizer_of};
use virpack_core::seq::{EsmTokenizer, LengthPolicy, Tokenizer as _};

use crate::error::Outcome;

/// Adds this file's names to the module.
pub(crate) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Tokenizer>()
}

/// The tokenizer of a model.
#[pyclass(frozen)]
pub(crate) struct Tokenizer {
    pub(crate) tokens: Arc<dyn virpack_core::seq::Tokenizer>,
    /// Most residues, or bases, of a sequence that the model takes.
    #[pyo3(get)]
    pub(crate) max_length: usize,
    #[pyo3(get)]
    model: String,
}

/// Token ids `[t]` and the start of each sequence, `[n + 1]`.
type TokenArrays<'py> = (Bound<'py, PyArray1<i64>>, Bound<'py, PyArray1<i32>>);

#[pymethods]
impl Tokenizer {
    /// Loads the tokenizer of `model`; `esm2` means every ESM-2 model, as they share one alphabet.
    #[new]
    fn new(py: Python<'_>, model: String) -> Outcome<Self> {
        if model == "esm2" {
            let max_length = LengthPolicy::default().max_length;
            return Ok(Tokenizer { tokens: Arc::new(EsmTokenizer::new()), max_length, model });
        }
        let found = py.detach(|| {
            let hub = HubOptions::from_env();
            Ok::<_, virpack_core::model::ModelError>((tokenizer_of(&model, &hub)?, config_of(&model, &hub)?))
        });
        let (tokens, config) = found?;
        Ok(Tokenizer { tokens, max_length: config.max_length(), model })
    }

    /// Returns the token ids of all sequences, end to end.
    fn encode<'py>(&self, py: Python<'py>, sequences: Vec<PyBackedStr>) -> TokenArrays<'py> {
        let (ids, starts) = py.detach(|| {
            let (mut ids, mut starts) = (Vec::new(), Vec::with_capacity(sequences.len() + 1));
            starts.push(0);
            for sequence in &sequences {
                self.tokens.tokenize(sequence.as_bytes(), usize::MAX, &mut ids);
                starts.push(ids.len() as i32);
            }
            (ids.into_iter().map(i64::from).collect::<Vec<_>>(), starts)
        });
        (ids.into_pyarray(py), starts.into_pyarray(py))
    }

    /// Returns the residues, or bases, of a sequence as length limits count them.
    fn length(&self, sequence: &str) -> u64 {
        self.tokens.length(sequence.as_bytes())
    }
}
