//! Kernels from source to machine code: NVRTC at first use, then a file in the user's cache.

use super::Dtype;
use super::attention::Form;
use super::attention_hopper::{HopperForm, Keys};
use super::fused_product::ProductForm;
use super::pairs::{ATTENTION_STEP, ATTENTION_THREADS, PairsForm};
use crate::{DeviceError, Unavailable};
use cudarc::nvrtc::sys;
use std::ffi::{CStr, CString, c_char, c_int};
use std::path::{Path, PathBuf};
use std::{env, fs, process, ptr};

/// What every source begins with.
const COMMON: &str = include_str!("../kernels/common.cuh");

/// A kernel source and what it is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Source {
    /// Embedding lookup, GELU, sums, conversions.
    Elementwise,
    /// Layer norm.
    Norm,
    /// Pooling.
    Pool,
    /// Rotary positions in place.
    Rotary,
    /// Attention for any width and dtype.
    AttentionAny,
    /// Attention on the matrix units.
    Attention {
        /// How it is cut.
        form: Form,
        /// With ALiBi's slopes.
        alibi: bool,
    },
    /// Attention for 9.0.
    AttentionHopper {
        /// How it is cut.
        form: HopperForm,
        /// With ALiBi's slopes.
        alibi: bool,
    },
    /// Products and what follows them, for 9.0.
    Product(ProductForm),
    /// float32 to pairs of float16 and back.
    Pairs,
    /// Products of pairs and what follows them, for 9.0.
    ProductPairs(PairsForm),
    /// Attention of pairs.
    AttentionPairs {
        /// Width of a head.
        width: usize,
        /// With ALiBi's slopes.
        alibi: bool,
    },
}

impl Source {
    pub(super) fn file(self) -> &'static str {
        match self {
            Source::Elementwise => "elementwise.cu",
            Source::Norm => "norm.cu",
            Source::Pool => "pool.cu",
            Source::Rotary => "rotary.cu",
            Source::AttentionAny => "attention_any.cu",
            Source::Attention { .. } => "attention.cu",
            Source::AttentionHopper { form, .. } => match form.keys {
                Keys::Whole { .. } => "attention_whole.cu",
                Keys::Ring { .. } => "attention_ring.cu",
            },
            Source::Product(_) => "product.cu",
            Source::Pairs => "pairs.cu",
            Source::ProductPairs(_) => "product_pairs.cu",
            Source::AttentionPairs { .. } => "attention_pairs.cu",
        }
    }

    fn text(self) -> &'static str {
        match self {
            Source::Elementwise => {
                concat!(include_str!("../kernels/pairs.cuh"), include_str!("../kernels/elementwise.cu"))
            }
            Source::Norm => {
                concat!(include_str!("../kernels/pairs.cuh"), include_str!("../kernels/norm.cu"))
            }
            Source::Pairs => {
                concat!(include_str!("../kernels/pairs.cuh"), include_str!("../kernels/pairs.cu"))
            }
            Source::Pool => include_str!("../kernels/pool.cu"),
            Source::Rotary => include_str!("../kernels/rotary.cu"),
            Source::AttentionAny => include_str!("../kernels/attention_any.cu"),
            Source::Attention { .. } => concat!(
                include_str!("../kernels/matrix_units.cuh"),
                include_str!("../kernels/attention_rows.cuh"),
                include_str!("../kernels/attention_step.cuh"),
                include_str!("../kernels/attention.cu")
            ),
            Source::AttentionHopper { form, .. } => match form.keys {
                Keys::Whole { .. } => concat!(
                    include_str!("../kernels/matrix_units.cuh"),
                    include_str!("../kernels/wgmma.cuh"),
                    include_str!("../kernels/attention_parts.cuh"),
                    include_str!("../kernels/attention_whole.cu")
                ),
                Keys::Ring { .. } => concat!(
                    include_str!("../kernels/matrix_units.cuh"),
                    include_str!("../kernels/bulk.cuh"),
                    include_str!("../kernels/wgmma.cuh"),
                    include_str!("../kernels/attention_parts.cuh"),
                    include_str!("../kernels/attention_ring.cu")
                ),
            },
            Source::ProductPairs(_) => concat!(
                include_str!("../kernels/bulk.cuh"),
                include_str!("../kernels/wgmma.cuh"),
                include_str!("../kernels/hopper.cuh"),
                include_str!("../kernels/product_tiles.cuh"),
                include_str!("../kernels/pairs.cuh"),
                include_str!("../kernels/product_pairs.cu")
            ),
            Source::AttentionPairs { .. } => concat!(
                include_str!("../kernels/matrix_units.cuh"),
                include_str!("../kernels/pairs.cuh"),
                include_str!("../kernels/attention_rows.cuh"),
                include_str!("../kernels/attention_pairs.cu")
            ),
            Source::Product(_) => {
                concat!(
                    include_str!("../kernels/bulk.cuh"),
                    include_str!("../kernels/wgmma.cuh"),
                    include_str!("../kernels/hopper.cuh"),
                    include_str!("../kernels/product_tiles.cuh"),
                    include_str!("../kernels/row_scales.cuh"),
                    include_str!("../kernels/product.cu")
                )
            }
        }
    }

    fn options(self, dtype: Dtype, architecture: &str) -> Vec<String> {
        let mut options = vec![
            format!("--gpu-architecture={architecture}"),
            "--std=c++17".into(),
            format!("-DDTYPE={}", self.dtype(dtype).code()),
        ];
        if let Source::Attention { form, alibi } = self {
            let numbers = [
                ("WIDTH", form.width),
                ("HEADS", form.heads),
                ("THREADS", form.threads),
                ("BLOCKS", form.blocks),
                ("TILES", form.tiles),
                ("STEP", form.step),
                ("ALIBI", usize::from(alibi)),
            ];
            options.extend(numbers.map(|(name, value)| format!("-D{name}={value}")));
        }
        if let Source::AttentionHopper { form, alibi } = self {
            let numbers = form.definitions().into_iter().chain([("ALIBI", usize::from(alibi))]);
            options.extend(numbers.map(|(name, value)| format!("-D{name}={value}")));
        }
        if let Source::Product(form) = self {
            options.extend(form.definitions().map(|(name, value)| format!("-D{name}={value}")));
        }
        if let Source::ProductPairs(form) = self {
            options.extend(form.definitions().map(|(name, value)| format!("-D{name}={value}")));
        }
        if let Source::AttentionPairs { width, alibi } = self {
            let numbers = [
                ("WIDTH", width),
                ("THREADS", ATTENTION_THREADS),
                ("STEP", ATTENTION_STEP),
                ("FLOAT32", 1),
                ("ALIBI", usize::from(alibi)),
            ];
            options.extend(numbers.map(|(name, value)| format!("-D{name}={value}")));
        }
        options
    }

    /// The dtype of the values that a kernel touches: attention of pairs sees their halves alone.
    fn dtype(self, dtype: Dtype) -> Dtype {
        if matches!(self, Source::AttentionPairs { .. }) { Dtype::F16 } else { dtype }
    }
}

/// The architecture that kernels are compiled for on a card: with the features of that card alone where there are any.
pub(super) fn architecture(capability: u32) -> String {
    match capability {
        90 => "sm_90a".into(),
        other => format!("sm_{other}"),
    }
}

/// Machine code for `source`, from the cache or from NVRTC.
pub(super) fn machine_code(source: Source, dtype: Dtype, architecture: &str) -> Result<Vec<u8>, DeviceError> {
    let options = source.options(dtype, architecture);
    let path = cache_folder().map(|folder| folder.join(cache_name(source, &options)));
    if let Some(code) =
        path.as_deref().and_then(|p| fs::read(p).ok()).filter(|code| code.starts_with(b"\x7fELF"))
    {
        return Ok(code);
    }
    let code = compile(source, &options, architecture)?;
    if let Some(path) = path {
        // A cache that cannot be written costs time, nothing else.
        let _ = write_whole(&path, &code);
    }
    Ok(code)
}

/// Compiles the kernels of every source for `architecture`, on a machine with or without a card.
///
/// # Errors
///
/// Where NVRTC is missing, `Ok(Err(…))` says how to get it; a kernel that does not compile is the outer error.
pub fn compile_all(architecture: &str) -> Result<Result<usize, Unavailable>, DeviceError> {
    if let Err(missing) = super::libraries::open_compiler() {
        return Ok(Err(missing));
    }
    let mut count = 0;
    for dtype in [Dtype::F32, Dtype::F16, Dtype::Bf16] {
        let mut sources =
            vec![Source::Elementwise, Source::Norm, Source::Pool, Source::Rotary, Source::AttentionAny];
        if dtype == Dtype::F32 && architecture == self::architecture(90) {
            sources.extend(super::pairs::sources());
        }
        if dtype != Dtype::F32 {
            sources.extend(super::attention::sources());
            if architecture == self::architecture(90) {
                sources.extend(super::attention_hopper::sources());
                sources.extend(super::fused_product::sources());
            }
        }
        for source in sources {
            compile(source, &source.options(dtype, architecture), architecture)?;
            count += 1;
        }
    }
    Ok(Ok(count))
}

fn compile(source: Source, options: &[String], architecture: &str) -> Result<Vec<u8>, DeviceError> {
    let call = |call, result| match result {
        sys::nvrtcResult::NVRTC_SUCCESS => Ok(()),
        other => Err(DeviceError::Call { call, reason: format!("{other:?}") }),
    };
    let c = |text: &str| CString::new(text).expect("sources and options hold no zero byte");
    let text = c(&format!("{COMMON}\n#line 1 \"{}\"\n{}", source.file(), source.text()));
    let name = c(source.file());
    let options: Vec<CString> = options.iter().map(|o| c(o)).collect();
    let pointers: Vec<*const c_char> = options.iter().map(|o| o.as_ptr()).collect();
    let mut program = ptr::null_mut();
    // SAFETY: all strings end with zero and outlive the calls; sizes are asked for before buffers are filled.
    unsafe {
        let created =
            sys::nvrtcCreateProgram(&mut program, text.as_ptr(), name.as_ptr(), 0, ptr::null(), ptr::null());
        call("nvrtcCreateProgram", created)?;
        let compiled = sys::nvrtcCompileProgram(program, pointers.len() as c_int, pointers.as_ptr());
        let code = if compiled == sys::nvrtcResult::NVRTC_SUCCESS {
            let mut len = 0;
            let sized = call("nvrtcGetCUBINSize", sys::nvrtcGetCUBINSize(program, &mut len));
            let mut code = vec![0u8; len];
            sized
                .and_then(|()| call("nvrtcGetCUBIN", sys::nvrtcGetCUBIN(program, code.as_mut_ptr().cast())))
                .map(|()| code)
        } else {
            let (file, architecture) = (source.file(), architecture.to_owned());
            Err(DeviceError::Kernel { file, architecture, log: log_of(program) })
        };
        sys::nvrtcDestroyProgram(&mut program);
        code
    }
}

/// What the compiler said.
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

/// A name that changes with the source, the options (card and dtype among them) and the compiler.
fn cache_name(source: Source, options: &[String]) -> String {
    let (mut major, mut minor) = (0, 0);
    // SAFETY: pointers to locals.
    unsafe { sys::nvrtcVersion(&mut major, &mut minor) };
    let version = format!("nvrtc {major}.{minor}");
    let parts = [COMMON, source.text(), &version].into_iter().chain(options.iter().map(String::as_str));
    // FNV-1a in 128 bits: no adversary writes the user's own cache.
    let mut hash = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128;
    for byte in parts.flat_map(|part| part.bytes().chain([0])) {
        hash = (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
    }
    format!("{}-{hash:032x}.cubin", source.file().trim_end_matches(".cu"))
}

fn cache_folder() -> Option<PathBuf> {
    let set = |name| env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let base = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")))?;
    Some(base.join("virpack").join("kernels"))
}

/// Writes beside and renames, so that no reader ever sees half a file.
fn write_whole(path: &Path, code: &[u8]) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let aside = path.with_extension(format!("{}.partial", process::id()));
    fs::write(&aside, code)?;
    fs::rename(&aside, path)
}
