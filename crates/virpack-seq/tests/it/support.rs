//! What several subjects share.

pub(crate) mod codecs;
pub(crate) mod naive;
pub(crate) mod workload;
