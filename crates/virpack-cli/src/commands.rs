//! The commands, one a file.

pub(crate) mod bench;
pub(crate) mod completions;
pub(crate) mod device;
pub(crate) mod devices;
pub(crate) mod embed;
pub(crate) mod frames;
pub(crate) mod input;
pub(crate) mod models;
pub(crate) mod pack;
pub(crate) mod predict;
pub(crate) mod validate;

use crate::failure::INTERRUPTED;

/// Ctrl-C or a signal to stop then removes what a run has begun: without a handler its temporary files would stay.
pub(crate) fn clean_up_when_interrupted() {
    let _ = ctrlc::set_handler(|| {
        virpack::output::abandon_all();
        std::process::exit(INTERRUPTED);
    });
}
