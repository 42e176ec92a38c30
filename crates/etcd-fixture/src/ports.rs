//! Ports for servers that are killed and started again on the same one.

use std::hash::{BuildHasher, RandomState};
use std::io::{Error, ErrorKind};
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;

/// Where Linux begins to take ports for clients, unless told otherwise.
const CLIENTS_FROM: u16 = 32_768;
const LOWEST: u16 = 10_240;
const TRIES: usize = 1000;

/// A port of the loopback address that nobody listens on, out of those that the kernel does not give to clients: one
/// of theirs could be in use for a connection by the time the server comes back.
pub fn free_port() -> Result<u16, Error> {
    let range = of_servers();
    let free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    std::iter::repeat_with(|| any_of(&range))
        .take(TRIES)
        .find(free)
        .ok_or_else(|| Error::new(ErrorKind::AddrInUse, "no free port for a server"))
}

fn of_servers() -> Range<u16> {
    let clients = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok();
    let from = clients.and_then(|range| range.split_whitespace().next()?.parse().ok());
    LOWEST..from.unwrap_or(CLIENTS_FROM).max(LOWEST + 1)
}

/// Processes that ask at the same time get different ports.
fn any_of(range: &Range<u16>) -> u16 {
    let count = u64::from(range.end - range.start);
    let offset = RandomState::new().hash_one(()) % count;
    range.start + u16::try_from(offset).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_below_those_of_clients() {
        let port = free_port().expect("a port");
        assert!(of_servers().contains(&port), "{port}");
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("it is free");
    }
}
