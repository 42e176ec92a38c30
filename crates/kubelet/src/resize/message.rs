//! The messages of events about resizes: a sentence and what the pod is resized to. Pure.
//! Upstream: `events/resize.go`.

use api::{
    Message,
    core::v1::{Container, Pod},
};

/// `what` happened with the resize of this version of the pod.
pub fn message(what: &str, spec: &Pod, generation: i64, error: &str) -> String {
    let mut fields = Vec::new();
    let lists = [
        ("initContainers", &spec.spec.init_containers),
        ("containers", &spec.spec.containers),
    ];
    for (name, containers) in lists.into_iter().filter(|(_, containers)| !containers.is_empty()) {
        let containers: Vec<String> = containers.iter().map(container).collect();
        fields.push(format!("{name:?}:[{}]", containers.join(",")));
    }
    fields.push(format!(r#""generation":{generation}"#));
    if !error.is_empty() {
        fields.push(format!(r#""error":{}"#, serde_json::Value::from(error)));
    }
    format!("Pod resize {what}: {{{}}}", fields.join(","))
}

fn container(container: &Container) -> String {
    let resources = container.resources.to_json();
    format!(
        r#"{{"name":{:?},"resources":{}}}"#,
        container.name,
        String::from_utf8_lossy(&resources)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        let json = br#"{"spec":{"containers":[{"name":"a","resources":{"limits":{"cpu":"1"},"requests":{"cpu":"1"}}},{"name":"b"}]}}"#;
        let pod = Pod::from_json(json).unwrap();
        assert_eq!(
            message("Deferred", &pod, 2, "no \"room\""),
            r#"Pod resize Deferred: {"containers":[{"name":"a","resources":{"limits":{"cpu":"1"},"requests":{"cpu":"1"}}},{"name":"b","resources":{}}],"generation":2,"error":"no \"room\""}"#
        );
    }
}
