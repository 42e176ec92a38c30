//! What the daemons tell of themselves.

use std::fs;
use std::process::Command;

use crate::cases::Scene;
use crate::kubectl::{contains, run};
use crate::{Failure, Outcome};

/// Metrics that every daemon has.
const OF_ALL: &[&str] = &["process_resident_memory_bytes", "process_cpu_seconds_total"];
/// Where a daemon on the node's own network serves, seen from there.
const ON_NODES: &[(&str, &str)] = &[
    (
        "http://127.0.0.1:10249/metrics",
        "kubeproxy_sync_proxy_rules_duration_seconds_count",
    ),
    ("http://127.0.0.1:10266/metrics", "pod_network_"),
];
const ON_CONTROL_PLANE: &[(u16, &str)] = &[
    (10257, "workqueue_adds_total"),
    (10259, "scheduler_schedule_attempts_total"),
];

pub fn daemons_are_measured(scene: &Scene<'_>) -> Outcome {
    let kubectl = &scene.kubectl;
    let shows = |text: &str, metric: &str| {
        OF_ALL.iter().try_for_each(|metric| contains(text, metric))?;
        contains(text, metric)
    };
    shows(
        &kubectl.run(&["get", "--raw", "/metrics"])?,
        "apiserver_request_total{",
    )?;
    for node in ["node-1", "node-2"] {
        let path = format!("/api/v1/nodes/{node}/proxy/metrics");
        shows(&kubectl.run(&["get", "--raw", &path])?, "kubelet_running_pods")?;
    }
    let administrator = Administrator::new(scene)?;
    for (port, metric) in ON_CONTROL_PLANE {
        shows(&administrator.get(*port, "/metrics")?, metric)?;
        contains(&administrator.get(*port, "/healthz")?, "ok")?;
    }
    kubectl.apply(
        r#"
apiVersion: v1
kind: Pod
metadata: {name: on-node}
spec:
  hostNetwork: true
  dnsPolicy: ClusterFirstWithHostNet
  terminationGracePeriodSeconds: 1
  containers:
  - {name: shell, image: "oxikube.io/busybox:1", command: [sleep, 1d]}
"#,
    )?;
    kubectl.ready("on-node")?;
    let fetch = |url: &str| kubectl.exec("on-node", &format!("timeout 5 wget -qO- {url}"));
    for (url, metric) in ON_NODES {
        shows(&fetch(url)?, metric)?;
    }
    shows(
        &fetch("http://kube-dns.kube-system:9153/metrics")?,
        "coredns_dns_requests_total",
    )
}

/// Asks the control plane's secure ports with the administrator's certificate.
struct Administrator {
    host: String,
    identity: [String; 2],
}

impl Administrator {
    fn new(scene: &Scene<'_>) -> Result<Self, Failure> {
        let config = |template: &str| {
            let output = format!("go-template={template}");
            scene.kubectl.run(&["config", "view", "--raw", "-o", &output])
        };
        let server = config("{{(index .clusters 0).cluster.server}}")?;
        let host = server.trim_start_matches("https://").split(':').next();
        let folder = scene.scratch()?;
        let save = |part: &str| -> Result<String, Failure> {
            let field = format!("{{{{index (index .users 0).user \"client-{part}-data\" | base64decode}}}}");
            let file = folder.join(part);
            fs::write(&file, config(&field)?).map_err(|error| error.to_string())?;
            Ok(file.display().to_string())
        };
        Ok(Self {
            host: host.unwrap_or_default().to_owned(),
            identity: [save("certificate")?, save("key")?],
        })
    }

    /// The certificates that these daemons serve with are of their own making.
    fn get(&self, port: u16, path: &str) -> Result<String, Failure> {
        let [certificate, key] = &self.identity;
        let url = format!("https://{}:{port}{path}", self.host);
        run(Command::new("curl").args(["-sSfk", "-m", "5", "--cert", certificate, "--key", key, &url]))
    }
}
