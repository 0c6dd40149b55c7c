//! Reports panics as JSON under `--log-format json`, like all other errors.

use crate::exit::OURS;
use crate::log::LogFormat;
use crate::messages::Message;
use parking_lot::Mutex;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook};

/// The message of the last panic.
static LAST: Mutex<Option<String>> = Mutex::new(None);

/// Runs `run`. A panic is reported by the standard hook, or here as the `error`.
pub(crate) fn caught<T>(log: LogFormat, run: impl FnOnce() -> T) -> std::thread::Result<T> {
    let LogFormat::Json = log else { return catch_unwind(AssertUnwindSafe(run)) };
    set_hook(Box::new(move |panic| {
        let thread = std::thread::current();
        let message = message(thread.name(), panic);
        // A panic of another thread ends in an error of its own, which lacks the place.
        if thread.name() != Some("main") {
            log.warn(&message);
        }
        *LAST.lock() = Some(message);
    }));
    let result = catch_unwind(AssertUnwindSafe(run));
    if result.is_err() {
        let message = LAST.lock().take().unwrap_or_default();
        log.error(Message::from(message).hint("this is a fault of virpack's: report it"), OURS);
    }
    result
}

/// `thread 'main' panicked at FILE:LINE:COLUMN: WHAT`.
fn message(thread: Option<&str>, panic: &PanicHookInfo<'_>) -> String {
    // The line ends after the place.
    format!("thread '{}' {}", thread.unwrap_or("<unnamed>"), panic.to_string().replacen(":\n", ": ", 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_caught_and_its_place_reported() {
        assert!(caught(LogFormat::Json, || 7).is_ok_and(|n| n == 7));
        let panicked = catch_unwind(|| panic!("no {}", 7)).is_err();
        let said = LAST.lock().take().unwrap_or_default();
        assert!(caught(LogFormat::Json, || panic!("no 8")).is_err_and(|panic| panic.is::<&str>()));
        let told = LAST.lock().is_none();
        drop(std::panic::take_hook());
        assert!(told);
        assert!(panicked && said.starts_with("thread '") && said.contains("' panicked at "), "{said}");
        assert!(said.contains("panics.rs:") && said.ends_with(": no 7") && !said.contains('\n'), "{said}");
    }
}
