//! Loaded kernels, and the one function that launches them.

use super::compile;
use super::driver::{Card, check};
use super::kernel_source::KernelSource;
use super::tensor_map::TensorMap;
use crate::{DeviceError, Dtype};
use cudarc::driver::sys;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::ffi::{CString, c_void};
use std::ptr;
use std::sync::Arc;

// A kernel reads an argument of four bytes from the beginning of one of eight.
const _: () = assert!(cfg!(target_endian = "little"));

/// A card's kernels, compiled and loaded at first use.
#[derive(Debug)]
pub(super) struct Kernels {
    card: Arc<Card>,
    dtype: Dtype,
    /// Bytes of shared memory that a block may use.
    pub(super) shared_limit: usize,
    modules: Mutex<HashMap<KernelSource, Module>>,
}

#[derive(Clone, Copy, Debug)]
struct Function(sys::CUfunction);
/// A source's kernels on the card, with the functions that were looked up.
#[derive(Debug)]
struct Module {
    handle: sys::CUmodule,
    functions: HashMap<&'static str, Function>,
}

// SAFETY: handles of the driver, good on every thread.
unsafe impl Send for Function {}
// SAFETY: as above.
unsafe impl Send for Module {}

/// Threads of a warpgroup (compute capability 9.0).
pub(super) const WARPGROUP: u32 = 128;

/// How a kernel is spread over the card.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grid {
    /// Blocks along x and y.
    pub(super) blocks: (usize, usize),
    /// Threads of a block.
    pub(super) threads: u32,
    /// Bytes of shared memory of a block.
    pub(super) shared: usize,
}

impl Grid {
    /// Returns the grid of `count` elements, one for each thread.
    pub(super) fn line(count: usize, threads: u32) -> Grid {
        Grid { blocks: (count.div_ceil(threads as usize), 1), threads, shared: 0 }
    }
}

/// A kernel's argument.
#[derive(Clone, Copy, Debug)]
pub(super) enum Argument<'a> {
    /// An argument of at most eight bytes, low bytes first.
    Word(u64),
    /// Passed by value, although it is large.
    Map(&'a TensorMap),
}

impl Argument<'_> {
    fn bytes(&self) -> *mut c_void {
        match self {
            Argument::Word(word) => ptr::from_ref(word).cast_mut().cast(),
            Argument::Map(map) => map.bytes().cast_mut(),
        }
    }
}

impl From<u64> for Argument<'_> {
    fn from(value: u64) -> Self {
        Argument::Word(value)
    }
}

impl From<i32> for Argument<'_> {
    fn from(value: i32) -> Self {
        Argument::Word(u64::from(value as u32))
    }
}

impl From<f32> for Argument<'_> {
    fn from(value: f32) -> Self {
        Argument::Word(u64::from(value.to_bits()))
    }
}

impl<'a> From<&'a TensorMap> for Argument<'a> {
    fn from(map: &'a TensorMap) -> Self {
        Argument::Map(map)
    }
}

/// Makes a kernel's arguments, in order.
macro_rules! arguments {
    ($($value:expr),* $(,)?) => { [$($crate::cuda::kernels::Argument::from($value)),*] };
}
pub(super) use arguments;

impl Kernels {
    pub(super) fn new(card: Arc<Card>, dtype: Dtype) -> Kernels {
        let shared_limit = card.target.shared_limit();
        Kernels { card, dtype, shared_limit, modules: Mutex::default() }
    }

    /// Launches a kernel on the compute stream.
    ///
    /// # Safety
    ///
    /// `arguments` are of the kernel's own types, and the device pointers among them lead to memory of the sizes that
    /// the kernel's header states.
    pub(super) unsafe fn launch(
        &self,
        source: &KernelSource,
        name: &'static str,
        grid: Grid,
        arguments: &[Argument],
    ) -> Result<(), DeviceError> {
        if grid.blocks.0 == 0 || grid.blocks.1 == 0 {
            return Ok(());
        }
        let function = self.function(source, name)?;
        let mut pointers: Vec<*mut c_void> = arguments.iter().map(Argument::bytes).collect();
        // SAFETY: the caller's promise for the arguments; the function and the stream are of the current context.
        check(name, unsafe {
            sys::cuLaunchKernel(
                function.0,
                grid.blocks.0 as u32,
                grid.blocks.1 as u32,
                1,
                grid.threads,
                1,
                1,
                grid.shared as u32,
                self.card.compute.0,
                pointers.as_mut_ptr(),
                ptr::null_mut(),
            )
        })
    }

    fn function(&self, source: &KernelSource, name: &'static str) -> Result<Function, DeviceError> {
        let mut modules = self.modules.lock();
        if !modules.contains_key(source) {
            modules.insert(source.clone(), self.load(source)?);
        }
        let module = modules.get_mut(source).expect("a module was just made sure of");
        if let Some(&function) = module.functions.get(name) {
            return Ok(function);
        }
        let c_name = CString::new(name).expect("kernel names hold no zero byte");
        let mut function = ptr::null_mut();
        let attribute = sys::CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
        // SAFETY: a pointer to a local, a loaded module, a name that ends with zero.
        unsafe {
            let found = sys::cuModuleGetFunction(&mut function, module.handle, c_name.as_ptr());
            check("cuModuleGetFunction", found)?;
            if source.needs_large_shared {
                let limit = self.shared_limit as i32;
                check("cuFuncSetAttribute", sys::cuFuncSetAttribute(function, attribute, limit))?;
            }
        }
        module.functions.insert(name, Function(function));
        Ok(Function(function))
    }

    fn load(&self, source: &KernelSource) -> Result<Module, DeviceError> {
        let code = compile::code(source, self.dtype, &self.card.target.architecture())?;
        let mut handle = ptr::null_mut();
        // SAFETY: a whole ELF image made for this card, or PTX that ends with zero; the driver copies it.
        check("cuModuleLoadData", unsafe { sys::cuModuleLoadData(&mut handle, code.as_ptr().cast()) })?;
        Ok(Module { handle, functions: HashMap::new() })
    }
}

impl Drop for Kernels {
    fn drop(&mut self) {
        if self.card.finish(self.card.compute).is_ok() {
            let modules = self.modules.get_mut();
            for (_, module) in modules.drain() {
                // SAFETY: no kernel of it runs any more.
                unsafe { sys::cuModuleUnload(module.handle) };
            }
        }
    }
}
