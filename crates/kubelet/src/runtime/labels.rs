//! The labels and annotations by which runtime objects are found again. Upstream: `kuberuntime/labels.go`.

use super::state::Annotations;
use crate::container_hash;
use api::{
    Message,
    core::v1::{Container, LifecycleHandler, Pod},
};
use std::collections::BTreeMap;

pub const POD_NAME: &str = "io.kubernetes.pod.name";
pub const POD_NAMESPACE: &str = "io.kubernetes.pod.namespace";
pub const POD_UID: &str = "io.kubernetes.pod.uid";
pub const CONTAINER_NAME: &str = "io.kubernetes.container.name";

const DELETION_GRACE: &str = "io.kubernetes.pod.deletionGracePeriod";
const TERMINATION_GRACE: &str = "io.kubernetes.pod.terminationGracePeriod";
const HASH: &str = "io.kubernetes.container.hash";
const RESTART_COUNT: &str = "io.kubernetes.container.restartCount";
const MESSAGE_PATH: &str = "io.kubernetes.container.terminationMessagePath";
const MESSAGE_POLICY: &str = "io.kubernetes.container.terminationMessagePolicy";
const PRE_STOP: &str = "io.kubernetes.container.preStopHandler";
const PORTS: &str = "io.kubernetes.container.ports";

type Pairs = std::collections::HashMap<String, String>;

fn identity(pod: &Pod) -> impl Iterator<Item = (String, String)> + '_ {
    [
        (POD_NAME, &pod.metadata.name),
        (POD_NAMESPACE, &pod.metadata.namespace),
        (POD_UID, &pod.metadata.uid),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value.clone()))
}

pub fn for_sandbox(pod: &Pod) -> Pairs {
    pod.metadata
        .labels
        .iter()
        .map(|(k, v)| (k.clone(), v.clone()))
        .chain(identity(pod))
        .collect()
}

pub fn for_container(pod: &Pod, container: &Container) -> Pairs {
    identity(pod)
        .chain([(CONTAINER_NAME.to_owned(), container.name.clone())])
        .collect()
}

/// The selector that finds everything of one pod.
pub fn of_pod(uid: &str) -> Pairs {
    [(POD_UID.to_owned(), uid.to_owned())].into()
}

pub fn container_annotations(pod: &Pod, container: &Container, restart_count: u32) -> Pairs {
    let mut pairs = Pairs::from([
        (HASH.to_owned(), format!("{:x}", container_hash::hash(container))),
        (RESTART_COUNT.to_owned(), restart_count.to_string()),
        (
            MESSAGE_PATH.to_owned(),
            container.termination_message_path.clone(),
        ),
        (
            MESSAGE_POLICY.to_owned(),
            container.termination_message_policy.clone(),
        ),
    ]);
    if let Some(seconds) = pod.metadata.deletion_grace_period_seconds {
        pairs.insert(DELETION_GRACE.to_owned(), seconds.to_string());
    }
    if let Some(seconds) = pod.spec.termination_grace_period_seconds {
        pairs.insert(TERMINATION_GRACE.to_owned(), seconds.to_string());
    }
    if let Some(hook) = container
        .lifecycle
        .as_ref()
        .and_then(|lifecycle| lifecycle.pre_stop.as_ref())
    {
        pairs.insert(
            PRE_STOP.to_owned(),
            String::from_utf8_lossy(&hook.to_json()).into_owned(),
        );
    }
    if !container.ports.is_empty() {
        let ports: Vec<String> = container
            .ports
            .iter()
            .map(|port| String::from_utf8_lossy(&port.to_json()).into_owned())
            .collect();
        pairs.insert(PORTS.to_owned(), format!("[{}]", ports.join(",")));
    }
    pairs
}

/// What is read back from a container's annotations.
#[derive(Debug, Default)]
pub struct Read {
    pub hash: u64,
    pub restart_count: u32,
    pub annotations: Annotations,
}

/// Reads annotations that this kubelet, an older one or upstream's wrote; what is missing or malformed reads as absent.
pub fn read(pairs: &Pairs) -> Read {
    let text = |key: &str| pairs.get(key).map(String::as_str);
    let number = |key: &str| text(key).and_then(|value| value.parse::<i64>().ok());
    Read {
        hash: text(HASH)
            .and_then(|value| u64::from_str_radix(value, 16).ok())
            .unwrap_or(0),
        restart_count: text(RESTART_COUNT)
            .and_then(|value| value.parse().ok())
            .unwrap_or(0),
        annotations: Annotations {
            deletion_grace_period: number(DELETION_GRACE),
            termination_grace_period: number(TERMINATION_GRACE),
            pre_stop: text(PRE_STOP).and_then(|json| LifecycleHandler::from_json(json.as_bytes()).ok()),
            termination_message_path: text(MESSAGE_PATH).unwrap_or_default().to_owned(),
            termination_message_policy: text(MESSAGE_POLICY).unwrap_or_default().to_owned(),
        },
    }
}

/// The identity of the pod that an object belongs to, if a kubelet made it.
pub fn pod_identity(labels: &Pairs) -> Option<(String, String, String)> {
    Some((
        labels.get(POD_UID)?.clone(),
        labels.get(POD_NAMESPACE)?.clone(),
        labels.get(POD_NAME)?.clone(),
    ))
}

/// The annotations of the pod as the runtime wants them.
pub fn pod_annotations(annotations: &BTreeMap<String, String>) -> Pairs {
    annotations.iter().map(|(k, v)| (k.clone(), v.clone())).collect()
}
