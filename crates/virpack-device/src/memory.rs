//! Free memory of the machine, or as much of it as this process may take, and the limit that bounds it.

use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;

/// A limit below the machine's free memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryLimit {
    /// That of the address space, as `ulimit -v` and cluster engines (`h_vmem`) set it.
    AddressSpace,
    /// That of a control group, as containers and cluster engines set it.
    ControlGroup,
}

impl MemoryLimit {
    /// Returns its name, for people.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            MemoryLimit::AddressSpace => "the limit on address space (ulimit -v, h_vmem)",
            MemoryLimit::ControlGroup => "the memory limit of the container or job (control group)",
        }
    }
}

/// Returns the limit that [`available_memory`] comes from; None if it is the machine's free memory.
///
/// ```
/// if let Some(limit) = virpack_device::memory_limit() {
///     println!("memory is bounded by {}", limit.as_str());
/// }
/// ```
#[must_use]
pub fn memory_limit() -> Option<MemoryLimit> {
    if cfg!(target_os = "linux") { available_under(Path::new("/"))?.1 } else { None }
}

/// Bytes that this process can still take: free memory, and no more than its control groups allow.
///
/// On Linux, the least of `MemAvailable`, of what a limit on the address space leaves, and, for the
/// process's control group and every group above it (v1 and v2), of the limit less what is used and cannot
/// be reclaimed. `None` if it is unknown: on other systems, or without `/proc`.
///
/// ```
/// if let Some(bytes) = virpack_device::available_memory() {
///     assert!(bytes > 0);
/// }
/// ```
pub fn available_memory() -> Option<u64> {
    if cfg!(target_os = "linux") { Some(available_under(Path::new("/"))?.0) } else { None }
}

/// Returns the bytes, and the limit that they come from.
fn available_under(root: &Path) -> Option<(u64, Option<MemoryLimit>)> {
    let machine = fs::read_to_string(root.join("proc/meminfo")).ok();
    let machine = machine.and_then(|text| field(&text, "MemAvailable:")).map(|kilobytes| kilobytes * 1024);
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let mounted = root.join("sys/fs/cgroup");
    let groups = groups
        .lines()
        .filter_map(|line| {
            let mut parts = line.splitn(3, ':');
            let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
            match controllers {
                "" => group_and_parents(&mounted, path, &V2),
                list if list.split(',').any(|name| name == "memory") => {
                    group_and_parents(&mounted.join("memory"), path, &V1)
                }
                _ => None,
            }
        })
        .min();
    let addresses = address_space(root, std::thread::available_parallelism().map_or(1, NonZeroUsize::get));
    let limits = [(addresses, MemoryLimit::AddressSpace), (groups, MemoryLimit::ControlGroup)];
    let limits = limits.into_iter().filter_map(|(left, limit)| Some((left?, Some(limit))));
    machine.map(|free| (free, None)).into_iter().chain(limits).min_by_key(|(left, _)| *left)
}

/// Returns what a limit on the address space leaves, as `ulimit -v` and cluster engines set it (`h_vmem`);
/// `None` where there is no limit.
///
/// It counts what a process reserves and may never touch: the heaps of threads. There are at most two threads
/// for each core, those that multiply and those that read, and a few more.
fn address_space(root: &Path, cores: usize) -> Option<u64> {
    let read = |name: &str| fs::read_to_string(root.join("proc/self").join(name)).ok();
    let (limits, status) = (read("limits")?, read("status")?);
    let limit = field(&limits, "Max address space")?; // "unlimited" is not a number
    let used = field(&status, "VmSize:")? * 1024;
    let to_come = (2 * cores + OTHER_THREADS).saturating_sub(field(&status, "Threads:")? as usize);
    Some(limit.saturating_sub(used).saturating_sub(to_come as u64 * RESERVED_BY_A_THREAD))
}

/// Threads that read, write and show progress, whatever the number of cores.
const OTHER_THREADS: usize = 8;

/// Bytes of address space that glibc reserves for the heap of a thread.
const RESERVED_BY_A_THREAD: u64 = 64 << 20;

/// The files of one version of control groups.
struct Version {
    limit: &'static str,
    used: &'static str,
    /// The entry of `memory.stat` with the page cache that is reclaimed first.
    reclaimable: &'static str,
}

const V1: Version = Version {
    limit: "memory.limit_in_bytes",
    used: "memory.usage_in_bytes",
    reclaimable: "total_inactive_file ",
};
const V2: Version = Version { limit: "memory.max", used: "memory.current", reclaimable: "inactive_file " };

/// Returns the least that `path` and the groups above it leave. Within a container `path` may name a group
/// of the host that is not mounted: then the groups above it that are, at least the root, still count.
fn group_and_parents(mounted: &Path, path: &str, version: &Version) -> Option<u64> {
    let group = mounted.join(path.trim_start_matches('/'));
    group
        .ancestors()
        .take_while(|group| group.starts_with(mounted))
        .filter_map(|group| left(group, version))
        .min()
}

/// Returns what a group leaves; `None` where it has no limit.
fn left(group: &Path, version: &Version) -> Option<u64> {
    let number = |name: &str| fs::read_to_string(group.join(name)).ok()?.trim().parse::<u64>().ok();
    let limit = number(version.limit)?; // "max" is not a number, and means no limit
    let used = number(version.used)?;
    let stat = fs::read_to_string(group.join("memory.stat")).unwrap_or_default();
    let reclaimable = field(&stat, version.reclaimable).unwrap_or(0);
    Some(limit.saturating_sub(used.saturating_sub(reclaimable)))
}

/// Returns the number after `name` at the beginning of a line.
fn field(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    /// A root with these files, removed at the end.
    struct Root(PathBuf);

    impl Root {
        fn new(name: &str, files: &[(&str, &str)]) -> Self {
            let root = std::env::temp_dir().join(format!("virpack-memory-{name}-{}", std::process::id()));
            for (path, text) in files {
                let path = root.join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            Root(root)
        }
    }

    impl Drop for Root {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    const MEMINFO: (&str, &str) = ("proc/meminfo", "MemTotal: 2000 kB\nMemAvailable:   1000 kB\n");

    #[test]
    fn a_machine_without_groups() {
        assert_eq!(available_under(&Root::new("plain", &[MEMINFO]).0), Some((1_024_000, None)));
        assert_eq!(available_under(&Root::new("none", &[("x", "")]).0), None);
    }

    #[test]
    fn a_limit_on_the_address_space_counts_what_threads_reserve() {
        let limits = |soft: &str| {
            let head = "Limit                     Soft Limit           Hard Limit           Units     \n";
            format!("{head}Max address space         {soft:20} unlimited            bytes     \n")
        };
        let left = |name: &str, soft: &str| {
            let status = "VmPeak:\t 900 kB\nVmSize:\t   500 kB\nThreads:\t6\n";
            let root = Root::new(name, &[("proc/self/limits", &limits(soft)), ("proc/self/status", status)]);
            address_space(&root.0, 4)
        };
        assert_eq!(left("endless", "unlimited"), None);
        assert_eq!(left("narrow", "600000000"), Some(0));
        let limits = limits("1000");
        let files =
            [MEMINFO, ("proc/self/limits", &limits), ("proc/self/status", "VmSize: 9 kB\nThreads: 6\n")];
        let found = available_under(&Root::new("addresses", &files).0);
        assert!(matches!(found, Some((_, Some(MemoryLimit::AddressSpace)))), "{found:?}");
        assert_eq!(left("wide", "4000000000"), Some(4_000_000_000 - 500 * 1024 - 10 * (64 << 20)));
    }

    #[test]
    fn version_2_with_the_limit_in_a_parent() {
        let root = Root::new(
            "v2",
            &[
                MEMINFO,
                ("proc/self/cgroup", "0::/pod/box\n"),
                ("sys/fs/cgroup/pod/box/memory.max", "max\n"),
                ("sys/fs/cgroup/pod/box/memory.current", "5000\n"),
                ("sys/fs/cgroup/pod/memory.max", "10000\n"),
                ("sys/fs/cgroup/pod/memory.current", "7000\n"),
                ("sys/fs/cgroup/pod/memory.stat", "anon 1\ninactive_file 500\nactive_file 9\n"),
            ],
        );
        assert_eq!(available_under(&root.0), Some((3_500, Some(MemoryLimit::ControlGroup))));
    }

    #[test]
    fn version_1_seen_from_within_a_container() {
        let root = Root::new(
            "v1",
            &[
                MEMINFO,
                ("proc/self/cgroup", "5:cpu:/x\n4:hugetlb,memory:/docker/abc\n"),
                ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9000\n"),
                ("sys/fs/cgroup/memory/memory.usage_in_bytes", "10000\n"),
                ("sys/fs/cgroup/memory/memory.stat", "total_inactive_file 1500\n"),
            ],
        );
        assert_eq!(available_under(&root.0), Some((500, Some(MemoryLimit::ControlGroup))));
    }

    #[test]
    fn here() {
        if cfg!(target_os = "linux") {
            assert!(available_memory().unwrap() > 0);
        }
    }
}
