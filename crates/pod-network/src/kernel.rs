//! Makes the kernel's routes and tunnel as planned, by the difference to what is there.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use netlink::link::{self, Link, Vxlan};
use netlink::neighbour::{self, Neighbour, Table};
use netlink::route::{self, Route};
use netlink::socket::{Socket, Subsystem};

use crate::plan::{Peer, Plan, PodRoute, Tunnel};

/// Marks routes as ours: any unused number above those of /etc/iproute2/rt_protos.
const ROUTE_PROTOCOL: u8 = 158;
const TUNNEL_NAME: &str = "oxikube.vxlan";
/// What the headers of a tunnelled packet take.
const TUNNEL_OVERHEAD: u32 = 50;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("reading the kernel's network state")]
    Read(#[source] netlink::Error),
    #[error("route to {destination} via {gateway}")]
    Route {
        destination: IpNet,
        gateway: IpAddr,
        source: netlink::Error,
    },
    #[error("removing the route to {destination}")]
    Remove {
        destination: IpNet,
        source: netlink::Error,
    },
    #[error("tunnel device {TUNNEL_NAME}")]
    Tunnel(#[source] netlink::Error),
    #[error("tunnel entry for {ip}")]
    Neighbour { ip: IpAddr, source: netlink::Error },
}

/// What a reconciliation did.
#[derive(Debug, Default)]
pub struct Outcome {
    pub added: usize,
    pub removed: usize,
    /// Each failure concerns one object; the others were still taken care of.
    pub errors: Vec<Error>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TunnelSettings {
    pub id: u32,
    pub port: u16,
}

/// The MTU that pods should have: that of the device with the node's address, less the tunnel's headers. Zero when
/// it can't be told.
pub fn pod_mtu(node_ips: &[IpAddr], tunnel: bool) -> Result<u32, Error> {
    let mut socket = Socket::open(Subsystem::Route).map_err(Error::Read)?;
    let addresses = link::addresses(&mut socket).map_err(Error::Read)?;
    let links = link::list(&mut socket).map_err(Error::Read)?;
    let carrier = addresses.iter().find(|address| node_ips.contains(&address.ip));
    let device = carrier.and_then(|address| links.iter().find(|link| link.index == address.interface));
    let mtu = device.map_or(0, |link| link.mtu);
    Ok(if tunnel {
        mtu.saturating_sub(TUNNEL_OVERHEAD)
    } else {
        mtu
    })
}

/// Makes routes and tunnel as planned.
pub fn reconcile(plan: &Plan, settings: TunnelSettings) -> Result<Outcome, Error> {
    let mut socket = Socket::open(Subsystem::Route).map_err(Error::Read)?;
    let mut outcome = Outcome::default();
    let device = match &plan.tunnel {
        Some(tunnel) => Some(ensure_tunnel(&mut socket, tunnel, settings)?),
        None => {
            remove_tunnel(&mut socket)?;
            None
        }
    };
    if let Some(device) = device {
        reconcile_neighbours(&mut socket, plan, device, &mut outcome)?;
    }
    reconcile_routes(&mut socket, &wanted_routes(&plan.routes, device), &mut outcome)?;
    Ok(outcome)
}

/// Removes everything that `reconcile` makes.
pub fn cleanup() -> Result<Outcome, Error> {
    let mut socket = Socket::open(Subsystem::Route).map_err(Error::Read)?;
    let mut outcome = Outcome::default();
    reconcile_routes(&mut socket, &BTreeSet::new(), &mut outcome)?;
    remove_tunnel(&mut socket)?;
    Ok(outcome)
}

fn wanted_routes(routes: &[PodRoute], device: Option<u32>) -> BTreeSet<Route> {
    let wanted = |route: &PodRoute| Route {
        destination: route.destination,
        gateway: Some(route.peer.map_or(route.node, |peer| peer.inner.into())),
        interface: route.peer.and(device),
        protocol: ROUTE_PROTOCOL,
        on_link: route.peer.is_some(),
    };
    routes.iter().map(wanted).collect()
}

fn reconcile_routes(
    socket: &mut Socket,
    wanted: &BTreeSet<Route>,
    outcome: &mut Outcome,
) -> Result<(), Error> {
    let present: BTreeSet<Route> = route::list(socket)
        .map_err(Error::Read)?
        .into_iter()
        .filter(|r| r.protocol == ROUTE_PROTOCOL)
        .collect();
    let same = |a: &Route, b: &Route| {
        // The kernel always tells the interface; we only ask for one in a tunnel.
        (a.destination, a.gateway) == (b.destination, b.gateway)
            && (a.interface.is_none() || a.interface == b.interface)
    };
    for route in wanted
        .iter()
        .filter(|want| !present.iter().any(|have| same(want, have)))
    {
        match route::replace(socket, route) {
            Ok(()) => outcome.added += 1,
            Err(source) => {
                let gateway = route.gateway.unwrap_or(route.destination.addr());
                outcome.errors.push(Error::Route {
                    destination: route.destination,
                    gateway,
                    source,
                });
            }
        }
    }
    // After the additions: a replaced route is gone already, and must not be looked for.
    let kept: BTreeSet<IpNet> = wanted.iter().map(|route| route.destination).collect();
    for route in present.iter().filter(|have| !kept.contains(&have.destination)) {
        match route::delete(socket, route) {
            Ok(()) => outcome.removed += 1,
            Err(source) => outcome.errors.push(Error::Remove {
                destination: route.destination,
                source,
            }),
        }
    }
    Ok(())
}

fn tunnel_device(socket: &mut Socket) -> Result<Option<Link>, Error> {
    let links = link::list(socket).map_err(Error::Read)?;
    Ok(links.into_iter().find(|link| link.name == TUNNEL_NAME))
}

fn remove_tunnel(socket: &mut Socket) -> Result<(), Error> {
    match tunnel_device(socket)? {
        Some(device) => link::delete(socket, device.index).map_err(Error::Tunnel),
        None => Ok(()),
    }
}

/// The device's index; a device that belonged to another address of the node is made anew.
fn ensure_tunnel(socket: &mut Socket, tunnel: &Tunnel, settings: TunnelSettings) -> Result<u32, Error> {
    if let Some(device) = tunnel_device(socket)? {
        if device.mac == Some(tunnel.end.mac) {
            return prepare_tunnel(socket, &device, tunnel);
        }
        link::delete(socket, device.index).map_err(Error::Tunnel)?;
    }
    let vxlan = Vxlan {
        name: TUNNEL_NAME.to_owned(),
        id: settings.id,
        local: tunnel.node.into(),
        port: settings.port,
        mtu: pod_mtu(&[tunnel.node.into()], true)?,
        mac: tunnel.end.mac,
    };
    link::create_vxlan(socket, &vxlan).map_err(Error::Tunnel)?;
    let device = tunnel_device(socket)?.ok_or(Error::Tunnel(netlink::Error::Malformed))?;
    prepare_tunnel(socket, &device, tunnel)
}

fn prepare_tunnel(socket: &mut Socket, device: &Link, tunnel: &Tunnel) -> Result<u32, Error> {
    link::set_up(socket, device.index).map_err(Error::Tunnel)?;
    link::add_address(socket, device.index, IpNet::from(IpAddr::V4(tunnel.end.inner)))
        .map_err(Error::Tunnel)?;
    Ok(device.index)
}

fn entries(interface: u32, node: IpAddr, peer: Peer) -> [Neighbour; 2] {
    [
        Neighbour {
            interface,
            ip: peer.inner.into(),
            mac: peer.mac,
            table: Table::Addresses,
        },
        Neighbour {
            interface,
            ip: node,
            mac: peer.mac,
            table: Table::Forwarding,
        },
    ]
}

fn reconcile_neighbours(
    socket: &mut Socket,
    plan: &Plan,
    device: u32,
    outcome: &mut Outcome,
) -> Result<(), Error> {
    let wanted: Vec<Neighbour> = plan
        .routes
        .iter()
        .filter_map(|route| Some(entries(device, route.node, route.peer?)))
        .flatten()
        .collect();
    let present = neighbour::list(socket, device).map_err(Error::Read)?;
    for entry in wanted.iter().filter(|entry| !present.contains(entry)) {
        if let Err(source) = neighbour::replace(socket, entry) {
            outcome.errors.push(Error::Neighbour { ip: entry.ip, source });
        }
    }
    for entry in present.iter().filter(|entry| !wanted.contains(entry)) {
        if let Err(source) = neighbour::delete(socket, entry) {
            outcome.errors.push(Error::Neighbour { ip: entry.ip, source });
        }
    }
    Ok(())
}
