//! The packing half of a loader: slabs go in, batches come out.

use parking_lot::Mutex;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::queue::{StopReason, WaitOutcome, receive, send};
use super::workers::{AHEAD, guard, spawn};
use super::{AsyncDataLoader, LoaderCounters, LoaderItem, LoaderOptions};
use crate::batch::PackedBatch;
use crate::collate::VarlenCollator;
use crate::error::SeqError;
use crate::index_set::IndexSet;
use crate::pack::PackStats;
use crate::reader::Records;
use crate::slab::TokenSlab;

/// What goes from the thread that fills slabs to the one that packs them.
enum SlabMessage {
    /// Sequences to pack.
    Slab(TokenSlab),
    /// Everything that waits leaves in batches now.
    Flush,
    /// The input ended with an error.
    Failed(SeqError),
}

/// Where slabs go in; the loader's stream ends when it is dropped.
pub(crate) struct SlabSender {
    to: Sender<SlabMessage>,
    /// Empty ones, to be filled again.
    recycled: Receiver<TokenSlab>,
    stopped: Receiver<()>,
    counters: Arc<Mutex<LoaderCounters>>,
}

/// Returns a loader of what is sent to the [`SlabSender`]; `records` are what it comes from.
pub(crate) fn create_slab_loader(
    records: &Records,
    collator: VarlenCollator,
    options: &LoaderOptions,
) -> Result<(SlabSender, AsyncDataLoader), SeqError> {
    let (stop, stopped) = bounded(0);
    let (queue, batches) = bounded(options.prefetch.max(1));
    let loader = AsyncDataLoader::new_empty(batches, stop, records);
    let (to, from) = bounded(AHEAD);
    let (used, recycled) = bounded(2 * AHEAD);
    let counters = Arc::clone(&loader.shared.counters);
    let collating = CollatorWorker {
        from,
        used,
        queue,
        stopped: stopped.clone(),
        collator,
        max_wait: options.max_wait,
        done: options.done.clone(),
        counters: Arc::clone(&counters),
        stats: Arc::clone(&loader.shared.stats),
    };
    spawn("collating", move || collating.run())?;
    Ok((SlabSender { to, recycled, stopped, counters }, loader))
}

impl SlabSender {
    /// Returns an empty slab.
    pub(crate) fn slab(&self) -> TokenSlab {
        self.recycled.try_recv().unwrap_or_default()
    }

    /// Sends a slab on, waiting until there is room.
    pub(crate) fn send(&self, slab: TokenSlab) -> Result<(), StopReason> {
        self.counters.lock().add_slab(&slab);
        self.send_message(SlabMessage::Slab(slab))
    }

    /// Has everything that was sent so far leave in batches, full or not.
    pub(crate) fn flush(&self) -> Result<(), StopReason> {
        self.send_message(SlabMessage::Flush)
    }

    /// Ends the stream with an error, after all batches made of what was sent before it.
    pub(super) fn fail(&self, error: SeqError) -> Result<(), StopReason> {
        self.send_message(SlabMessage::Failed(error))
    }

    /// Empty slabs, to be filled again.
    pub(super) fn recycled(&self) -> &Receiver<TokenSlab> {
        &self.recycled
    }

    /// Disconnected when the last consumer is gone.
    pub(super) fn stopped(&self) -> &Receiver<()> {
        &self.stopped
    }

    fn send_message(&self, message: SlabMessage) -> Result<(), StopReason> {
        send(&self.to, &self.stopped, message)
    }
}

/// Collates slabs into batches.
struct CollatorWorker {
    from: Receiver<SlabMessage>,
    used: Sender<TokenSlab>,
    queue: Sender<Result<LoaderItem, SeqError>>,
    stopped: Receiver<()>,
    collator: VarlenCollator,
    max_wait: Option<Duration>,
    /// Numbers of sequences that no consumer needs.
    done: Option<Arc<IndexSet>>,
    counters: Arc<Mutex<LoaderCounters>>,
    stats: Arc<OnceLock<PackStats>>,
}

impl CollatorWorker {
    fn run(mut self) -> Result<(), StopReason> {
        match guard("collating", || self.collate()) {
            Err(StopReason::Failed(error)) => self.send(Err(error)),
            end => end,
        }
    }

    /// Runs to the end of the input, or to an error, which is returned after all batches before it are sent.
    fn collate(&mut self) -> Result<(), StopReason> {
        let end = self.take_all();
        if !matches!(end, Err(StopReason::ConsumerGone)) {
            self.flush()?;
            _ = self.stats.set(self.collator.stats());
        }
        end
    }

    fn take_all(&mut self) -> Result<(), StopReason> {
        loop {
            let timeout = self.max_wait.filter(|_| self.collator.counters().waiting > 0);
            match receive(&self.from, &self.stopped, timeout)? {
                WaitOutcome::Message(SlabMessage::Slab(slab)) => self.take(slab)?,
                WaitOutcome::Message(SlabMessage::Flush) => self.flush()?,
                WaitOutcome::Message(SlabMessage::Failed(error)) => return Err(error.into()),
                WaitOutcome::Late if self.queue.is_empty() => {
                    if let Some(batch) = self.collator.release() {
                        self.send_batch(batch)?;
                    }
                }
                WaitOutcome::Late => {}
                WaitOutcome::End => return Ok(()),
            }
        }
    }

    fn flush(&mut self) -> Result<(), StopReason> {
        for batch in self.collator.flush() {
            self.send_batch(batch)?;
        }
        Ok(())
    }

    fn take(&mut self, mut slab: TokenSlab) -> Result<(), StopReason> {
        for (tokens, mut index) in slab.drain() {
            index.needed &= self.done.as_ref().is_none_or(|done| !done.contains(index.number));
            self.collator.push(tokens, index)?;
            while let Some(batch) = self.collator.pop() {
                self.send_batch(batch)?;
            }
        }
        if !slab.skipped.is_empty() {
            self.send(Ok(LoaderItem::Skipped(std::mem::take(&mut slab.skipped))))?;
        }
        slab.clear();
        // A full return queue means that enough slabs are about: this one may go.
        let _ = self.used.try_send(slab);
        Ok(())
    }

    /// Hands a batch out, unless no sequence in it is needed.
    fn send_batch(&self, batch: PackedBatch) -> Result<(), StopReason> {
        if !batch.index.iter().any(|index| index.needed) {
            self.counters.lock().tokens_done += batch.total_tokens() as u64;
            return Ok(());
        }
        self.counters.lock().batches += 1;
        self.send(Ok(LoaderItem::Batch(batch)))
    }

    fn send(&self, message: Result<LoaderItem, SeqError>) -> Result<(), StopReason> {
        if !self.queue.is_full() {
            return send(&self.queue, &self.stopped, message);
        }
        let start = Instant::now();
        let result = send(&self.queue, &self.stopped, message);
        self.counters.lock().loader_wait += start.elapsed();
        result
    }
}
