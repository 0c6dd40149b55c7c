//! Tests of the public interface, in one program: one module for each subject.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod bgzf;
mod block_ranges;
mod changed;
mod collate;
mod formats;
mod frame_loader;
mod frames;
mod limits;
mod memory;
mod pack;
mod ranges;
mod reader;
mod stray;
mod support;
