//! Tests of the program from outside, in one program: one module for each subject.
//!
//! `memory.rs` is a separate program: it measures memory, and no other test may run beside it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod bad_input;
#[cfg(target_os = "linux")]
mod cards;
mod cli;
#[cfg(unix)]
mod docs;
mod drop_in;
#[path = "../../../virpack-model/tests/it/support/hub.rs"]
mod hub;
mod library_words;
mod models;
mod msrv;
mod objects;
mod plan;
mod plan_bgzf;
mod plan_predict;
#[cfg(unix)]
mod report;
mod resume;
#[cfg(unix)]
mod stdout;
mod supply;
mod support;
