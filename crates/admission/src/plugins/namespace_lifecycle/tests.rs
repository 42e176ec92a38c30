use api::core::v1::ConfigMap;
use auth::objects::MemoryObjects;
use component_base::clock::FakeClock;

use super::*;
use crate::testing::{Request, from_json, told};

fn namespace(name: &str, phase: &str) -> Namespace {
    from_json(&format!(
        r#"{{"metadata":{{"name":"{name}"}},"status":{{"phase":"{phase}"}}}}"#
    ))
}

fn plugin() -> (Arc<MemoryObjects>, NamespaceLifecycle) {
    let objects = Arc::new(MemoryObjects::new());
    objects.insert(namespace("live", "Active"));
    objects.insert(namespace("dying", "Terminating"));
    let plugin = NamespaceLifecycle::new(objects.clone(), FakeClock::new(jiff::Timestamp::UNIX_EPOCH));
    (objects, plugin)
}

async fn in_namespace(
    plugin: &NamespaceLifecycle,
    operation: Operation,
    namespace: &str,
) -> Result<Vec<String>, Status> {
    let mut object: ConfigMap = from_json(&format!(
        r#"{{"metadata":{{"namespace":"{namespace}","name":"c"}}}}"#
    ));
    let old = object.clone();
    Request::new(operation)
        .run(plugin, Some(&mut object), Some(&old))
        .await
}

#[tokio::test]
async fn objects_need_a_namespace_that_lives() {
    let (_, plugin) = plugin();
    assert_eq!(
        told(&in_namespace(&plugin, Operation::Create, "live").await),
        "ok"
    );
    assert_eq!(
        told(&in_namespace(&plugin, Operation::Update, "dying").await),
        "ok"
    );
    assert_eq!(
        told(&in_namespace(&plugin, Operation::Delete, "missing").await),
        "ok"
    );
    let missing = in_namespace(&plugin, Operation::Create, "missing").await;
    assert_eq!(told(&missing), r#"namespaces "missing" not found"#);
    let refused = in_namespace(&plugin, Operation::Create, "dying").await;
    let message = r#"configmaps "c" is forbidden: unable to create new content in namespace dying because it is being terminated"#;
    assert_eq!(told(&refused), message);
    assert!(refused.unwrap_err().has_cause("NamespaceTerminating"));
}

#[tokio::test]
async fn some_namespaces_stay_and_deleted_ones_are_looked_up() {
    let (_, plugin) = plugin();
    let delete = async |name: &str| {
        let old = namespace(name, "Active");
        Request::new(Operation::Delete)
            .run(&plugin, None, Some(&old))
            .await
    };
    assert_eq!(
        told(&delete("default").await),
        r#"namespaces "default" is forbidden: this namespace may not be deleted"#
    );
    assert!(!plugin.is_distrusted("live"));
    assert_eq!(told(&delete("live").await), "ok");
    assert!(plugin.is_distrusted("live"));
}
