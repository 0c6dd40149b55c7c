//! Descriptions of matrices for the bulk tensor copies of compute capability 9.0.

use super::driver::check;
use super::libraries;
use crate::{DeviceError, Dtype};
use cudarc::driver::sys;
use std::ffi::c_void;
use std::{mem, ptr};

/// The driver's function, available since CUDA 12.0.
const ENCODE: &str = "cuTensorMapEncodeTiled";

/// A row-major matrix, and the box of it that one copy loads into shared memory, swizzled by the bytes of its
/// rows. A kernel takes it by value, as `const __grid_constant__ TensorMap`.
#[derive(Clone, Copy, Debug)]
pub(super) struct TensorMap(sys::CUtensorMap);

/// Returns whether this driver can describe matrices.
pub(super) fn available() -> bool {
    libraries::driver_has(ENCODE)
}

impl TensorMap {
    /// Describes `[rows, columns]` values at `pointer`, with rows `pitch` values apart, copied in boxes of
    /// `box_rows` rows and `box_columns` columns (16, 32 or 64, which can be swizzled). Outside the matrix a
    /// box holds zeros.
    ///
    /// `pointer` and the bytes of a pitch must be multiples of 16, and the driver must be [`available`].
    pub(super) fn new(
        dtype: Dtype,
        pointer: u64,
        shape: (usize, usize),
        pitch: usize,
        boxed: (usize, usize),
    ) -> Result<TensorMap, DeviceError> {
        use sys::CUtensorMapDataType_enum::{
            CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, CU_TENSOR_MAP_DATA_TYPE_FLOAT16,
            CU_TENSOR_MAP_DATA_TYPE_FLOAT32,
        };
        let kind = match dtype {
            Dtype::F32 | Dtype::F32Strict => CU_TENSOR_MAP_DATA_TYPE_FLOAT32,
            Dtype::F16 | Dtype::Int8 => CU_TENSOR_MAP_DATA_TYPE_FLOAT16,
            Dtype::Bf16 => CU_TENSOR_MAP_DATA_TYPE_BFLOAT16,
        };
        TensorMap::of((kind, dtype.bytes()), pointer, shape, pitch, boxed)
    }

    /// Describes a matrix of bytes, in boxes of 32, 64 or 128 columns.
    pub(super) fn of_bytes(
        pointer: u64,
        shape: (usize, usize),
        pitch: usize,
        boxed: (usize, usize),
    ) -> Result<TensorMap, DeviceError> {
        let kind = sys::CUtensorMapDataType_enum::CU_TENSOR_MAP_DATA_TYPE_UINT8;
        TensorMap::of((kind, 1), pointer, shape, pitch, boxed)
    }

    /// Describes a matrix of values of a kind, of `bytes` bytes each.
    fn of(
        (kind, bytes): (sys::CUtensorMapDataType, usize),
        pointer: u64,
        (rows, columns): (usize, usize),
        pitch: usize,
        (box_rows, box_columns): (usize, usize),
    ) -> Result<TensorMap, DeviceError> {
        // The fastest dimension comes first everywhere.
        let (sizes, pitches) = ([columns as u64, rows as u64], [(pitch * bytes) as u64]);
        let (boxes, every) = ([box_columns as u32, box_rows as u32], [1, 1]);
        let swizzle = match box_columns * bytes {
            32 => sys::CUtensorMapSwizzle::CU_TENSOR_MAP_SWIZZLE_32B,
            64 => sys::CUtensorMapSwizzle::CU_TENSOR_MAP_SWIZZLE_64B,
            _ => sys::CUtensorMapSwizzle::CU_TENSOR_MAP_SWIZZLE_128B,
        };
        // SAFETY: plain integers, filled by the driver.
        let mut map: sys::CUtensorMap = unsafe { mem::zeroed() };
        // SAFETY: arrays of the rank passed (strides of one fewer); the driver checks alignment and sizes. The memory
        // is not touched here.
        check(ENCODE, unsafe {
            sys::cuTensorMapEncodeTiled(
                &mut map,
                kind,
                2,
                pointer as *mut _,
                sizes.as_ptr(),
                pitches.as_ptr(),
                boxes.as_ptr(),
                every.as_ptr(),
                sys::CUtensorMapInterleave::CU_TENSOR_MAP_INTERLEAVE_NONE,
                swizzle,
                sys::CUtensorMapL2promotion::CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
                sys::CUtensorMapFloatOOBfill::CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE,
            )
        })?;
        Ok(TensorMap(map))
    }

    /// Returns the driver's own bytes.
    pub(super) fn bytes(&self) -> *const c_void {
        ptr::from_ref(&self.0).cast()
    }
}
