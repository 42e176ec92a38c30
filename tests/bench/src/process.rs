//! Memory of processes, from procfs.

use std::fs;
use std::io;

use serde_json::{Value, json};

/// A process's memory at a moment.
#[derive(Clone, Debug)]
pub struct Memory {
    pub name: String,
    /// Its share of resident pages (PSS).
    pub proportional_kb: u64,
    /// The most that was resident since the process began.
    pub peak_kb: u64,
}

impl Memory {
    /// Both moments, for the line.
    pub fn since(&self, before: &Self) -> Value {
        json!({"pss_before_kb": before.proportional_kb, "pss_kb": self.proportional_kb, "peak_rss_kb": self.peak_kb})
    }
}

pub fn memory(processes: &[(String, u32)]) -> io::Result<Vec<Memory>> {
    let read = |(name, pid): &(String, u32)| {
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        Ok(Memory {
            name: name.clone(),
            proportional_kb: field(&rollup, "Pss:").unwrap_or_default(),
            peak_kb: field(&status, "VmHWM:").unwrap_or_default(),
        })
    };
    processes.iter().map(read).collect()
}

/// The number after a name, as procfs prints it.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_procfs() {
        assert_eq!(field("Rss:  10 kB\nPss:    1234 kB\n", "Pss:"), Some(1234));
        assert_eq!(field("Rss:  10 kB\n", "Pss:"), None);
        let own = memory(&[("own".into(), std::process::id())]).unwrap();
        assert!(own[0].peak_kb >= own[0].proportional_kb && own[0].proportional_kb > 0);
    }
}
