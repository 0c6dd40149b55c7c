//! The command `virpack`, for the script that the wheel installs.

use std::ffi::OsString;
use std::io::Write;

use pyo3::prelude::*;

/// Adds this file's names to the module.
pub(crate) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(main, module)?)
}

/// Runs a command line, the program's name first, and returns the exit code. The process must do nothing
/// else.
#[pyfunction]
fn main(py: Python<'_>, arguments: Vec<OsString>) -> u8 {
    py.detach(|| {
        let code = virpack::run(arguments);
        // No Rust program ends here, so stdout is flushed here. A closed pipe has already determined the
        // exit code.
        let _ = std::io::stdout().flush();
        code
    })
}
