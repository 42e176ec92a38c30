//! Tracked connections: listing and forgetting them.

use std::net::{IpAddr, SocketAddr};

use crate::Error;
use crate::message::{Message, Request, attribute, ip};
use crate::route::{INET, INET6};
use crate::socket::Socket;

const SUBSYSTEM: u16 = 1 << 8;
const GET: u16 = SUBSYSTEM | 1;
const DELETE: u16 = SUBSYSTEM | 2;

const TUPLE_ORIGINAL: u16 = 1;
const TUPLE_REPLY: u16 = 2;
const ID: u16 = 12;
const ZONE: u16 = 18;

const TUPLE_IP: u16 = 1;
const TUPLE_PROTOCOL: u16 = 2;
const IP_SOURCE: [u16; 2] = [1, 3];
const IP_DESTINATION: [u16; 2] = [2, 4];
const PROTOCOL_NUMBER: u16 = 1;
const SOURCE_PORT: u16 = 2;
const DESTINATION_PORT: u16 = 3;

const FIXED: usize = 4;
const UDP: u8 = 17;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    V4,
    V6,
}

impl Family {
    fn fixed(self) -> [u8; FIXED] {
        [if self == Family::V4 { INET } else { INET6 }, 0, 0, 0]
    }
}

/// A tracked UDP flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Where the first packet was sent, before translation.
    pub original_destination: SocketAddr,
    /// Who answers: the real destination.
    pub reply_source: SocketAddr,
    handle: Handle,
}

/// What identifies a flow to the kernel, as it gave it to us.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Handle {
    original: Vec<u8>,
    id: Option<Vec<u8>>,
    zone: Option<Vec<u8>>,
}

impl Flow {
    /// A flow to compare with, which can't be deleted.
    pub fn example(original_destination: SocketAddr, reply_source: SocketAddr) -> Self {
        Self {
            original_destination,
            reply_source,
            handle: Handle::default(),
        }
    }

    fn read(message: &Message<'_>) -> Option<Self> {
        let rest = message.body.get(FIXED..)?;
        let original = attribute(rest, TUPLE_ORIGINAL)?;
        if *attribute(attribute(original, TUPLE_PROTOCOL)?, PROTOCOL_NUMBER)?.first()? != UDP {
            return None;
        }
        let reply = attribute(rest, TUPLE_REPLY)?;
        Some(Self {
            original_destination: end(original, IP_DESTINATION, DESTINATION_PORT)?,
            reply_source: end(reply, IP_SOURCE, SOURCE_PORT)?,
            handle: Handle {
                original: original.to_vec(),
                id: attribute(rest, ID).map(<[u8]>::to_vec),
                zone: attribute(rest, ZONE).map(<[u8]>::to_vec),
            },
        })
    }
}

/// One end of a tuple; ports are in network order.
fn end(tuple: &[u8], addresses: [u16; 2], port: u16) -> Option<SocketAddr> {
    let addresses_of = attribute(tuple, TUPLE_IP)?;
    let address: IpAddr = addresses
        .iter()
        .find_map(|kind| attribute(addresses_of, *kind))
        .and_then(ip)?;
    let port = attribute(attribute(tuple, TUPLE_PROTOCOL)?, port)?;
    Some(SocketAddr::new(
        address,
        u16::from_be_bytes(port.try_into().ok()?),
    ))
}

/// The UDP flows for which `select` says yes; the rest are never held in memory.
pub fn udp_flows(
    socket: &mut Socket,
    family: Family,
    mut select: impl FnMut(&Flow) -> bool,
) -> Result<Vec<Flow>, Error> {
    let mut flows = Vec::new();
    socket.dump(Request::new(GET, 0, &family.fixed()), |message| {
        flows.extend(Flow::read(&message).filter(|flow| select(flow)));
    })?;
    Ok(flows)
}

/// Forgets a flow, so that its next packet is judged by the current rules; one that ended already is no error.
pub fn delete(socket: &mut Socket, family: Family, flow: &Flow) -> Result<(), Error> {
    const NESTED: u16 = 0x8000;
    let mut request =
        Request::new(DELETE, 0, &family.fixed()).attribute(TUPLE_ORIGINAL | NESTED, &flow.handle.original);
    for (kind, value) in [(ID, &flow.handle.id), (ZONE, &flow.handle.zone)] {
        if let Some(value) = value {
            request = request.attribute(kind, value);
        }
    }
    match socket.execute(request) {
        Err(error) if error.is_not_found() => Ok(()),
        done => done,
    }
}
