//! Matrix products through cuBLASLt: bias and residual in the epilogue, the algorithm measured once a shape.

use super::Dtype;
use super::arena::Fixed;
use super::driver::{Card, Event};
use super::libraries;
use crate::DeviceError;
use cudarc::cublaslt::sys;
use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::{Arc, Mutex, PoisonError};
use std::{mem, ptr};

/// Scratch memory for cuBLASLt: what NVIDIA advises for 9.0.
const WORKSPACE: usize = 32 << 20;

/// Products of fewer rows are not worth measuring.
const ROWS_WORTH_MEASURING: usize = 4096;

/// `CUBLAS_OP_T`, which cudarc has among cuBLAS's bindings only.
const TRANSPOSED: i32 = 1;

/// Algorithms that are tried, and how often.
const CANDIDATES: usize = 8;
const REPEATS: usize = 3;

/// `y [rows, outputs] = x [rows, inputs] · weightᵀ (+ bias) (+ y)`, by its sizes.
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
    card: Arc<Card>,
    dtype: Dtype,
    workspace: Fixed,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    handle: sys::cublasLtHandle_t,
    plans: HashMap<Shape, Plan>,
    /// What measuring chose, by the shape with its rows left out (0), and for how many rows.
    measured: HashMap<Shape, Measured>,
}

#[derive(Clone, Copy, Debug)]
struct Measured {
    rows: usize,
    algorithm: sys::cublasLtMatmulAlgo_t,
}

// SAFETY: the handle may be used from any thread, one at a time: it lives behind the mutex.
unsafe impl Send for State {}

/// A product's descriptors and algorithm.
#[derive(Debug)]
struct Plan {
    operation: sys::cublasLtMatmulDesc_t,
    weight: sys::cublasLtMatrixLayout_t,
    x: sys::cublasLtMatrixLayout_t,
    y: sys::cublasLtMatrixLayout_t,
    algorithm: sys::cublasLtMatmulAlgo_t,
}

fn check(call: &'static str, status: sys::cublasStatus_t) -> Result<(), DeviceError> {
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
        let state = Mutex::new(State { handle, plans: HashMap::new(), measured: HashMap::new() });
        Ok(Products { card: Arc::clone(card), dtype, workspace, state })
    }

    /// Gives the product to the compute stream.
    ///
    /// # Safety
    ///
    /// The operands are of the shape's sizes in the dtype.
    pub(super) unsafe fn run(&self, shape: Shape, operands: Operands) -> Result<(), DeviceError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = &mut *state;
        if !state.plans.contains_key(&shape) {
            // SAFETY: the caller's promise.
            let plan = unsafe { self.plan(state, shape, operands)? };
            state.plans.insert(shape, plan);
        }
        let plan = &state.plans[&shape];
        // SAFETY: the caller's promise; the plan is of this shape.
        unsafe { self.submit(state.handle, plan, &plan.algorithm, shape, operands) }
    }

    unsafe fn submit(
        &self,
        handle: sys::cublasLtHandle_t,
        plan: &Plan,
        algorithm: &sys::cublasLtMatmulAlgo_t,
        shape: Shape,
        operands: Operands,
    ) -> Result<(), DeviceError> {
        let (one, beta) = (1.0f32, if shape.residual { 1.0f32 } else { 0.0 });
        let y = operands.y as *mut c_void;
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
                    y,
                    plan.y,
                    y,
                    plan.y,
                    algorithm,
                    self.workspace.pointer as *mut c_void,
                    WORKSPACE,
                    self.card.compute.0.cast(),
                ),
            )
        }
    }

    /// Row-major `y = x · weightᵀ` is column-major `yᵀ = weight · xᵀ`, whose first operand is read transposed.
    unsafe fn plan(&self, state: &mut State, shape: Shape, operands: Operands) -> Result<Plan, DeviceError> {
        use sys::cublasLtEpilogue_t::{CUBLASLT_EPILOGUE_BIAS, CUBLASLT_EPILOGUE_DEFAULT};
        use sys::cublasLtMatmulDescAttributes_t as Attribute;
        let kind = match self.dtype {
            Dtype::F32 => sys::cudaDataType_t::CUDA_R_32F,
            Dtype::F16 => sys::cudaDataType_t::CUDA_R_16F,
            Dtype::Bf16 => sys::cudaDataType_t::CUDA_R_16BF,
        };
        let mut operation = ptr::null_mut();
        let epilogue = if shape.bias { CUBLASLT_EPILOGUE_BIAS } else { CUBLASLT_EPILOGUE_DEFAULT };
        // SAFETY: pointers to locals; attributes of the sizes that the library states.
        unsafe {
            // float32 as it is: TF32 has a compute type of its own.
            let compute = sys::cublasComputeType_t::CUBLAS_COMPUTE_32F;
            let scale = sys::cudaDataType_t::CUDA_R_32F;
            check("cublasLtMatmulDescCreate", sys::cublasLtMatmulDescCreate(&mut operation, compute, scale))?;
            set(operation, Attribute::CUBLASLT_MATMUL_DESC_TRANSA, TRANSPOSED)?;
            set(operation, Attribute::CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue)?;
            if shape.bias {
                set(operation, Attribute::CUBLASLT_MATMUL_DESC_BIAS_POINTER, operands.bias)?;
            }
        }
        let mut plan = Plan {
            operation,
            weight: layout(kind, shape.inputs, shape.outputs)?,
            x: layout(kind, shape.inputs, shape.rows)?,
            y: layout(kind, shape.outputs, shape.rows)?,
            // SAFETY: plain integers, overwritten below.
            algorithm: unsafe { mem::zeroed() },
        };
        // SAFETY: the caller's promise.
        plan.algorithm = unsafe { self.algorithm(state, &plan, shape, operands)? };
        Ok(plan)
    }

    /// The algorithm: measured once a weight, at the first large batch; other large batches take the same where it
    /// fits, so that a batch of a new size costs no measuring.
    unsafe fn algorithm(
        &self,
        state: &mut State,
        plan: &Plan,
        shape: Shape,
        operands: Operands,
    ) -> Result<sys::cublasLtMatmulAlgo_t, DeviceError> {
        let found = self.candidates(state.handle, plan, shape)?;
        if shape.rows < ROWS_WORTH_MEASURING || !libraries::times_events() {
            return Ok(found[0].algo);
        }
        let weight = Shape { rows: 0, ..shape };
        match state.measured.get(&weight).filter(|m| shape.rows <= 2 * m.rows) {
            Some(m) if 2 * shape.rows >= m.rows && Self::fits(state.handle, plan, &m.algorithm) => {
                Ok(m.algorithm)
            }
            Some(_) => Ok(found[0].algo),
            None => {
                // SAFETY: the caller's promise.
                let algorithm = unsafe { self.fastest(state.handle, plan, &found, shape, operands)? };
                state.measured.insert(weight, Measured { rows: shape.rows, algorithm });
                Ok(algorithm)
            }
        }
    }

    /// Whether an algorithm measured for other rows runs for these, in the workspace there is.
    fn fits(handle: sys::cublasLtHandle_t, plan: &Plan, algorithm: &sys::cublasLtMatmulAlgo_t) -> bool {
        let (w, x, y) = (plan.weight, plan.x, plan.y);
        // SAFETY: plain integers, filled by the library; live descriptors.
        let (status, result) = unsafe {
            let mut result: sys::cublasLtMatmulHeuristicResult_t = mem::zeroed();
            (sys::cublasLtMatmulAlgoCheck(handle, plan.operation, w, x, y, y, algorithm, &mut result), result)
        };
        status == sys::cublasStatus_t::CUBLAS_STATUS_SUCCESS && result.workspaceSize <= WORKSPACE
    }

    /// What the library proposes, its favourite first.
    fn candidates(
        &self,
        handle: sys::cublasLtHandle_t,
        plan: &Plan,
        shape: Shape,
    ) -> Result<Vec<sys::cublasLtMatmulHeuristicResult_t>, DeviceError> {
        let mut preference = ptr::null_mut();
        // SAFETY: plain integers and pointers, filled by the library.
        let mut found: [sys::cublasLtMatmulHeuristicResult_t; CANDIDATES] = unsafe { mem::zeroed() };
        let mut count = 0;
        let workspace = WORKSPACE;
        let attribute = sys::cublasLtMatmulPreferenceAttributes_t::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES;
        // SAFETY: live descriptors; `found` has room for the number passed.
        unsafe {
            check("cublasLtMatmulPreferenceCreate", sys::cublasLtMatmulPreferenceCreate(&mut preference))?;
            let asked = check(
                "cublasLtMatmulPreferenceSetAttribute",
                sys::cublasLtMatmulPreferenceSetAttribute(
                    preference,
                    attribute,
                    ptr::from_ref(&workspace).cast(),
                    size_of::<usize>(),
                ),
            )
            .and_then(|()| {
                let (w, x, y) = (plan.weight, plan.x, plan.y);
                let most = CANDIDATES as i32;
                check(
                    "cublasLtMatmulAlgoGetHeuristic",
                    sys::cublasLtMatmulAlgoGetHeuristic(
                        handle,
                        plan.operation,
                        w,
                        x,
                        y,
                        y,
                        preference,
                        most,
                        found.as_mut_ptr(),
                        &mut count,
                    ),
                )
            });
            sys::cublasLtMatmulPreferenceDestroy(preference);
            asked?;
        }
        let found =
            found[..count as usize].iter().filter(|f| f.state == sys::cublasStatus_t::CUBLAS_STATUS_SUCCESS);
        let found: Vec<_> = found.copied().collect();
        if found.is_empty() {
            return Err(DeviceError::shape(
                "linear",
                "a product that cuBLASLt has an algorithm for",
                format!("{shape:?}"),
            ));
        }
        Ok(found)
    }

    /// Runs every candidate into scratch memory and keeps the fastest.
    unsafe fn fastest(
        &self,
        handle: sys::cublasLtHandle_t,
        plan: &Plan,
        found: &[sys::cublasLtMatmulHeuristicResult_t],
        shape: Shape,
        operands: Operands,
    ) -> Result<sys::cublasLtMatmulAlgo_t, DeviceError> {
        let bytes = shape.rows * shape.outputs * self.dtype.bytes();
        // Without room for the trial, the library's favourite it is.
        let Ok(scratch) = Fixed::new(&self.card, "measuring products", bytes) else {
            return Ok(found[0].algo);
        };
        let trial = Operands { y: scratch.pointer, ..operands };
        let mut best = (f32::INFINITY, found[0].algo);
        for candidate in found {
            // SAFETY: the caller's promise, and scratch of the size of `y`.
            let run = || unsafe { self.submit(handle, plan, &candidate.algo, shape, trial) };
            if run().is_err() {
                continue;
            }
            let begin = Event::record_timed(&self.card, self.card.compute)?;
            (0..REPEATS).try_for_each(|_| run())?;
            let end = Event::record_timed(&self.card, self.card.compute)?;
            end.wait()?;
            let time = end.milliseconds_since(&begin)?;
            if time < best.0 {
                best = (time, candidate.algo);
            }
        }
        Ok(best.1)
    }
}

impl Drop for Products {
    fn drop(&mut self) {
        if self.card.finish(self.card.compute).is_err() {
            return;
        }
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: created by `new` and `plan`, used by nothing any more.
        unsafe {
            for (_, plan) in state.plans.drain() {
                sys::cublasLtMatmulDescDestroy(plan.operation);
                for layout in [plan.weight, plan.x, plan.y] {
                    sys::cublasLtMatrixLayoutDestroy(layout);
                }
            }
            sys::cublasLtDestroy(state.handle);
        }
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

/// A column-major matrix without gaps.
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
