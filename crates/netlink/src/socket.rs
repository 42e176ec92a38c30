//! One request at a time, and its answers.

use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send, setsockopt,
    socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};

use crate::message::{ACK, DUMP, Message, Request, messages};

const ERROR: u16 = 2;
const DONE: u16 = 3;
/// The kernel interrupted a dump because the objects changed meanwhile.
const DUMP_INTERRUPTED: u16 = 0x10;

/// Datagrams of a dump are at most 32 KB.
const RECEIVE_BYTES: usize = 64 << 10;
/// The kernel answers at once; this only bounds the wait should it never do.
const RECEIVE_TIMEOUT_SECONDS: i64 = 10;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("netlink socket")]
    Socket(#[source] Errno),
    #[error("the kernel refused the request")]
    Refused(#[source] Errno),
    #[error("the kernel's answer is malformed")]
    Malformed,
}

impl Error {
    /// The object to delete does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(
            self,
            Error::Refused(Errno::ENOENT | Errno::ESRCH | Errno::ENODEV | Errno::EADDRNOTAVAIL)
        )
    }

    pub fn already_exists(&self) -> bool {
        matches!(self, Error::Refused(Errno::EEXIST))
    }
}

#[derive(Clone, Copy, Debug)]
pub enum Subsystem {
    Route,
    Netfilter,
}

/// A netlink socket in the network namespace of the thread that opened it.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    sequence: u32,
}

impl Socket {
    pub fn open(subsystem: Subsystem) -> Result<Self, Error> {
        let protocol = match subsystem {
            Subsystem::Route => SockProtocol::NetlinkRoute,
            Subsystem::Netfilter => SockProtocol::NetlinkNetFilter,
        };
        let fd = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            protocol,
        )
        .map_err(Error::Socket)?;
        bind(fd.as_raw_fd(), &NetlinkAddr::new(0, 0)).map_err(Error::Socket)?;
        let timeout = TimeVal::seconds(RECEIVE_TIMEOUT_SECONDS);
        setsockopt(&fd, sockopt::ReceiveTimeout, &timeout).map_err(Error::Socket)?;
        Ok(Self { fd, sequence: 0 })
    }

    /// Changes something; returns when the kernel has done so.
    pub fn execute(&mut self, mut request: Request) -> Result<(), Error> {
        request.flags |= ACK;
        self.exchange(&request, |_| {})
    }

    /// Asks for one object.
    pub fn query(&mut self, mut request: Request, visit: impl FnMut(Message<'_>)) -> Result<(), Error> {
        request.flags |= ACK;
        self.exchange(&request, visit)
    }

    /// Asks for all objects of a kind. What changes during a dump may be missed or seen twice.
    pub fn dump(&mut self, mut request: Request, visit: impl FnMut(Message<'_>)) -> Result<(), Error> {
        request.flags |= DUMP;
        self.exchange(&request, visit)
    }

    fn exchange(&mut self, request: &Request, mut visit: impl FnMut(Message<'_>)) -> Result<(), Error> {
        self.sequence = self.sequence.wrapping_add(1);
        let frame = request.frame(self.sequence);
        send(self.fd.as_raw_fd(), &frame, MsgFlags::empty()).map_err(Error::Socket)?;
        let mut buffer = vec![0; RECEIVE_BYTES];
        loop {
            let length = match recv(self.fd.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
                Err(Errno::EINTR) => continue,
                received => received.map_err(Error::Socket)?,
            };
            // What is left of an earlier request that failed halfway is not for us.
            let ours = messages(&buffer[..length]).filter(|m| m.sequence == self.sequence);
            for message in ours {
                match message.kind {
                    ERROR => return outcome(message.body),
                    DONE if message.flags & DUMP_INTERRUPTED == 0 => return outcome(message.body),
                    DONE => return Ok(()),
                    _ => visit(message),
                }
            }
        }
    }
}

/// The status at the head of an error or done message: zero or a negative errno.
fn outcome(body: &[u8]) -> Result<(), Error> {
    let code = body
        .get(..4)
        .and_then(|b| b.try_into().ok())
        .map(i32::from_ne_bytes)
        .ok_or(Error::Malformed)?;
    if code == 0 {
        Ok(())
    } else {
        Err(Error::Refused(Errno::from_raw(-code)))
    }
}
