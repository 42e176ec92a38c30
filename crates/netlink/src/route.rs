//! Routes of the main table.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use crate::Error;
use crate::message::{CREATE, Message, REPLACE, Request, attribute, ip, u32_at};
use crate::socket::Socket;

const NEW: u16 = 24;
const DELETE: u16 = 25;
const GET: u16 = 26;

const DESTINATION: u16 = 1;
const OUT_INTERFACE: u16 = 4;
const GATEWAY: u16 = 5;

const TABLE_MAIN: u8 = 254;
const SCOPE_UNIVERSE: u8 = 0;
const SCOPE_LINK: u8 = 253;
const TYPE_UNICAST: u8 = 1;
/// The gateway counts as reachable on the interface, whatever its address.
const FLAG_ON_LINK: u32 = 4;

const FIXED: usize = 12;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Route {
    pub destination: IpNet,
    pub gateway: Option<IpAddr>,
    /// Index of the interface; the kernel finds it by the gateway when it isn't given.
    pub interface: Option<u32>,
    /// Who made the route: a number above 4 that a program picks to know its own again.
    pub protocol: u8,
    pub on_link: bool,
}

impl Route {
    fn request(&self, kind: u16, flags: u16) -> Request {
        let family = family(self.destination.addr());
        let scope = if self.gateway.is_some() {
            SCOPE_UNIVERSE
        } else {
            SCOPE_LINK
        };
        let route_flags = if self.on_link { FLAG_ON_LINK } else { 0 };
        let mut fixed = vec![
            family,
            self.destination.prefix_len(),
            0,
            0,
            TABLE_MAIN,
            self.protocol,
            scope,
            TYPE_UNICAST,
        ];
        fixed.extend_from_slice(&route_flags.to_ne_bytes());
        let mut request = Request::new(kind, flags, &fixed).ip(DESTINATION, self.destination.network());
        if let Some(gateway) = self.gateway {
            request = request.ip(GATEWAY, gateway);
        }
        if let Some(index) = self.interface {
            request = request.u32(OUT_INTERFACE, index);
        }
        request
    }

    fn read(message: &Message<'_>) -> Option<Self> {
        let body = message.body;
        let (family, prefix, table, protocol, kind) = (
            *body.first()?,
            *body.get(1)?,
            *body.get(4)?,
            *body.get(5)?,
            *body.get(7)?,
        );
        if table != TABLE_MAIN || kind != TYPE_UNICAST {
            return None;
        }
        let rest = body.get(FIXED..)?;
        let any: IpAddr = if family == INET {
            Ipv4Addr::UNSPECIFIED.into()
        } else {
            Ipv6Addr::UNSPECIFIED.into()
        };
        let address = attribute(rest, DESTINATION).and_then(ip).unwrap_or(any);
        Some(Self {
            destination: IpNet::new(address, prefix).ok()?,
            gateway: attribute(rest, GATEWAY).and_then(ip),
            interface: attribute(rest, OUT_INTERFACE).and_then(|value| u32_at(value, 0)),
            protocol,
            on_link: u32_at(body, 8)? & FLAG_ON_LINK != 0,
        })
    }
}

pub(crate) const INET: u8 = 2;
pub(crate) const INET6: u8 = 10;

pub(crate) fn family(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { INET } else { INET6 }
}

/// The unicast routes of the main table, both families.
pub fn list(socket: &mut Socket) -> Result<Vec<Route>, Error> {
    let mut routes = Vec::new();
    for family in [INET, INET6] {
        let mut fixed = [0; FIXED];
        fixed[0] = family;
        socket.dump(Request::new(GET, 0, &fixed), |message| {
            routes.extend(Route::read(&message))
        })?;
    }
    Ok(routes)
}

/// Makes the route, in place of one to the same destination.
pub fn replace(socket: &mut Socket, route: &Route) -> Result<(), Error> {
    socket.execute(route.request(NEW, CREATE | REPLACE))
}

/// Removes the route; one that is gone already is no error.
pub fn delete(socket: &mut Socket, route: &Route) -> Result<(), Error> {
    match socket.execute(route.request(DELETE, 0)) {
        Err(error) if error.is_not_found() => Ok(()),
        done => done,
    }
}
