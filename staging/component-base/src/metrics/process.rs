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

/// A soft limit of the process; what is unlimited is the largest number, as Prometheus' own clients say.
fn limit(name: &str) -> Option<f64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix(name))?;
    match line.split_whitespace().next()? {
        "unlimited" => Some(u64::MAX as f64),
        number => number.parse().ok(),
    }
}

/// Bytes that came and went in the process's network namespace.
fn network_bytes() -> Option<(f64, f64)> {
    let devices = fs::read_to_string("/proc/self/net/dev").ok()?;
    let counts = devices.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_once(':')?.1.split_whitespace().collect();
        Some((
            fields.first()?.parse::<f64>().ok()?,
            fields.get(8)?.parse::<f64>().ok()?,
        ))
    });
    Some(counts.fold((0.0, 0.0), |sum, (received, sent)| {
        (sum.0 + received, sum.1 + sent)
    }))
}

fn counter(name: &str, help: &str, value: f64) -> Vec<MetricFamily> {
    match Counter::new(name, help) {
        Ok(counter) => {
            counter.inc_by(value);
            counter.collect()
        }
        Err(_) => Vec::new(),
    }
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
        let mut families = counter(
            "process_cpu_seconds_total",
            "Total user and system CPU time spent in seconds.",
            reading.cpu_seconds,
        );
        if let Some((received, sent)) = network_bytes() {
            let help = "Number of bytes received by the process over the network.";
            families.extend(counter("process_network_receive_bytes_total", help, received));
            let help = "Number of bytes sent by the process over the network.";
            families.extend(counter("process_network_transmit_bytes_total", help, sent));
        }
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
        if let Some(files) = limit("Max open files") {
            families.extend(gauge(
                "process_max_fds",
                "Maximum number of open file descriptors.",
                files,
            ));
        }
        if let Some(bytes) = limit("Max address space") {
            let help = "Maximum amount of virtual memory available in bytes.";
            families.extend(gauge("process_virtual_memory_max_bytes", help, bytes));
        }
        families
    }
}
