//! The memory of the row scales of products with a norm (kernels/row_scales.cuh).

use super::arena::Fixed;
use super::driver::{Card, Stream, check};
use super::{Cuda, ROW_STEP};
use crate::DeviceError;
use cudarc::driver::sys;
use parking_lot::{Mutex, MutexGuard};
use std::sync::Arc;

/// The memory of row scales. All products share it, because they run one after the other.
#[derive(Debug, Default)]
pub(super) struct RowScales(Mutex<Option<Scales>>);

/// Two counters of rows, then eight bytes for each row; all zero before the first launch.
#[derive(Debug)]
struct Scales {
    memory: Fixed,
    rows: usize,
    /// Launches that have used it, numbered from 1. Its words hold the number of their launch.
    launches: u32,
}

/// Bytes of the counters, and of a row's word.
const COUNTERS: usize = 16;
const WORD: usize = 8;

impl Scales {
    fn new(card: &Arc<Card>, rows: usize) -> Result<Scales, DeviceError> {
        let bytes = COUNTERS + rows * WORD;
        let memory = Fixed::new(card, "scales of rows", bytes)?;
        let Stream(compute) = card.compute;
        // SAFETY: `memory` has the length cleared, on the stream of the kernels that use it.
        check("cuMemsetD32Async", unsafe {
            sys::cuMemsetD32Async(memory.pointer, 0, bytes / size_of::<u32>(), compute)
        })?;
        Ok(Scales { memory, rows, launches: 0 })
    }
}

/// The scales of a launch. The next launch waits until this is dropped.
pub(super) struct RowScaleSlot<'a>(MutexGuard<'a, Option<Scales>>);

impl RowScaleSlot<'_> {
    /// Returns the addresses of words and counters, and the launch's number.
    pub(super) fn arguments(&self) -> (u64, u64, i32) {
        let scales = self.0.as_ref().expect("`take_scales` has just made sure of them");
        let counters = scales.memory.pointer;
        (counters + COUNTERS as u64, counters, (scales.launches + 1) as i32)
    }

    /// Marks the launch as submitted. A failed launch uses no number, because a launch clears the next one's
    /// counter.
    pub(super) fn launched(mut self) {
        self.0.iter_mut().for_each(|scales| scales.launches += 1);
    }
}

impl Cuda {
    /// Allocates scales for batches of `tokens`, if products are normed.
    pub(super) fn reserve_scales(&self, tokens: usize) -> Result<(), DeviceError> {
        if self.has_products() { self.scales_of(tokens).map(drop) } else { Ok(()) }
    }

    /// Takes the scales of `rows` rows for one launch.
    pub(super) fn take_scales(&self, rows: usize) -> Result<RowScaleSlot<'_>, DeviceError> {
        self.scales_of(rows).map(RowScaleSlot)
    }

    fn scales_of(&self, rows: usize) -> Result<MutexGuard<'_, Option<Scales>>, DeviceError> {
        let RowScales(scales) = &self.scales;
        let mut scales = scales.lock();
        let rows = rows.next_multiple_of(ROW_STEP);
        // In fresh memory the numbers of launches start again.
        if !scales.as_ref().is_some_and(|s| s.rows >= rows && s.launches < u32::MAX) {
            *scales = None;
            *scales = Some(Scales::new(&self.card, rows)?);
        }
        Ok(scales)
    }
}
