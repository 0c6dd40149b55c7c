//! `virpack models convert`.

use crate::failure::Failure;
use crate::text::{grouped, say};
use std::path::Path;
use virpack_core::model::classifier::Classifier;
use virpack_seq::shown_path;

pub(super) fn run(input: &Path, output: &Path, force: bool) -> Result<(), Failure> {
    virpack_core::convert_classifier(input, output, force)?;
    let converted = Classifier::open(output)?;
    let chunks = converted.chunk_length().map_or_else(String::new, |n| format!(", chunks of {n} bases"));
    say(format_args!(
        "{}: {} features, {} hidden{chunks}",
        shown_path(output),
        grouped(converted.input_width() as u64),
        grouped(converted.hidden() as u64),
    ));
    Ok(())
}
