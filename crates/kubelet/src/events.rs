//! What the kubelet tells users through Events. Upstream's reasons and words: `kubelet/events`.

use crate::pod;
use api::core::v1::{ObjectReference, Pod};
use controller_runtime::event_recorder::{EventType, Recorder, reference};

/// Records events, or only logs them in a kubelet without an API server.
#[derive(Clone)]
pub struct Events {
    recorder: Option<Recorder>,
    node_name: String,
}

impl Events {
    pub fn new(recorder: Option<Recorder>, node_name: &str) -> Self {
        Self {
            recorder,
            node_name: node_name.to_owned(),
        }
    }

    pub fn normal(&self, pod: &Pod, reason: &str, message: impl Into<String>) {
        self.record(reference(pod), EventType::Normal, reason, message.into());
    }

    pub fn warning(&self, pod: &Pod, reason: &str, message: impl Into<String>) {
        self.record(reference(pod), EventType::Warning, reason, message.into());
    }

    pub fn container_normal(&self, pod: &Pod, container: &str, reason: &str, message: impl Into<String>) {
        self.record(
            container_reference(pod, container),
            EventType::Normal,
            reason,
            message.into(),
        );
    }

    pub fn container_warning(&self, pod: &Pod, container: &str, reason: &str, message: impl Into<String>) {
        self.record(
            container_reference(pod, container),
            EventType::Warning,
            reason,
            message.into(),
        );
    }

    pub fn node_normal(&self, reason: &str, message: impl Into<String>) {
        self.record(self.node_reference(), EventType::Normal, reason, message.into());
    }

    pub fn node_warning(&self, reason: &str, message: impl Into<String>) {
        self.record(self.node_reference(), EventType::Warning, reason, message.into());
    }

    /// A node is named as its own uid, since events start before the node object is known.
    fn node_reference(&self) -> ObjectReference {
        ObjectReference {
            kind: "Node".into(),
            name: self.node_name.clone(),
            uid: self.node_name.clone(),
            ..ObjectReference::default()
        }
    }

    fn record(&self, object: ObjectReference, kind: EventType, reason: &str, message: String) {
        tracing::info!(
            object = %format!("{}/{}", object.namespace, object.name),
            field = %object.field_path,
            kind = kind.as_str(),
            reason,
            text = message,
            "event"
        );
        if let Some(recorder) = &self.recorder {
            recorder.event_for(object, kind, reason, "", message);
        }
    }
}

fn container_reference(spec: &Pod, container: &str) -> ObjectReference {
    let mut object = reference(spec);
    object.field_path = pod::container_field_path(spec, container).unwrap_or_default();
    object
}
