//! What is written: pods of about 5 KB in JSON as a controller makes them, config maps, leases.

use api::codec::TypeMeta;
use api::codec::envelope::wrap;
use api::{Kind as ApiKind, Message};
use bytes::Bytes;
use client::request::{JSON, PROTOBUF};
use serde_json::{Value, json};

use crate::Error;
use crate::settings::{Encoding, Kind, Settings};

/// Label values that the selecting run tells objects apart by.
pub const SHARDS: usize = 50;

impl Kind {
    pub fn plural(self) -> &'static str {
        match self {
            Kind::Pods => "pods",
            Kind::ConfigMaps => "configmaps",
        }
    }
}

impl Encoding {
    pub fn media_type(self) -> &'static str {
        match self {
            Encoding::Json => JSON,
            Encoding::Protobuf => PROTOBUF,
        }
    }
}

/// The name of the nth object.
pub fn name(n: usize) -> String {
    format!("bench-{n:06}")
}

/// The nth object, encoded.
pub fn body(settings: &Settings, n: usize) -> Result<Bytes, Error> {
    match settings.kind {
        Kind::Pods => encode::<api::core::v1::Pod>(settings.encoding, &pod(settings, n)),
        Kind::ConfigMaps => encode::<api::core::v1::ConfigMap>(settings.encoding, &config_map(&name(n), "")),
    }
}

/// A document in the encoding, with its type.
pub fn encode<K: ApiKind + Message + Default>(encoding: Encoding, document: &Value) -> Result<Bytes, Error> {
    let text = document.to_string();
    if encoding == Encoding::Json {
        return Ok(Bytes::from(text));
    }
    let object = K::from_json(text.as_bytes()).map_err(|error| Error::Answer(error.to_string()))?;
    let api_version = if K::GROUP.is_empty() {
        K::VERSION.to_owned()
    } else {
        format!("{}/{}", K::GROUP, K::VERSION)
    };
    let type_meta = TypeMeta {
        api_version: &api_version,
        kind: K::KIND,
    };
    Ok(Bytes::from(wrap(type_meta, &object.encode_to_vec())))
}

fn pod(settings: &Settings, n: usize) -> Value {
    let environment: Vec<_> = (0..24)
        .map(|at| json!({"name": format!("SETTING_{at:02}"), "value": format!("value of the setting number {at} of {n}")}))
        .collect();
    let container = |name: &str| {
        json!({
            "name": name, "image": "registry.example.com/team/web:1.27.3", "imagePullPolicy": "IfNotPresent",
            "env": environment, "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
            "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
            "readinessProbe": {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 10},
            "livenessProbe": {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 20},
            "volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}]
        })
    };
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name(n),
            "labels": {"app": "bench", "shard": (n % SHARDS).to_string(), "app.kubernetes.io/name": "bench"},
            "annotations": {"bench.example.com/purpose": "a pod of the usual size that nothing will ever run"}
        },
        "spec": {
            "schedulerName": "bench", "automountServiceAccountToken": false,
            "containers": [container("web"), container("sidecar")],
            "volumes": [{"name": "scratch", "emptyDir": {}}]
        }
    });
    if settings.nodes > 0 {
        pod["spec"]["nodeName"] = Value::from(node(n % settings.nodes));
    }
    pod
}

pub fn node(n: usize) -> String {
    format!("bench-node-{n}")
}

/// `payload` lets readers recognize the write.
pub fn config_map(name: &str, payload: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": name, "labels": {"app": "bench"}},
        "data": {"payload": payload, "text": "some text of the usual length for a small configuration ".repeat(8)}
    })
}

pub fn lease(name: &str, resource_version: Option<&str>, renewals: usize) -> Value {
    let mut lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": name},
        "spec": {
            "holderIdentity": name, "leaseDurationSeconds": 40,
            "renewTime": format!("2026-01-01T00:00:00.{:06}Z", renewals % 1_000_000)
        }
    });
    if let Some(resource_version) = resource_version {
        lease["metadata"]["resourceVersion"] = Value::from(resource_version);
    }
    lease
}
