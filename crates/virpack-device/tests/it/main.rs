//! The crate as its users have it: a wrapper around a backend, and mapped files that lose their end. What
//! every backend computes is the program `conformance`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[cfg(unix)]
mod lost_pages;
mod wrapper;
