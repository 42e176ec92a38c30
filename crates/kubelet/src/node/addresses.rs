//! Which of the machine's addresses is the node's. Upstream: `nodestatus.NodeAddress`.

use nix::{ifaddrs::getifaddrs, net::if_::InterfaceFlags};
use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// The address of the interface with the default route, or else the first one that others could reach.
pub fn detect() -> io::Result<Option<IpAddr>> {
    let preferred = default_interface(&fs::read_to_string("/proc/net/route").unwrap_or_default());
    let mut candidates: Vec<(String, IpAddr)> = Vec::new();
    for interface in getifaddrs()? {
        let down = !interface.flags.contains(InterfaceFlags::IFF_UP);
        if down || interface.flags.contains(InterfaceFlags::IFF_LOOPBACK) {
            continue;
        }
        let Some(address) = interface.address else {
            continue;
        };
        let ip = address
            .as_sockaddr_in()
            .map(|v4| IpAddr::V4(v4.ip()))
            .or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())));
        candidates.extend(ip.filter(usable).map(|ip| (interface.interface_name.clone(), ip)));
    }
    candidates.sort_by_key(|(name, ip)| (Some(name) != preferred.as_ref(), ip.is_ipv6()));
    Ok(candidates.into_iter().map(|(_, ip)| ip).next())
}

fn usable(ip: &IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => !v4.is_link_local() && *v4 != Ipv4Addr::UNSPECIFIED,
        IpAddr::V6(v6) => (v6.segments()[0] & 0xffc0) != 0xfe80 && *v6 != Ipv6Addr::UNSPECIFIED,
    }
}

fn default_interface(routes: &str) -> Option<String> {
    let mut rows = routes
        .lines()
        .skip(1)
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    rows.find(|row| row.get(1) == Some(&"00000000") && row.get(7) == Some(&"00000000"))
        .map(|row| row[0].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_default_route() {
        let table = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n\
                     cni0\t0000F40A\t00000000\t0001\t0\t0\t0\t00FFFFFF\n\
                     eth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\n";
        assert_eq!(default_interface(table).as_deref(), Some("eth0"));
        assert_eq!(default_interface("Iface\n"), None);
    }
}
