//! Finds the CUDA libraries before anything calls them: `cudarc` panics if one is missing, this module gives
//! a reason.
//!
//! A library outside the loader's path is opened here by its full path. `cudarc` then finds it by name,
//! because the loader knows open libraries by their names.

use super::driver::ELAPSED;
use crate::{Remedy, Unavailable};
use libloading::Library;
use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// A library, and what to install if it is missing.
struct Wanted {
    /// File names, the newest first.
    names: &'static [&'static str],
    /// A function that it must have.
    symbol: &'static str,
    what: &'static str,
    remedy: Remedy,
}

const DRIVER: Wanted = Wanted {
    names: &["libcuda.so.1", "libcuda.so"],
    symbol: "cuInit",
    what: "the NVIDIA driver (libcuda.so)",
    remedy: Remedy::InstallDriver,
};

const TOOLS: [Wanted; 2] = [
    Wanted {
        names: &["libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so"],
        symbol: "cublasLtMatmul",
        what: "cuBLASLt (libcublasLt.so)",
        remedy: Remedy::InstallCublas,
    },
    Wanted {
        names: &["libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"],
        symbol: "nvrtcGetCUBIN",
        what: "NVRTC (libnvrtc.so)",
        remedy: Remedy::InstallNvrtc,
    },
];

/// Opens the driver, once.
pub(super) fn open_driver() -> Result<(), Unavailable> {
    static OPENED: OnceLock<Result<(), Unavailable>> = OnceLock::new();
    OPENED.get_or_init(|| open_one(&DRIVER, &[])).clone()
}

/// Opens the driver, cuBLASLt and NVRTC, once.
pub(super) fn open() -> Result<(), Unavailable> {
    static OPENED: OnceLock<Result<(), Unavailable>> = OnceLock::new();
    OPENED
        .get_or_init(|| {
            open_driver()?;
            let folders = folders();
            TOOLS.iter().try_for_each(|wanted| open_one(wanted, &folders))
        })
        .clone()
}

/// Opens NVRTC alone, which compiles without a driver or a card.
pub(super) fn open_compiler() -> Result<(), Unavailable> {
    open_one(&TOOLS[1], &folders())
}

/// Returns the versions of cuBLASLt and NVRTC, which must be open.
pub(super) fn versions() -> [String; 2] {
    let (mut major, mut minor) = (0, 0);
    // SAFETY: the libraries are open and have these functions in every version; pointers to locals.
    let product = unsafe {
        cudarc::nvrtc::sys::nvrtcVersion(&mut major, &mut minor);
        cudarc::cublaslt::sys::cublasLtGetVersion()
    };
    [format!("cuBLASLt {product}"), format!("NVRTC {major}.{minor}")]
}

/// Returns whether the driver, which must be open, has the function that times events.
pub(super) fn times_events() -> bool {
    static HAS: OnceLock<bool> = OnceLock::new();
    *HAS.get_or_init(|| driver_has(ELAPSED))
}

pub(super) fn driver_has(symbol: &str) -> bool {
    DRIVER.names.iter().any(|name| open_path(Path::new(name), symbol).is_some())
}

fn open_one(wanted: &Wanted, folders: &[PathBuf]) -> Result<(), Unavailable> {
    let named = wanted.names.iter().map(PathBuf::from);
    let placed = folders.iter().flat_map(|f| wanted.names.iter().map(move |n| f.join(n)));
    let missing = || Unavailable { reason: format!("{} was not found", wanted.what), remedy: wanted.remedy };
    named.chain(placed).find_map(|path| open_path(&path, wanted.symbol)).ok_or_else(missing)
}

/// Opens a library for the rest of the process, if it has `symbol`.
fn open_path(path: &Path, symbol: &str) -> Option<()> {
    if path.components().count() > 1 && !path.exists() {
        return None;
    }
    // SAFETY: NVIDIA's libraries have no initialisation that asks anything of their caller.
    let library = unsafe { Library::new(path) }.ok()?;
    // SAFETY: the symbol's address is only looked at, never called through this type.
    unsafe { library.get::<*const ()>(symbol.as_bytes()) }.ok()?;
    // Never closed, because cudarc looks it up again by name.
    std::mem::forget(library);
    Some(())
}

/// Returns folders that may hold CUDA libraries: the toolkit's, then those of Python environments.
fn folders() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> =
        env::var_os("CUDA_HOME").iter().map(|h| Path::new(h).join("lib64")).collect();
    let mut toolkits = entries(Path::new("/usr/local"), |name| name.starts_with("cuda"));
    // The newest first: `cuda-13.0` before `cuda-12.4`.
    toolkits.sort_by(|a, b| b.cmp(a));
    folders.extend(toolkits.iter().map(|t| t.join("lib64")));
    for environment in python_environments() {
        for python in entries(&environment.join("lib"), |name| name.starts_with("python3")) {
            for kind in ["site-packages", "dist-packages"] {
                // `nvidia/cu13/lib` (CUDA 13) or `nvidia/cublas/lib` and its like (CUDA 12).
                let packages = entries(&python.join(kind).join("nvidia"), |_| true);
                folders.extend(packages.iter().map(|p| p.join("lib")));
            }
        }
    }
    folders
}

/// Returns the active environments without running Python: from the variables that they set, then from the
/// prefix of `python3` on PATH.
fn python_environments() -> Vec<PathBuf> {
    let named = ["VIRTUAL_ENV", "CONDA_PREFIX"].into_iter().filter_map(env::var_os).map(PathBuf::from);
    let path = env::var_os("PATH").unwrap_or_default();
    let on_path = env::split_paths(&path).filter(|folder| folder.join("python3").exists());
    named.chain(on_path.filter_map(|bin| bin.parent().map(Path::to_path_buf))).collect()
}

fn entries(folder: &Path, wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let Ok(listing) = fs::read_dir(folder) else { return Vec::new() };
    let paths = listing.filter_map(|entry| entry.ok().map(|e| e.path()));
    paths.filter(|p| p.file_name().and_then(OsStr::to_str).is_some_and(&wanted)).collect()
}
