//! The process's own use of the machine, read from `/proc/self` when asked.

use std::fs;

use prometheus::core::{Collector, Desc};
use prometheus::{Counter, Gauge, Opts, proto::MetricFamily};

/// Linux reports processor time to user space in these units on every architecture (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

#[derive(Clone)]
pub(super) struct ProcessCollector {
    page_bytes: f64,
    boot_seconds: f64,
}

struct Reading {
    cpu_seconds: f64,
    start_seconds: f64,
    virtual_bytes: f64,
    resident_bytes: f64,
    open_files: f64,
}

impl ProcessCollector {
    pub(super) fn new() -> Self {
        Self {
            page_bytes: page_bytes().unwrap_or(4096.0),
            boot_seconds: boot_seconds().unwrap_or_default(),
        }
    }

    fn read(&self) -> Option<Reading> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        // The command may hold spaces and parentheses: fields are counted from the last `)`.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
        Some(Reading {
            cpu_seconds: (field(14)? + field(15)?) / TICKS_PER_SECOND,
            start_seconds: self.boot_seconds + field(22)? / TICKS_PER_SECOND,
            virtual_bytes: field(23)?,
            resident_bytes: field(24)? * self.page_bytes,
            open_files: fs::read_dir("/proc/self/fd").ok()?.count() as f64,
        })
    }
}

fn page_bytes() -> Option<f64> {
    let smaps = fs::read_to_string("/proc/self/smaps").ok()?;
    let line = smaps.lines().find(|line| line.starts_with("KernelPageSize:"))?;
    let kilobytes: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes * 1024.0)
}

fn boot_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    stat.lines()
        .find_map(|line| line.strip_prefix("btime "))?
        .trim()
        .parse()
        .ok()
}

fn max_open_files() -> Option<f64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find(|line| line.starts_with("Max open files"))?;
    line.split_whitespace().nth(3)?.parse().ok()
}

fn gauge(name: &str, help: &str, value: f64) -> Vec<MetricFamily> {
    match Gauge::with_opts(Opts::new(name, help)) {
        Ok(gauge) => {
            gauge.set(value);
            gauge.collect()
        }
        Err(_) => Vec::new(),
    }
}

impl Collector for ProcessCollector {
    fn desc(&self) -> Vec<&Desc> {
        Vec::new()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let Some(reading) = self.read() else {
            return Vec::new();
        };
        let mut families = match Counter::new(
            "process_cpu_seconds_total",
            "Total user and system CPU time spent in seconds.",
        ) {
            Ok(counter) => {
                counter.inc_by(reading.cpu_seconds);
                counter.collect()
            }
            Err(_) => Vec::new(),
        };
        families.extend(gauge(
            "process_start_time_seconds",
            "Start time of the process since unix epoch in seconds.",
            reading.start_seconds,
        ));
        families.extend(gauge(
            "process_virtual_memory_bytes",
            "Virtual memory size in bytes.",
            reading.virtual_bytes,
        ));
        families.extend(gauge(
            "process_resident_memory_bytes",
            "Resident memory size in bytes.",
            reading.resident_bytes,
        ));
        families.extend(gauge(
            "process_open_fds",
            "Number of open file descriptors.",
            reading.open_files,
        ));
        if let Some(limit) = max_open_files() {
            families.extend(gauge(
                "process_max_fds",
                "Maximum number of open file descriptors.",
                limit,
            ));
        }
        families
    }
}
