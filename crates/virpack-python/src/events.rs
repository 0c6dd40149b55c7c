//! Passes reports of runs to Python's logger and to the caller's progress function.

use pyo3::prelude::*;
use pyo3::types::PyDict;

use virpack_core::{DeviceEvent, Event, Progress};

/// Calls the hook for an event.
pub(crate) fn tell(py: Python<'_>, hook: Option<&Py<PyAny>>, event: Event) -> PyResult<()> {
    let info = |text: String| log(py, hook, "info", &text);
    match event {
        Event::Progress(progress) => match hook {
            Some(hook) => hook.call1(py, ("progress", facts(py, &progress)?)).map(drop),
            None => Ok(()),
        },
        Event::LeftOut(card) => {
            let hint = card.why.hint().map_or(String::new(), |hint| format!("; {hint}"));
            log(py, hook, "warning", &format!("{card}{hint}"))
        }
        Event::BuiltInModel { model } => info(format!("model {model}")),
        Event::Weights(note) => info(note),
        Event::ChunkLength { length, asked, trained } => match (asked, trained) {
            (Some(_), Some(trained)) if trained != length => {
                let text = format!("chunks of {length} bases, but the classifier was trained on {trained}");
                log(py, hook, "warning", &text)
            }
            _ => info(format!("chunks of {length} bases")),
        },
        Event::Ready { device, budgets } => {
            let tokens = budgets.iter().map(|budget| budget.tokens.to_string()).collect::<Vec<_>>();
            info(format!("on {device}, up to {} tokens a batch", tokens.join(" and ")))
        }
        Event::Kept(resumed) => {
            for (part, reason) in &resumed.torn {
                let text = format!("{}: {reason}: what was in it is computed again", part.display());
                log(py, hook, "warning", &text)?;
            }
            match resumed.saved.is_some() {
                true => info(format!("resuming: {} are finished", resumed.saved)),
                false => Ok(()),
            }
        }
        Event::Device(event) => {
            let (text, hint) = match event {
                DeviceEvent::Lost { device, reason, hint } => {
                    (format!("device {device} is given up, the others go on: {reason}"), hint)
                }
                DeviceEvent::Halved { token_budget, reason, hint } => {
                    (format!("batches have at most {token_budget} tokens from here on: {reason}"), hint)
                }
            };
            let hint = hint.map_or_else(String::new, |hint| format!("\nhint: {hint}"));
            log(py, hook, "warning", &format!("{text}{hint}"))
        }
        _ => Ok(()),
    }
}

/// Calls the hook with a line for the logger, at the named level.
pub(crate) fn log(py: Python<'_>, hook: Option<&Py<PyAny>>, level: &str, text: &str) -> PyResult<()> {
    hook.map_or(Ok(()), |hook| hook.call1(py, (level, text)).map(drop))
}

/// Returns the progress of a run, by name.
fn facts<'py>(py: Python<'py>, progress: &Progress) -> PyResult<Bound<'py, PyDict>> {
    let facts = PyDict::new(py);
    facts.set_item("records", progress.records)?;
    facts.set_item("chunks", progress.chunks.map(|chunks| chunks.chunks))?;
    facts.set_item("bytes", progress.bytes)?;
    facts.set_item("total_bytes", progress.total_bytes)?;
    facts.set_item("done", progress.done)?;
    facts.set_item("tokens", progress.devices.iter().map(|device| device.tally.tokens).sum::<u64>())?;
    Ok(facts)
}
