//! Converts errors of the crates to the exceptions of `python/virpack/_errors.py`.

use std::fmt::Display;

use pyo3::exceptions::PyImportError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use virpack_core::device::DeviceError;
use virpack_core::model::ModelError;
use virpack_core::output::OutputErrorKind;
use virpack_core::seq::SeqError;
use virpack_core::{Error, Hint};

/// The errors of a function of the module.
pub(crate) enum Failure {
    /// An exception that Python raised, or a built-in one.
    Python(PyErr),
    /// An error of reading, tokenizing or packing.
    Seq(SeqError),
    /// Any other error of the crates.
    Core(Error),
}

/// What a function of the module returns.
pub(crate) type Outcome<T> = Result<T, Failure>;

impl From<PyErr> for Failure {
    fn from(error: PyErr) -> Self {
        Failure::Python(error)
    }
}

impl From<SeqError> for Failure {
    fn from(error: SeqError) -> Self {
        Failure::Seq(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Seq(error) => Failure::Seq(error),
            error => Failure::Core(error),
        }
    }
}

impl From<ModelError> for Failure {
    fn from(error: ModelError) -> Self {
        Failure::Core(error.into())
    }
}

impl From<Failure> for PyErr {
    fn from(failure: Failure) -> PyErr {
        Python::attach(|py| match failure {
            Failure::Python(error) => error,
            Failure::Seq(error) => raised(py, seq_class(&error), &error, seq_facts(py, &error)),
            Failure::Core(error) => {
                let facts = core_facts(py, &error);
                raised(py, core_class(&error), &error, facts)
            }
        })
    }
}

/// Returns the exception `InputError` for a value from Python for which no crate has an error.
pub(crate) fn input_error(message: &str, hint: Option<&str>) -> PyErr {
    Python::attach(|py| created(py, "InputError", message, hint, Ok(PyDict::new(py))))
}

/// Returns an exception of class `name` with the message of `error`; `facts` become its attributes.
fn raised(
    py: Python<'_>,
    name: &str,
    error: &(impl Hint + Display),
    facts: PyResult<Bound<'_, PyDict>>,
) -> PyErr {
    created(py, name, &error.to_string(), error.hint().as_deref(), facts)
}

fn created(
    py: Python<'_>,
    name: &str,
    message: &str,
    hint: Option<&str>,
    facts: PyResult<Bound<'_, PyDict>>,
) -> PyErr {
    let create = || py.import("virpack._errors")?.getattr(name)?.call((message, hint), Some(&facts?));
    match create() {
        Ok(exception) => PyErr::from_value(exception),
        Err(cause) => PyImportError::new_err(format!("virpack._errors is not usable ({cause}): {message}")),
    }
}

/// Returns the class of an error of reading, tokenizing or packing.
fn seq_class(error: &SeqError) -> &'static str {
    match error {
        SeqError::NotEnoughMemory { .. } => "OutOfMemory",
        SeqError::Tokenizer { .. } => "ModelError",
        SeqError::Thread(_) => "Error",
        _ => "InputError",
    }
}

/// Returns the class of any other error.
fn core_class(error: &Error) -> &'static str {
    match error {
        Error::Seq(error) | Error::Model(ModelError::Seq(error)) => seq_class(error),
        Error::Device(error) | Error::Model(ModelError::Device(error)) => device_class(error),
        Error::DeviceChoice(_) | Error::Hung { .. } => "DeviceError",
        Error::Model(_) | Error::Bundle(_) | Error::NotFinite { .. } => "ModelError",
        Error::Setting(error) => match error.setting() {
            "layer" | "nucleotide_model" | "protein_model" => "ModelError",
            _ => "InputError",
        },
        Error::Merge(_) | Error::Plan(_) => "InputError",
        Error::Output(error) if matches!(error.kind(), OutputErrorKind::ShardOfPipe(_)) => "InputError",
        Error::Output(_) | Error::Resume(_) => "OutputError",
        _ => "Error",
    }
}

/// Returns the class of an error of a device.
fn device_class(error: &DeviceError) -> &'static str {
    match error {
        DeviceError::OutOfMemory { .. } => "OutOfMemory",
        _ => "DeviceError",
    }
}

/// Returns the exit code of the command for an error.
fn exit_code(error: &Error) -> u8 {
    match error {
        Error::Interrupted { .. } => 130,
        error if error.is_fault() => 2,
        _ => 1,
    }
}

/// Returns the exit code of an error, and the report of an output that is complete already.
fn core_facts<'py>(py: Python<'py>, error: &Error) -> PyResult<Bound<'py, PyDict>> {
    let facts = PyDict::new(py);
    facts.set_item("exit_code", exit_code(error))?;
    if let Error::Resume(error) = error
        && let Some(report) = error.complete_report()
    {
        facts.set_item("complete_report", report)?;
    }
    Ok(facts)
}

/// Returns the facts of an error as values, for programs.
fn seq_facts<'py>(py: Python<'py>, error: &SeqError) -> PyResult<Bound<'py, PyDict>> {
    let facts = PyDict::new(py);
    match error {
        SeqError::LengthOutOfRange { position, tokens, longest } => {
            facts.set_item("position", position)?;
            facts.set_item("tokens", tokens)?;
            facts.set_item("longest", longest)?;
        }
        SeqError::OverBudget { id, tokens, token_budget } => {
            facts.set_item("id", &**id)?;
            facts.set_item("tokens", tokens)?;
            facts.set_item("token_budget", token_budget)?;
        }
        SeqError::NotEnoughMemory { available, needed, .. } => {
            facts.set_item("available", available)?;
            facts.set_item("needed", needed)?;
        }
        _ => {}
    }
    Ok(facts)
}
