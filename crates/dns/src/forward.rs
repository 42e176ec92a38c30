//! Asking other servers, by the node's `/etc/resolv.conf`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hickory_proto::op::{Edns, Message, MessageType, Query, ResponseCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::Semaphore;

use crate::message::{EDNS_PAYLOAD, Sections};

/// How long one server may take to answer.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);
/// Servers asked for one question at most.
const MAX_ATTEMPTS: usize = 3;
/// Questions under way at once; more are refused, for a client would have given up before its turn came.
const MAX_CONCURRENT: usize = 1000;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there is no server to ask")]
    NoServer,
    #[error("too many questions are under way")]
    Overload,
    #[error("{server} doesn't answer")]
    TimedOut { server: SocketAddr },
    #[error("{server}")]
    Network {
        server: SocketAddr,
        source: std::io::Error,
    },
    #[error("{server} gave no proper answer")]
    Malformed { server: SocketAddr },
    #[error("{server} says {code}")]
    Refused { server: SocketAddr, code: ResponseCode },
}

/// The servers, the one that answered last first.
#[derive(Debug)]
pub struct Forwarder {
    servers: Vec<SocketAddr>,
    preferred: AtomicUsize,
    permits: Semaphore,
}

/// The name servers in the text of a `resolv.conf`. Those on loopback are left out: in the pod's network, that is
/// the DNS server itself.
pub fn name_servers(text: &str) -> Vec<SocketAddr> {
    let lines = text
        .lines()
        .map(|line| line.split(['#', ';']).next().unwrap_or_default());
    let words = lines.filter_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some("nameserver"))
            .then(|| words.next())
            .flatten()
    });
    let ips = words.filter_map(|word| word.split('%').next()?.parse::<IpAddr>().ok());
    ips.filter(|ip| !ip.is_loopback())
        .map(|ip| SocketAddr::new(ip, 53))
        .collect()
}

impl Forwarder {
    pub fn new(servers: Vec<SocketAddr>) -> Self {
        Self {
            servers,
            preferred: AtomicUsize::new(0),
            permits: Semaphore::new(MAX_CONCURRENT),
        }
    }

    pub fn servers(&self) -> &[SocketAddr] {
        &self.servers
    }

    /// Asks one server after the other until one answers.
    pub async fn ask(&self, question: &Query, dnssec_ok: bool) -> Result<Sections, Error> {
        let _permit = self.permits.try_acquire().map_err(|_| Error::Overload)?;
        let first = self.preferred.load(Ordering::Relaxed);
        let mut failure = Error::NoServer;
        for attempt in 0..self.servers.len().min(MAX_ATTEMPTS) {
            let index = (first + attempt) % self.servers.len();
            match ask_server(self.servers[index], question, dnssec_ok).await {
                Ok(sections) => {
                    self.preferred.store(index, Ordering::Relaxed);
                    return Ok(sections);
                }
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }
}

async fn ask_server(server: SocketAddr, question: &Query, dnssec_ok: bool) -> Result<Sections, Error> {
    // A fresh identifier and port for every question: both are what keeps forgers out.
    let mut query = Message::query();
    query.metadata.recursion_desired = true;
    query.add_query(question.clone());
    let mut edns = Edns::new();
    edns.set_max_payload(EDNS_PAYLOAD)
        .set_version(0)
        .set_dnssec_ok(dnssec_ok);
    query.set_edns(edns);
    let bytes = query.to_vec().map_err(|_| Error::Malformed { server })?;
    let mut answer = within(server, ask_udp(server, &bytes, &query)).await?;
    if answer.metadata.truncation {
        answer = within(server, ask_tcp(server, &bytes, &query)).await?;
    }
    match answer.metadata.response_code {
        ResponseCode::NoError | ResponseCode::NXDomain => Ok(Sections {
            code: answer.metadata.response_code,
            authoritative: false,
            answers: answer.answers,
            authorities: answer.authorities,
            additionals: answer.additionals,
        }),
        code => Err(Error::Refused { server, code }),
    }
}

async fn within(
    server: SocketAddr,
    attempt: impl Future<Output = Result<Message, Error>>,
) -> Result<Message, Error> {
    tokio::time::timeout(ATTEMPT_TIMEOUT, attempt)
        .await
        .unwrap_or(Err(Error::TimedOut { server }))
}

async fn ask_udp(server: SocketAddr, bytes: &[u8], query: &Message) -> Result<Message, Error> {
    let failed = |source| Error::Network { server, source };
    let any: IpAddr = if server.is_ipv4() {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        Ipv6Addr::UNSPECIFIED.into()
    };
    let socket = UdpSocket::bind((any, 0)).await.map_err(failed)?;
    socket.connect(server).await.map_err(failed)?;
    socket.send(bytes).await.map_err(failed)?;
    let mut buffer = vec![0; 4096];
    loop {
        let length = socket.recv(&mut buffer).await.map_err(failed)?;
        // Anything else in the meantime is a forgery or late: the true answer may still come.
        if let Some(answer) = answer_to(query, &buffer[..length]) {
            return Ok(answer);
        }
    }
}

async fn ask_tcp(server: SocketAddr, bytes: &[u8], query: &Message) -> Result<Message, Error> {
    let failed = |source| Error::Network { server, source };
    let mut stream = TcpStream::connect(server).await.map_err(failed)?;
    let length = u16::try_from(bytes.len()).map_err(|_| Error::Malformed { server })?;
    stream
        .write_all(&[&length.to_be_bytes(), bytes].concat())
        .await
        .map_err(failed)?;
    let length = stream.read_u16().await.map_err(failed)?;
    let mut buffer = vec![0; usize::from(length)];
    stream.read_exact(&mut buffer).await.map_err(failed)?;
    answer_to(query, &buffer).ok_or(Error::Malformed { server })
}

/// The message, if it answers the query.
fn answer_to(query: &Message, bytes: &[u8]) -> Option<Message> {
    let answer = Message::from_vec(bytes).ok()?;
    let fits = answer.metadata.id == query.metadata.id
        && answer.metadata.message_type == MessageType::Response
        && answer.queries == query.queries;
    fits.then_some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_come_from_resolv_conf() {
        let text = "# comment\nsearch example.com\nnameserver 192.0.2.53 # first\nnameserver 127.0.0.53\n\
                    nameserver fe80::1%eth0\n nameserver 2001:db8::53\nnameserver nonsense\noptions ndots:5\n";
        let found: Vec<String> = name_servers(text).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["192.0.2.53:53", "[fe80::1]:53", "[2001:db8::53]:53"]);
    }
}
