//! Matrix products by cuBLASLt, with bias and residual in the epilogue. `algorithms.rs` chooses the
//! algorithm.

use super::algorithms::Chosen;
use super::arena::Fixed;
use super::driver::Card;
use super::kernels::Kernels;
use crate::{DeviceError, Dtype};
use cudarc::cublaslt::sys;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::ffi::c_void;
use std::fmt;
use std::ptr;
use std::sync::Arc;

/// Bytes of scratch memory for cuBLASLt: NVIDIA's recommendation for 9.0.
pub(super) const WORKSPACE: usize = 32 << 20;

/// `CUBLAS_OP_T`, which cudarc has only among cuBLAS's bindings.
const TRANSPOSED: i32 = 1;

/// The sizes of `y [rows, outputs] = x [rows, inputs] · weightᵀ (+ bias) (+ y)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Shape {
    pub(super) rows: usize,
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    pub(super) bias: bool,
    pub(super) residual: bool,
}

/// Addresses on the card.
#[derive(Clone, Copy, Debug)]
pub(super) struct Operands {
    pub(super) x: u64,
    pub(super) weight: u64,
    /// In the dtype of the activations; not read without a bias.
    pub(super) bias: u64,
    pub(super) y: u64,
}

/// cuBLASLt on one card and stream.
#[derive(Debug)]
pub(super) struct Products {
    pub(super) card: Arc<Card>,
    pub(super) dtype: Dtype,
    workspace: Fixed,
    state: Mutex<ProductState>,
}

#[derive(Debug)]
pub(super) struct ProductState {
    pub(super) handle: sys::cublasLtHandle_t,
    /// The product of each shape, with the algorithm chosen for its rows.
    plans: HashMap<Shape, (Plan, sys::cublasLtMatmulAlgo_t)>,
    /// The chosen algorithms, by the shape with 0 rows.
    pub(super) chosen: HashMap<Shape, Chosen>,
}

// SAFETY: the handle may be used from any thread, one at a time: it lives behind the mutex.
unsafe impl Send for ProductState {}

/// A product's descriptors.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) operation: sys::cublasLtMatmulDesc_t,
    pub(super) weight: sys::cublasLtMatrixLayout_t,
    pub(super) x: sys::cublasLtMatrixLayout_t,
    pub(super) y: sys::cublasLtMatrixLayout_t,
}

pub(super) fn check(call: &'static str, status: sys::cublasStatus_t) -> Result<(), DeviceError> {
    match status {
        sys::cublasStatus_t::CUBLAS_STATUS_SUCCESS => Ok(()),
        other => Err(DeviceError::Call { call, reason: format!("{other:?}") }),
    }
}

impl Products {
    pub(super) fn new(card: &Arc<Card>, dtype: Dtype) -> Result<Products, DeviceError> {
        card.enter()?;
        let mut handle = ptr::null_mut();
        // SAFETY: a pointer to a local; the context is current.
        check("cublasLtCreate", unsafe { sys::cublasLtCreate(&mut handle) })?;
        let workspace = Fixed::new(card, "cuBLASLt workspace", WORKSPACE)?;
        let state = Mutex::new(ProductState { handle, plans: HashMap::new(), chosen: HashMap::new() });
        Ok(Products { card: Arc::clone(card), dtype, workspace, state })
    }

    /// Returns the choices made so far, one line for each weight's shape.
    pub(super) fn chosen(&self) -> Vec<String> {
        let state = self.state.lock();
        let mut lines: Vec<String> =
            state.chosen.iter().map(|(shape, chosen)| format!("product {shape}: {chosen}")).collect();
        lines.sort();
        lines
    }

    /// Submits the product to the compute stream.
    ///
    /// # Safety
    ///
    /// The operands are of the shape's sizes in the dtype.
    pub(super) unsafe fn run(
        &self,
        kernels: &Kernels,
        shape: Shape,
        operands: Operands,
    ) -> Result<(), DeviceError> {
        let mut state = self.state.lock();
        let state = &mut *state;
        if !state.plans.contains_key(&shape) {
            let plan = Plan::new(self.dtype, shape)?;
            // SAFETY: the caller's promise.
            let algorithm = unsafe { self.algorithm(kernels, state, &plan, shape, operands)? };
            state.plans.insert(shape, (plan, algorithm));
        }
        let (plan, algorithm) = &state.plans[&shape];
        // SAFETY: the caller's promise; the plan is of this shape.
        unsafe { self.submit(state.handle, plan, algorithm, shape, operands, operands.y) }
    }

    /// Submits the product by one algorithm to the compute stream. Its result goes to `result`, which may be
    /// `y`.
    ///
    /// # Safety
    ///
    /// The operands and the result are of the shape's sizes in the dtype, and the plan is the shape's.
    pub(super) unsafe fn submit(
        &self,
        handle: sys::cublasLtHandle_t,
        plan: &Plan,
        algorithm: &sys::cublasLtMatmulAlgo_t,
        shape: Shape,
        operands: Operands,
        result: u64,
    ) -> Result<(), DeviceError> {
        let (one, beta) = (1.0f32, if shape.residual { 1.0f32 } else { 0.0 });
        // SAFETY: the caller's promise for the operands; scalars are float32 as the operation says; the workspace is
        // used by this stream alone.
        unsafe {
            if shape.bias {
                let attribute = sys::cublasLtMatmulDescAttributes_t::CUBLASLT_MATMUL_DESC_BIAS_POINTER;
                set(plan.operation, attribute, operands.bias)?;
            }
            check(
                "cublasLtMatmul",
                sys::cublasLtMatmul(
                    handle,
                    plan.operation,
                    ptr::from_ref(&one).cast(),
                    operands.weight as *const c_void,
                    plan.weight,
                    operands.x as *const c_void,
                    plan.x,
                    ptr::from_ref(&beta).cast(),
                    operands.y as *const c_void,
                    plan.y,
                    result as *mut c_void,
                    plan.y,
                    algorithm,
                    self.workspace.pointer as *mut c_void,
                    WORKSPACE,
                    self.card.compute.0.cast(),
                ),
            )
        }
    }
}

impl Plan {
    /// Row-major `y = x · weightᵀ` is column-major `yᵀ = weight · xᵀ`, whose first operand is read
    /// transposed.
    pub(super) fn new(dtype: Dtype, shape: Shape) -> Result<Plan, DeviceError> {
        use sys::cublasLtEpilogue_t::{CUBLASLT_EPILOGUE_BIAS, CUBLASLT_EPILOGUE_DEFAULT};
        use sys::cublasLtMatmulDescAttributes_t as Attribute;
        let kind = match dtype {
            Dtype::F32 | Dtype::F32Strict => sys::cudaDataType_t::CUDA_R_32F,
            Dtype::F16 | Dtype::Int8 => sys::cudaDataType_t::CUDA_R_16F,
            Dtype::Bf16 => sys::cudaDataType_t::CUDA_R_16BF,
        };
        let mut operation = ptr::null_mut();
        let epilogue = if shape.bias { CUBLASLT_EPILOGUE_BIAS } else { CUBLASLT_EPILOGUE_DEFAULT };
        // SAFETY: pointers to locals; attributes of the sizes that the library states.
        unsafe {
            // Plain float32: TF32 has a compute type of its own.
            let compute = sys::cublasComputeType_t::CUBLAS_COMPUTE_32F;
            let scale = sys::cudaDataType_t::CUDA_R_32F;
            check("cublasLtMatmulDescCreate", sys::cublasLtMatmulDescCreate(&mut operation, compute, scale))?;
            set(operation, Attribute::CUBLASLT_MATMUL_DESC_TRANSA, TRANSPOSED)?;
            set(operation, Attribute::CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue)?;
        }
        Ok(Plan {
            operation,
            weight: layout(kind, shape.inputs, shape.outputs)?,
            x: layout(kind, shape.inputs, shape.rows)?,
            y: layout(kind, shape.outputs, shape.rows)?,
        })
    }
}

impl Drop for Plan {
    fn drop(&mut self) {
        // SAFETY: created by `new`; descriptions on the host, which the card does not read.
        unsafe {
            sys::cublasLtMatmulDescDestroy(self.operation);
            for layout in [self.weight, self.x, self.y] {
                sys::cublasLtMatrixLayoutDestroy(layout);
            }
        }
    }
}

impl fmt::Display for Shape {
    /// Leaves out the rows.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}", self.inputs, self.outputs)?;
        f.write_str(if self.bias { " + bias" } else { "" })?;
        f.write_str(if self.residual { " + residual" } else { "" })
    }
}

impl Drop for Products {
    fn drop(&mut self) {
        if self.card.finish(self.card.compute).is_err() {
            return;
        }
        let state = self.state.get_mut();
        state.plans.clear();
        // SAFETY: created by `new`, used by nothing any more.
        unsafe { sys::cublasLtDestroy(state.handle) };
    }
}

/// Sets one attribute of an operation.
///
/// # Safety
///
/// `operation` is live and `value` of the attribute's own type.
unsafe fn set<V>(
    operation: sys::cublasLtMatmulDesc_t,
    attribute: sys::cublasLtMatmulDescAttributes_t,
    value: V,
) -> Result<(), DeviceError> {
    // SAFETY: the caller's promise; the value is copied.
    check("cublasLtMatmulDescSetAttribute", unsafe {
        sys::cublasLtMatmulDescSetAttribute(
            operation,
            attribute,
            ptr::from_ref(&value).cast(),
            size_of::<V>(),
        )
    })
}

/// Returns the layout of a column-major matrix without gaps.
fn layout(
    kind: sys::cudaDataType_t,
    rows: usize,
    columns: usize,
) -> Result<sys::cublasLtMatrixLayout_t, DeviceError> {
    let mut layout = ptr::null_mut();
    // SAFETY: a pointer to a local.
    check("cublasLtMatrixLayoutCreate", unsafe {
        sys::cublasLtMatrixLayoutCreate(&mut layout, kind, rows as u64, columns as u64, rows as i64)
    })?;
    Ok(layout)
}
