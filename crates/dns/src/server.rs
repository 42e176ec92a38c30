//! Queries in, answers out, over UDP and TCP.

use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use component_base::shutdown::Shutdown;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tracing::{debug, warn};

use crate::message::{Parsed, Transport, parse};
use crate::resolver::Resolver;

/// Longest query that is read; real ones have a few hundred bytes.
const MAX_QUERY_BYTES: usize = 4096;
/// Clients on TCP at once, and how long one may be silent.
const MAX_CONNECTIONS: usize = 500;
const IDLE: Duration = Duration::from_secs(10);
/// Forwarded questions that wait at once, from UDP: the forwarder has its own bound, which refuses at once.
const MAX_WAITING: usize = 2000;
/// Pause after a failure of the socket itself.
const BACK_OFF: Duration = Duration::from_millis(100);

/// Both sockets at one address.
pub struct Sockets {
    udp: UdpSocket,
    tcp: TcpListener,
}

impl Sockets {
    /// `[::]` takes IPv4 as well.
    pub fn bind(address: SocketAddr) -> std::io::Result<Self> {
        let open = |kind: socket2::Type, address: SocketAddr| {
            let socket =
                socket2::Socket::new(socket2::Domain::for_address(address), kind.nonblocking(), None)?;
            if address.ip() == Ipv6Addr::UNSPECIFIED {
                socket.set_only_v6(false)?;
            }
            socket.set_reuse_address(kind == socket2::Type::STREAM)?;
            socket.bind(&address.into())?;
            Ok::<_, std::io::Error>(socket)
        };
        let udp = UdpSocket::from_std(open(socket2::Type::DGRAM, address)?.into())?;
        // With port 0 both get the same.
        let tcp = open(socket2::Type::STREAM, udp.local_addr()?)?;
        tcp.listen(128)?;
        Ok(Self {
            udp,
            tcp: TcpListener::from_std(tcp.into())?,
        })
    }

    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.udp.local_addr()
    }

    /// Answers until the shutdown.
    pub async fn serve(self, resolver: Arc<Resolver>, shutdown: Shutdown) {
        tokio::join!(
            serve_udp(Arc::new(self.udp), Arc::clone(&resolver), shutdown.clone()),
            serve_tcp(self.tcp, resolver, shutdown)
        );
    }
}

async fn serve_udp(socket: Arc<UdpSocket>, resolver: Arc<Resolver>, shutdown: Shutdown) {
    let waiting = Arc::new(Semaphore::new(MAX_WAITING));
    let mut buffer = vec![0; MAX_QUERY_BYTES];
    while let Some(received) = shutdown.guard(socket.recv_from(&mut buffer)).await {
        let (length, client) = match received {
            Ok(received) => received,
            Err(error) => {
                // An earlier answer may have met a closed port: that error is reported here.
                debug!(%error, "receiving a query failed");
                tokio::time::sleep(BACK_OFF).await;
                continue;
            }
        };
        match parse(&buffer[..length], Transport::Udp) {
            Parsed::Noise => {}
            Parsed::Refusal(answer) => reply(&socket, &answer, client).await,
            Parsed::Request(request) => {
                if let Some(answer) = resolver.answer_now(&request) {
                    reply(&socket, &answer, client).await;
                } else if let Ok(permit) = Arc::clone(&waiting).try_acquire_owned() {
                    let (socket, resolver) = (Arc::clone(&socket), Arc::clone(&resolver));
                    tokio::spawn(async move {
                        reply(&socket, &resolver.answer(&request).await, client).await;
                        drop(permit);
                    });
                }
            }
        }
    }
}

async fn reply(socket: &UdpSocket, answer: &[u8], client: SocketAddr) {
    if let Err(error) = socket.send_to(answer, client).await {
        debug!(%client, %error, "an answer can't be sent");
    }
}

async fn serve_tcp(listener: TcpListener, resolver: Arc<Resolver>, shutdown: Shutdown) {
    let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    while let Some(accepted) = shutdown.guard(listener.accept()).await {
        match accepted {
            Ok((stream, _)) => {
                let Ok(permit) = Arc::clone(&connections).try_acquire_owned() else {
                    continue;
                };
                let resolver = Arc::clone(&resolver);
                tokio::spawn(async move {
                    // A client that breaks off is its own business.
                    let _ = converse(stream, &resolver).await;
                    drop(permit);
                });
            }
            Err(error) => {
                warn!(%error, "cannot accept a connection");
                tokio::time::sleep(BACK_OFF).await;
            }
        }
    }
}

async fn converse(mut stream: TcpStream, resolver: &Resolver) -> std::io::Result<()> {
    loop {
        let query = match tokio::time::timeout(IDLE, read_query(&mut stream)).await {
            Ok(query) => query?,
            Err(_) => return Ok(()),
        };
        let answer = match parse(&query, Transport::Tcp) {
            Parsed::Noise => return Ok(()),
            Parsed::Refusal(answer) => answer,
            Parsed::Request(request) => match resolver.answer_now(&request) {
                Some(answer) => answer,
                None => resolver.answer(&request).await,
            },
        };
        let length = u16::try_from(answer.len()).map_err(std::io::Error::other)?;
        let framed = [&length.to_be_bytes(), answer.as_slice()].concat();
        match tokio::time::timeout(IDLE, stream.write_all(&framed)).await {
            Ok(written) => written?,
            Err(_) => return Ok(()),
        }
    }
}

async fn read_query(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let length = usize::from(stream.read_u16().await?);
    if length > MAX_QUERY_BYTES {
        return Err(std::io::Error::other("the query is too long"));
    }
    let mut query = vec![0; length];
    stream.read_exact(&mut query).await?;
    Ok(query)
}
