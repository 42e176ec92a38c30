//! The pods behind a service. Pure.

use api::core::v1::{Pod, Service, ServicePort};
use api::pod_conditions::is_terminal;
use apimachinery::int_or_string::IntOrString;
use apimachinery::labels::Selector;
use controller_runtime::event_recorder::EventType;
use controller_runtime::{Event, Informer, ObjectKey, Recorder, WorkQueue};

/// The addresses of headless services.
pub const NO_CLUSTER_IP: &str = "None";
/// On slices and endpoints of services without a cluster address.
pub const HEADLESS_LABEL: &str = "service.kubernetes.io/headless";

/// Whether controllers make endpoints for this service: it selects pods and isn't a mere alias.
pub fn is_managed(service: &Service) -> bool {
    service.spec.type_ != "ExternalName" && !service.spec.selector.is_empty()
}

pub fn has_cluster_ip(service: &Service) -> bool {
    !matches!(service.spec.cluster_ip.as_str(), "" | NO_CLUSTER_IP)
}

pub fn selects(service: &Service, pod: &Pod) -> bool {
    is_managed(service) && Selector::from_labels(&service.spec.selector).matches(&pod.metadata.labels)
}

/// Whether a pod can be an endpoint: it has an address and hasn't ended.
pub fn has_endpoint(pod: &Pod, include_terminating: bool) -> bool {
    let addressed = !pod.status.pod_ip.is_empty() || !pod.status.pod_ips.is_empty();
    addressed && !is_terminal(pod) && (include_terminating || pod.metadata.deletion_timestamp.is_none())
}

/// The name under which DNS knows the pod within the service, if it asks for one.
pub fn hostname(service: &Service, pod: &Pod) -> Option<String> {
    let wanted = !pod.spec.hostname.is_empty()
        && pod.spec.subdomain == service.metadata.name
        && pod.metadata.namespace == service.metadata.namespace;
    wanted.then(|| pod.spec.hostname.clone())
}

/// The number of a service's port on a pod; none when the pod has no port of that name.
pub fn target_port(pod: &Pod, port: &ServicePort) -> Option<i32> {
    let name = match &port.target_port {
        IntOrString::Int(number) => return Some(*number),
        IntOrString::String(name) => name,
    };
    let sidecars = pod
        .spec
        .init_containers
        .iter()
        .filter(|c| c.restart_policy.as_deref() == Some("Always"));
    let mut ports = pod
        .spec
        .containers
        .iter()
        .chain(sidecars)
        .flat_map(|container| &container.ports);
    ports
        .find(|p| p.name == *name && p.protocol == port.protocol)
        .map(|p| p.container_port)
}

/// Queues the services that a changed pod is or was behind.
pub(crate) fn watch_pods(pods: &Informer<Pod>, services: &Informer<Service>, queue: &WorkQueue<ObjectKey>) {
    let (services, queue) = (services.store(), queue.clone());
    pods.add_handler(move |event| {
        let (old, new) = match event {
            Event::Added(pod) | Event::Deleted(pod) => (pod, pod),
            Event::Updated { old, new } if matters(old, new) => (old, new),
            Event::Updated { .. } => return,
        };
        for service in services.namespace(&new.metadata.namespace) {
            if selects(&service, new) || selects(&service, old) {
                queue.add(ObjectKey::of(&service.metadata));
            }
        }
    });
}

/// Whether a change of a pod can change endpoints. Most don't: statuses change often.
fn matters(old: &Pod, new: &Pod) -> bool {
    old.metadata.labels != new.metadata.labels
        || old.metadata.uid != new.metadata.uid
        || old.metadata.deletion_timestamp != new.metadata.deletion_timestamp
        || old.status.phase != new.status.phase
        || old.status.pod_ip != new.status.pod_ip
        || old.status.pod_ips != new.status.pod_ips
        || old.spec.node_name != new.spec.node_name
        || old.spec.hostname != new.spec.hostname
        || old.spec.subdomain != new.spec.subdomain
        || api::pod_conditions::is_ready(old) != api::pod_conditions::is_ready(new)
}

/// Tells users of a service that its endpoints can't be written.
pub(crate) fn tell_failure(recorder: &Recorder, service: &Service, reason: &str, message: String) {
    recorder.event(service, EventType::Warning, reason, message);
}
