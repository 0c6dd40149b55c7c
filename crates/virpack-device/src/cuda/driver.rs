//! The card: context, streams, events and pinned memory, thinly wrapped and released on drop.

use super::target::{self, Target};
use crate::{DeviceError, Remedy, Unavailable};
use cudarc::driver::sys;
use parking_lot::Mutex;
use std::ffi::{CStr, c_int};
use std::ptr;
use std::sync::Arc;

/// One GPU and its streams.
#[derive(Debug)]
pub(super) struct Card {
    context: sys::CUcontext,
    device: sys::CUdevice,
    /// The number that `nvidia-smi` shows.
    pub(super) ordinal: usize,
    /// The name that the driver gives.
    pub(super) name: String,
    /// Compute capability: 90 for 9.0.
    pub(super) capability: u32,
    /// The target of its kernels.
    pub(super) target: Target,
    /// Number of multiprocessors.
    pub(super) processors: usize,
    /// Uploads and kernels, in order.
    pub(super) compute: Stream,
    /// Transfers of results to the host, concurrent with the next batch's kernels.
    pub(super) download: Stream,
}

/// The function that times events. Drivers before CUDA 12.8 have another one, and nothing is timed there.
pub(super) const ELAPSED: &str = "cuEventElapsedTime_v2";

/// A stream of the card.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stream(pub(super) sys::CUstream);

// SAFETY: the driver's handles may be used from any thread; every call names its context first (`Card::enter`).
unsafe impl Send for Card {}
// SAFETY: as above; the driver locks what it shares.
unsafe impl Sync for Card {}

/// Converts the result of a driver call.
pub(super) fn check(call: &'static str, result: sys::CUresult) -> Result<(), DeviceError> {
    if result == sys::CUresult::CUDA_SUCCESS {
        return Ok(());
    }
    let mut text = ptr::null();
    // SAFETY: the driver writes a pointer to a static string, or leaves it null.
    let reason = unsafe {
        sys::cuGetErrorString(result, &mut text);
        if text.is_null() {
            format!("{result:?}")
        } else {
            CStr::from_ptr(text).to_string_lossy().into_owned()
        }
    };
    Err(DeviceError::Call { call, reason })
}

fn refused(error: DeviceError) -> Unavailable {
    Unavailable { reason: format!("the NVIDIA driver refused: {error}"), remedy: Remedy::CheckDriver }
}

impl Card {
    /// Returns the number of cards that the driver shows. The driver must be open.
    pub(super) fn count() -> Result<usize, Unavailable> {
        let mut count: c_int = 0;
        // SAFETY: plain calls with pointers to locals.
        unsafe {
            match sys::cuInit(0) {
                sys::CUresult::CUDA_ERROR_NO_DEVICE => return Ok(0),
                result => check("cuInit", result).map_err(refused)?,
            }
            check("cuDeviceGetCount", sys::cuDeviceGetCount(&mut count)).map_err(refused)?;
        }
        Ok(count as usize)
    }

    /// Opens card `ordinal`. The libraries must be open.
    pub(super) fn open(ordinal: usize) -> Result<Arc<Card>, Unavailable> {
        let count = Self::count()?;
        if ordinal >= count {
            return Err(Unavailable {
                reason: format!("there is no card {ordinal}: the driver sees {count}"),
                remedy: Remedy::CheckCards,
            });
        }
        let mut card = Self::retain(ordinal as c_int).map_err(refused)?;
        if card.capability < target::OLDEST {
            let [own, least] = [card.capability, target::OLDEST].map(target::shown);
            return Err(Unavailable {
                reason: format!("{} has compute capability {own}, and {least} is the least", card.name),
                remedy: Remedy::UseCpu,
            });
        }
        card.target = Target::of_card(card.capability)?;
        Ok(Arc::new(card))
    }

    fn retain(ordinal: c_int) -> Result<Card, DeviceError> {
        use sys::CUdevice_attribute_enum::{
            CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR as MAJOR,
            CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR as MINOR,
            CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT as PROCESSORS,
        };
        let mut device = 0;
        let mut context = ptr::null_mut();
        let mut name = [0 as std::ffi::c_char; 128];
        let (mut major, mut minor, mut processors) = (0, 0, 0);
        let (mut compute, mut download) = (ptr::null_mut(), ptr::null_mut());
        let flags = sys::CUstream_flags_enum::CU_STREAM_NON_BLOCKING as u32;
        // SAFETY: pointers to locals of the right types; the name's length is passed.
        unsafe {
            check("cuDeviceGet", sys::cuDeviceGet(&mut device, ordinal))?;
            check("cuDeviceGetName", sys::cuDeviceGetName(name.as_mut_ptr(), name.len() as c_int, device))?;
            check("cuDeviceGetAttribute", sys::cuDeviceGetAttribute(&mut major, MAJOR, device))?;
            check("cuDeviceGetAttribute", sys::cuDeviceGetAttribute(&mut minor, MINOR, device))?;
            check("cuDeviceGetAttribute", sys::cuDeviceGetAttribute(&mut processors, PROCESSORS, device))?;
            check("cuDevicePrimaryCtxRetain", sys::cuDevicePrimaryCtxRetain(&mut context, device))?;
            check("cuCtxSetCurrent", sys::cuCtxSetCurrent(context))?;
            check("cuStreamCreate", sys::cuStreamCreate(&mut compute, flags))?;
            check("cuStreamCreate", sys::cuStreamCreate(&mut download, flags))?;
        }
        // SAFETY: the driver ended the name with a zero.
        let name = unsafe { CStr::from_ptr(name.as_ptr()) }.to_string_lossy().into_owned();
        let (capability, processors) = ((major * 10 + minor) as u32, processors as usize);
        let (compute, download) = (Stream(compute), Stream(download));
        let ordinal = ordinal as usize;
        let target = Target { capability, translated: false };
        Ok(Card { context, device, ordinal, name, capability, target, processors, compute, download })
    }

    /// Makes the card current on this thread.
    pub(super) fn enter(&self) -> Result<(), DeviceError> {
        // SAFETY: the context is retained while the card lives.
        check("cuCtxSetCurrent", unsafe { sys::cuCtxSetCurrent(self.context) })
    }

    /// Returns the free and the total bytes.
    pub(super) fn memory(&self) -> Result<(usize, usize), DeviceError> {
        self.enter()?;
        let (mut free, mut total) = (0, 0);
        // SAFETY: pointers to locals.
        check("cuMemGetInfo", unsafe { sys::cuMemGetInfo_v2(&mut free, &mut total) })?;
        Ok((free, total))
    }

    /// Waits until all work submitted to `stream` is done.
    pub(super) fn finish(&self, stream: Stream) -> Result<(), DeviceError> {
        self.enter()?;
        // SAFETY: the stream is the card's.
        check("cuStreamSynchronize", unsafe { sys::cuStreamSynchronize(stream.0) })
    }
}

impl Drop for Card {
    fn drop(&mut self) {
        // SAFETY: nothing else holds the streams; errors at the end have no one to hear them.
        unsafe {
            sys::cuCtxSetCurrent(self.context);
            sys::cuStreamSynchronize(self.compute.0);
            sys::cuStreamSynchronize(self.download.0);
            sys::cuStreamDestroy_v2(self.compute.0);
            sys::cuStreamDestroy_v2(self.download.0);
            sys::cuDevicePrimaryCtxRelease_v2(self.device);
        }
    }
}

/// A point in a stream.
#[derive(Debug)]
pub(super) struct Event {
    event: sys::CUevent,
    card: Arc<Card>,
}

// SAFETY: as for `Card`.
unsafe impl Send for Event {}
// SAFETY: as for `Card`.
unsafe impl Sync for Event {}

impl Event {
    /// Records the point that `stream` has reached.
    pub(super) fn record(card: &Arc<Card>, stream: Stream) -> Result<Event, DeviceError> {
        use sys::CUevent_flags_enum::{CU_EVENT_BLOCKING_SYNC, CU_EVENT_DISABLE_TIMING};
        Self::record_with(card, stream, CU_EVENT_BLOCKING_SYNC as u32 | CU_EVENT_DISABLE_TIMING as u32)
    }

    /// Records the same with a time, if the driver has [`ELAPSED`].
    pub(super) fn record_timed(card: &Arc<Card>, stream: Stream) -> Result<Event, DeviceError> {
        Self::record_with(card, stream, 0)
    }

    fn record_with(card: &Arc<Card>, stream: Stream, flags: u32) -> Result<Event, DeviceError> {
        card.enter()?;
        let mut event = ptr::null_mut();
        // SAFETY: a pointer to a local; the event and the stream are of the current context.
        unsafe {
            check("cuEventCreate", sys::cuEventCreate(&mut event, flags))?;
            let event = Event { event, card: Arc::clone(card) };
            check("cuEventRecord", sys::cuEventRecord(event.event, stream.0))?;
            Ok(event)
        }
    }

    /// Returns the milliseconds from `earlier` to this. Both must be timed and past.
    pub(super) fn milliseconds_since(&self, earlier: &Event) -> Result<f32, DeviceError> {
        let mut milliseconds = 0.0;
        // SAFETY: a pointer to a local, live events.
        check(ELAPSED, unsafe { sys::cuEventElapsedTime_v2(&mut milliseconds, earlier.event, self.event) })?;
        Ok(milliseconds)
    }

    /// Makes `stream` wait for this point.
    pub(super) fn hold(&self, stream: Stream) -> Result<(), DeviceError> {
        // SAFETY: live handles of one context.
        check("cuStreamWaitEvent", unsafe { sys::cuStreamWaitEvent(stream.0, self.event, 0) })
    }

    /// Waits for this point.
    pub(super) fn wait(&self) -> Result<(), DeviceError> {
        self.card.enter()?;
        // SAFETY: a live event.
        check("cuEventSynchronize", unsafe { sys::cuEventSynchronize(self.event) })
    }

    /// Returns whether the stream has passed this point.
    pub(super) fn is_past(&self) -> bool {
        // SAFETY: a live event of the context made current.
        self.card.enter().is_ok() && unsafe { sys::cuEventQuery(self.event) } == sys::CUresult::CUDA_SUCCESS
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: the handle is ours; the driver keeps a pending event until it is done.
        unsafe { sys::cuEventDestroy_v2(self.event) };
    }
}

/// Pinned host memory, which copies use without waiting.
#[derive(Debug)]
pub(super) struct Pinned {
    pointer: *mut u8,
    len: usize,
}

// SAFETY: plain memory with one owner.
unsafe impl Send for Pinned {}
// SAFETY: shared only for reading.
unsafe impl Sync for Pinned {}

impl Pinned {
    fn new(len: usize) -> Result<Pinned, DeviceError> {
        let mut pointer = ptr::null_mut();
        // SAFETY: a pointer to a local; the context is current.
        check("cuMemAllocHost", unsafe { sys::cuMemAllocHost_v2(&mut pointer, len) })?;
        // SAFETY: `len` fresh bytes; zeroed, so that no read meets uninitialised memory.
        unsafe { ptr::write_bytes(pointer.cast::<u8>(), 0, len) };
        Ok(Pinned { pointer: pointer.cast(), len })
    }

    /// Returns the bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: `len` initialised bytes, alive as long as `self`.
        unsafe { std::slice::from_raw_parts(self.pointer, self.len) }
    }

    /// Returns the bytes, for writing.
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.pointer, self.len) }
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // SAFETY: allocated by `new`; the pool holds it until its copy is done.
        unsafe { sys::cuMemFreeHost(self.pointer.cast()) };
    }
}

/// Unused pinned buffers, each with the event after which it may be written.
#[derive(Debug, Default)]
pub(super) struct PinnedPool(Mutex<Vec<(Pinned, Option<Event>)>>);

impl PinnedPool {
    /// Returns a buffer of at least `len` bytes that no copy uses.
    pub(super) fn take(&self, card: &Card, len: usize) -> Result<Pinned, DeviceError> {
        card.enter()?;
        let mut free = self.0.lock();
        let fits = |(buffer, event): &(Pinned, Option<Event>)| {
            buffer.len >= len && event.as_ref().is_none_or(Event::is_past)
        };
        match free.iter().position(fits) {
            Some(i) => Ok(free.swap_remove(i).0),
            None => Pinned::new(len.next_power_of_two().max(1 << 16)),
        }
    }

    /// Takes a buffer back, to be used again once `after` is past.
    pub(super) fn give(&self, buffer: Pinned, after: Option<Event>) {
        self.0.lock().push((buffer, after));
    }
}
