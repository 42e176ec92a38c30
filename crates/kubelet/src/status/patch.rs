//! The patch that turns the API's status of a pod into another. Pure. Upstream: `util/pod.PatchPodStatus`.
//!
//! A strategic merge patch: conditions, of which others own some, are merged by type; all else is the kubelet's and is
//! replaced where it differs.

use super::conditions::{DISRUPTION_TARGET, is_owned};
use api::{Message, core::v1::PodStatus};
use serde_json::{Map, Value, json};

/// Lists that merge by key on the server, and so have to be told to be replaced.
const MERGED_LISTS: [&str; 2] = ["podIPs", "hostIPs"];

/// The patch, or nothing when the statuses are the same.
pub fn between(old: &PodStatus, new: &PodStatus, uid: &str) -> Option<Value> {
    let (old, new) = (document(old), document(new));
    let mut changes = Map::new();
    for (key, value) in &new {
        if old.get(key) == Some(value) {
            continue;
        }
        let change = match key.as_str() {
            "conditions" => match conditions(old.get(key), value) {
                Some(change) => change,
                None => continue,
            },
            key if MERGED_LISTS.contains(&key) => replaced(value),
            _ => value.clone(),
        };
        changes.insert(key.clone(), change);
    }
    for key in old.keys().filter(|key| !new.contains_key(*key)) {
        changes.insert(key.clone(), Value::Null);
    }
    if changes.is_empty() {
        return None;
    }
    // The uid makes the patch fail for another pod of the same name.
    Some(json!({ "metadata": { "uid": uid }, "status": changes }))
}

fn document(status: &PodStatus) -> Map<String, Value> {
    match serde_json::from_slice(&status.to_json()) {
        Ok(Value::Object(map)) => map,
        _ => Map::new(),
    }
}

fn replaced(list: &Value) -> Value {
    let mut elements = vec![json!({ "$patch": "replace" })];
    elements.extend(list.as_array().into_iter().flatten().cloned());
    Value::Array(elements)
}

fn conditions(old: Option<&Value>, new: &Value) -> Option<Value> {
    let list = |value: Option<&Value>| value.and_then(Value::as_array).cloned().unwrap_or_default();
    let (old, new) = (list(old), list(Some(new)));
    let same_kind = |a: &Value, b: &Value| a["type"] == b["type"];
    // What others set may be missing or old in `new`, which was made of what was known at some time before.
    let kind = |condition: &Value| condition["type"].as_str().unwrap_or_default().to_owned();
    let is_written = |condition: &&Value| is_owned(&kind(condition)) || kind(condition) == DISRUPTION_TARGET;
    let mut changes = Vec::new();
    for condition in new.iter().filter(is_written) {
        let before = old.iter().find(|before| same_kind(before, condition));
        if before == Some(condition) {
            continue;
        }
        let mut change = condition.as_object().cloned().unwrap_or_default();
        // What a merge would keep has to be removed by name.
        let gone = before.and_then(Value::as_object).into_iter().flat_map(Map::keys);
        for key in gone.filter(|key| condition.get(key.as_str()).is_none()) {
            change.insert(key.clone(), Value::Null);
        }
        changes.push(Value::Object(change));
    }
    for condition in old
        .iter()
        .filter(|before| is_owned(&kind(before)) && !new.iter().any(|condition| same_kind(before, condition)))
    {
        changes.push(json!({ "$patch": "delete", "type": condition["type"] }));
    }
    (!changes.is_empty()).then_some(Value::Array(changes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::core::v1::{PodCondition, PodIP};

    fn condition(kind: &str, status: &str, reason: &str) -> PodCondition {
        PodCondition {
            type_: kind.into(),
            status: status.into(),
            reason: reason.into(),
            ..PodCondition::default()
        }
    }

    fn check(old: &PodStatus, new: &PodStatus, expected: Value) {
        let patch = between(old, new, "u").map_or(Value::Null, |patch| patch["status"].clone());
        assert_eq!(patch, expected);
    }

    #[test]
    fn only_what_differs() {
        let old = PodStatus {
            phase: "Pending".into(),
            reason: "Slow".into(),
            conditions: vec![
                condition("Ready", "False", "Wait"),
                condition("lb", "True", ""),
                condition("PodResizePending", "True", ""),
                condition("DisruptionTarget", "True", ""),
            ],
            ..PodStatus::default()
        };
        check(&old, &old, Value::Null);
        let new = PodStatus {
            phase: "Running".into(),
            pod_ips: vec![PodIP {
                ip: "10.0.0.1".into(),
            }],
            conditions: vec![condition("Ready", "True", ""), condition("lb", "False", "")],
            ..PodStatus::default()
        };
        let mut patch = between(&old, &new, "u").unwrap();
        let conditions = patch["status"]["conditions"].take();
        assert_eq!(conditions[0]["status"], "True");
        assert_eq!(conditions[0].get("reason"), Some(&Value::Null));
        assert_eq!(
            conditions[1],
            json!({ "$patch": "delete", "type": "PodResizePending" })
        );
        assert_eq!(conditions.as_array().unwrap().len(), 2);
        assert_eq!(patch["metadata"]["uid"], "u");
        assert_eq!(
            patch["status"],
            json!({"phase": "Running", "reason": null, "conditions": null,
                "podIPs": [{"$patch": "replace"}, {"ip": "10.0.0.1"}]})
        );
    }
}
