//! What the machine is and has. Upstream: cAdvisor's machine info.

use nix::sys::statvfs::statvfs;
use std::{collections::BTreeMap, fs, io, path::Path};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Machine {
    pub processors: i64,
    pub memory_bytes: i64,
    pub swap_bytes: i64,
    /// Bytes reserved as huge pages, by page size in bytes.
    pub huge_pages: BTreeMap<u64, u64>,
    pub machine_id: String,
    pub system_uuid: String,
    pub boot_id: String,
    pub kernel_version: String,
    pub os_image: String,
    pub architecture: String,
}

/// A file system's size and what is left of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Disk {
    pub total_bytes: u64,
    pub available_bytes: u64,
    pub inodes: u64,
    pub inodes_free: u64,
}

fn line(path: &str) -> String {
    fs::read_to_string(path)
        .map(|text| text.trim().to_owned())
        .unwrap_or_default()
}

impl Machine {
    /// Reads what the kernel says. What a machine doesn't have (a firmware's uuid, say) stays empty.
    pub fn read() -> io::Result<Self> {
        let meminfo = fs::read_to_string("/proc/meminfo")?;
        let name = nix::sys::utsname::uname()?;
        let processors = std::thread::available_parallelism()?.get();
        let machine_id = line("/etc/machine-id");
        let uuid = line("/sys/class/dmi/id/product_uuid");
        Ok(Self {
            processors: i64::try_from(processors).unwrap_or(1),
            memory_bytes: meminfo_bytes(&meminfo, "MemTotal"),
            swap_bytes: meminfo_bytes(&meminfo, "SwapTotal"),
            huge_pages: huge_pages(Path::new("/sys/kernel/mm/hugepages")),
            system_uuid: if uuid.is_empty() { machine_id.clone() } else { uuid },
            machine_id,
            boot_id: line("/proc/sys/kernel/random/boot_id"),
            kernel_version: name.release().to_string_lossy().into_owned(),
            os_image: os_image(&line("/etc/os-release")),
            architecture: architecture(&name.machine().to_string_lossy()),
        })
    }

    /// Sizes as the runtime names them: `2MB`, `1GB`.
    pub fn huge_page_sizes(&self) -> Vec<String> {
        let name = |bytes: &u64| match bytes {
            bytes if bytes >> 30 > 0 => format!("{}GB", bytes >> 30),
            bytes if bytes >> 20 > 0 => format!("{}MB", bytes >> 20),
            bytes => format!("{}KB", bytes >> 10),
        };
        self.huge_pages.keys().map(name).collect()
    }
}

impl Disk {
    /// The file system that a path is on.
    pub fn of(path: &Path) -> io::Result<Self> {
        let stat = statvfs(path)?;
        let block = stat.fragment_size() as u64;
        Ok(Self {
            total_bytes: stat.blocks() as u64 * block,
            available_bytes: stat.blocks_available() as u64 * block,
            inodes: stat.files() as u64,
            inodes_free: stat.files_free() as u64,
        })
    }
}

/// How many processes there may be, and are.
pub fn processes() -> (i64, i64) {
    let max = line("/proc/sys/kernel/pid_max").parse().unwrap_or(0);
    let load = line("/proc/loadavg");
    // The fourth word: running/all.
    let all = load
        .split(' ')
        .nth(3)
        .and_then(|word| word.split_once('/'))
        .and_then(|(_, all)| all.parse().ok());
    (max, all.unwrap_or(0))
}

fn meminfo_bytes(text: &str, name: &str) -> i64 {
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    let value = lines
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value.trim().trim_end_matches(" kB"));
    value.and_then(|value| value.parse::<i64>().ok()).unwrap_or(0) << 10
}

/// Folders named `hugepages-2048kB`.
fn huge_pages(folder: &Path) -> BTreeMap<u64, u64> {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let pages = entries.filter_map(|entry| {
        let name = entry.file_name();
        let kilobytes: u64 = name
            .to_str()?
            .strip_prefix("hugepages-")?
            .strip_suffix("kB")?
            .parse()
            .ok()?;
        let count: u64 = fs::read_to_string(entry.path().join("nr_hugepages"))
            .ok()?
            .trim()
            .parse()
            .ok()?;
        Some((kilobytes << 10, (kilobytes << 10) * count))
    });
    pages.collect()
}

fn os_image(release: &str) -> String {
    let mut lines = release.lines().filter_map(|line| line.split_once('='));
    lines
        .find(|(key, _)| *key == "PRETTY_NAME")
        .map_or("Linux".into(), |(_, name)| name.trim_matches('"').to_owned())
}

/// Go's name of the processor.
fn architecture(machine: &str) -> String {
    match machine {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "ppc64le" => "ppc64le",
        "s390x" => "s390x",
        "riscv64" => "riscv64",
        "i686" | "i386" => "386",
        other => other,
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_kernel_s_words() {
        assert_eq!(
            meminfo_bytes("MemTotal:       16 kB\nSwapTotal: 2 kB\n", "SwapTotal"),
            2048
        );
        assert_eq!(
            os_image("NAME=x\nPRETTY_NAME=\"Debian GNU/Linux 12\"\n"),
            "Debian GNU/Linux 12"
        );
        assert_eq!(architecture("x86_64"), "amd64");
        let machine = Machine {
            huge_pages: [(2 << 20, 0), (1 << 30, 0)].into(),
            ..Machine::default()
        };
        assert_eq!(machine.huge_page_sizes(), ["2MB", "1GB"]);
    }
}
