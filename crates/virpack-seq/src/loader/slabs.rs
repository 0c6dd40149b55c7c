//! A loader whose sequences come tokenized: the packing half of [`create_async_dataloader`].
//!
//! [`create_async_dataloader`]: super::create_async_dataloader

use std::sync::Arc;

use crossbeam_channel::{Receiver, bounded};

use super::counters::Counters;
use super::queue::{Stopped, send};
use super::workers::{Packing, Slabs, start_collating};
use super::{AsyncDataLoader, LoaderOptions, Shared};
use crate::collate::VarlenCollator;
use crate::error::SeqError;
use crate::reader::Records;
use crate::slab::TokenSlab;

/// Where slabs go in; the loader's stream ends when it is dropped.
pub(crate) struct SlabSender {
    slabs: Slabs,
    stopped: Receiver<()>,
    counters: Arc<Counters>,
}

/// A loader of what is sent to the [`SlabSender`]; `records` are what it comes from in the end.
pub(crate) fn create_slab_loader(
    records: &Records,
    collator: VarlenCollator,
    options: LoaderOptions,
) -> Result<(SlabSender, AsyncDataLoader), SeqError> {
    let (stop, stopped) = bounded(0);
    let (queue, batches) = bounded(options.prefetch.max(1));
    let shared = Shared::new(stop, records);
    let (slabs, out) = Slabs::new();
    start_collating(Packing {
        slabs: out,
        queue,
        stopped: stopped.clone(),
        collator,
        options,
        counters: Arc::clone(&shared.counters),
        stats: Arc::clone(&shared.stats),
    })?;
    let sender = SlabSender { slabs, stopped, counters: Arc::clone(&shared.counters) };
    Ok((sender, AsyncDataLoader { queue: batches, shared: Arc::new(shared) }))
}

impl SlabSender {
    /// An empty slab.
    pub(crate) fn slab(&self) -> TokenSlab {
        self.slabs.recycled.try_recv().unwrap_or_default()
    }

    /// Sends a slab on, waiting until there is room.
    pub(crate) fn send(&self, slab: TokenSlab) -> Result<(), Stopped> {
        self.counters.add_slab(&slab.counts, slab.len() as u64, slab.total_tokens() as u64);
        send(&self.slabs.to, &self.stopped, Ok(slab))
    }
}
