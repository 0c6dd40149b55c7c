//! The command `virpack`, for the script that the wheel installs.

use std::ffi::OsString;
use std::io::Write;

use pyo3::prelude::*;

/// Adds this file's names to the module.
pub(crate) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(main, module)?)
}

/// Runs a command line, the program's name first, and returns the exit code; for a process that does nothing
/// else.
#[pyfunction]
fn main(py: Python<'_>, arguments: Vec<OsString>) -> u8 {
    py.detach(|| {
        let code = virpack::run(arguments);
        // No program of Rust's ends here, which would do it. A pipe that nothing reads has its exit code
        // already.
        let _ = std::io::stdout().flush();
        code
    })
}
