use auth::objects::MemoryObjects;

use super::*;
use crate::testing::{Request, from_json, told};

fn plugin(limits: &str) -> LimitRanger {
    let objects = Arc::new(MemoryObjects::new());
    objects.insert::<LimitRange>(from_json(&format!(
        r#"{{"metadata":{{"namespace":"ns","name":"r"}},"spec":{{"limits":[{limits}]}}}}"#
    )));
    LimitRanger::new(objects)
}

fn pod(requests: &str, limits: &str) -> Pod {
    from_json(&format!(
        r#"{{"metadata":{{"namespace":"ns","name":"p"}},"spec":{{"containers":[
            {{"name":"a","resources":{{"requests":{{{requests}}},"limits":{{{limits}}}}}}}]}}}}"#
    ))
}

async fn check(limits: &str, pod: (&str, &str), expected: &str) {
    let mut pod = self::pod(pod.0, pod.1);
    let outcome = Request::create().run(&plugin(limits), Some(&mut pod), None).await;
    assert_eq!(
        told(&outcome).trim_start_matches(r#"pods "p" is forbidden: "#),
        expected
    );
}

#[tokio::test]
async fn defaults_fill_what_is_not_stated() {
    let limits =
        r#"{"type":"Container","default":{"cpu":"1","memory":"1Gi"},"defaultRequest":{"cpu":"100m"}}"#;
    let mut pod = pod("", r#""cpu":"2""#);
    Request::create()
        .run(&plugin(limits), Some(&mut pod), None)
        .await
        .unwrap();
    let resources = &pod.spec.containers[0].resources;
    assert_eq!(resources.requests["cpu"].to_string(), "100m");
    assert_eq!(resources.limits["cpu"].to_string(), "2");
    assert_eq!(resources.limits["memory"].to_string(), "1Gi");
    let said = &pod.metadata.annotations["kubernetes.io/limit-ranger"];
    assert_eq!(
        said,
        "LimitRanger plugin set: cpu request for container a; memory limit for container a"
    );
}

#[tokio::test]
async fn bounds_are_kept() {
    let min = r#"{"type":"Container","min":{"cpu":"100m"}}"#;
    check(min, (r#""cpu":"100m""#, ""), "ok").await;
    check(
        min,
        ("", ""),
        "minimum cpu usage per Container is 100m.  No request is specified",
    )
    .await;
    check(
        min,
        (r#""cpu":"50m""#, ""),
        "minimum cpu usage per Container is 100m, but request is 50m",
    )
    .await;
    let max = r#"{"type":"Pod","max":{"memory":"1Gi"}}"#;
    check(
        max,
        ("", r#""memory":"2Gi""#),
        "maximum memory usage per Pod is 1Gi, but limit is 2Gi",
    )
    .await;
    check(
        max,
        ("", ""),
        "maximum memory usage per Pod is 1Gi.  No limit is specified",
    )
    .await;
    let ratio = r#"{"type":"Container","maxLimitRequestRatio":{"cpu":"2"}}"#;
    check(ratio, (r#""cpu":"1""#, r#""cpu":"2""#), "ok").await;
    let refused = "cpu max limit to request ratio per Container is 2, but provided ratio is 3.000000";
    check(ratio, (r#""cpu":"1""#, r#""cpu":"3""#), refused).await;
    let both = r#"{"type":"Container","min":{"cpu":"1","memory":"1Gi"}}"#;
    let refused = "[minimum cpu usage per Container is 1, but request is 500m, minimum memory usage per Container is 1Gi.  No request is specified]";
    check(both, (r#""cpu":"500m""#, ""), refused).await;
}

#[tokio::test]
async fn claims_are_bounded_and_running_pods_left_alone() {
    let limits =
        r#"{"type":"PersistentVolumeClaim","max":{"storage":"1Gi"}},{"type":"Container","min":{"cpu":"1"}}"#;
    let mut claim: PersistentVolumeClaim = from_json(
        r#"{"metadata":{"namespace":"ns","name":"c"},"spec":{"resources":{"requests":{"storage":"2Gi"}}}}"#,
    );
    let refused = r#"persistentvolumeclaims "c" is forbidden: maximum storage usage per PersistentVolumeClaim is 1Gi, but request is 2Gi"#;
    assert_eq!(
        told(
            &Request::create()
                .run(&plugin(limits), Some(&mut claim), None)
                .await
        ),
        refused
    );
    let (mut new, old) = (pod("", ""), pod("", ""));
    assert_eq!(
        told(
            &Request::update()
                .run(&plugin(limits), Some(&mut new), Some(&old))
                .await
        ),
        "ok"
    );
}
