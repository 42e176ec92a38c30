use api::core::v1::{Namespace, Service, ServicePort};
use api::discovery::v1::{Endpoint, EndpointPort, EndpointSlice};
use controller_runtime::watcher::Change;
use expect_test::{Expect, expect};

use super::*;

fn service(name: &str, ip: &str, ports: &[(&str, &str, i32)]) -> Service {
    let mut service = Service::default();
    service.metadata.namespace = "ns".to_owned();
    service.metadata.name = name.to_owned();
    service.spec.cluster_ip = ip.to_owned();
    let port = |(name, protocol, number): &(&str, &str, i32)| ServicePort {
        name: (*name).to_owned(),
        protocol: (*protocol).to_owned(),
        port: *number,
        ..ServicePort::default()
    };
    service.spec.ports = ports.iter().map(port).collect();
    service
}

/// Endpoints as `ip`, `ip=hostname` or `!ip` when not ready.
fn slice(service: &str, endpoints: &[&str], ports: &[(&str, i32)]) -> EndpointSlice {
    let mut slice = EndpointSlice::default();
    slice.metadata.namespace = "ns".to_owned();
    slice.metadata.name = format!("{service}-1");
    slice
        .metadata
        .labels
        .insert("kubernetes.io/service-name".to_owned(), service.to_owned());
    let endpoint = |text: &&str| {
        let (ip, hostname) = text.split_once('=').unwrap_or((text, ""));
        let mut endpoint = Endpoint {
            addresses: vec![ip.trim_start_matches('!').to_owned()],
            ..Endpoint::default()
        };
        endpoint.hostname = Some(hostname.to_owned()).filter(|name| !name.is_empty());
        endpoint.conditions.ready = Some(!ip.starts_with('!'));
        endpoint
    };
    slice.endpoints = endpoints.iter().map(endpoint).collect();
    let port = |(name, number): &(&str, i32)| EndpointPort {
        name: Some((*name).to_owned()),
        protocol: Some("TCP".to_owned()),
        port: Some(*number),
        ..EndpointPort::default()
    };
    slice.ports = ports.iter().map(port).collect();
    slice
}

fn zone() -> Zone {
    let mut zone = Zone::default();
    let mut namespace = Namespace::default();
    namespace.metadata.name = "ns".to_owned();
    zone.take_namespace(Change::Replace(vec![namespace]));
    let mut dual = service("dual", "10.96.0.2", &[]);
    dual.spec.cluster_ips = vec!["10.96.0.2".to_owned(), "fd00::2".to_owned()];
    let mut external = service("ext", "", &[]);
    external.spec.type_ = "ExternalName".to_owned();
    external.spec.external_name = "example.com".to_owned();
    zone.take_service(Change::Replace(vec![
        service("web", "10.96.0.1", &[("http", "TCP", 80), ("dns", "UDP", 53)]),
        dual,
        external,
        service("db", "None", &[("sql", "TCP", 5432)]),
        service("empty", "None", &[]),
    ]));
    zone.take_slice(Change::Replace(vec![
        slice("web", &["10.0.0.9"], &[("http", 8080)]),
        slice(
            "db",
            &[
                "10.0.0.2=db-1",
                "10.0.0.1=db-0",
                "10.0.0.3",
                "!10.0.0.4=db-3",
                "fd00:10::1",
            ],
            &[("sql", 5432)],
        ),
    ]));
    zone
}

fn check(question: &str, expected: Expect) {
    let (name, kind) = question.split_once(' ').unwrap();
    let domain = Domain {
        name: Name::from_ascii("cluster.local.").unwrap(),
        ttl: 30,
    };
    let name = Name::from_ascii(name).unwrap();
    let show = |records: &[Record]| {
        records
            .iter()
            .map(|record| format!("{record}\n"))
            .collect::<String>()
    };
    let text = match lookup(&zone(), &domain, &name, kind.parse().unwrap()) {
        Lookup::Found(found) if found == Found::default() => "no data".to_owned(),
        Lookup::Found(found) if found.additionals.is_empty() => show(&found.answers),
        Lookup::Found(found) => format!("{}also\n{}", show(&found.answers), show(&found.additionals)),
        Lookup::Alias(alias) => format!("{}\nlook for {}", alias.record, alias.target),
        Lookup::NameError => "no such name".to_owned(),
        Lookup::Outside => "not ours".to_owned(),
    };
    expected.assert_eq(&text);
}

#[test]
fn services_have_their_cluster_ips() {
    check(
        "web.ns.svc.cluster.local. A",
        expect![[r#"
        web.ns.svc.cluster.local. 30 IN A 10.96.0.1
    "#]],
    );
    check(
        "WEB.ns.svc.CLUSTER.local. A",
        expect![[r#"
        WEB.ns.svc.CLUSTER.local. 30 IN A 10.96.0.1
    "#]],
    );
    check("web.ns.svc.cluster.local. AAAA", expect!["no data"]);
    check(
        "dual.ns.svc.cluster.local. AAAA",
        expect![[r#"
        dual.ns.svc.cluster.local. 30 IN AAAA fd00::2
    "#]],
    );
    check("nobody.ns.svc.cluster.local. A", expect!["no such name"]);
    check("web.elsewhere.svc.cluster.local. A", expect!["no such name"]);
}

#[test]
fn headless_services_have_their_endpoints() {
    check(
        "db.ns.svc.cluster.local. A",
        expect![[r#"
        db.ns.svc.cluster.local. 30 IN A 10.0.0.1
        db.ns.svc.cluster.local. 30 IN A 10.0.0.2
        db.ns.svc.cluster.local. 30 IN A 10.0.0.3
    "#]],
    );
    check(
        "db.ns.svc.cluster.local. AAAA",
        expect![[r#"
        db.ns.svc.cluster.local. 30 IN AAAA fd00:10::1
    "#]],
    );
    check(
        "db-1.db.ns.svc.cluster.local. A",
        expect![[r#"
        db-1.db.ns.svc.cluster.local. 30 IN A 10.0.0.2
    "#]],
    );
    check("db-3.db.ns.svc.cluster.local. A", expect!["no such name"]);
    check(
        "10-0-0-3.db.ns.svc.cluster.local. A",
        expect![[r#"
        10-0-0-3.db.ns.svc.cluster.local. 30 IN A 10.0.0.3
    "#]],
    );
    check(
        "fd00-10--1.db.ns.svc.cluster.local. AAAA",
        expect![[r#"
        fd00-10--1.db.ns.svc.cluster.local. 30 IN AAAA fd00:10::1
    "#]],
    );
    check("empty.ns.svc.cluster.local. A", expect!["no data"]);
}

#[test]
fn ports_have_locations() {
    check(
        "_http._tcp.web.ns.svc.cluster.local. SRV",
        expect![[r#"
        _http._tcp.web.ns.svc.cluster.local. 30 IN SRV 0 100 80 web.ns.svc.cluster.local.
        also
        web.ns.svc.cluster.local. 30 IN A 10.96.0.1
    "#]],
    );
    check(
        "web.ns.svc.cluster.local. SRV",
        expect![[r#"
        web.ns.svc.cluster.local. 30 IN SRV 0 50 80 web.ns.svc.cluster.local.
        web.ns.svc.cluster.local. 30 IN SRV 0 50 53 web.ns.svc.cluster.local.
        also
        web.ns.svc.cluster.local. 30 IN A 10.96.0.1
    "#]],
    );
    check(
        "_sql._tcp.db.ns.svc.cluster.local. SRV",
        expect![[r#"
        _sql._tcp.db.ns.svc.cluster.local. 30 IN SRV 0 25 5432 db-1.db.ns.svc.cluster.local.
        _sql._tcp.db.ns.svc.cluster.local. 30 IN SRV 0 25 5432 db-0.db.ns.svc.cluster.local.
        _sql._tcp.db.ns.svc.cluster.local. 30 IN SRV 0 25 5432 10-0-0-3.db.ns.svc.cluster.local.
        _sql._tcp.db.ns.svc.cluster.local. 30 IN SRV 0 25 5432 fd00-10--1.db.ns.svc.cluster.local.
        also
        db-1.db.ns.svc.cluster.local. 30 IN A 10.0.0.2
        db-0.db.ns.svc.cluster.local. 30 IN A 10.0.0.1
        10-0-0-3.db.ns.svc.cluster.local. 30 IN A 10.0.0.3
        fd00-10--1.db.ns.svc.cluster.local. 30 IN AAAA fd00:10::1
    "#]],
    );
    check("_sql._udp.db.ns.svc.cluster.local. SRV", expect!["no such name"]);
    check("_http._tcp.web.ns.svc.cluster.local. A", expect!["no data"]);
    check("_tcp.web.ns.svc.cluster.local. SRV", expect!["no data"]);
}

#[test]
fn addresses_have_names() {
    check(
        "1.0.96.10.in-addr.arpa. PTR",
        expect![[r#"
        1.0.96.10.in-addr.arpa. 30 IN PTR web.ns.svc.cluster.local.
    "#]],
    );
    check(
        "2.0.0.10.in-addr.arpa. PTR",
        expect![[r#"
        2.0.0.10.in-addr.arpa. 30 IN PTR db-1.db.ns.svc.cluster.local.
    "#]],
    );
    check(
        "3.0.0.10.in-addr.arpa. PTR",
        expect![[r#"
        3.0.0.10.in-addr.arpa. 30 IN PTR 10-0-0-3.db.ns.svc.cluster.local.
    "#]],
    );
    check("8.8.8.8.in-addr.arpa. PTR", expect!["not ours"]);
    check("0.10.in-addr.arpa. PTR", expect!["not ours"]);
    check(
        "2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa. PTR",
        expect![[r#"
            2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa. 30 IN PTR dual.ns.svc.cluster.local.
        "#]],
    );
}

#[test]
fn external_names_are_aliases() {
    check(
        "ext.ns.svc.cluster.local. A",
        expect![[r#"
        ext.ns.svc.cluster.local. 30 IN CNAME example.com.
        look for example.com."#]],
    );
    check("a.ext.ns.svc.cluster.local. A", expect!["no such name"]);
}

#[test]
fn pods_have_their_addresses() {
    check(
        "10-0-0-7.ns.pod.cluster.local. A",
        expect![[r#"
        10-0-0-7.ns.pod.cluster.local. 30 IN A 10.0.0.7
    "#]],
    );
    check(
        "fd00-10--7.ns.pod.cluster.local. AAAA",
        expect![[r#"
        fd00-10--7.ns.pod.cluster.local. 30 IN AAAA fd00:10::7
    "#]],
    );
    check("web.ns.pod.cluster.local. A", expect!["no such name"]);
    check("10-0-0-7.elsewhere.pod.cluster.local. A", expect!["no such name"]);
}

#[test]
fn the_zone_itself_exists() {
    check(
        "cluster.local. SOA",
        expect![[r#"
        cluster.local. 30 IN SOA ns.dns.cluster.local. hostmaster.cluster.local. 1 7200 1800 86400 30
    "#]],
    );
    check(
        "cluster.local. NS",
        expect![[r#"
        cluster.local. 30 IN NS ns.dns.cluster.local.
    "#]],
    );
    check("cluster.local. A", expect!["no data"]);
    check("svc.cluster.local. A", expect!["no data"]);
    check("ns.svc.cluster.local. A", expect!["no data"]);
    check(
        "dns-version.cluster.local. TXT",
        expect![[r#"
        dns-version.cluster.local. 30 IN TXT 1.1.0
    "#]],
    );
    check("what.cluster.local. A", expect!["no such name"]);
    check("example.com. A", expect!["not ours"]);
}
