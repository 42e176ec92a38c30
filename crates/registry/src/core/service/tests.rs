use std::sync::Arc;

use api::Message;
use apiserver::strategy::{Context, Hooks, Outcome};
use storage::Store;

use super::addresses::{Addresses, Cidr};
use super::allotment::Allotment;
use super::families::{Families, Family};
use super::ports::{NodePorts, PortRange};
use super::*;

const RANGE: PortRange = PortRange {
    first: 30000,
    count: 2768,
};

fn parse(json: &str) -> Service {
    let mut service = Service::from_json(json.as_bytes()).unwrap();
    service.metadata.name = "web".into();
    service.metadata.namespace = "default".into();
    defaults::service(&mut service);
    service
}

fn allotment(store: &Arc<dyn Store>) -> Allotment {
    let cidrs = vec![Cidr::parse("10.0.0.0/24").unwrap()];
    let families = Families {
        primary: Family::V4,
        dual: false,
    };
    Allotment::new(
        Addresses::new(store.clone(), cidrs),
        NodePorts::new(store.clone(), RANGE),
        families,
    )
}

struct World {
    store: Arc<dyn Store>,
    hooks: Allotment,
    user: auth::UserInfo,
    dry_run: bool,
}

impl World {
    fn new() -> World {
        let store: Arc<dyn Store> = Arc::new(storage::memory::open(Default::default()).unwrap());
        World {
            hooks: allotment(&store),
            store,
            user: auth::UserInfo::default(),
            dry_run: false,
        }
    }

    fn context(&self) -> Context<'_> {
        Context {
            user: &self.user,
            namespace: Some("default"),
            group: "",
            subresource: "",
            dry_run: self.dry_run,
            now: Timestamp::UNIX_EPOCH,
        }
    }

    async fn create(&self, service: &mut Service, outcome: Outcome) -> Result<(), String> {
        let cx = self.context();
        let begun = self.hooks.begin_create(&cx, service).await;
        let begun = begun.map(|transaction| transaction.unwrap().finish(outcome));
        settle().await;
        begun.map_err(|status| status.message)
    }

    async fn update(&self, service: &mut Service, old: &Service) -> Result<(), String> {
        let cx = self.context();
        let transaction = self
            .hooks
            .begin_update(&cx, service, old)
            .await
            .map_err(|status| status.message)?;
        transaction.unwrap().finish(Outcome::Committed);
        settle().await;
        Ok(())
    }

    async fn addresses(&self) -> u64 {
        self.store.count(b"/registry/ipaddresses/").await.unwrap()
    }
}

/// Lets what was spawned run: the store answers from a thread of its own.
async fn settle() {
    for _ in 0..20 {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn a_service_gets_an_address_and_ports() {
    let world = World::new();
    let mut service = parse(
        r#"{"spec":{"type":"NodePort","ports":[{"name":"a","port":53,"protocol":"UDP"},{"name":"b","port":53},{"name":"c","port":80,"nodePort":30080}]}}"#,
    );
    world.create(&mut service, Outcome::Committed).await.unwrap();
    assert!(service.spec.cluster_ip.starts_with("10.0.0."));
    assert_eq!(service.spec.cluster_ips, [service.spec.cluster_ip.clone()]);
    assert_eq!(service.spec.ip_families, ["IPv4"]);
    let ports: Vec<i32> = service.spec.ports.iter().map(|port| port.node_port).collect();
    assert_eq!(ports[0], ports[1], "TCP and UDP share a port");
    assert!(
        (30086..=32767).contains(&ports[0]),
        "picked above the reserved ones: {ports:?}"
    );
    assert_eq!(ports[2], 30080);
    assert_eq!(validation::validate(&service, None), []);

    let mut second = parse(r#"{"spec":{"type":"NodePort","ports":[{"port":1,"nodePort":30080}]}}"#);
    let message = world.create(&mut second, Outcome::Committed).await.unwrap_err();
    assert_eq!(
        message,
        "Service \"web\" is invalid: spec.ports[0].nodePort: Invalid value: 30080: provided port is already allocated"
    );
    assert_eq!(
        world.addresses().await,
        1,
        "what was taken before the failure is given back"
    );

    world.hooks.after_delete(&service).await;
    assert_eq!(world.addresses().await, 0);
    world.create(&mut second, Outcome::Aborted).await.unwrap();
    assert_eq!(world.addresses().await, 0, "an aborted write leaves nothing");
}

#[tokio::test]
async fn dry_runs_leave_the_range_of_ports_to_validation() {
    let mut world = World::new();
    let ranged = |port: i32| {
        format!(
            "Invalid value: {port}: provided port is not in the valid range. The range of valid ports is 30000-32767"
        )
    };
    for port in [-1, 1, 100_000, i32::MAX] {
        let wanted = |other: i32| {
            parse(&format!(
                r#"{{"spec":{{"type":"NodePort","ports":[{{"name":"a","port":1,"nodePort":{port}}},{{"name":"b","port":2,"nodePort":{other}}}]}}}}"#
            ))
        };
        for (dry_run, other, expected) in [
            (
                false,
                30_001,
                Err(format!("spec.ports[0].nodePort: {}", ranged(port))),
            ),
            (true, 30_001, Ok(())),
            (
                true,
                port,
                Err(format!(
                    "spec.ports[1].nodePort: Invalid value: {port}: provided port is already allocated"
                )),
            ),
        ] {
            world.dry_run = dry_run;
            let answer = world.create(&mut wanted(other), Outcome::Aborted).await;
            let expected = expected.map_err(|error: String| format!("Service \"web\" is invalid: {error}"));
            assert_eq!(answer, expected);
        }
    }
    let mut checked = parse(
        r#"{"spec":{"type":"LoadBalancer","externalTrafficPolicy":"Local","healthCheckNodePort":-1,"ports":[{"port":1}]}}"#,
    );
    assert_eq!(world.create(&mut checked, Outcome::Aborted).await, Ok(()));
    let errors: Vec<String> = validation::validate(&checked, None)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        errors,
        ["spec.healthCheckNodePort: Invalid value: -1: must be between 1 and 65535, inclusive"]
    );
}

#[test]
fn a_changed_address_stands_for_all() {
    let old = parse(r#"{"spec":{"clusterIP":"10.0.0.9","clusterIPs":["10.0.0.9"],"ports":[{"port":1}]}}"#);
    for (new, expected) in [
        (r#"{"spec":{"ports":[{"port":1}]}}"#, "10.0.0.9"),
        (
            r#"{"spec":{"clusterIP":"10.0.0.9","ports":[{"port":1}]}}"#,
            "10.0.0.9",
        ),
        (
            r#"{"spec":{"clusterIP":"Bad_Value!","ports":[{"port":1}]}}"#,
            "Bad_Value!",
        ),
        (
            r#"{"spec":{"clusterIP":"Bad_Value!","clusterIPs":["10.0.0.9"],"ports":[{"port":1}]}}"#,
            "Bad_Value!",
        ),
    ] {
        let mut new = parse(new);
        super::families::keep_allotted(&mut new, &old);
        super::families::normalize_update(&mut new, &old);
        assert_eq!(new.spec.cluster_ips, [expected]);
    }
}

#[tokio::test]
async fn asked_for_addresses_are_checked() {
    let world = World::new();
    let wanted = |ip: &str| {
        parse(&format!(
            r#"{{"spec":{{"clusterIP":"{ip}","ports":[{{"port":1}}]}}}}"#
        ))
    };
    world
        .create(&mut wanted("10.0.0.10"), Outcome::Committed)
        .await
        .unwrap();
    for (ip, detail) in [
        ("10.0.0.10", "provided IP is already allocated"),
        (
            "10.1.0.1",
            "the provided network does not match the current range",
        ),
        (
            "10.0.0.255",
            "the provided IP (10.0.0.255) is not in the valid range. The range of valid IPs is 10.0.0.0/24",
        ),
    ] {
        let message = world
            .create(&mut wanted(ip), Outcome::Committed)
            .await
            .unwrap_err();
        let expected = format!(
            "Service \"web\" is invalid: spec.clusterIPs: Invalid value: [\"{ip}\"]: failed to allocate IP {ip}: {detail}"
        );
        assert_eq!(message, expected);
    }
    let mut headless = wanted("None");
    world.create(&mut headless, Outcome::Committed).await.unwrap();
    assert_eq!(headless.spec.ip_families, ["IPv4", "IPv6"]);
    assert_eq!(world.addresses().await, 1);
}

#[tokio::test]
async fn changes_keep_what_was_allotted() {
    let world = World::new();
    let mut service = parse(r#"{"spec":{"type":"NodePort","ports":[{"port":80}]}}"#);
    world.create(&mut service, Outcome::Committed).await.unwrap();
    let mut changed = parse(r#"{"spec":{"type":"NodePort","ports":[{"port":81}]}}"#);
    world.update(&mut changed, &service).await.unwrap();
    assert_eq!(changed.spec.cluster_ip, service.spec.cluster_ip);
    assert_eq!(changed.spec.ports[0].node_port, service.spec.ports[0].node_port);

    let mut external = changed.clone();
    external.spec.type_ = "ExternalName".into();
    external.spec.external_name = "example.com".into();
    fields::drop_unused(&mut external, &changed);
    world.update(&mut external, &changed).await.unwrap();
    assert_eq!(world.addresses().await, 0);
    assert_eq!(external.spec.cluster_ip, "");
    assert_eq!(external.spec.ports[0].node_port, 0);
}

#[track_caller]
fn check(json: &str, expected: &[&str]) {
    let mut service = parse(json);
    families::normalize_new(&mut service);
    let errors: Vec<String> = validation::validate(&service, None)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(errors, expected);
}

#[test]
fn says_what_is_wrong() {
    check(r#"{"spec":{"ports":[{"port":80}]}}"#, &[]);
    check(r#"{"spec":{}}"#, &["spec.ports: Required value"]);
    check(
        r#"{"spec":{"ports":[{"port":0},{"name":"a","port":1,"protocol":"X"}]}}"#,
        &[
            "spec.ports[0].name: Required value",
            "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
            "spec.ports[0].targetPort: Invalid value: 0: must be between 1 and 65535, inclusive",
            "spec.ports[1].protocol: Unsupported value: \"X\": supported values: \"SCTP\", \"TCP\", \"UDP\"",
        ],
    );
    check(
        r#"{"spec":{"type":"ExternalName"}}"#,
        &["spec.externalName: Required value"],
    );
    check(
        r#"{"spec":{"ports":[{"port":1,"nodePort":30000}]}}"#,
        &["spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"],
    );
    check(
        r#"{"spec":{"type":"LoadBalancer","clusterIP":"None","ports":[{"port":1}]}}"#,
        &["spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for LoadBalancer services"],
    );
    check(
        r#"{"spec":{"ports":[{"port":1}],"externalIPs":["127.0.0.1","x"]}}"#,
        &[
            "spec.externalIPs[0]: Invalid value: \"127.0.0.1\": may not be in the loopback range (127.0.0.0/8, ::1/128)",
            "spec.externalIPs[1]: Invalid value: \"x\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
        ],
    );
}

#[test]
fn bitmaps_are_upstreams_big_integers() {
    let mut bitmap = ports::Bitmap::new(20);
    [0, 9, 19].into_iter().for_each(|index| bitmap.set(index, true));
    assert_eq!(bitmap.to_bytes(), [0b1000, 0b10, 0b1]);
    assert_eq!(ports::Bitmap::from_bytes(20, &bitmap.to_bytes()), bitmap);
    assert!(bitmap.has(9) && !bitmap.has(8));
}
