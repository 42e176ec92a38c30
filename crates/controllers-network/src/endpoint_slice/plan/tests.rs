use api::core::v1::{Container, ContainerPort, PodCondition, PodIP, ServicePort};
use apimachinery::int_or_string::IntOrString;
use expect_test::{Expect, expect};

use super::*;

fn service(target: &str) -> Service {
    let mut service = Service::default();
    service.metadata.name = "web".into();
    service.metadata.namespace = "ns".into();
    service.metadata.uid = "service".into();
    service.spec.cluster_ip = "10.0.0.1".into();
    service.spec.ip_families = vec!["IPv4".into()];
    service.spec.selector.insert("app".into(), "web".into());
    service.spec.ports = vec![ServicePort {
        protocol: "TCP".into(),
        port: 80,
        target_port: target
            .parse()
            .map_or_else(|_| IntOrString::String(target.into()), IntOrString::Int),
        ..ServicePort::default()
    }];
    service
}

/// `10.1.0.1` is ready, `10.1.0.1!` isn't, `10.1.0.1-` is going; the port named `http` is given after a colon.
fn pod(text: &str) -> Arc<Pod> {
    let (text, port) = text.split_once(':').unwrap_or((text, "8080"));
    let address = text.trim_end_matches(['!', '-']);
    let mut pod = Pod::default();
    pod.metadata.name = address.into();
    pod.metadata.uid = address.into();
    pod.spec.node_name = "node".into();
    pod.status.pod_ip = address.into();
    pod.status.pod_ips = vec![PodIP { ip: address.into() }];
    let ready = if text.ends_with('!') { "False" } else { "True" };
    pod.status.conditions = vec![PodCondition {
        type_: "Ready".into(),
        status: ready.into(),
        ..PodCondition::default()
    }];
    if text.ends_with('-') {
        pod.metadata.deletion_timestamp = apimachinery::time::Time::from_unix(1, 0);
    }
    let container_port = port.parse().expect("number");
    let named = ContainerPort {
        name: "http".into(),
        container_port,
        protocol: "TCP".into(),
        ..ContainerPort::default()
    };
    pod.spec.containers = vec![Container {
        ports: vec![named],
        ..Container::default()
    }];
    Arc::new(pod)
}

fn render(slice: &EndpointSlice) -> String {
    let endpoint = |endpoint: &Endpoint| {
        let c = &endpoint.conditions;
        let flag = |value: Option<bool>, letter| if value == Some(true) { letter } else { "" };
        let flags = [flag(c.ready, "r"), flag(c.serving, "s"), flag(c.terminating, "t")].concat();
        format!("{}({flags})", endpoint.addresses.join(","))
    };
    let endpoints: Vec<String> = slice.endpoints.iter().map(endpoint).collect();
    let ports: Vec<String> = slice
        .ports
        .iter()
        .filter_map(|port| Some(port.port?.to_string()))
        .collect();
    format!(
        "{}:{} [{}]",
        slice.address_type,
        ports.join(","),
        endpoints.join(" ")
    )
}

struct World {
    service: Service,
    slices: Vec<Arc<EndpointSlice>>,
}

impl World {
    fn plan(&self, pods: &str, nodes_known: bool) -> Plan {
        let observed = Observed {
            service: &self.service,
            pods: pods.split_whitespace().map(pod).collect(),
            slices: self.slices.clone(),
            node: &move |_| nodes_known.then(|| Arc::new(Node::default())),
        };
        plan(&observed, 100)
    }

    /// Plans, applies, and checks that a second look finds nothing to do.
    fn check(&mut self, pods: &str, expected: Expect) {
        let plan = self.plan(pods, true);
        let mut lines = Vec::new();
        for action in plan.actions {
            match action {
                Action::Create(mut slice) => {
                    lines.push(format!("create {}", render(&slice)));
                    slice.metadata.name = format!("s{}", self.slices.len());
                    self.slices.push(Arc::new(*slice));
                }
                Action::Update(slice) => {
                    lines.push(format!("update {}", render(&slice)));
                    let slot = self
                        .slices
                        .iter_mut()
                        .find(|old| old.metadata.name == slice.metadata.name);
                    *slot.expect("exists") = Arc::new(*slice);
                }
                Action::Delete(slice) => {
                    lines.push(format!("delete {}", render(&slice)));
                    self.slices.retain(|old| old.metadata.name != slice.metadata.name);
                }
            }
        }
        expected.assert_eq(&lines.join("\n"));
        assert_eq!(self.plan(pods, true).actions, [], "the plan must be stable");
    }
}

#[test]
fn slices_follow_pods() {
    let mut world = World {
        service: service("8080"),
        slices: Vec::new(),
    };
    world.check("", expect!["create IPv4: []"]);
    world.check(
        "10.1.0.1 10.1.0.2!",
        expect!["update IPv4:8080 [10.1.0.1(rs) 10.1.0.2()]"],
    );
    world.check(
        "10.1.0.1- 10.1.0.2",
        expect!["update IPv4:8080 [10.1.0.1(st) 10.1.0.2(rs)]"],
    );
    world.service.spec.publish_not_ready_addresses = true;
    world.check("10.1.0.2-", expect!["update IPv4:8080 [10.1.0.2(rst)]"]);
    world.check("", expect!["update IPv4: []"]);
}

#[test]
fn named_ports_split_slices_by_number() {
    let mut world = World {
        service: service("http"),
        slices: Vec::new(),
    };
    world.check(
        "10.1.0.1:80 10.1.0.2:81",
        expect![[r#"
            create IPv4:80 [10.1.0.1(rs)]
            create IPv4:81 [10.1.0.2(rs)]"#]],
    );
    world.check("10.1.0.1:80", expect!["delete IPv4:81 [10.1.0.2(rs)]"]);
}

#[test]
fn families_have_their_own_slices() {
    let mut world = World {
        service: service("8080"),
        slices: Vec::new(),
    };
    world.service.spec.ip_families.push("IPv6".into());
    world.check(
        "10.1.0.1",
        expect![[r#"
            create IPv4:8080 [10.1.0.1(rs)]
            create IPv6: []"#]],
    );
    world.service.spec.ip_families.truncate(1);
    world.check("10.1.0.1", expect!["delete IPv6: []"]);
}

#[test]
fn labels_follow_the_service_but_reserved_ones_are_ours() {
    let mut world = World {
        service: service("8080"),
        slices: Vec::new(),
    };
    world.check("10.1.0.1", expect!["create IPv4:8080 [10.1.0.1(rs)]"]);
    world.service.metadata.labels.insert("team".into(), "a".into());
    world
        .service
        .metadata
        .labels
        .insert(desired::MANAGED_BY_LABEL.into(), "me".into());
    world.check("10.1.0.1", expect!["update IPv4:8080 [10.1.0.1(rs)]"]);
    let labels = &world.slices[0].metadata.labels;
    assert_eq!(labels["team"], "a");
    assert_eq!(labels[desired::MANAGED_BY_LABEL], desired::MANAGER);
}

#[test]
fn a_pod_on_an_unknown_node_is_left_out_and_retried() {
    let world = World {
        service: service("8080"),
        slices: Vec::new(),
    };
    let plan = world.plan("10.1.0.1", false);
    assert_eq!(plan.missing_node.as_deref(), Some("node"));
}
