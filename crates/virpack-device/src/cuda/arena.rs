//! Device memory: few large allocations, divided into blocks that are handed out, taken back and reused.
//!
//! Blocks of one size form a free list. All work runs in the order of one stream, so a block may be handed
//! out again once the last call that uses it has been submitted to the stream.

use super::driver::{Card, check};
use crate::DeviceError;
use cudarc::driver::sys;
use parking_lot::{Mutex, MutexGuard};
use std::collections::HashMap;
use std::sync::Arc;

/// The alignment of blocks, in bytes, which suits cuBLASLt and 16-byte accesses.
const ALIGNMENT: usize = 256;

/// The smallest allocation on the card, in bytes.
const CHUNK: usize = 64 << 20;

/// A card's memory for activations.
#[derive(Debug)]
pub(super) struct Arena {
    card: Arc<Card>,
    state: Mutex<ArenaState>,
}

#[derive(Debug, Default)]
struct ArenaState {
    chunks: Vec<(u64, usize)>,
    /// Bytes of the last chunk that are divided into blocks.
    used: usize,
    free: HashMap<usize, Vec<u64>>,
    /// Number of blocks handed out.
    out: usize,
}

/// A block of the arena, which takes it back on drop.
#[derive(Debug)]
pub(super) struct Block {
    /// Its address on the card.
    pub(super) pointer: u64,
    size: usize,
    arena: Arc<Arena>,
}

impl Arena {
    pub(super) fn new(card: Arc<Card>) -> Arc<Arena> {
        Arc::new(Arena { card, state: Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, ArenaState> {
        self.state.lock()
    }

    /// Allocates `bytes` on the card at once, for later blocks.
    pub(super) fn reserve(&self, bytes: usize) -> Result<(), DeviceError> {
        self.grow(&mut self.state(), bytes)
    }

    /// Frees all memory if no block is handed out; otherwise does nothing.
    pub(super) fn release(&self) -> Result<(), DeviceError> {
        let mut state = self.state();
        if state.out > 0 {
            return Ok(());
        }
        self.card.finish(self.card.compute)?;
        self.card.finish(self.card.download)?;
        for (pointer, _) in std::mem::take(&mut *state).chunks {
            // SAFETY: allocated by `grow`; no block of it is handed out and the streams are done.
            check("cuMemFree", unsafe { sys::cuMemFree_v2(pointer) })?;
        }
        Ok(())
    }

    /// Returns a block of at least `bytes`.
    pub(super) fn take(self: &Arc<Self>, bytes: usize) -> Result<Block, DeviceError> {
        let size = bytes.max(1).next_multiple_of(ALIGNMENT);
        let mut state = self.state();
        let pointer = match state.free.get_mut(&size).and_then(Vec::pop) {
            Some(pointer) => pointer,
            None => self.carve(&mut state, size)?,
        };
        state.out += 1;
        Ok(Block { pointer, size, arena: Arc::clone(self) })
    }

    fn carve(&self, state: &mut ArenaState, size: usize) -> Result<u64, DeviceError> {
        if state.chunks.last().is_none_or(|&(_, len)| len - state.used < size) {
            self.grow(state, size.max(CHUNK))?;
        }
        let &(base, _) = state.chunks.last().expect("a chunk was just made sure of");
        let pointer = base + state.used as u64;
        state.used += size;
        Ok(pointer)
    }

    fn grow(&self, state: &mut ArenaState, bytes: usize) -> Result<(), DeviceError> {
        let pointer = allocate(&self.card, "arena", bytes)?;
        state.chunks.push((pointer, bytes));
        state.used = 0;
        Ok(())
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        // The last block is dropped. The streams must finish before the memory is freed.
        let done = self.card.finish(self.card.compute).and_then(|()| self.card.finish(self.card.download));
        for (pointer, _) in self.state().chunks.drain(..) {
            if done.is_ok() {
                // SAFETY: allocated by `grow`, used by no one any more.
                unsafe { sys::cuMemFree_v2(pointer) };
            }
        }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let mut state = self.arena.state();
        state.out -= 1;
        state.free.entry(self.size).or_default().push(self.pointer);
    }
}

/// Memory that lives as long as a model.
#[derive(Debug)]
pub(super) struct Fixed {
    /// Its address on the card.
    pub(super) pointer: u64,
    card: Arc<Card>,
}

impl Fixed {
    /// Allocates `bytes` on the card.
    pub(super) fn new(card: &Arc<Card>, op: &'static str, bytes: usize) -> Result<Fixed, DeviceError> {
        Ok(Fixed { pointer: allocate(card, op, bytes)?, card: Arc::clone(card) })
    }
}

impl Drop for Fixed {
    fn drop(&mut self) {
        if self.card.finish(self.card.compute).is_ok() {
            // SAFETY: allocated by `new`; the stream that used it is done.
            unsafe { sys::cuMemFree_v2(self.pointer) };
        }
    }
}

fn allocate(card: &Card, op: &'static str, bytes: usize) -> Result<u64, DeviceError> {
    card.enter()?;
    let mut pointer = 0;
    // SAFETY: a pointer to a local; the context is current.
    let result = unsafe { sys::cuMemAlloc_v2(&mut pointer, bytes.max(ALIGNMENT)) };
    if result == sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY {
        return Err(DeviceError::OutOfMemory { op, wanted: bytes, free: card.memory()?.0 });
    }
    check("cuMemAlloc", result)?;
    Ok(pointer)
}
