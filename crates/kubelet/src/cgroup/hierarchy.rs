//! The kernel's control group files, version 1 and 2. Upstream: `cm/cgroup_manager_linux.go`.
//!
//! The files answer at once, so reading and writing them blocks nobody.

use super::resources::{GroupLimits, shares_of_weight, weight_of_shares};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no control groups are mounted at {0}")]
    NotMounted(PathBuf),
    #[error("{action} {path}")]
    File {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    V1,
    V2,
}

/// The mounted hierarchy, or hierarchies on version 1.
#[derive(Debug, Clone)]
pub struct Hierarchy {
    version: Version,
    /// One folder on version 2; one per set of controllers on version 1.
    mounts: Vec<Mount>,
}

#[derive(Debug, Clone)]
struct Mount {
    path: PathBuf,
    controllers: Vec<String>,
}

/// What a group uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    pub cpu_nanos: u64,
    pub memory_bytes: u64,
    /// Without what the kernel can drop at once.
    pub working_set_bytes: u64,
    pub rss_bytes: u64,
    pub page_faults: u64,
    pub major_page_faults: u64,
    pub processes: u64,
    pub memory_limit: Option<u64>,
}

fn file<T>(action: &'static str, path: &Path, result: io::Result<T>) -> Result<T, Error> {
    result.map_err(|source| Error::File {
        action,
        path: path.to_path_buf(),
        source,
    })
}

impl Hierarchy {
    /// Finds what is mounted under `root`, usually `/sys/fs/cgroup`.
    pub fn detect(root: &Path) -> Result<Self, Error> {
        if let Ok(controllers) = fs::read_to_string(root.join("cgroup.controllers")) {
            let controllers = controllers.split_whitespace().map(str::to_owned).collect();
            return Ok(Self {
                version: Version::V2,
                mounts: vec![Mount {
                    path: root.to_path_buf(),
                    controllers,
                }],
            });
        }
        let entries = file("list", root, fs::read_dir(root))?;
        let mut mounts: Vec<Mount> = entries
            .filter_map(Result::ok)
            // Controllers mounted together have their names as links to the shared folder.
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
            .map(|entry| entry.path())
            .filter(|path| path.join("cgroup.procs").exists())
            .map(|path| {
                // A version 2 hierarchy beside the others limits nothing, but the runtime makes groups in it as well.
                let unified = path.join("cgroup.controllers").exists();
                let name = path
                    .file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned();
                let controllers = if unified {
                    Vec::new()
                } else {
                    name.split(',').map(str::to_owned).collect()
                };
                Mount { path, controllers }
            })
            .collect();
        mounts.sort_by(|a, b| a.path.cmp(&b.path));
        if mounts.is_empty() {
            Err(Error::NotMounted(root.to_path_buf()))
        } else {
            Ok(Self {
                version: Version::V1,
                mounts,
            })
        }
    }

    pub fn version(&self) -> Version {
        self.version
    }

    /// Makes the group and sets its limits; what has no limit stays as it is.
    pub fn ensure(&self, group: &str, limits: &GroupLimits) -> Result<(), Error> {
        for mount in &self.mounts {
            self.create(mount, group)?;
        }
        self.set(group, limits)
    }

    fn create(&self, mount: &Mount, group: &str) -> Result<(), Error> {
        let mut path = mount.path.clone();
        for part in group.split('/').filter(|part| !part.is_empty()) {
            if self.version == Version::V2 {
                enable_controllers(&path, &mount.controllers)?;
            }
            let parent = path.clone();
            path.push(part);
            match fs::create_dir(&path) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(source) => {
                    return Err(Error::File {
                        action: "create",
                        path,
                        source,
                    });
                }
            }
            if self.version == Version::V1 && mount.controllers.iter().any(|name| name == "cpuset") {
                inherit_cpuset(&parent, &path)?;
            }
        }
        Ok(())
    }

    /// What the group is limited to. Of version 2's weights, the least shares that give one.
    pub fn limits(&self, group: &str) -> GroupLimits {
        let read = |controller, name: &str| {
            let path = self.folder(controller, group)?.join(name);
            fs::read_to_string(path).ok()
        };
        let whole = |text: String| text.trim().parse::<i64>().ok();
        let (cpu_shares, cpu_quota_us, memory_bytes) = match self.version {
            Version::V1 => (
                read("cpu", "cpu.shares").and_then(|text| text.trim().parse().ok()),
                read("cpu", "cpu.cfs_quota_us").and_then(whole),
                // The kernel's "unlimited" is the largest page-aligned number.
                read("memory", "memory.limit_in_bytes")
                    .and_then(whole)
                    .filter(|limit| *limit < 1 << 60),
            ),
            Version::V2 => (
                read("cpu", "cpu.weight")
                    .and_then(|text| text.trim().parse().ok())
                    .map(shares_of_weight),
                read("cpu", "cpu.max").and_then(|text| whole(text.split(' ').next()?.to_owned())),
                read("memory", "memory.max").and_then(whole),
            ),
        };
        GroupLimits {
            cpu_shares,
            cpu_quota_us: cpu_quota_us.filter(|quota| *quota > 0),
            memory_bytes,
            ..GroupLimits::default()
        }
    }

    /// Sets the limits of a group that is there.
    pub fn set(&self, group: &str, limits: &GroupLimits) -> Result<(), Error> {
        let memory = limits.memory_bytes.map(|bytes| bytes.to_string());
        let pids = limits.pids.map(|count| count.to_string());
        let mut writes: Vec<(&str, &str, String)> = Vec::new();
        match self.version {
            Version::V1 => {
                writes.extend(
                    limits
                        .cpu_shares
                        .map(|shares| ("cpu", "cpu.shares", shares.to_string())),
                );
                if let Some(quota) = limits.cpu_quota_us {
                    writes.push(("cpu", "cpu.cfs_period_us", limits.cpu_period_us.to_string()));
                    writes.push(("cpu", "cpu.cfs_quota_us", quota.to_string()));
                }
                writes.extend(memory.map(|bytes| ("memory", "memory.limit_in_bytes", bytes)));
            }
            Version::V2 => {
                let weight = limits
                    .cpu_shares
                    .map(|shares| weight_of_shares(shares).to_string());
                writes.extend(weight.map(|weight| ("cpu", "cpu.weight", weight)));
                let max = limits
                    .cpu_quota_us
                    .map(|quota| format!("{quota} {}", limits.cpu_period_us));
                writes.extend(max.map(|max| ("cpu", "cpu.max", max)));
                writes.extend(memory.map(|bytes| ("memory", "memory.max", bytes)));
            }
        }
        writes.extend(pids.map(|count| ("pids", "pids.max", count)));
        for (controller, name, value) in writes {
            // A controller that the kernel doesn't have can't limit anything.
            if let Some(folder) = self.folder(controller, group) {
                let path = folder.join(name);
                file("write", &path, fs::write(&path, value))?;
            }
        }
        Ok(())
    }

    /// The group's folder for a controller, if there is such a controller.
    fn folder(&self, controller: &str, group: &str) -> Option<PathBuf> {
        let has = |mount: &&Mount| mount.controllers.iter().any(|name| name == controller);
        self.mounts
            .iter()
            .find(has)
            .map(|mount| mount.path.join(group.trim_start_matches('/')))
    }

    fn folders<'a>(&'a self, group: &'a str) -> impl Iterator<Item = PathBuf> + 'a {
        self.mounts
            .iter()
            .map(move |mount| mount.path.join(group.trim_start_matches('/')))
    }

    pub fn exists(&self, group: &str) -> bool {
        self.folders(group).any(|path| path.exists())
    }

    /// The names of the groups directly below.
    pub fn children(&self, group: &str) -> Vec<String> {
        let mut names: Vec<String> = self
            .folders(group)
            .filter_map(|path| fs::read_dir(path).ok())
            .flat_map(|entries| entries.filter_map(Result::ok))
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Processes in the group and all below.
    pub fn processes(&self, group: &str) -> Vec<i32> {
        let mut pids = Vec::new();
        for path in self.folders(group) {
            collect_processes(&path, &mut pids);
        }
        pids.sort_unstable();
        pids.dedup();
        pids
    }

    /// Removes the group and all below; fails while a process is left in one.
    pub fn remove(&self, group: &str) -> Result<(), Error> {
        self.folders(group).try_for_each(|path| remove_tree(&path))
    }

    pub fn usage(&self, group: &str) -> Option<Usage> {
        match self.version {
            Version::V1 => self.usage_v1(group),
            Version::V2 => self.usage_v2(group),
        }
    }

    fn usage_v1(&self, group: &str) -> Option<Usage> {
        let memory = self.folder("memory", group)?;
        let stat = fs::read_to_string(memory.join("memory.stat")).ok()?;
        let memory_bytes = number(&memory.join("memory.usage_in_bytes"))?;
        Some(Usage {
            cpu_nanos: self
                .folder("cpuacct", group)
                .and_then(|path| number(&path.join("cpuacct.usage")))
                .unwrap_or(0),
            memory_bytes,
            working_set_bytes: memory_bytes.saturating_sub(keyed(&stat, "total_inactive_file").unwrap_or(0)),
            rss_bytes: keyed(&stat, "total_rss").unwrap_or(0),
            page_faults: keyed(&stat, "total_pgfault").unwrap_or(0),
            major_page_faults: keyed(&stat, "total_pgmajfault").unwrap_or(0),
            processes: self.count_processes(group),
            // The kernel's "unlimited" is the largest page-aligned number.
            memory_limit: number(&memory.join("memory.limit_in_bytes")).filter(|limit| *limit < 1 << 60),
        })
    }

    fn usage_v2(&self, group: &str) -> Option<Usage> {
        let folder = self.folders(group).next()?;
        let stat = fs::read_to_string(folder.join("memory.stat")).ok()?;
        let cpu = fs::read_to_string(folder.join("cpu.stat")).unwrap_or_default();
        let memory_bytes = number(&folder.join("memory.current"))?;
        Some(Usage {
            cpu_nanos: keyed(&cpu, "usage_usec").unwrap_or(0) * 1000,
            memory_bytes,
            working_set_bytes: memory_bytes.saturating_sub(keyed(&stat, "inactive_file").unwrap_or(0)),
            rss_bytes: keyed(&stat, "anon").unwrap_or(0),
            page_faults: keyed(&stat, "pgfault").unwrap_or(0),
            major_page_faults: keyed(&stat, "pgmajfault").unwrap_or(0),
            processes: self.count_processes(group),
            memory_limit: number(&folder.join("memory.max")),
        })
    }

    fn count_processes(&self, group: &str) -> u64 {
        self.folder("pids", group)
            .and_then(|path| number(&path.join("pids.current")))
            .unwrap_or(0)
    }
}

fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn keyed(text: &str, key: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    lines
        .find(|(name, _)| *name == key)
        .and_then(|(_, value)| value.trim().parse().ok())
}

/// A new cpuset group allows nothing until told; it may do what its parent may.
fn inherit_cpuset(parent: &Path, child: &Path) -> Result<(), Error> {
    for name in ["cpuset.cpus", "cpuset.mems"] {
        let path = child.join(name);
        let current = file("read", &path, fs::read_to_string(&path))?;
        if current.trim().is_empty() {
            let source = parent.join(name);
            let value = file("read", &source, fs::read_to_string(&source))?;
            file("write", &path, fs::write(&path, value))?;
        }
    }
    Ok(())
}

/// Children have only the controllers that their parent hands down.
fn enable_controllers(path: &Path, controllers: &[String]) -> Result<(), Error> {
    let control = path.join("cgroup.subtree_control");
    let enabled = file("read", &control, fs::read_to_string(&control))?;
    for controller in controllers
        .iter()
        .filter(|name| !enabled.split_whitespace().any(|on| on == *name))
    {
        // Some can't be handed down (rdma without devices, say); the limits that need one will fail by name.
        if let Err(error) = fs::write(&control, format!("+{controller}")) {
            tracing::debug!(%controller, path = %path.display(), %error, "controller not handed down");
        }
    }
    Ok(())
}

fn collect_processes(path: &Path, pids: &mut Vec<i32>) {
    if let Ok(text) = fs::read_to_string(path.join("cgroup.procs")) {
        pids.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()));
    }
    for child in subgroups(path) {
        collect_processes(&child, pids);
    }
}

fn subgroups(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten().filter_map(Result::ok);
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

fn remove_tree(path: &Path) -> Result<(), Error> {
    for child in subgroups(path) {
        remove_tree(&child)?;
    }
    match fs::remove_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => file("remove", path, Err(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder that looks like version 1 with the given controllers.
    fn fake_v1(controllers: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for name in controllers {
            fs::create_dir(root.path().join(name)).unwrap();
            fs::write(root.path().join(name).join("cgroup.procs"), "").unwrap();
        }
        root
    }

    #[test]
    fn limits_go_to_their_controllers() {
        let root = fake_v1(&["cpu", "memory"]);
        let hierarchy = Hierarchy::detect(root.path()).unwrap();
        assert_eq!(hierarchy.version(), Version::V1);
        let limits = GroupLimits {
            cpu_shares: Some(512),
            cpu_quota_us: Some(50_000),
            cpu_period_us: 100_000,
            memory_bytes: Some(1 << 20),
            // There is no such controller here: nothing is limited and nothing fails.
            pids: Some(10),
        };
        hierarchy.ensure("/kubepods/pod1", &limits).unwrap();
        let read = |path: &str| fs::read_to_string(root.path().join(path)).unwrap();
        assert_eq!(read("cpu/kubepods/pod1/cpu.shares"), "512");
        assert_eq!(read("cpu/kubepods/pod1/cpu.cfs_quota_us"), "50000");
        assert_eq!(read("memory/kubepods/pod1/memory.limit_in_bytes"), "1048576");
        assert_eq!(hierarchy.children("/kubepods"), ["pod1"]);
        assert!(hierarchy.exists("/kubepods/pod1"));
    }

    #[test]
    fn usage_leaves_out_what_can_be_dropped() {
        let root = fake_v1(&["memory", "cpuacct"]);
        let hierarchy = Hierarchy::detect(root.path()).unwrap();
        hierarchy.ensure("/g", &GroupLimits::default()).unwrap();
        let write = |path: &str, text: &str| fs::write(root.path().join(path), text).unwrap();
        write(
            "memory/g/memory.stat",
            "cache 5\ntotal_inactive_file 300\ntotal_rss 100\n",
        );
        write("memory/g/memory.usage_in_bytes", "1000\n");
        write("memory/g/memory.limit_in_bytes", "9223372036854771712\n");
        write("cpuacct/g/cpuacct.usage", "77\n");
        let usage = hierarchy.usage("/g").unwrap();
        assert_eq!(
            (usage.memory_bytes, usage.working_set_bytes, usage.rss_bytes),
            (1000, 700, 100)
        );
        assert_eq!((usage.cpu_nanos, usage.memory_limit), (77, None));
    }

    #[test]
    fn version_two_weighs_and_hands_controllers_down() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| fs::write(root.path().join(path), text).unwrap();
        let read = |path: &str| fs::read_to_string(root.path().join(path)).unwrap();
        write("cgroup.controllers", "cpu memory pids\n");
        write("cgroup.procs", "");
        write("cgroup.subtree_control", "memory pids\n");
        fs::create_dir(root.path().join("kubepods")).unwrap();
        write("kubepods/cgroup.subtree_control", "cpu memory pids\n");
        let hierarchy = Hierarchy::detect(root.path()).unwrap();
        assert_eq!(hierarchy.version(), Version::V2);
        let limits = GroupLimits {
            cpu_shares: Some(1024),
            cpu_quota_us: Some(50_000),
            cpu_period_us: 100_000,
            memory_bytes: Some(4096),
            pids: Some(7),
        };
        hierarchy.ensure("/kubepods/pod1", &limits).unwrap();
        assert_eq!(read("cgroup.subtree_control"), "+cpu", "only what was missing");
        assert_eq!(read("kubepods/cgroup.subtree_control"), "cpu memory pids\n");
        assert_eq!(read("kubepods/pod1/cpu.weight"), "39");
        assert_eq!(read("kubepods/pod1/cpu.max"), "50000 100000");
        assert_eq!(read("kubepods/pod1/memory.max"), "4096");
        assert_eq!(
            hierarchy.limits("/kubepods/pod1"),
            GroupLimits {
                cpu_shares: Some(999),
                cpu_period_us: 0,
                pids: None,
                ..limits
            }
        );
        write("kubepods/pod1/cpu.max", "max 100000\n");
        write("kubepods/pod1/memory.max", "max\n");
        let unlimited = hierarchy.limits("/kubepods/pod1");
        assert_eq!((unlimited.cpu_quota_us, unlimited.memory_bytes), (None, None));
        write("kubepods/pod1/memory.max", "4096\n");
        write("kubepods/pod1/memory.current", "1000\n");
        write(
            "kubepods/pod1/memory.stat",
            "anon 100\ninactive_file 200\npgfault 5\n",
        );
        write("kubepods/pod1/cpu.stat", "usage_usec 3\n");
        write("kubepods/pod1/pids.current", "2\n");
        let usage = hierarchy.usage("/kubepods/pod1").unwrap();
        assert_eq!(
            (usage.working_set_bytes, usage.cpu_nanos, usage.processes),
            (800, 3000, 2)
        );
        assert_eq!(usage.memory_limit, Some(4096));
    }

    #[test]
    fn nothing_mounted_is_said() {
        let root = tempfile::tempdir().unwrap();
        assert!(matches!(
            Hierarchy::detect(root.path()),
            Err(Error::NotMounted(_))
        ));
    }
}
