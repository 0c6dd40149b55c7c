//! Models: where their files come from, what they hold, and how they run.

pub mod config;
pub mod esm2;
pub mod hub;
pub mod published;
pub mod source;
pub mod weights;
