use auth::objects::MemoryObjects;

use super::*;
use crate::testing::{Request, from_json, told};

fn class(name: &str, value: i32, default: bool, policy: &str) -> PriorityClass {
    from_json(&format!(
        r#"{{"metadata":{{"name":"{name}"}},"value":{value},"globalDefault":{default},"preemptionPolicy":"{policy}"}}"#
    ))
}

fn plugin(classes: &[PriorityClass]) -> Priority {
    let objects = Arc::new(MemoryObjects::new());
    classes.iter().for_each(|class| objects.insert(class.clone()));
    Priority::new(objects)
}

async fn check(plugin: &Priority, spec: &str, expected: &str) {
    let mut pod: Pod = from_json(&format!(r#"{{"metadata":{{"name":"p"}},"spec":{{{spec}}}}}"#));
    let outcome = Request::create().run(plugin, Some(&mut pod), None).await;
    let told = match told(&outcome) {
        "ok" => format!(
            "{:?} {:?} {:?}",
            pod.spec.priority_class_name, pod.spec.priority, pod.spec.preemption_policy
        ),
        refusal => refusal.to_owned(),
    };
    assert_eq!(told, expected);
}

#[tokio::test]
async fn a_pod_gets_its_class_or_the_default() {
    let none = plugin(&[]);
    check(&none, "", r#""" Some(0) Some("PreemptLowerPriority")"#).await;
    let some = plugin(&[
        class("high", 100, false, "Never"),
        class("usual", 5, true, "PreemptLowerPriority"),
    ]);
    check(&some, "", r#""usual" Some(5) Some("PreemptLowerPriority")"#).await;
    check(
        &some,
        r#""priorityClassName":"high""#,
        r#""high" Some(100) Some("Never")"#,
    )
    .await;
    check(
        &some,
        r#""priorityClassName":"high","priority":100"#,
        r#""high" Some(100) Some("Never")"#,
    )
    .await;
    let refused = r#"pods "p" is forbidden: no PriorityClass with name low was found"#;
    check(&some, r#""priorityClassName":"low""#, refused).await;
    let refused = r#"pods "p" is forbidden: the integer value of priority (7) must not be provided in pod spec; priority admission controller computed 5 from the given PriorityClass name"#;
    check(&some, r#""priority":7"#, refused).await;
}

#[tokio::test]
async fn an_update_keeps_the_priority() {
    let old: Pod = from_json(r#"{"metadata":{"name":"p"},"spec":{"priority":5,"preemptionPolicy":"Never"}}"#);
    let mut new: Pod = from_json(r#"{"metadata":{"name":"p"}}"#);
    Request::update()
        .run(&plugin(&[]), Some(&mut new), Some(&old))
        .await
        .unwrap();
    assert_eq!(new.spec.priority, Some(5));
    assert_eq!(new.spec.preemption_policy.as_deref(), Some("Never"));
}

#[tokio::test]
async fn one_class_is_the_default() {
    let plugin = plugin(&[class("usual", 5, true, "Never")]);
    let mut second = class("other", 6, true, "Never");
    let refused = Request::create().run(&plugin, Some(&mut second), None).await;
    let message = r#"priorityclasses.scheduling.k8s.io "other" is forbidden: PriorityClass usual is already marked as default. Only one default can exist"#;
    assert_eq!(told(&refused), message);
    let mut same = class("usual", 5, true, "Never");
    let old = same.clone();
    assert_eq!(
        told(&Request::update().run(&plugin, Some(&mut same), Some(&old)).await),
        "ok"
    );
}
