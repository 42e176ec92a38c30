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
    format!("bench-{}", digits(n))
}

fn digits(n: usize) -> String {
    format!("{n:06}")
}

/// Makes the bodies of many objects: a text with blanks that are filled in, so that the load generator takes little
/// of the processor that the server needs.
pub struct Template {
    settings: Settings,
    text: String,
}

/// Stands for the object's number, its shard and its node in a template.
const BLANKS: [&str; 3] = ["@number@", "@shard@", "@node@"];

impl Template {
    pub fn new(settings: &Settings) -> Self {
        let document = match settings.kind {
            Kind::Pods => pod(settings),
            Kind::ConfigMaps => config_map(&format!("bench-{}", BLANKS[0]), ""),
        };
        Self {
            settings: settings.clone(),
            text: document.to_string(),
        }
    }

    /// The nth object, encoded.
    pub fn body(&self, n: usize) -> Result<Bytes, Error> {
        let node = n.checked_rem(self.settings.nodes).unwrap_or_default();
        let filling = [digits(n), (n % SHARDS).to_string(), node.to_string()];
        let mut text = String::with_capacity(self.text.len());
        let mut rest = self.text.as_str();
        while let Some(at) = rest.find('@') {
            let (before, blank) = rest.split_at(at);
            text.push_str(before);
            rest = match BLANKS.iter().position(|name| blank.starts_with(name)) {
                Some(which) => {
                    text.push_str(&filling[which]);
                    &blank[BLANKS[which].len()..]
                }
                None => {
                    text.push('@');
                    &blank[1..]
                }
            };
        }
        text.push_str(rest);
        match self.settings.kind {
            Kind::Pods => encode::<api::core::v1::Pod>(self.settings.encoding, text),
            Kind::ConfigMaps => encode::<api::core::v1::ConfigMap>(self.settings.encoding, text),
        }
    }
}

/// A document in the encoding, with its type.
pub fn encode<K: ApiKind + Message + Default>(encoding: Encoding, text: String) -> Result<Bytes, Error> {
    if encoding == Encoding::Json {
        return Ok(Bytes::from(text));
    }
    let object = K::from_json(text.as_bytes()).map_err(|error| Error::Answer(error.to_string()))?;
    Ok(enveloped(&object))
}

/// A message as a protobuf body.
fn enveloped<K: ApiKind + Message>(object: &K) -> Bytes {
    let api_version = if K::GROUP.is_empty() {
        K::VERSION.to_owned()
    } else {
        format!("{}/{}", K::GROUP, K::VERSION)
    };
    let type_meta = TypeMeta {
        api_version: &api_version,
        kind: K::KIND,
    };
    Bytes::from(wrap(type_meta, &object.encode_to_vec()))
}

fn pod(settings: &Settings) -> Value {
    let environment: Vec<_> = (0..24)
        .map(|at| json!({"name": format!("SETTING_{at:02}"), "value": format!("value of the setting number {at} of {}", BLANKS[0])}))
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
            "name": format!("bench-{}", BLANKS[0]),
            "labels": {"app": "bench", "shard": BLANKS[1], "app.kubernetes.io/name": "bench"},
            "annotations": {"bench.example.com/purpose": "a pod of the usual size that nothing will ever run"}
        },
        "spec": {
            "schedulerName": "bench", "automountServiceAccountToken": false,
            "containers": [container("web"), container("sidecar")],
            "volumes": [{"name": "scratch", "emptyDir": {}}]
        }
    });
    if settings.nodes > 0 {
        pod["spec"]["nodeName"] = Value::from(format!("{NODE}{}", BLANKS[2]));
    }
    pod
}

const NODE: &str = "bench-node-";

pub fn node(n: usize) -> String {
    format!("{NODE}{n}")
}

/// `payload` lets readers recognize the write.
pub fn config_map(name: &str, payload: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": name, "labels": {"app": "bench"}},
        "data": {"payload": payload, "text": "some text of the usual length for a small configuration ".repeat(8)}
    })
}

/// A lease that its holder has renewed so often.
pub fn lease(encoding: Encoding, name: &str, resource_version: &str, renewals: usize) -> Bytes {
    use api::coordination::v1::{Lease, LeaseSpec};
    let at = jiff::Timestamp::UNIX_EPOCH + std::time::Duration::from_micros(renewals as u64);
    let lease = Lease {
        metadata: api::meta::v1::ObjectMeta {
            name: name.to_owned(),
            resource_version: resource_version.to_owned(),
            ..Default::default()
        },
        spec: LeaseSpec {
            holder_identity: Some(name.to_owned()),
            lease_duration_seconds: Some(40),
            renew_time: Some(apimachinery::time::MicroTime(at)),
            ..Default::default()
        },
    };
    match encoding {
        Encoding::Json => Bytes::from(lease.to_json()),
        Encoding::Protobuf => enveloped(&lease),
    }
}

#[cfg(test)]
mod tests {
    use component_base::options::Invocation;

    use super::*;

    #[test]
    fn templates_are_filled_in() {
        let arguments = ["--kubeconfig=x", "--nodes=10", "create"];
        let Ok(Invocation::Run(values)) = crate::settings::flags().parse(arguments) else {
            panic!("the flags are not understood");
        };
        let settings = Settings::read(&values).unwrap();
        let body = Template::new(&settings).body(123).unwrap();
        let pod: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(pod["metadata"]["name"], "bench-000123");
        assert_eq!(pod["metadata"]["labels"]["shard"], "23");
        assert_eq!(pod["spec"]["nodeName"], "bench-node-3");
        assert!(!pod.to_string().contains('@'));
    }
}
