//! The commands, one a file.

pub(crate) mod bench;
pub(crate) mod completions;
pub(crate) mod device;
pub(crate) mod devices;
pub(crate) mod embed;
pub(crate) mod input;
pub(crate) mod models;
pub(crate) mod pack;
pub(crate) mod validate;
