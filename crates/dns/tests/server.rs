//! Questions over real sockets, with another server to forward to.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use api::core::v1::{Namespace, Service};
use component_base::clock::SystemClock;
use component_base::metrics::Registry;
use component_base::shutdown::Shutdown;
use controller_runtime::watcher::Change;
use dns::forward::Forwarder;
use dns::lookup::Domain;
use dns::metrics::Metrics;
use dns::resolver::Resolver;
use dns::server::Sockets;
use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

const LOOP_NAME: &str = "probe.loop-probe.kube-dns.";

/// Answers every A question with 192.0.2.1; over UDP it says of `big.` that the answer doesn't fit.
struct Other {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

fn other_answer(bytes: &[u8], over_udp: bool) -> Vec<u8> {
    let query = Message::from_vec(bytes).unwrap();
    let question = query.queries[0].clone();
    let mut answer = Message::response(query.metadata.id, query.metadata.op_code);
    answer.metadata.truncation = over_udp && question.name().to_ascii() == "big.";
    if question.name().to_ascii() == "missing." {
        answer.metadata.response_code = ResponseCode::NXDomain;
    } else if !answer.metadata.truncation {
        let data = RData::A(A::new(192, 0, 2, 1));
        answer.add_answer(Record::from_rdata(question.name().clone(), 300, data));
    }
    answer.add_query(question);
    answer.to_vec().unwrap()
}

impl Other {
    async fn start() -> Self {
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = udp.local_addr().unwrap();
        let tcp = TcpListener::bind(address).await.unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        tokio::spawn(async move {
            let mut buffer = [0; 1500];
            while let Ok((length, from)) = udp.recv_from(&mut buffer).await {
                count.fetch_add(1, Ordering::Relaxed);
                udp.send_to(&other_answer(&buffer[..length], true), from)
                    .await
                    .unwrap();
            }
        });
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = tcp.accept().await {
                let length = stream.read_u16().await.unwrap();
                let mut query = vec![0; usize::from(length)];
                stream.read_exact(&mut query).await.unwrap();
                let answer = other_answer(&query, false);
                stream.write_u16(answer.len() as u16).await.unwrap();
                stream.write_all(&answer).await.unwrap();
            }
        });
        Self { address, asked }
    }
}

/// A server with one service, `web` in `ns`, and an external name that leads out.
async fn start(upstream: Vec<SocketAddr>) -> (SocketAddr, Arc<Resolver>) {
    let sockets = Sockets::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = sockets.address().unwrap();
    let resolver = resolver(upstream);
    tokio::spawn(sockets.serve(Arc::clone(&resolver), Shutdown::new()));
    (address, resolver)
}

fn resolver(upstream: Vec<SocketAddr>) -> Arc<Resolver> {
    let domain = Domain {
        name: Name::from_ascii("cluster.local.").unwrap(),
        ttl: 30,
    };
    let metrics = Metrics::new(&Registry::new());
    let loop_name = Name::from_ascii(LOOP_NAME).unwrap();
    let resolver = Resolver::new(
        domain,
        Forwarder::new(upstream),
        metrics,
        SystemClock::shared(),
        &loop_name,
    );
    resolver.update(|zone| {
        let mut namespace = Namespace::default();
        namespace.metadata.name = "ns".to_owned();
        zone.take_namespace(Change::Replace(vec![namespace]));
        let service = |name: &str| {
            let mut service = Service::default();
            service.metadata.namespace = "ns".to_owned();
            service.metadata.name = name.to_owned();
            service
        };
        let mut web = service("web");
        web.spec.cluster_ip = "10.96.0.1".to_owned();
        let mut out = service("out");
        out.spec.type_ = "ExternalName".to_owned();
        out.spec.external_name = "example.com".to_owned();
        let mut inner = service("inner");
        inner.spec.type_ = "ExternalName".to_owned();
        inner.spec.external_name = "web.ns.svc.cluster.local".to_owned();
        let mut round = service("round");
        round.spec.type_ = "ExternalName".to_owned();
        round.spec.external_name = "round.ns.svc.cluster.local".to_owned();
        zone.take_service(Change::Replace(vec![web, out, inner, round]));
        zone.take_slice(Change::Replace(Vec::new()));
    });
    Arc::new(resolver)
}

fn query(name: &str) -> Message {
    let mut query = Message::query();
    query.metadata.recursion_desired = true;
    query.add_query(Query::query(Name::from_ascii(name).unwrap(), RecordType::A));
    query
}

async fn ask(server: SocketAddr, name: &str) -> String {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let query = query(name);
    socket.send_to(&query.to_vec().unwrap(), server).await.unwrap();
    let mut buffer = [0; 1500];
    let length = socket.recv(&mut buffer).await.unwrap();
    let answer = Message::from_vec(&buffer[..length]).unwrap();
    assert_eq!(answer.metadata.id, query.metadata.id);
    show(&answer)
}

fn show(answer: &Message) -> String {
    let records: Vec<_> = answer
        .answers
        .iter()
        .map(|r| format!("{} {}", r.record_type(), r.data))
        .collect();
    format!("{} [{}]", answer.metadata.response_code, records.join(", "))
}

#[tokio::test]
async fn names_of_the_cluster_and_of_others() {
    let other = Other::start().await;
    let (server, _) = start(vec![other.address]).await;
    assert_eq!(
        ask(server, "web.ns.svc.cluster.local.").await,
        "No Error [A 10.96.0.1]"
    );
    assert_eq!(
        ask(server, "nobody.ns.svc.cluster.local.").await,
        "Non-Existent Domain []"
    );
    assert_eq!(
        other.asked.load(Ordering::Relaxed),
        0,
        "names of the cluster stay in it"
    );
    assert_eq!(ask(server, "example.com.").await, "No Error [A 192.0.2.1]");
    assert_eq!(ask(server, "EXAMPLE.com.").await, "No Error [A 192.0.2.1]");
    assert_eq!(
        other.asked.load(Ordering::Relaxed),
        1,
        "the second answer is from the cache"
    );
    assert_eq!(ask(server, "missing.").await, "Non-Existent Domain []");
    assert_eq!(
        ask(server, "big.").await,
        "No Error [A 192.0.2.1]",
        "a truncated answer is asked for over TCP"
    );
}

#[tokio::test]
async fn aliases_are_followed() {
    let other = Other::start().await;
    let (server, _) = start(vec![other.address]).await;
    let out = "No Error [CNAME example.com., A 192.0.2.1]";
    assert_eq!(ask(server, "out.ns.svc.cluster.local.").await, out);
    let inner = "No Error [CNAME web.ns.svc.cluster.local., A 10.96.0.1]";
    assert_eq!(ask(server, "inner.ns.svc.cluster.local.").await, inner);
    assert_eq!(
        ask(server, "round.ns.svc.cluster.local.").await,
        "Server Failure []"
    );
}

#[tokio::test]
async fn another_server_stands_in() {
    let dead = UdpSocket::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let other = Other::start().await;
    let (server, _) = start(vec![dead, other.address]).await;
    assert_eq!(ask(server, "example.com.").await, "No Error [A 192.0.2.1]");
    let (server, _) = start(Vec::new()).await;
    assert_eq!(ask(server, "example.com.").await, "Server Failure []");
}

#[tokio::test]
async fn several_questions_on_one_connection() {
    let (server, _) = start(Vec::new()).await;
    let mut stream = TcpStream::connect(server).await.unwrap();
    for _ in 0..2 {
        let bytes = query("web.ns.svc.cluster.local.").to_vec().unwrap();
        stream.write_u16(bytes.len() as u16).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        let length = stream.read_u16().await.unwrap();
        let mut answer = vec![0; usize::from(length)];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(
            show(&Message::from_vec(&answer).unwrap()),
            "No Error [A 10.96.0.1]"
        );
    }
}

#[tokio::test]
async fn a_server_that_asks_itself_notices() {
    let sockets = Sockets::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = sockets.address().unwrap();
    let resolver = resolver(vec![address]);
    tokio::spawn(sockets.serve(Arc::clone(&resolver), Shutdown::new()));
    resolver.probe_for_loop().await;
    assert_eq!(
        ask(address, "example.com.").await,
        "Server Failure []",
        "nothing is forwarded any more"
    );
    assert_eq!(
        ask(address, "web.ns.svc.cluster.local.").await,
        "No Error [A 10.96.0.1]"
    );
}
