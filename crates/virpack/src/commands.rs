//! The commands, one file for each.

pub(crate) mod bench;
mod call_summary;
mod calls;
pub(crate) mod checkpoint;
mod choice;
pub(crate) mod commit;
pub(crate) mod completions;
pub(crate) mod device;
pub(crate) mod devices;
pub(crate) mod embed;
mod events;
pub(crate) mod frames;
pub(crate) mod input;
pub(crate) mod limits;
pub(crate) mod man;
pub(crate) mod merge;
pub(crate) mod models;
pub(crate) mod output;
pub(crate) mod pack;
mod parts;
pub(crate) mod plan;
pub(crate) mod predict;
pub(crate) mod report;
pub(crate) mod run;
pub(crate) mod validate;

use crate::exit::INTERRUPTED;
use crate::log::LogArguments;
use crate::signals::on_stop;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use virpack_core::CancelToken;

/// Makes Ctrl-C or a signal to stop remove what a run has begun: without a handler its temporary files
/// would remain.
pub(crate) fn clean_up_when_interrupted() {
    on_stop(|| {
        virpack_core::output::abandon_all();
        std::process::exit(INTERRUPTED.into());
    });
}

/// As [`clean_up_when_interrupted`], but once `keeps` is set, the first signal cancels the run: work in
/// progress is finished and kept.
pub(crate) fn stop_when_interrupted(log: LogArguments, cancel: CancelToken, keeps: Arc<AtomicBool>) {
    on_stop(move || {
        if keeps.load(Ordering::SeqCst) && !cancel.is_cancelled() {
            cancel.cancel();
            log.warn("interrupted: the batches under way are finished and kept; once more to stop at once");
            return;
        }
        virpack_core::output::abandon_all();
        std::process::exit(INTERRUPTED.into());
    });
}
