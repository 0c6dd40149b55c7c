//! Chooses cuBLASLt's algorithm for a product, so that the bits of a row depend only on the row and the
//! weight.
//!
//! Algorithms differ in the order in which they add up the products of a row and a weight. If the algorithm
//! were chosen by the number of rows, or by measuring alone, the last digits of a record's embedding would
//! change with its neighbours. So each weight's shape has a reference: the library's favourite for
//! [`REFERENCE_ROWS`] rows among the algorithms that add up a value in one pass. Other algorithms are used
//! only if they give the bits of the reference; of these, the fastest is used.

use super::arena::Fixed;
use super::cublas::{Operands, Plan, ProductState, Products, Shape, WORKSPACE, check};
use super::driver::{self, Event, Stream};
use super::kernels::Kernels;
use super::launch::elementwise::count_differing;
use super::libraries;
use crate::DeviceError;
use cudarc::cublaslt::sys;
use cudarc::driver::sys as driver_sys;
use std::{fmt, mem, ptr};

/// Rows for which a shape's reference is chosen, whatever batch comes first.
const REFERENCE_ROWS: usize = 4096;

/// Products of fewer rows are not worth measuring.
const ROWS_WORTH_MEASURING: usize = 4096;

/// How many algorithms are tried, and how often each.
const CANDIDATES: usize = 8;
const REPEATS: usize = 3;

type Algorithm = sys::cublasLtMatmulAlgo_t;

/// The algorithms chosen for a weight's shape.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chosen {
    /// The algorithm whose bits all others must give.
    reference: Algorithm,
    measured: Option<Measured>,
}

/// The fastest algorithm for about this many rows.
#[derive(Clone, Copy, Debug)]
struct Measured {
    rows: usize,
    algorithm: Algorithm,
    /// How many algorithms were tried, and how many of them give the reference's bits.
    tried: usize,
    alike: usize,
}

impl Measured {
    /// Returns whether it was measured for about this many rows.
    fn is_near(&self, rows: usize) -> bool {
        !self.is_for_fewer(rows) && self.rows <= 2 * rows
    }

    /// Returns whether it was measured for far fewer rows, so that it says little.
    fn is_for_fewer(&self, rows: usize) -> bool {
        rows > 2 * self.rows
    }
}

impl Products {
    /// Returns the algorithm for a shape: the reference for few rows, otherwise the fastest with the same
    /// bits. That is measured once for batches of about one size. Smaller batches that come later use the
    /// reference: a trial stops the card for tens of milliseconds in the middle of a run, and such batches
    /// are the last of a file.
    ///
    /// # Safety
    ///
    /// The operands are of the shape's sizes in the dtype, and the plan is the shape's.
    pub(super) unsafe fn algorithm(
        &self,
        kernels: &Kernels,
        state: &mut ProductState,
        plan: &Plan,
        shape: Shape,
        operands: Operands,
    ) -> Result<Algorithm, DeviceError> {
        let weight = Shape { rows: 0, ..shape };
        let mut chosen = match state.chosen.get(&weight) {
            Some(chosen) => *chosen,
            None => Chosen { reference: self.reference(state.handle, shape)?, measured: None },
        };
        let is_worth = shape.rows >= ROWS_WORTH_MEASURING && libraries::times_events();
        if is_worth && chosen.measured.is_none_or(|m| m.is_for_fewer(shape.rows)) {
            // SAFETY: the caller's promise.
            let measured =
                unsafe { self.fastest(kernels, state.handle, plan, &chosen.reference, shape, operands)? };
            chosen.measured = measured.or(chosen.measured);
        }
        state.chosen.insert(weight, chosen);
        let near = chosen.measured.filter(|m| m.is_near(shape.rows)).map(|m| m.algorithm);
        let fits = |algorithm: &Algorithm| fits(state.handle, plan, algorithm);
        near.into_iter().chain([chosen.reference]).find(fits).ok_or_else(|| {
            let reason =
                format!("{} does not run for {} rows of {shape}", chosen.reference.shown(), shape.rows);
            DeviceError::Call { call: "cublasLtMatmulAlgoCheck", reason }
        })
    }

    /// Returns the algorithm that defines the bits of a weight's rows, whatever their number.
    fn reference(&self, handle: sys::cublasLtHandle_t, shape: Shape) -> Result<Algorithm, DeviceError> {
        let shape = Shape { rows: REFERENCE_ROWS, ..shape };
        let plan = Plan::new(self.dtype, shape)?;
        let found = candidates(handle, &plan, SumOrder::Whole)?;
        found.first().copied().ok_or_else(|| {
            let expected = "a product that cuBLASLt has an algorithm for, which adds up a value in one go";
            DeviceError::shape("linear", expected, format!("{shape}"))
        })
    }

    /// Runs every candidate into scratch memory and returns the fastest one that gives the reference's bits.
    /// Returns `None` if there is no memory for the trial.
    unsafe fn fastest(
        &self,
        kernels: &Kernels,
        handle: sys::cublasLtHandle_t,
        plan: &Plan,
        reference: &Algorithm,
        shape: Shape,
        operands: Operands,
    ) -> Result<Option<Measured>, DeviceError> {
        let values = shape.rows * shape.outputs;
        let scratch = || Fixed::new(&self.card, "measuring products", values * self.dtype.bytes());
        let (Ok(expected), Ok(result)) = (scratch(), scratch()) else { return Ok(None) };
        let run = |algorithm: &Algorithm, into: &Fixed| {
            // SAFETY: the caller's promise, and scratch of the size of `y`.
            unsafe { self.submit(handle, plan, algorithm, shape, operands, into.pointer) }
        };
        // As in a model, where a residual is overwritten: the result is in the cache when it is written.
        let in_place = Operands { y: result.pointer, ..operands };
        let run_in_place = |algorithm: &Algorithm| {
            // SAFETY: as above.
            unsafe { self.submit(handle, plan, algorithm, shape, in_place, result.pointer) }
        };
        if run(reference, &expected).is_err() {
            return Ok(None);
        }
        let mut tried = vec![*reference];
        // Without restrictions the library proposes faster algorithms first. Their bits are compared.
        tried.extend(candidates(handle, plan, SumOrder::Any)?.iter().filter(|c| c.data != reference.data));
        let (mut alike, mut best) = (0, (f32::INFINITY, *reference));
        for candidate in &tried {
            if run(candidate, &result).is_err() || !self.are_equal(kernels, &expected, &result, values)? {
                continue;
            }
            alike += 1;
            run_in_place(candidate)?;
            let begin = Event::record_timed(&self.card, self.card.compute)?;
            (0..REPEATS).try_for_each(|_| run_in_place(candidate))?;
            let end = Event::record_timed(&self.card, self.card.compute)?;
            end.wait()?;
            let time = end.milliseconds_since(&begin)?;
            if time < best.0 {
                best = (time, *candidate);
            }
        }
        Ok(Some(Measured { rows: shape.rows, algorithm: best.1, tried: tried.len(), alike }))
    }

    /// Returns whether two results are equal, bit for bit. Rows past a batch may hold any NaN.
    fn are_equal(
        &self,
        kernels: &Kernels,
        expected: &Fixed,
        result: &Fixed,
        values: usize,
    ) -> Result<bool, DeviceError> {
        let count = Fixed::new(&self.card, "comparing products", size_of::<u32>())?;
        let Stream(compute) = self.card.compute;
        let mut found = u32::MAX;
        // SAFETY: both results hold `values`, `count` and `found` a word each, which the stream is done with below.
        unsafe {
            driver::check("cuMemsetD32Async", driver_sys::cuMemsetD32Async(count.pointer, 0, 1, compute))?;
            count_differing(kernels, expected.pointer, result.pointer, values, count.pointer)?;
            let to = ptr::from_mut(&mut found).cast();
            let copied = driver_sys::cuMemcpyDtoHAsync_v2(to, count.pointer, size_of::<u32>(), compute);
            driver::check("cuMemcpyDtoHAsync", copied)?;
        }
        self.card.finish(self.card.compute)?;
        Ok(found == 0)
    }
}

/// Returns whether an algorithm chosen for other rows runs for these, in the workspace available.
fn fits(handle: sys::cublasLtHandle_t, plan: &Plan, algorithm: &Algorithm) -> bool {
    let (w, x, y) = (plan.weight, plan.x, plan.y);
    // SAFETY: plain integers, filled by the library; live descriptors.
    let (status, result) = unsafe {
        let mut result: sys::cublasLtMatmulHeuristicResult_t = mem::zeroed();
        (sys::cublasLtMatmulAlgoCheck(handle, plan.operation, w, x, y, y, algorithm, &mut result), result)
    };
    status == sys::cublasStatus_t::CUBLAS_STATUS_SUCCESS && result.workspaceSize <= WORKSPACE
}

/// How an algorithm may add up a value.
#[derive(Clone, Copy, Debug)]
enum SumOrder {
    /// As the library prefers. Algorithms that are reported to split the sum are dropped nevertheless.
    Any,
    /// In one pass, without partial sums that are joined later. The library is asked for this.
    Whole,
}

/// Returns the library's proposals for a plan, its favourite first.
fn candidates(
    handle: sys::cublasLtHandle_t,
    plan: &Plan,
    sums: SumOrder,
) -> Result<Vec<Algorithm>, DeviceError> {
    use sys::cublasLtMatmulPreferenceAttributes_t as Attribute;
    let mut preference = ptr::null_mut();
    // SAFETY: plain integers and pointers, filled by the library.
    let mut found: [sys::cublasLtMatmulHeuristicResult_t; CANDIDATES] = unsafe { mem::zeroed() };
    let mut count = 0;
    let whole = sys::cublasLtReductionScheme_t::CUBLASLT_REDUCTION_SCHEME_NONE as u32;
    // SAFETY: live descriptors; attributes of the sizes that the library states; `found` has room for the number passed.
    unsafe {
        check("cublasLtMatmulPreferenceCreate", sys::cublasLtMatmulPreferenceCreate(&mut preference))?;
        let asked = prefer(preference, Attribute::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &WORKSPACE)
            .and_then(|()| match sums {
                SumOrder::Any => Ok(()),
                SumOrder::Whole => {
                    prefer(preference, Attribute::CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &whole)
                }
            })
            .and_then(|()| {
                let (operation, w, x, y) = (plan.operation, plan.weight, plan.x, plan.y);
                let (most, into) = (CANDIDATES as i32, found.as_mut_ptr());
                check(
                    "cublasLtMatmulAlgoGetHeuristic",
                    sys::cublasLtMatmulAlgoGetHeuristic(
                        handle, operation, w, x, y, y, preference, most, into, &mut count,
                    ),
                )
            });
        sys::cublasLtMatmulPreferenceDestroy(preference);
        asked?;
    }
    let runs = |f: &&sys::cublasLtMatmulHeuristicResult_t| {
        let split =
            f.algo.setting(sys::cublasLtMatmulAlgoConfigAttributes_t::CUBLASLT_ALGO_CONFIG_SPLITK_NUM);
        f.state == sys::cublasStatus_t::CUBLAS_STATUS_SUCCESS && split.is_none_or(|parts| parts <= 1)
    };
    Ok(found[..count as usize].iter().filter(runs).map(|f| f.algo).collect())
}

/// Sets one attribute of a preference.
///
/// # Safety
///
/// `preference` is live and `value` of the attribute's own type.
unsafe fn prefer<V>(
    preference: sys::cublasLtMatmulPreference_t,
    attribute: sys::cublasLtMatmulPreferenceAttributes_t,
    value: &V,
) -> Result<(), DeviceError> {
    let from = ptr::from_ref(value).cast();
    // SAFETY: the caller's promise; the value is copied.
    let status =
        unsafe { sys::cublasLtMatmulPreferenceSetAttribute(preference, attribute, from, size_of::<V>()) };
    check("cublasLtMatmulPreferenceSetAttribute", status)
}

/// Reads the settings of an algorithm.
trait Described {
    fn setting(&self, attribute: sys::cublasLtMatmulAlgoConfigAttributes_t) -> Option<u32>;
    fn shown(&self) -> String;
}

impl Described for Algorithm {
    /// Returns one of its settings, if the library has it.
    fn setting(&self, attribute: sys::cublasLtMatmulAlgoConfigAttributes_t) -> Option<u32> {
        // Some settings have 16 bits, which leave the upper half unchanged.
        let (mut value, mut written) = (0u32, 0);
        let to = ptr::from_mut(&mut value).cast();
        // SAFETY: `value` has the number of bytes passed; a size that is not the setting's own is refused.
        let status = unsafe {
            match sys::cublasLtMatmulAlgoConfigGetAttribute(self, attribute, to, 4, &mut written) {
                sys::cublasStatus_t::CUBLAS_STATUS_SUCCESS => sys::cublasStatus_t::CUBLAS_STATUS_SUCCESS,
                _ => sys::cublasLtMatmulAlgoConfigGetAttribute(self, attribute, to, 2, &mut written),
            }
        };
        (status == sys::cublasStatus_t::CUBLAS_STATUS_SUCCESS).then_some(value)
    }

    fn shown(&self) -> String {
        use sys::cublasLtMatmulAlgoConfigAttributes_t as Attribute;
        let settings = [
            ("algorithm", Attribute::CUBLASLT_ALGO_CONFIG_ID),
            ("tile", Attribute::CUBLASLT_ALGO_CONFIG_TILE_ID),
            ("stages", Attribute::CUBLASLT_ALGO_CONFIG_STAGES_ID),
            ("inner shape", Attribute::CUBLASLT_ALGO_CONFIG_INNER_SHAPE_ID),
            ("cluster", Attribute::CUBLASLT_ALGO_CONFIG_CLUSTER_SHAPE_ID),
            ("custom", Attribute::CUBLASLT_ALGO_CONFIG_CUSTOM_OPTION),
        ];
        let shown = |(name, attribute)| self.setting(attribute).map(|value| format!("{name} {value}"));
        settings.into_iter().filter_map(shown).collect::<Vec<_>>().join(" ")
    }
}

impl fmt::Display for Chosen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the bits of cuBLASLt's {}", self.reference.shown())?;
        match &self.measured {
            Some(m) => write!(f, ", computed by {} ({} of {} alike)", m.algorithm.shown(), m.alike, m.tried),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smaller_batches_are_not_measured_again() {
        // SAFETY: plain integers.
        let algorithm: Algorithm = unsafe { mem::zeroed() };
        let measured = Measured { rows: 50_688, algorithm, tried: 1, alike: 1 };
        let about = |rows| (measured.is_near(rows), measured.is_for_fewer(rows));
        let expected = [(true, false), (true, false), (true, false), (false, false), (false, true)];
        assert_eq!([50_688, 25_344, 101_376, 10_240, 101_632].map(about), expected);
    }
}
