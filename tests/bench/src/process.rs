//! Memory and processor time of processes, from procfs.

use std::fs;
use std::io;
use std::time::Duration;

use serde_json::{Value, json};

/// Unit of the times in `/proc/PID/stat`: `USER_HZ`, which is 100 in every Linux ABI.
const TICKS_PER_SECOND: f64 = 100.0;

/// What a process takes at a moment.
#[derive(Clone, Debug)]
pub struct Usage {
    pub name: String,
    /// Its share of resident pages (PSS).
    pub proportional_kb: u64,
    /// The most that was resident since [`reset_peaks`], or since the process began.
    pub peak_kb: u64,
    /// Of all its threads, in user and kernel mode.
    pub processor: Duration,
}

impl Usage {
    /// Both moments, for the line.
    pub fn since(&self, before: &Self) -> Value {
        let processor = self.processor.saturating_sub(before.processor);
        json!({
            "pss_before_kb": before.proportional_kb, "pss_kb": self.proportional_kb,
            "peak_rss_kb": self.peak_kb, "cpu_seconds": processor.as_secs_f64(),
        })
    }
}

pub fn usage(processes: &[(String, u32)]) -> io::Result<Vec<Usage>> {
    let read = |(name, pid): &(String, u32)| {
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        Ok(Usage {
            name: name.clone(),
            proportional_kb: field(&rollup, "Pss:").unwrap_or_default(),
            peak_kb: field(&status, "VmHWM:").unwrap_or_default(),
            processor: processor_time(&stat).unwrap_or_default(),
        })
    };
    processes.iter().map(read).collect()
}

/// Lets the kernel measure peaks from now on.
pub fn reset_peaks(processes: &[(String, u32)]) -> io::Result<()> {
    let reset = |(_, pid): &(String, u32)| fs::write(format!("/proc/{pid}/clear_refs"), "5");
    processes.iter().try_for_each(reset)
}

/// User and system time; the program's name, which may contain anything, ends at the last parenthesis.
fn processor_time(stat: &str) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(11);
    let user: f64 = times.next()?.parse().ok()?;
    let system: f64 = times.next()?.parse().ok()?;
    Some(Duration::from_secs_f64((user + system) / TICKS_PER_SECOND))
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
        let stat = "7 (a) b) S 1 7 7 0 -1 4194304 1 0 0 0 150 50 0 0 20 0";
        assert_eq!(processor_time(stat), Some(Duration::from_secs(2)));
        assert_eq!(processor_time("7 (a) S 1"), None);
        let own = usage(&[("own".into(), std::process::id())]).unwrap();
        assert!(own[0].peak_kb >= own[0].proportional_kb && own[0].proportional_kb > 0);
    }
}
