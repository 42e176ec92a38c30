//! Kernel settings that services need.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use tracing::{debug, info, warn};

const ROUTE_LOCALNET: &str = "net/ipv4/conf/all/route_localnet";
const TCP_BE_LIBERAL: &str = "net/netfilter/nf_conntrack_tcp_be_liberal";
const HASH_SIZE: &str = "/sys/module/nf_conntrack/parameters/hashsize";
/// Most tracked connections that are asked for, however many cores there are.
const MAX_CONNECTIONS: u64 = 1 << 20;

/// Limits and timeouts of connection tracking; `None` and zero leave the kernel's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conntrack {
    pub max_per_core: Option<u32>,
    pub min: Option<u32>,
    pub tcp_established_timeout: Option<Duration>,
    pub tcp_close_wait_timeout: Option<Duration>,
    pub tcp_be_liberal: bool,
    pub udp_timeout: Duration,
    pub udp_stream_timeout: Duration,
}

impl Default for Conntrack {
    fn default() -> Self {
        Self {
            max_per_core: Some(32 * 1024),
            min: Some(128 * 1024),
            tcp_established_timeout: Some(Duration::from_secs(24 * 3600)),
            tcp_close_wait_timeout: Some(Duration::from_secs(3600)),
            tcp_be_liberal: false,
            udp_timeout: Duration::ZERO,
            udp_stream_timeout: Duration::ZERO,
        }
    }
}

impl Conntrack {
    /// How many connections the table should hold on a machine with so many cores.
    fn max(&self, cores: u64) -> Option<u64> {
        let per_core = self.max_per_core.filter(|per_core| *per_core > 0)?;
        let scaled = u64::from(per_core) * cores;
        Some(if scaled > MAX_CONNECTIONS {
            MAX_CONNECTIONS
        } else {
            scaled.max(self.min.unwrap_or(0).into())
        })
    }

    /// Sets what is configured. A setting that can't be made is logged and left: in a container or a network
    /// namespace some belong to the host.
    pub fn apply(&self) {
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
        if let Some(max) = self.max(cores) {
            set("net/netfilter/nf_conntrack_max", max);
            grow_hash_table(max / 4);
        }
        let timeouts = [
            (
                "tcp_timeout_established",
                self.tcp_established_timeout.unwrap_or_default(),
            ),
            (
                "tcp_timeout_close_wait",
                self.tcp_close_wait_timeout.unwrap_or_default(),
            ),
            ("udp_timeout", self.udp_timeout),
            ("udp_timeout_stream", self.udp_stream_timeout),
        ];
        for (name, timeout) in timeouts.into_iter().filter(|(_, timeout)| timeout.as_secs() > 0) {
            set(&format!("net/netfilter/nf_conntrack_{name}"), timeout.as_secs());
        }
        if self.tcp_be_liberal {
            set(TCP_BE_LIBERAL, 1);
        }
    }
}

fn grow_hash_table(wanted: u64) {
    match read(HASH_SIZE.into()) {
        Ok(size) if size >= wanted => {}
        Ok(_) => match std::fs::write(HASH_SIZE, wanted.to_string()) {
            Ok(()) => info!(hash_size = wanted, "connection tracking hash table grown"),
            Err(error) => warn!(%error, path = HASH_SIZE, "setting can't be made"),
        },
        Err(error) => debug!(%error, path = HASH_SIZE, "setting can't be read"),
    }
}

/// Lets 127.0.0.0/8 be the source of routed packets, which `localhost:nodePort` needs.
pub fn allow_localhost_node_ports() -> io::Result<()> {
    let path = path(ROUTE_LOCALNET);
    if read(path.clone())? == 1 {
        Ok(())
    } else {
        std::fs::write(path, "1")
    }
}

/// Whether the kernel already tolerates out-of-window packets.
pub fn conntrack_tcp_is_liberal() -> bool {
    read(path(TCP_BE_LIBERAL)).is_ok_and(|value| value != 0)
}

/// Whether the kernel has IPv6 and it isn't switched off.
pub fn has_ipv6() -> bool {
    std::path::Path::new("/proc/net/if_inet6").exists()
        && read(path("net/ipv6/conf/all/disable_ipv6")).is_ok_and(|disabled| disabled == 0)
}

fn path(name: &str) -> PathBuf {
    PathBuf::from("/proc/sys").join(name)
}

fn read(path: PathBuf) -> io::Result<u64> {
    let text = std::fs::read_to_string(path)?;
    text.trim()
        .parse()
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "not a number"))
}

fn set(name: &str, value: u64) {
    if read(path(name)).is_ok_and(|present| present == value) {
        return;
    }
    match std::fs::write(path(name), value.to_string()) {
        Ok(()) => info!(sysctl = name, value, "set"),
        Err(error) => warn!(sysctl = name, value, %error, "setting can't be made"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_grows_with_the_cores_within_bounds() {
        let with = |max_per_core, min| Conntrack {
            max_per_core,
            min,
            ..Conntrack::default()
        };
        assert_eq!(with(Some(32768), Some(131072)).max(2), Some(131072));
        assert_eq!(with(Some(32768), Some(131072)).max(8), Some(262144));
        assert_eq!(with(Some(32768), Some(131072)).max(128), Some(1048576));
        assert_eq!(with(Some(0), Some(131072)).max(8), None);
        assert_eq!(with(None, Some(131072)).max(8), None);
    }
}
