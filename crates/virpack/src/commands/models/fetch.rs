//! `virpack models fetch`.

use super::is_path;
use crate::failure::Failure;
use crate::log::LogArguments;
use crate::watch::DownloadBar;
use std::io::Write;
use std::path::Path;
use virpack_core::model::hub::HubOptions;
use virpack_core::model::{config_of, mini, resolve};

/// Downloads each model that is not in the cache, and writes a line for each: its name, a TAB, and the
/// location of its files.
pub(super) fn run(
    out: &mut impl Write,
    models: &[String],
    hub: &HubOptions,
    quiet: bool,
) -> Result<(), Failure> {
    let bar = DownloadBar::new(LogArguments::lines(quiet));
    for model in models {
        let is_built_in = model == mini::NAME || mini::MODELS.contains(&&**model);
        let place = match is_built_in && !is_path(model) {
            true => "built in".to_owned(),
            false => {
                let location = resolve(model, hub, &bar)?;
                // A path may lead to anything.
                if Path::new(model).exists() {
                    config_of(model, hub)?;
                }
                location.to_string()
            }
        };
        writeln!(out, "{model}\t{place}")?;
    }
    Ok(())
}
