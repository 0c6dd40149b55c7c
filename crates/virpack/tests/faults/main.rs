//! Devices that run out of memory, fail or hang: nothing lost, nothing twice, every row right.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod devices;
mod faulty;
mod kill;
mod kill_predict;
mod out_of_memory;
