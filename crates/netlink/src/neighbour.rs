//! Static neighbours: the link address of an IP address, and the VXLAN peer behind a link address.

use std::net::IpAddr;

use crate::Error;
use crate::message::{CREATE, Message, REPLACE, Request, attribute, ip, u16_at, u32_at};
use crate::route::{INET, family};
use crate::socket::Socket;

const NEW: u16 = 28;
const DELETE: u16 = 29;
const GET: u16 = 30;

const DESTINATION: u16 = 1;
const LINK_ADDRESS: u16 = 2;

const STATE_PERMANENT: u16 = 0x80;
const FLAG_SELF: u8 = 0x2;
const BRIDGE: u8 = 7;
const FIXED: usize = 12;

/// An entry of an interface's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbour {
    pub interface: u32,
    pub ip: IpAddr,
    pub mac: [u8; 6],
    pub table: Table,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// `ip` is at link address `mac`.
    Addresses,
    /// Frames for `mac` go into a tunnel to `ip`.
    Forwarding,
}

impl Neighbour {
    fn request(&self, kind: u16, flags: u16) -> Request {
        let (family, entry_flags) = match self.table {
            Table::Addresses => (family(self.ip), 0),
            Table::Forwarding => (BRIDGE, FLAG_SELF),
        };
        let mut fixed = vec![family, 0, 0, 0];
        fixed.extend_from_slice(&self.interface.to_ne_bytes());
        fixed.extend_from_slice(&STATE_PERMANENT.to_ne_bytes());
        fixed.extend_from_slice(&[entry_flags, 0]);
        Request::new(kind, flags, &fixed)
            .ip(DESTINATION, self.ip)
            .attribute(LINK_ADDRESS, &self.mac)
    }
}

/// The permanent IPv4 entries of an interface, both tables.
pub fn list(socket: &mut Socket, interface: u32) -> Result<Vec<Neighbour>, Error> {
    let mut found = Vec::new();
    for table in [Table::Addresses, Table::Forwarding] {
        let mut fixed = [0; FIXED];
        fixed[0] = if table == Table::Addresses { INET } else { BRIDGE };
        let read = |message: Message<'_>| -> Option<Neighbour> {
            let state = u16_at(message.body, 8)?;
            if u32_at(message.body, 4)? != interface || state & STATE_PERMANENT == 0 {
                return None;
            }
            let rest = message.body.get(FIXED..)?;
            let ip = attribute(rest, DESTINATION).and_then(ip)?;
            let mac = attribute(rest, LINK_ADDRESS)?.try_into().ok()?;
            Some(Neighbour {
                interface,
                ip,
                mac,
                table,
            })
        };
        socket.dump(Request::new(GET, 0, &fixed), |message| {
            found.extend(read(message))
        })?;
    }
    Ok(found)
}

pub fn replace(socket: &mut Socket, neighbour: &Neighbour) -> Result<(), Error> {
    socket.execute(neighbour.request(NEW, CREATE | REPLACE))
}

/// Removes an entry; one that is gone already is no error.
pub fn delete(socket: &mut Socket, neighbour: &Neighbour) -> Result<(), Error> {
    match socket.execute(neighbour.request(DELETE, 0)) {
        Err(error) if error.is_not_found() => Ok(()),
        done => done,
    }
}
