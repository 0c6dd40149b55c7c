//! The compiled part of the Python package `virpack`: a thin layer over the Rust crates.
//!
//! Functions here take and return NumPy and Python objects. Their names in Python, their defaults and their
//! documentation are in `python/virpack/`; types are in `python/virpack/_virpack.pyi`. Every function that
//! computes releases the interpreter.

#![forbid(unsafe_code)]

mod budget;
mod cli;
mod embedding;
mod error;
mod events;
mod handle;
mod loading;
mod noted;
mod options;
mod packing;
mod planning;
mod predicting;
mod reading;
mod records;
mod run;
mod source;
mod tokenizing;

use std::sync::OnceLock;

use pyo3::exceptions::PyImportError;
use pyo3::prelude::*;

/// The module `virpack._virpack`.
#[pymodule]
fn _virpack(module: &Bound<'_, PyModule>) -> PyResult<()> {
    refuse_a_second_interpreter(module)?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    packing::add_to(module)?;
    records::add_to(module)?;
    budget::add_to(module)?;
    reading::add_to(module)?;
    tokenizing::add_to(module)?;
    loading::add_to(module)?;
    embedding::add_to(module)?;
    planning::add_to(module)?;
    predicting::add_to(module)?;
    cli::add_to(module)
}

/// Checks that no other interpreter of this process has loaded the module, because its classes would be
/// shared between them.
fn refuse_a_second_interpreter(module: &Bound<'_, PyModule>) -> PyResult<()> {
    static FIRST: OnceLock<usize> = OnceLock::new();
    // Each interpreter has its own modules.
    let modules = module.py().import("sys")?.getattr("modules")?.as_ptr() as usize;
    if *FIRST.get_or_init(|| modules) == modules {
        return Ok(());
    }
    let text = "virpack does not work in subinterpreters: another interpreter of this process has it\nhint: \
                use processes, such as multiprocessing's";
    Err(PyImportError::new_err(text))
}
