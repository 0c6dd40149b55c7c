//! The crate as its users have it: models by name, weights and classifiers in every form, and what is wrong
//! with them. The memory that weights take is measured by a program of its own, `weights_memory`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod classifier;
mod embed_sequences;
mod hub;
mod hub_hostile;
mod hub_tls;
mod weights;

/// The servers of tests.
mod support {
    pub(crate) mod hub;
}
