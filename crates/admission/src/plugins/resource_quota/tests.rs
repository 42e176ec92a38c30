use api::core::v1::{ConfigMap, Pod, Service};
use auth::objects::MemoryObjects;
use component_base::clock::FakeClock;

use super::*;
use crate::testing::{Request, from_json, told};

fn objects(hard: &str, used: &str) -> Arc<MemoryObjects> {
    let objects = Arc::new(MemoryObjects::new());
    objects.insert::<ResourceQuota>(from_json(&format!(
        r#"{{"metadata":{{"namespace":"ns","name":"q"}},"status":{{"hard":{{{hard}}},"used":{{{used}}}}}}}"#
    )));
    objects
}

fn plugin(objects: &Arc<MemoryObjects>) -> ResourceQuotaPlugin {
    ResourceQuotaPlugin::new(objects.clone(), FakeClock::new(jiff::Timestamp::UNIX_EPOCH))
}

fn used(objects: &Arc<MemoryObjects>) -> String {
    let quota = (objects.as_ref() as &dyn Objects)
        .cached::<ResourceQuota>("ns", "q")
        .unwrap();
    quota
        .status
        .used
        .iter()
        .map(|(name, quantity)| format!("{name}={quantity}"))
        .collect::<Vec<_>>()
        .join(" ")
}

fn pod(cpu: &str) -> Pod {
    let requests = if cpu.is_empty() {
        String::new()
    } else {
        format!(r#""cpu":"{cpu}""#)
    };
    from_json(&format!(
        r#"{{"metadata":{{"namespace":"ns","name":"p"}},"spec":{{"containers":[{{"name":"a","resources":{{"requests":{{{requests}}}}}}}]}}}}"#
    ))
}

#[tokio::test]
async fn usage_is_charged_until_it_exceeds() {
    let objects = objects(
        r#""pods":"2","requests.cpu":"1""#,
        r#""pods":"0","requests.cpu":"0""#,
    );
    let plugin = plugin(&objects);
    assert_eq!(
        told(&Request::create().run(&plugin, Some(&mut pod("600m")), None).await),
        "ok"
    );
    assert_eq!(used(&objects), "pods=1 requests.cpu=600m");
    let refused = Request::create().run(&plugin, Some(&mut pod("600m")), None).await;
    let message = r#"pods "p" is forbidden: exceeded quota: q, requested: requests.cpu=600m, used: requests.cpu=600m, limited: requests.cpu=1"#;
    assert_eq!(told(&refused), message);
    assert_eq!(used(&objects), "pods=1 requests.cpu=600m");
    let refused = Request::create().run(&plugin, Some(&mut pod("")), None).await;
    assert_eq!(
        told(&refused),
        r#"pods "p" is forbidden: failed quota: q: must specify requests.cpu for: a"#
    );
}

#[tokio::test]
async fn a_dry_run_charges_nothing_and_other_kinds_pass() {
    let objects = objects(r#""pods":"2""#, r#""pods":"0""#);
    let plugin = plugin(&objects);
    let dry = Request {
        dry_run: true,
        ..Request::create()
    };
    assert_eq!(told(&dry.run(&plugin, Some(&mut pod("1")), None).await), "ok");
    let mut map: ConfigMap = from_json(r#"{"metadata":{"namespace":"ns","name":"c"}}"#);
    assert_eq!(
        told(&Request::create().run(&plugin, Some(&mut map), None).await),
        "ok"
    );
    assert_eq!(used(&objects), "pods=0");
}

#[tokio::test]
async fn an_update_is_charged_its_difference() {
    let objects = objects(r#""services.nodeports":"2""#, r#""services.nodeports":"1""#);
    let plugin = plugin(&objects);
    let service = |kind: &str, ports: &str| {
        from_json::<Service>(&format!(
            r#"{{"metadata":{{"namespace":"ns","name":"s"}},"spec":{{"type":"{kind}","ports":[{ports}]}}}}"#
        ))
    };
    let one = service("NodePort", r#"{"port":1}"#);
    let mut two = service("NodePort", r#"{"port":1},{"port":2}"#);
    assert_eq!(
        told(&Request::update().run(&plugin, Some(&mut two), Some(&one)).await),
        "ok"
    );
    assert_eq!(used(&objects), "services.nodeports=2");
    let internal = service("ClusterIP", r#"{"port":1}"#);
    let refused = Request::update()
        .run(&plugin, Some(&mut one.clone()), Some(&internal))
        .await;
    assert!(
        told(&refused)
            .contains("exceeded quota: q, requested: services.nodeports=1, used: services.nodeports=2")
    );
}

#[tokio::test]
async fn usage_that_is_not_known_yet_is_not_exceeded_silently() {
    let objects = objects(r#""pods":"2""#, "");
    let refused = Request::create()
        .run(&plugin(&objects), Some(&mut pod("1")), None)
        .await;
    assert_eq!(
        told(&refused),
        r#"pods "p" is forbidden: status unknown for quota: q, resources: pods"#
    );
}

#[tokio::test]
async fn concurrent_requests_share_what_is_left() {
    let objects = objects(r#""pods":"3""#, r#""pods":"0""#);
    let plugin = plugin(&objects);
    let mut pods: Vec<Pod> = (0..8).map(|_| pod("1")).collect();
    let requests: Vec<Request> = (0..8).map(|_| Request::create()).collect();
    let runs = pods
        .iter_mut()
        .zip(&requests)
        .map(|(pod, request)| request.run(&plugin, Some(pod), None));
    let outcomes = futures_util::future::join_all(runs).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 3);
    assert_eq!(used(&objects), "pods=3");
}
