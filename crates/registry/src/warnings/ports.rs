//! Ports of the containers of one pod, which share its addresses.

use std::borrow::Cow;
use std::collections::BTreeMap;

use api::core::v1::{Container, ContainerPort};
use apimachinery::field::Path;
use apimachinery::quote::quote;

pub(super) fn warnings(containers: &[(Cow<'_, Container>, Path)]) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut seen: BTreeMap<(i32, &str), Vec<(&ContainerPort, Path)>> = BTreeMap::new();
    for (port, at) in ports(containers) {
        if !port.host_ip.is_empty() && port.host_port == 0 {
            warnings.push(format!("{at}: hostIP set without hostPort: {}", printed(port)));
        }
        let same = seen.entry((port.container_port, &port.protocol)).or_default();
        for (other, path) in same.iter() {
            if let Some(what) = clash(port, other) {
                warnings.push(format!("{at}: {what} port definition with {path}"));
            }
        }
        same.push((port, at));
    }
    let mut names: BTreeMap<&str, Path> = BTreeMap::new();
    for (port, at) in ports(containers).filter(|(port, _)| !port.name.is_empty()) {
        match names.get(port.name.as_str()) {
            None => {
                names.insert(&port.name, at);
            }
            Some(other) => warnings.push(format!(
                "{at}: duplicate port name {} with {other}, services and probes that select ports by name will use {other}",
                quote(&port.name)
            )),
        }
    }
    warnings
}

fn ports<'c>(
    containers: &'c [(Cow<'_, Container>, Path)],
) -> impl Iterator<Item = (&'c ContainerPort, Path)> {
    containers.iter().flat_map(|(container, path)| {
        let path = path.child("ports");
        let ports = container.ports.iter().enumerate();
        ports.map(move |(index, port)| (port, path.index(index)))
    })
}

fn clash(port: &ContainerPort, other: &ContainerPort) -> Option<&'static str> {
    let one_has_address = port.host_ip.is_empty() != other.host_ip.is_empty();
    if port.host_ip == other.host_ip && port.host_port == other.host_port {
        Some("duplicate")
    } else if port.host_port == 0 || other.host_port == 0 {
        Some("overlapping")
    } else if port.host_port == other.host_port && one_has_address {
        Some("dangerously ambiguous")
    } else {
        None
    }
}

/// As Go prints a struct.
fn printed(port: &ContainerPort) -> String {
    format!(
        "{{Name:{} HostPort:{} ContainerPort:{} Protocol:{} HostIP:{}}}",
        port.name, port.host_port, port.container_port, port.protocol, port.host_ip
    )
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::rules::tests::parse;

    #[track_caller]
    fn check(ports: Value, expected: &[&str]) {
        let container: Container = parse(&json!({ "ports": ports }));
        assert_eq!(warnings(&[(Cow::Owned(container), Path::new("c"))]), expected);
    }

    #[test]
    fn ports_that_meet() {
        check(
            json!([{"containerPort": 80, "hostIP": "1.1.1.1", "protocol": "TCP"}]),
            &[
                "c.ports[0]: hostIP set without hostPort: {Name: HostPort:0 ContainerPort:80 Protocol:TCP HostIP:1.1.1.1}",
            ],
        );
        check(
            json!([{"containerPort": 80, "name": "a"}, {"containerPort": 80, "name": "a"}]),
            &[
                "c.ports[1]: duplicate port definition with c.ports[0]",
                r#"c.ports[1]: duplicate port name "a" with c.ports[0], services and probes that select ports by name will use c.ports[0]"#,
            ],
        );
        check(
            json!([
                {"containerPort": 80, "hostPort": 1},
                {"containerPort": 80, "hostPort": 1, "hostIP": "1.1.1.1"},
                {"containerPort": 80, "protocol": "UDP"},
            ]),
            &["c.ports[1]: dangerously ambiguous port definition with c.ports[0]"],
        );
    }
}
