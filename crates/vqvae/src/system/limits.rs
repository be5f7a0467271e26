//! How much memory this process may still take, by each of the limits that the system knows. Linux tells it in files.

use std::path::{Component, Path, PathBuf};

/// A control group's limit of version 1 where there is none is the largest multiple of a page.
const NO_LIMIT: u64 = 1 << 62;

/// Bytes that this process can allocate before something ends it: the least of what is free without swapping, of what
/// its control groups leave it, and of what its address space and its data may still grow by. Paths are looked up below
/// `root`. `None` where the system does not say.
pub(crate) fn available(root: &Path) -> Option<u64> {
    let free = field(&read(root, "proc/meminfo")?, "MemAvailable:")?;
    let least = [group_v2(root), group_v1(root), process_limit(root)].into_iter().flatten().min();
    Some(least.map_or(free, |least| least.min(free)))
}

/// What control groups of version 2 leave: a process is under the limits of its group and of all above it.
fn group_v2(root: &Path) -> Option<u64> {
    let group = groups(root).find_map(|(controllers, path)| controllers.is_empty().then_some(path)).unwrap_or_default();
    ["sys/fs/cgroup", "sys/fs/cgroup/unified"]
        .into_iter()
        .flat_map(|mount| group_and_above(&root.join(mount), &group))
        .filter_map(|folder| {
            let used = number(&folder, "memory.current").unwrap_or(0);
            let files = ["inactive_file ", "active_file "].map(|field| in_statistics(&folder, field));
            left(number(&folder, "memory.max")?, used, files)
        })
        .min()
}

/// The same for version 1.
fn group_v1(root: &Path) -> Option<u64> {
    let of_memory = |controllers: &str| controllers.split(',').any(|controller| controller == "memory");
    let group =
        groups(root).find_map(|(controllers, path)| of_memory(&controllers).then_some(path)).unwrap_or_default();
    group_and_above(&root.join("sys/fs/cgroup/memory"), &group)
        .into_iter()
        .filter_map(|folder| {
            let used = number(&folder, "memory.usage_in_bytes").unwrap_or(0);
            let files = ["total_inactive_file ", "total_active_file "].map(|field| in_statistics(&folder, field));
            left(number(&folder, "memory.limit_in_bytes")?, used, files)
        })
        .min()
}

/// What a limit leaves. Pages of files count as used, but go when memory is wanted.
fn left(limit: u64, used: u64, files: [u64; 2]) -> Option<u64> {
    let held = used.saturating_sub(files.iter().sum());
    (limit < NO_LIMIT).then(|| limit.saturating_sub(held))
}

/// What `ulimit -v` and `ulimit -d` leave at most. Addresses that are only reserved are not taken yet: the allocator and
/// the threads reserve many.
fn process_limit(root: &Path) -> Option<u64> {
    let limits = read(root, "proc/self/limits")?;
    let used = field(&read(root, "proc/self/status")?, "VmRSS:")?;
    ["Max address space", "Max data size"]
        .into_iter()
        .filter_map(|limit| {
            let soft = limits.lines().find_map(|line| line.strip_prefix(limit))?.split_whitespace().next()?;
            Some(soft.parse::<u64>().ok()?.saturating_sub(used))
        })
        .min()
}

/// The process's control groups: the controllers of each hierarchy, none for version 2, and the group.
fn groups(root: &Path) -> impl Iterator<Item = (String, PathBuf)> {
    let text = read(root, "proc/self/cgroup").unwrap_or_default();
    let parse = |line: &str| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        Some((controllers.to_string(), PathBuf::from(path)))
    };
    text.lines().filter_map(parse).collect::<Vec<_>>().into_iter()
}

/// The folders of a group and of those above it, as far as they are to be seen below `mount`: a container sees its own
/// group at the top, by whatever path it is known outside.
fn group_and_above(mount: &Path, group: &Path) -> Vec<PathBuf> {
    let parts: Vec<&std::ffi::OsStr> = group
        .components()
        .filter_map(|part| match part {
            Component::Normal(name) => Some(name),
            _ => None,
        })
        .collect();
    let below = |parts: &[&std::ffi::OsStr]| parts.iter().fold(mount.to_path_buf(), |path, part| path.join(part));
    let seen = (0..=parts.len()).map(|start| &parts[start..]).find(|parts| below(parts).is_dir()).unwrap_or_default();
    (0..=seen.len()).map(|end| below(&seen[..end])).collect()
}

fn read(folder: &Path, name: &str) -> Option<String> {
    std::fs::read_to_string(folder.join(name)).ok()
}

/// A file that holds a number; `max` is none.
fn number(folder: &Path, name: &str) -> Option<u64> {
    read(folder, name)?.trim().parse().ok()
}

/// A field of a group's `memory.stat`.
fn in_statistics(folder: &Path, field: &str) -> u64 {
    let text = read(folder, "memory.stat").unwrap_or_default();
    text.lines().find_map(|line| line.strip_prefix(field)?.trim().parse().ok()).unwrap_or(0)
}

/// A field in kB of `meminfo` or `status`, in bytes.
fn field(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A system with 8 GiB free and such files.
    fn with(files: &[(&str, &str)]) -> Option<u64> {
        let root = tempfile::tempdir().unwrap();
        let free = [("proc/meminfo", "MemTotal: 9000000 kB\nMemAvailable:    8388608 kB\n")];
        for (name, text) in free.iter().chain(files) {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        available(root.path())
    }

    #[test]
    fn the_least_limit_counts() {
        let limits = |space: &str, data: &str| {
            format!(
                "Limit                     Soft Limit           Hard Limit           Units     \n\
                 Max data size             {data}                unlimited            bytes     \n\
                 Max address space         {space}                unlimited            bytes     \n"
            )
        };
        let status = "VmPeak:	  900 kB\nVmSize:	  800 kB\nVmRSS:	  100 kB\n";
        let g = 1u64 << 30;
        /// Files below the root, with their contents.
        type Files<'a> = &'a [(&'a str, &'a str)];
        let cases: [(&str, Files, u64); 14] = [
            ("nothing else is known", &[], 8 * g),
            ("a container of version 2", &[("sys/fs/cgroup/memory.max", "1073741824\n")], g),
            ("no limit", &[("sys/fs/cgroup/memory.max", "max\n")], 8 * g),
            (
                "what is in use",
                &[("sys/fs/cgroup/memory.max", "1073741824\n"), ("sys/fs/cgroup/memory.current", "1073741000\n")],
                824,
            ),
            (
                "pages of files go",
                &[
                    ("sys/fs/cgroup/memory.max", "1000\n"),
                    ("sys/fs/cgroup/memory.current", "900\n"),
                    ("sys/fs/cgroup/memory.stat", "anon 5\nactive_file 300\ninactive_file 200\n"),
                ],
                600,
            ),
            (
                "more in use than allowed",
                &[("sys/fs/cgroup/memory.max", "1000\n"), ("sys/fs/cgroup/memory.current", "2000\n")],
                0,
            ),
            (
                "a nested group's own limit",
                &[("proc/self/cgroup", "0::/a/b\n"), ("sys/fs/cgroup/a/b/memory.max", "4096\n")],
                4096,
            ),
            (
                "a limit above it",
                &[
                    ("proc/self/cgroup", "0::/a/b\n"),
                    ("sys/fs/cgroup/a/b/memory.max", "max\n"),
                    ("sys/fs/cgroup/a/memory.max", "8192\n"),
                    ("sys/fs/cgroup/a/memory.current", "92\n"),
                ],
                8100,
            ),
            (
                "beside version 1",
                &[("proc/self/cgroup", "3:cpu:/\n0::/a\n"), ("sys/fs/cgroup/unified/a/memory.max", "70\n")],
                70,
            ),
            (
                "a group out of sight",
                &[("proc/self/cgroup", "0::/../../x\n"), ("sys/fs/cgroup/memory.max", "5000\n")],
                5000,
            ),
            (
                "version 1",
                &[
                    ("proc/self/cgroup", "5:cpu,cpuacct:/c\n4:memory:/a/b\n"),
                    ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
                    ("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "6000\n"),
                    ("sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", "7000\n"),
                    ("sys/fs/cgroup/memory/a/memory.usage_in_bytes", "1000\n"),
                ],
                5000,
            ),
            (
                "version 1 in a container that is known by another path outside",
                &[
                    ("proc/self/cgroup", "4:memory:/docker/0123/sub\n"),
                    ("sys/fs/cgroup/memory/memory.limit_in_bytes", "6000\n"),
                    ("sys/fs/cgroup/memory/sub/memory.limit_in_bytes", "5500\n"),
                ],
                5500,
            ),
            (
                "address space",
                &[("proc/self/limits", &limits("1048576", "unlimited")), ("proc/self/status", status)],
                { 1_048_576 - 102_400 },
            ),
            ("data", &[("proc/self/limits", &limits("unlimited", "204800")), ("proc/self/status", status)], 102_400),
        ];
        for (what, files, expected) in cases {
            assert_eq!(with(files), Some(expected), "{what}");
        }
    }

    #[test]
    fn where_nothing_is_said_nothing_is_known() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(available(root.path()), None);
        assert_eq!(field("MemAvailable: many", "MemAvailable:"), None);
    }
}
