//! How long a pod of about 5 KB takes through the codec: `cargo run --release -p api --example codec_speed`.

use api::Message;
use api::codec::{TypeMeta, json_to_proto, proto_to_json};
use api::core::v1::Pod;
use serde_json::{Value, json};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// A pod as a Deployment's, with defaults, status and two managers' field sets.
fn pod() -> Value {
    let container = |name: &str| {
        let env = |n: u32| json!({"name": format!("SETTING_{n}"), "value": format!("value-{n}-of-{name}")});
        json!({
            "name": name, "image": format!("registry.example.com/team/{name}:v1.2.3"),
            "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
            "env": (0..8).map(env).collect::<Vec<_>>(),
            "resources": {"limits": {"cpu": "500m", "memory": "512Mi"}, "requests": {"cpu": "250m", "memory": "256Mi"}},
            "volumeMounts": [
                {"name": "config", "mountPath": "/etc/config", "readOnly": true},
                {"name": "kube-api-access-x7k2p", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": true},
            ],
            "livenessProbe": {
                "httpGet": {"path": "/healthz", "port": "http", "scheme": "HTTP"},
                "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3,
            },
            "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
            "imagePullPolicy": "IfNotPresent",
        })
    };
    let condition = |name: &str| json!({"type": name, "status": "True", "lastProbeTime": null, "lastTransitionTime": "2026-01-02T03:04:05Z"});
    let conditions = ["Initialized", "Ready", "ContainersReady", "PodScheduled"].map(condition);
    let fields = json!({"f:metadata": {"f:labels": {".": {}, "f:app": {}, "f:pod-template-hash": {}}}, "f:spec": {
        "f:containers": {"k:{\"name\":\"server\"}": {".": {}, "f:env": {".": {}, "k:{\"name\":\"SETTING_0\"}": {
        ".": {}, "f:name": {}, "f:value": {}}}, "f:image": {}, "f:name": {}, "f:resources": {}}}, "f:dnsPolicy": {}}});
    let manager = |name: &str| {
        json!({"manager": name, "operation": "Update", "apiVersion": "v1", "time": "2026-01-02T03:04:05Z",
            "fieldsType": "FieldsV1", "fieldsV1": fields})
    };
    json!({
        "kind": "Pod", "apiVersion": "v1",
        "metadata": {
            "name": "server-5d8f7c9b6d-x7k2p", "generateName": "server-5d8f7c9b6d-", "namespace": "production",
            "uid": "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9", "resourceVersion": "123456789",
            "creationTimestamp": "2026-01-02T03:04:05Z",
            "labels": {"app": "server", "pod-template-hash": "5d8f7c9b6d", "tier": "backend"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "server-5d8f7c9b6d",
                "uid": "1a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9", "controller": true, "blockOwnerDeletion": true}],
            "managedFields": [manager("kube-controller-manager"), manager("kubelet")],
        },
        "spec": {
            "volumes": [{"name": "config", "configMap": {"name": "server-config", "defaultMode": 420}}],
            "containers": [container("server"), container("sidecar")],
            "restartPolicy": "Always", "terminationGracePeriodSeconds": 30, "dnsPolicy": "ClusterFirst",
            "serviceAccountName": "server", "serviceAccount": "server", "nodeName": "node-17",
            "securityContext": {}, "schedulerName": "default-scheduler", "priority": 0, "enableServiceLinks": true,
            "tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute",
                "tolerationSeconds": 300}],
        },
        "status": {
            "phase": "Running", "hostIP": "10.0.0.17", "podIP": "10.244.3.9", "podIPs": [{"ip": "10.244.3.9"}],
            "startTime": "2026-01-02T03:04:05Z", "qosClass": "Burstable",
            "conditions": conditions,
        },
    })
}

/// The best of several rounds, per call.
fn measure(name: &str, mut call: impl FnMut()) {
    const ROUND: u32 = 1000;
    let round = |_| {
        let start = Instant::now();
        (0..ROUND).for_each(|_| call());
        start.elapsed() / ROUND
    };
    let best = (0..20).map(round).min().unwrap_or(Duration::ZERO);
    println!("{name:24} {best:?}");
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let json = pod().to_string().into_bytes();
    let pod = Pod::from_json(&json)?;
    let (proto, ty) = (pod.encode_to_vec(), pod.descriptor());
    println!("JSON {} bytes, protobuf {} bytes", json.len(), proto.len());
    let meta = TypeMeta {
        api_version: "v1",
        kind: "Pod",
    };
    let mut out = Vec::new();
    measure("protobuf -> JSON", || {
        out.clear();
        black_box(proto_to_json(Some(meta), ty, black_box(&proto), &mut out)).ok();
    });
    measure("JSON -> protobuf", || {
        drop(black_box(json_to_proto(ty, black_box(&json))))
    });
    measure("protobuf -> struct", || {
        drop(black_box(Pod::decode(black_box(&proto))))
    });
    measure("struct -> protobuf", || drop(black_box(pod.encode_to_vec())));
    measure("JSON -> serde_json", || {
        drop(black_box(serde_json::from_slice::<Value>(black_box(&json))))
    });
    Ok(())
}
