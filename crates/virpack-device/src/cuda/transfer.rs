//! Transfers of batches to the card, and of results to the host.

use super::arena::Block;
use super::arena_plan::Blocks;
use super::driver::{Event, Stream, check};
use super::packed::{CudaPacked, Draft};
use super::{Cuda, CudaPending, CudaTensor, libraries};
use crate::DeviceError;
use cudarc::driver::sys;
use std::sync::Arc;
use std::sync::atomic::Ordering;

fn values_of(bytes: &[u8]) -> impl Iterator<Item = [u8; 4]> + '_ {
    bytes.chunks_exact(4).map(|b| [b[0], b[1], b[2], b[3]])
}

impl Cuda {
    /// Uploads a batch on the compute stream.
    pub(super) fn upload_packed(
        &self,
        input_ids: &[u16],
        cu_seqlens: &[i32],
    ) -> Result<CudaPacked, DeviceError> {
        let draft = Draft::new(input_ids, cu_seqlens)?;
        let bytes = draft.bytes();
        let mut host = self.pinned.take(&self.card, bytes)?;
        draft.write(host.bytes_mut());
        let kind = self.blocks().upload;
        let block = self.arena.take(Blocks::small(bytes, kind))?;
        let Stream(compute) = self.card.compute;
        let from = host.bytes().as_ptr().cast();
        // SAFETY: both sides hold `bytes`; the host buffer is not written again before the event below.
        check("cuMemcpyHtoDAsync", unsafe {
            sys::cuMemcpyHtoDAsync_v2(block.pointer, from, bytes, compute)
        })?;
        self.pinned.give(host, Some(Event::record(&self.card, self.card.compute)?));
        let begun = self.timed_point()?.map(Arc::new);
        Ok(draft.on_card(block, begun))
    }

    /// Records the point that the compute stream has reached, with its time, if the driver times events.
    pub(super) fn timed_point(&self) -> Result<Option<Event>, DeviceError> {
        let timed = libraries::times_events().then(|| Event::record_timed(&self.card, self.card.compute));
        timed.transpose()
    }

    /// Copies values, and the flags after them, to the host on the download stream.
    pub(super) fn send(
        &self,
        source: Block,
        values: usize,
        flagged: usize,
        span: Option<(Arc<Event>, Event)>,
    ) -> Result<CudaPending, DeviceError> {
        let bytes = (values + flagged) * size_of::<f32>();
        let mut host = self.pinned.take(&self.card, bytes)?;
        let Stream(download) = self.card.download;
        Event::record(&self.card, self.card.compute)?.hold(self.card.download)?;
        let to = host.bytes_mut().as_mut_ptr().cast();
        // SAFETY: both sides hold `bytes`; the pending keeps both until the copy is done.
        check("cuMemcpyDtoHAsync", unsafe {
            sys::cuMemcpyDtoHAsync_v2(to, source.pointer, bytes, download)
        })?;
        let arrived = Event::record(&self.card, self.card.download)?;
        let pool = Arc::clone(&self.pinned);
        Ok(CudaPending { host: Some(host), values, flagged, arrived, span, pool, _source: source })
    }

    /// Copies all rows of a tensor in float32 to the host.
    pub(super) fn send_rows(&self, x: &CudaTensor) -> Result<CudaPending, DeviceError> {
        self.card.enter()?;
        let x = self.plain(x)?;
        let count = x.rows * x.columns;
        let kind = self.blocks().rows;
        let out = self.arena.take(Blocks::small(count * size_of::<f32>(), kind))?;
        // SAFETY: both hold `count` values.
        unsafe { self.widen(x.block.pointer, out.pointer, count)? };
        self.send(out, count, 0, None)
    }

    /// Waits for values. Returns an error if a row is not finite.
    pub(super) fn receive(&self, pending: CudaPending) -> Result<Vec<f32>, DeviceError> {
        pending.arrived.wait()?;
        if let Some((begun, ended)) = &pending.span {
            let nanoseconds = f64::from(ended.milliseconds_since(begun)?) * 1e6;
            self.busy.fetch_add(nanoseconds as u64, Ordering::Relaxed);
        }
        let host = pending.host.as_ref().expect("a pending is waited for once, and then gone");
        let (values, rest) = host.bytes().split_at(pending.values * size_of::<f32>());
        let flags =
            values_of(&rest[..pending.flagged * size_of::<f32>()]).map(|f| u32::from_ne_bytes(f) != 0);
        let broken: Vec<usize> = flags.enumerate().filter_map(|(row, flag)| flag.then_some(row)).collect();
        if !broken.is_empty() {
            return Err(DeviceError::NotFinite { broken, rows: pending.flagged });
        }
        Ok(values_of(values).map(f32::from_ne_bytes).collect())
    }
}
