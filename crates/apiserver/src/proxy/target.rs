//! Where a request goes: hosts, ports and paths. Pure.

use api::core::v1::{Endpoints, Node, Pod, Service};
use apimachinery::status::Status;

use super::KubeletAccess;
use crate::request::Request;
use crate::request::query::Query;

/// Where kubelets serve when the node does not say.
const KUBELET_PORT: i32 = 10250;

/// How a backend's certificate is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Plain,
    /// With the kubelet client's certificate, against the kubelets' authority.
    Kubelet,
    /// TLS without a check of the other side: pods and services have certificates of their own making.
    Unchecked,
    /// As `Kubelet`, but the client asked not to check.
    KubeletUnchecked,
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub transport: Transport,
    pub host: String,
    pub port: u16,
    /// Path and query.
    pub path: String,
}

impl Target {
    /// Host and port as a URL states them.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// The bare name in `name`, `name:port` or `scheme:name:port`.
pub fn name<'r>(what: &str, reference: &'r str) -> Result<&'r str, Status> {
    Ok(split(what, reference)?.1)
}

/// Scheme (`""`, `http`, `https`), name and port (`""`: not stated).
fn split<'r>(what: &str, reference: &'r str) -> Result<(&'r str, &'r str, &'r str), Status> {
    let invalid = || Status::bad_request(format!("invalid {what} request {reference:?}"));
    let parts: Vec<&str> = reference.split(':').collect();
    let (scheme, name, port) = match parts.as_slice() {
        [name] => ("", *name, ""),
        [name, port] => ("", *name, *port),
        [scheme, name, port] => (*scheme, *name, *port),
        _ => return Err(invalid()),
    };
    if name.is_empty() || !matches!(scheme, "" | "http" | "https") {
        return Err(invalid());
    }
    Ok((scheme, name, port))
}

/// The kubelet's path for a pod's stream.
pub fn kubelet_path(pod: &Pod, subresource: &str, query: &Query) -> Result<String, Status> {
    let metadata = &pod.metadata;
    let (namespace, name) = (&metadata.namespace, &metadata.name);
    let mut parameters = Parameters::default();
    let path = match subresource {
        "log" => {
            let flags = ["follow", "previous", "timestamps"];
            flags
                .iter()
                .filter(|flag| is_true(query, flag))
                .for_each(|flag| parameters.add(flag, "true"));
            for name in ["sinceSeconds", "sinceTime", "tailLines", "limitBytes", "stream"] {
                query
                    .get(name)
                    .into_iter()
                    .for_each(|value| parameters.add(name, value));
            }
            format!("/containerLogs/{namespace}/{name}/{}", container(pod, query)?)
        }
        "portforward" => {
            query
                .all("ports")
                .flat_map(|ports| ports.split(','))
                .for_each(|port| parameters.add("port", port));
            format!("/portForward/{namespace}/{name}")
        }
        _ => {
            for (ours, kubelets) in [
                ("stdin", "input"),
                ("stdout", "output"),
                ("stderr", "error"),
                ("tty", "tty"),
            ] {
                if is_true(query, ours) {
                    parameters.add(kubelets, "1");
                }
            }
            query
                .all("command")
                .for_each(|word| parameters.add("command", word));
            format!("/{subresource}/{namespace}/{name}/{}", container(pod, query)?)
        }
    };
    Ok(path + &parameters.finish())
}

fn is_true(query: &Query, name: &str) -> bool {
    query
        .get(name)
        .is_some_and(|value| !matches!(value, "false" | "0"))
}

/// The container that is meant: the one there is, or the one that is named.
fn container<'a>(pod: &'a Pod, query: &'a Query) -> Result<&'a str, Status> {
    let (spec, pod_name) = (&pod.spec, &pod.metadata.name);
    let names = || {
        let init = spec
            .init_containers
            .iter()
            .map(|container| container.name.as_str());
        let main = spec.containers.iter().map(|container| container.name.as_str());
        init.chain(main).chain(
            spec.ephemeral_containers
                .iter()
                .map(|container| container.ephemeral_container_common.name.as_str()),
        )
    };
    match (
        query.get("container").unwrap_or_default(),
        spec.containers.as_slice(),
    ) {
        ("", [only]) => Ok(&only.name),
        ("", []) => Err(Status::bad_request(format!(
            "a container name must be specified for pod {pod_name}"
        ))),
        ("", _) => {
            let names = names().collect::<Vec<_>>().join(" ");
            Err(Status::bad_request(format!(
                "a container name must be specified for pod {pod_name}, choose one of: [{names}]"
            )))
        }
        (asked, _) if names().any(|name| name == asked) => Ok(asked),
        (asked, _) => Err(Status::bad_request(format!(
            "container {asked} is not valid for pod {pod_name}"
        ))),
    }
}

/// A path on the kubelet of a node.
pub fn of_kubelet(
    node: &Node,
    path: String,
    insecure: bool,
    access: &KubeletAccess,
) -> Result<Target, Status> {
    let address = access.address_types.iter().find_map(|wanted| {
        node.status
            .addresses
            .iter()
            .find(|address| address.type_ == *wanted)
    });
    let address = address.ok_or_else(|| {
        let known: Vec<String> = node
            .status
            .addresses
            .iter()
            .map(|known| format!("{{{} {}}}", known.type_, known.address))
            .collect();
        let known = known.join(" ");
        Status::unknown(format!(
            "no preferred addresses found; known addresses: [{known}]"
        ))
    })?;
    let port = match node.status.daemon_endpoints.kubelet_endpoint.port {
        0 => KUBELET_PORT,
        port => port,
    };
    Ok(Target {
        transport: if insecure {
            Transport::KubeletUnchecked
        } else {
            Transport::Kubelet
        },
        host: address.address.clone(),
        port: u16::try_from(port)
            .map_err(|_| Status::internal(format!("node {:?} states port {port}", node.metadata.name)))?,
        path,
    })
}

/// `nodes/NAME/proxy/…`
pub fn of_node(node: &Node, request: &Request, access: &KubeletAccess) -> Result<Target, Status> {
    let (scheme, _, port) = split("node", &request.info.name)?;
    let mut target = of_kubelet(node, rest(request), false, access)?;
    if !port.is_empty() {
        let own = target.port.to_string() == port;
        target.port = parse_port(port)?;
        if !own {
            target.transport = if scheme == "https" {
                Transport::Unchecked
            } else {
                Transport::Plain
            };
        }
    }
    Ok(target)
}

/// `pods/NAME/proxy/…`
pub fn of_pod(pod: &Pod, request: &Request) -> Result<Target, Status> {
    let (scheme, _, port) = split("pod", &request.info.name)?;
    let declared = || {
        pod.spec
            .containers
            .iter()
            .find_map(|container| container.ports.first())
            .map(|port| port.container_port)
    };
    let default = if scheme == "https" { 443 } else { 80 };
    let host = pod
        .status
        .pod_ips
        .first()
        .map_or(&pod.status.pod_ip, |ip| &ip.ip)
        .clone();
    check_address(&host)?;
    let port = match port {
        "" => u16::try_from(declared().unwrap_or(default))
            .map_err(|_| Status::bad_request("the pod declares a port that is none"))?,
        port => parse_port(port)?,
    };
    Ok(Target {
        transport: transport(scheme),
        host,
        port,
        path: rest(request),
    })
}

/// The name of the service's port that is asked for.
pub fn service_port<'s>(service: &'s Service, request: &'s Request) -> Result<&'s str, Status> {
    let (_, name, port) = split("service", &request.info.name)?;
    let Ok(number) = port.parse::<i32>() else {
        return Ok(port);
    };
    let found = service.spec.ports.iter().find(|declared| declared.port == number);
    found.map(|port| port.name.as_str()).ok_or_else(|| {
        Status::service_unavailable(format!("no service port {number} found for service {name:?}"))
    })
}

/// `services/NAME/proxy/…`: one of its endpoints, taken by chance.
pub fn of_service(service: &Service, endpoints: &Endpoints, request: &Request) -> Result<Target, Status> {
    let (scheme, ..) = split("service", &request.info.name)?;
    let port_name = service_port(service, request)?;
    let mut candidates = Vec::new();
    for subset in &endpoints.subsets {
        for port in subset.ports.iter().filter(|port| port.name == port_name) {
            candidates.extend(subset.addresses.iter().map(|address| (&address.ip, port.port)));
        }
    }
    let chance = uuid::Uuid::new_v4().as_u128() as usize;
    let unavailable = || {
        Status::service_unavailable(format!(
            "no endpoints available for service {:?}",
            request.info.name
        ))
    };
    let (ip, port) = *candidates
        .get(chance % candidates.len().max(1))
        .ok_or_else(unavailable)?;
    check_address(ip)?;
    Ok(Target {
        transport: transport(scheme),
        host: ip.clone(),
        port: u16::try_from(port).map_err(|_| unavailable())?,
        path: rest(request),
    })
}

fn transport(scheme: &str) -> Transport {
    if scheme == "https" {
        Transport::Unchecked
    } else {
        Transport::Plain
    }
}

fn parse_port(text: &str) -> Result<u16, Status> {
    text.parse()
        .map_err(|_| Status::bad_request(format!("invalid port {text:?}")))
}

/// The server must not be made to talk to itself or to its link.
fn check_address(text: &str) -> Result<(), Status> {
    let allowed = match text.parse() {
        Ok(std::net::IpAddr::V4(ip)) => {
            !(ip.is_loopback()
                || ip.is_link_local()
                || ip.is_multicast()
                || ip.is_unspecified()
                || ip.is_broadcast())
        }
        Ok(std::net::IpAddr::V6(ip)) => {
            !(ip.is_loopback() || ip.is_unicast_link_local() || ip.is_multicast() || ip.is_unspecified())
        }
        Err(_) => false,
    };
    if allowed {
        Ok(())
    } else {
        Err(Status::bad_request("address not allowed"))
    }
}

/// What follows `proxy` in the path, still encoded, with the query.
fn rest(request: &Request) -> String {
    let (_, rest) = split_path(request);
    let rest = if rest.is_empty() { "/" } else { rest };
    match request.head.uri.query() {
        Some(query) => format!("{rest}?{query}"),
        None => rest.to_owned(),
    }
}

/// The path up to and including `proxy`: what stands for the backend's root.
pub fn prefix(request: &Request) -> &str {
    split_path(request).0
}

/// Where a browser is sent that asks for the backend's root without a slash at the end: relative links would miss the
/// backend otherwise.
pub fn with_slash(request: &Request) -> Option<String> {
    let (prefix, rest) = split_path(request);
    let reads = matches!(request.head.method, http::Method::GET | http::Method::HEAD);
    (rest.is_empty() && reads).then(|| match request.head.uri.query() {
        Some(query) => format!("{prefix}/?{query}"),
        None => format!("{prefix}/"),
    })
}

/// The path up to and including `proxy`, and what follows. Names may be any word, so segments are counted.
fn split_path(request: &Request) -> (&str, &str) {
    // /api/VERSION/namespaces/NAMESPACE/RESOURCE/NAME/proxy, or without the namespace.
    let segments = if request.info.namespace.is_empty() { 5 } else { 7 };
    let path = request.head.uri.path();
    let end = path.match_indices('/').nth(segments);
    path.split_at(end.map_or(path.len(), |(at, _)| at))
}

/// A query string in the making.
#[derive(Default)]
struct Parameters(String);

impl Parameters {
    fn add(&mut self, name: &str, value: &str) {
        self.0.push(if self.0.is_empty() { '?' } else { '&' });
        self.0.push_str(name);
        self.0.push('=');
        for byte in value.bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                    self.0.push(byte as char)
                }
                byte => self.0.push_str(&format!("%{byte:02X}")),
            }
        }
    }

    fn finish(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use api::core::v1::{Container, NodeAddress};
    use expect_test::{Expect, expect};

    use super::*;

    fn pod(containers: &[&str]) -> Pod {
        let mut pod = Pod::default();
        pod.metadata.name = "web".to_owned();
        pod.metadata.namespace = "default".to_owned();
        pod.spec.containers = containers
            .iter()
            .map(|name| Container {
                name: (*name).to_owned(),
                ..Container::default()
            })
            .collect();
        pod
    }

    fn check(containers: &[&str], subresource: &str, query: &str, expected: Expect) {
        let path = kubelet_path(&pod(containers), subresource, &Query::parse(query));
        expected.assert_eq(&path.unwrap_or_else(|status| status.message.clone()));
    }

    #[test]
    fn kubelet_paths() {
        check(
            &["a"],
            "log",
            "follow=true&tailLines=5&previous=false",
            expect!["/containerLogs/default/web/a?follow=true&tailLines=5"],
        );
        check(
            &["a", "b"],
            "exec",
            "container=b&stdin=true&stdout=1&tty=true&command=sh&command=-c&command=echo+1",
            expect!["/exec/default/web/b?input=1&output=1&tty=1&command=sh&command=-c&command=echo%201"],
        );
        check(
            &["a"],
            "portforward",
            "ports=80,443",
            expect!["/portForward/default/web?port=80&port=443"],
        );
    }

    #[test]
    fn the_container_must_be_known() {
        check(
            &["a", "b"],
            "log",
            "",
            expect!["a container name must be specified for pod web, choose one of: [a b]"],
        );
        check(
            &["a"],
            "log",
            "container=x",
            expect!["container x is not valid for pod web"],
        );
    }

    #[test]
    fn kubelets_are_reached_at_the_preferred_address() {
        let mut node = Node::default();
        let address = |type_: &str, address: &str| NodeAddress {
            type_: type_.to_owned(),
            address: address.to_owned(),
        };
        node.status.addresses = vec![address("Hostname", "n"), address("InternalIP", "10.0.0.2")];
        let access = KubeletAccess {
            address_types: vec!["InternalIP".to_owned()],
        };
        let target = of_kubelet(&node, "/x".to_owned(), false, &access).expect("an address");
        assert_eq!((target.host.as_str(), target.port), ("10.0.0.2", 10250));
    }

    #[test]
    fn own_addresses_are_refused() {
        assert!(check_address("127.0.0.1").is_err());
        assert!(check_address("169.254.1.1").is_err());
        assert!(check_address("").is_err());
        assert!(check_address("10.1.2.3").is_ok());
    }
}
