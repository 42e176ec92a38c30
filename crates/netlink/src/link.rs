//! Network interfaces and their addresses.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::Error;
use crate::message::{CREATE, EXCLUSIVE, Message, Nested, REPLACE, Request, attribute, ip, u32_at};
use crate::route::{INET, INET6, family};
use crate::socket::Socket;

const NEW_LINK: u16 = 16;
const DELETE_LINK: u16 = 17;
const GET_LINK: u16 = 18;
const NEW_ADDRESS: u16 = 20;
const GET_ADDRESS: u16 = 22;

const LINK_ADDRESS: u16 = 1;
const LINK_NAME: u16 = 3;
const LINK_MTU: u16 = 4;
const LINK_INFO: u16 = 18;
const INFO_KIND: u16 = 1;
const INFO_DATA: u16 = 2;

const VXLAN_ID: u16 = 1;
const VXLAN_LOCAL: u16 = 4;
const VXLAN_LEARNING: u16 = 7;
const VXLAN_PORT: u16 = 15;

const ADDRESS: u16 = 1;
const ADDRESS_LOCAL: u16 = 2;

const FLAG_UP: u32 = 1;
const LINK_FIXED: usize = 16;
const ADDRESS_FIXED: usize = 8;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    pub index: u32,
    pub name: String,
    pub mtu: u32,
    pub mac: Option<[u8; 6]>,
}

impl Link {
    fn read(message: &Message<'_>) -> Option<Self> {
        let index = u32_at(message.body, 4)?;
        let rest = message.body.get(LINK_FIXED..)?;
        let name = attribute(rest, LINK_NAME)?;
        let name = name.strip_suffix(&[0]).unwrap_or(name);
        Some(Self {
            index,
            name: String::from_utf8_lossy(name).into_owned(),
            mtu: attribute(rest, LINK_MTU)
                .and_then(|value| u32_at(value, 0))
                .unwrap_or_default(),
            mac: attribute(rest, LINK_ADDRESS).and_then(|value| value.try_into().ok()),
        })
    }
}

/// An address of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    pub interface: u32,
    pub ip: IpAddr,
    pub prefix: u8,
}

/// A VXLAN device whose peers are all given by hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vxlan {
    pub name: String,
    pub id: u32,
    pub local: IpAddr,
    pub port: u16,
    pub mtu: u32,
    pub mac: [u8; 6],
}

fn fixed(index: u32, flags: u32, change: u32) -> [u8; LINK_FIXED] {
    let mut fixed = [0; LINK_FIXED];
    fixed[4..8].copy_from_slice(&index.to_ne_bytes());
    fixed[8..12].copy_from_slice(&flags.to_ne_bytes());
    fixed[12..16].copy_from_slice(&change.to_ne_bytes());
    fixed
}

pub fn list(socket: &mut Socket) -> Result<Vec<Link>, Error> {
    let mut links = Vec::new();
    socket.dump(Request::new(GET_LINK, 0, &fixed(0, 0, 0)), |message| {
        links.extend(Link::read(&message))
    })?;
    Ok(links)
}

/// The addresses of all interfaces, both families.
pub fn addresses(socket: &mut Socket) -> Result<Vec<Address>, Error> {
    let mut found = Vec::new();
    let mut read = |message: Message<'_>| -> Option<()> {
        let (prefix, interface) = (*message.body.get(1)?, u32_at(message.body, 4)?);
        let rest = message.body.get(ADDRESS_FIXED..)?;
        // On a point-to-point link, ADDRESS is the other end.
        let value = attribute(rest, ADDRESS_LOCAL).or_else(|| attribute(rest, ADDRESS))?;
        found.push(Address {
            interface,
            ip: ip(value)?,
            prefix,
        });
        Some(())
    };
    for family in [INET, INET6] {
        let mut fixed = [0; ADDRESS_FIXED];
        fixed[0] = family;
        socket.dump(Request::new(GET_ADDRESS, 0, &fixed), |message| {
            read(message);
        })?;
    }
    Ok(found)
}

/// Makes the device; one of that name that exists already is an error.
pub fn create_vxlan(socket: &mut Socket, vxlan: &Vxlan) -> Result<(), Error> {
    let mut data = Nested::default().attribute(VXLAN_ID, &vxlan.id.to_ne_bytes());
    if let IpAddr::V4(local) = vxlan.local {
        data = data.attribute(VXLAN_LOCAL, &local.octets());
    }
    data = data
        .attribute(VXLAN_LEARNING, &[0])
        .attribute(VXLAN_PORT, &vxlan.port.to_be_bytes());
    let info = Nested::default()
        .attribute(INFO_KIND, b"vxlan")
        .nested(INFO_DATA, data);
    let request = Request::new(NEW_LINK, CREATE | EXCLUSIVE, &fixed(0, 0, 0))
        .string(LINK_NAME, &vxlan.name)
        .u32(LINK_MTU, vxlan.mtu)
        .attribute(LINK_ADDRESS, &vxlan.mac)
        .nested(LINK_INFO, info);
    socket.execute(request)
}

pub fn set_up(socket: &mut Socket, index: u32) -> Result<(), Error> {
    socket.execute(Request::new(NEW_LINK, 0, &fixed(index, FLAG_UP, FLAG_UP)))
}

/// Removes an interface; one that is gone already is no error.
pub fn delete(socket: &mut Socket, index: u32) -> Result<(), Error> {
    match socket.execute(Request::new(DELETE_LINK, 0, &fixed(index, 0, 0))) {
        Err(error) if error.is_not_found() => Ok(()),
        done => done,
    }
}

/// Gives an interface an address, if it hasn't got it.
pub fn add_address(socket: &mut Socket, index: u32, address: IpNet) -> Result<(), Error> {
    let mut fixed = vec![family(address.addr()), address.prefix_len(), 0, 0];
    fixed.extend_from_slice(&index.to_ne_bytes());
    let request = Request::new(NEW_ADDRESS, CREATE | REPLACE, &fixed)
        .ip(ADDRESS_LOCAL, address.addr())
        .ip(ADDRESS, address.addr());
    socket.execute(request)
}
