//! Token budgets for the available memory.

use pyo3::prelude::*;

use virpack_core::device::{Device, available_memory};
use virpack_core::memory::footprint;
use virpack_core::model::config_of;
use virpack_core::model::hub::HubOptions;
use virpack_core::seq::{BudgetLimits, Footprint, LengthPolicy};
use virpack_core::{DeviceOptions, Error, for_devices, only};

use crate::error::{Failure, Outcome};
use crate::options::device_choice;

/// Tokens of the shortest sequence: one residue and two special tokens.
const SHORTEST: usize = 3;

/// Adds this file's names to the module.
pub(crate) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(calculate_token_budget, module)?)?;
    module.add_function(wrap_pyfunction!(fit_token_budget, module)?)?;
    module.add_function(wrap_pyfunction!(free_memory, module)?)
}

/// Returns the largest token budget whose batches fit the device's free memory beside the model.
#[pyfunction]
fn calculate_token_budget(
    py: Python<'_>,
    device: &str,
    model: &str,
    max_length: Option<usize>,
    min_tokens: Option<usize>,
    max_tokens: Option<usize>,
) -> Outcome<usize> {
    let choice = device_choice(device)?;
    py.detach(|| {
        let config = config_of(model, &HubOptions::from_env())?;
        let ready = DeviceOptions::default().device(choice).open()?;
        let lengths =
            LengthPolicy { max_length: max_length.unwrap_or(config.max_length()), ..LengthPolicy::default() };
        let longest = lengths.max_tokens();
        let min = min_tokens.unwrap_or(0).max(longest);
        let shape = config.shape();
        for_devices!(ready, |devices| {
            let device = only(devices);
            let max = max_tokens.unwrap_or_else(|| device.most_tokens(&shape).max(min));
            let limits = BudgetLimits { min, max, shortest: SHORTEST };
            let memory = device.free().map_err(Error::from)?.unwrap_or(u64::MAX);
            let footprint = footprint(device.footprint(&shape, longest, false), device.spare());
            Ok(virpack_core::seq::calculate_token_budget(memory, &footprint, &limits)?)
        })
    })
}

/// Returns the largest token budget whose batches fit in `memory` bytes beside `reserved` bytes.
#[pyfunction]
fn fit_token_budget(
    memory: u64,
    reserved: u64,
    bytes_per_token: u64,
    min_tokens: usize,
    max_tokens: Option<usize>,
) -> Outcome<usize> {
    let footprint = Footprint { weights: reserved, bytes_per_token, ..Footprint::default() };
    let max = max_tokens.unwrap_or(i32::MAX as usize);
    let limits = BudgetLimits { min: min_tokens, max, shortest: SHORTEST };
    virpack_core::seq::calculate_token_budget(memory, &footprint, &limits).map_err(Failure::from)
}

/// Returns the bytes of the host's memory that are free for this process; None if the system does not
/// report them.
#[pyfunction]
fn free_memory() -> Option<u64> {
    available_memory()
}
