//! The command line.

#![forbid(unsafe_code)]

#[cfg_attr(not(test), expect(dead_code, reason = "the pack command calls it"))]
mod plot;

fn main() {}
