//! Tests of the public interface, in one program: one module for each subject.
//!
//! `footprint.rs` is a separate program, because it compares the memory of its processes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod changed;
mod dnabert_s;
mod embed;
mod embedder;
mod esm2;
mod faults;
mod floors;
mod frames;
mod hub_damage;
#[path = "support/in_memory.rs"]
mod in_memory;
#[path = "../../../virpack-seq/tests/it/support/naive.rs"]
mod naive;
#[path = "support/parts.rs"]
mod parts;
mod plan;
mod predict;
mod releases;
mod report;
mod same_bits;
mod validate;
