//! Compiles kernels from source to machine code: by NVRTC at first use, then from a file in the user's cache.

use super::kernel_source::KernelSource;
use super::packed::Item;
use crate::{DeviceError, Dtype, user_cache};
use cudarc::nvrtc::sys;
use std::ffi::{CStr, CString, c_char, c_int};
use std::path::Path;
use std::{fs, process, ptr};

/// The beginning of every source.
const COMMON: &str = include_str!("../kernels/common.cuh");

/// Returns the compiler options of `source` for activations of `dtype`.
fn options(source: &KernelSource, dtype: Dtype, architecture: &str) -> Vec<String> {
    let mut options = vec![
        format!("--gpu-architecture={architecture}"),
        "--std=c++17".into(),
        format!("-DDTYPE={}", source.dtype.unwrap_or(dtype).code()),
        format!("-DITEM_BYTES={}", size_of::<Item>()),
    ];
    options.extend(source.defines.iter().map(|(name, value)| format!("-D{name}={value}")));
    options
}

/// Returns code for `source` that the driver can load: machine code, from the cache or from NVRTC. For a
/// `compute_..` architecture it is PTX, which the driver translates.
pub(super) fn code(source: &KernelSource, dtype: Dtype, architecture: &str) -> Result<Vec<u8>, DeviceError> {
    let options = options(source, dtype, architecture);
    if is_ptx(architecture) {
        return compile(source, &options, architecture);
    }
    let path = user_cache().map(|folder| folder.join("kernels").join(cache_name(source, &options)));
    if let Some(code) =
        path.as_deref().and_then(|p| fs::read(p).ok()).filter(|code| code.starts_with(b"\x7fELF"))
    {
        return Ok(code);
    }
    let code = compile(source, &options, architecture)?;
    if let Some(path) = path {
        // A cache that cannot be written only costs time.
        let _ = write_whole(&path, &code);
    }
    Ok(code)
}

/// Compiles `source` for a card of this architecture, without the cache.
pub(super) fn compile_for(
    source: &KernelSource,
    dtype: Dtype,
    architecture: &str,
) -> Result<Vec<u8>, DeviceError> {
    compile(source, &options(source, dtype, architecture), architecture)
}

/// Returns whether code for an architecture is PTX, a text that ends with zero, and not machine code.
fn is_ptx(architecture: &str) -> bool {
    architecture.starts_with("compute_")
}

/// Converts the result of a compiler call.
fn check(call: &'static str, result: sys::nvrtcResult) -> Result<(), DeviceError> {
    match result {
        sys::nvrtcResult::NVRTC_SUCCESS => Ok(()),
        other => Err(DeviceError::Call { call, reason: format!("{other:?}") }),
    }
}

fn compile(source: &KernelSource, options: &[String], architecture: &str) -> Result<Vec<u8>, DeviceError> {
    let c = |text: &str| CString::new(text).expect("sources and options hold no zero byte");
    let text = c(&format!("{COMMON}\n#line 1 \"{}\"\n{}", source.file, source.parts.concat()));
    let name = c(source.file);
    let options: Vec<CString> = options.iter().map(|o| c(o)).collect();
    let pointers: Vec<*const c_char> = options.iter().map(|o| o.as_ptr()).collect();
    let mut program = ptr::null_mut();
    // SAFETY: all strings end with zero and outlive the calls; sizes are asked for before buffers are filled.
    unsafe {
        let created =
            sys::nvrtcCreateProgram(&mut program, text.as_ptr(), name.as_ptr(), 0, ptr::null(), ptr::null());
        check("nvrtcCreateProgram", created)?;
        let compiled = sys::nvrtcCompileProgram(program, pointers.len() as c_int, pointers.as_ptr());
        let code = if compiled == sys::nvrtcResult::NVRTC_SUCCESS {
            output_of(program, is_ptx(architecture))
        } else {
            let (file, architecture) = (source.file, architecture.to_owned());
            Err(DeviceError::Kernel { file, architecture, log: log_of(program) })
        };
        sys::nvrtcDestroyProgram(&mut program);
        code
    }
}

/// Returns the compiled PTX or machine code.
///
/// # Safety
///
/// `program` is live, and was compiled for an architecture of that kind.
unsafe fn output_of(program: sys::nvrtcProgram, ptx: bool) -> Result<Vec<u8>, DeviceError> {
    let mut len = 0;
    // SAFETY: the caller's promise; the size is asked for before the buffer is filled.
    unsafe {
        if ptx {
            check("nvrtcGetPTXSize", sys::nvrtcGetPTXSize(program, &mut len))?;
            let mut text = vec![0u8; len];
            check("nvrtcGetPTX", sys::nvrtcGetPTX(program, text.as_mut_ptr().cast()))?;
            Ok(text)
        } else {
            check("nvrtcGetCUBINSize", sys::nvrtcGetCUBINSize(program, &mut len))?;
            let mut code = vec![0u8; len];
            check("nvrtcGetCUBIN", sys::nvrtcGetCUBIN(program, code.as_mut_ptr().cast()))?;
            Ok(code)
        }
    }
}

/// Returns the compiler's log.
///
/// # Safety
///
/// `program` is live.
unsafe fn log_of(program: sys::nvrtcProgram) -> String {
    let mut len = 0;
    // SAFETY: the caller's promise; the buffer has the size asked for, and one zero more.
    unsafe {
        sys::nvrtcGetProgramLogSize(program, &mut len);
        let mut log = vec![0u8; len + 1];
        sys::nvrtcGetProgramLog(program, log.as_mut_ptr().cast());
        CStr::from_bytes_until_nul(&log).map(|log| log.to_string_lossy().into_owned()).unwrap_or_default()
    }
}

/// Returns a name that changes with the source, the options (which name card and dtype) and the compiler.
fn cache_name(source: &KernelSource, options: &[String]) -> String {
    let (mut major, mut minor) = (0, 0);
    // SAFETY: pointers to locals.
    unsafe { sys::nvrtcVersion(&mut major, &mut minor) };
    let version = format!("nvrtc {major}.{minor}");
    let text = source.parts.concat();
    let parts = [COMMON, &text, &version].into_iter().chain(options.iter().map(String::as_str));
    // FNV-1a in 128 bits: no adversary writes the user's own cache.
    let mut hash = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128;
    for byte in parts.flat_map(|part| part.bytes().chain([0])) {
        hash = (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
    }
    format!("{}-{hash:032x}.cubin", source.file.trim_end_matches(".cu"))
}

/// Writes a temporary file and renames it, so that no reader sees half a file.
fn write_whole(path: &Path, code: &[u8]) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let aside = path.with_extension(format!("{}.partial", process::id()));
    fs::write(&aside, code)?;
    fs::rename(&aside, path)
}
