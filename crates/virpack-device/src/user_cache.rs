//! Where the user's cache is.

use std::env;
use std::path::PathBuf;

/// Returns the folder of virpack's files in the user's cache: `virpack` in `XDG_CACHE_HOME`, or else in
/// `.cache` of `HOME`. None if both are unset or empty. The folder need not exist.
///
/// ```
/// if let Some(folder) = virpack_device::user_cache() {
///     assert!(folder.ends_with("virpack"));
/// }
/// ```
#[must_use]
pub fn user_cache() -> Option<PathBuf> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")))?;
    Some(cache.join("virpack"))
}
