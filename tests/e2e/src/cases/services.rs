//! Services: by name, by address, from pods and from outside.

use crate::cases::Scene;
use crate::kubectl::{Kubectl, contains, eventually, run, same};
use crate::{Failure, Outcome};

const NODES: [&str; 2] = ["node-1", "node-2"];

fn shell_on(kubectl: &Kubectl, node: &str) -> Outcome {
    kubectl.apply(&format!(
        r#"
apiVersion: v1
kind: Pod
metadata: {{name: shell-{node}}}
spec:
  nodeName: {node}
  terminationGracePeriodSeconds: 1
  containers:
  - {{name: shell, image: "oxikube.io/busybox:1", command: [sleep, 1d]}}
"#
    ))?;
    kubectl.ready(&format!("shell-{node}"))
}

/// Fetches a page in the pod. busybox' own `-T` crashes in Debian's build.
fn fetch(kubectl: &Kubectl, pod: &str, url: &str) -> Result<String, Failure> {
    kubectl.exec(pod, &format!("timeout 5 wget -qO- {url}"))
}

/// Fetches a page from outside the nodes.
fn fetch_outside(url: &str) -> Result<String, Failure> {
    run(std::process::Command::new("curl").args(["-sS", "-m", "5", url]))
}

fn deploy_web(kubectl: &Kubectl, replicas: &str) -> Outcome {
    let replicas = format!("--replicas={replicas}");
    kubectl.run(&[
        "create",
        "deployment",
        "web",
        "--image=oxikube.io/echo:v1",
        &replicas,
    ])?;
    kubectl.run(&["rollout", "status", "deployment/web", "--timeout=120s"])?;
    Ok(())
}

fn internal_ip(kubectl: &Kubectl, node: &str) -> Result<String, Failure> {
    let path = "jsonpath={.status.addresses[?(@.type=='InternalIP')].address}";
    kubectl.run(&["get", "node", node, "-o", path])
}

fn node_port(kubectl: &Kubectl, service: &str) -> Result<String, Failure> {
    kubectl.run(&[
        "get",
        "service",
        service,
        "-o",
        "jsonpath={.spec.ports[0].nodePort}",
    ])
}

/// Addresses and node names of the web server's pods.
fn web_pods(kubectl: &Kubectl) -> Result<Vec<(String, String)>, Failure> {
    let pods = kubectl.json(&["get", "pods", "-l", "app=web"])?;
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let pod = |pod: &serde_json::Value| (text(&pod["status"]["podIP"]), text(&pod["spec"]["nodeName"]));
    Ok(pods["items"].as_array().into_iter().flatten().map(pod).collect())
}

pub fn reached(scene: &Scene<'_>) -> Outcome {
    let (kubectl, namespace) = (&scene.kubectl, scene.namespace);
    deploy_web(kubectl, "2")?;
    let expose = [
        "expose",
        "deployment",
        "web",
        "--port=80",
        "--target-port=8080",
        "--type=NodePort",
    ];
    kubectl.run(&expose)?;
    let port = node_port(kubectl, "web")?;
    let pods = web_pods(kubectl)?;
    let mut nodes: Vec<_> = pods.iter().map(|(_, node)| node.as_str()).collect();
    nodes.sort_unstable();
    same("nodes of the pods", nodes, NODES.to_vec())?;
    for node in NODES {
        shell_on(kubectl, node)?;
        let shell = format!("shell-{node}");
        let mut urls = vec![
            "http://web/hostname".to_owned(),
            format!("http://web.{namespace}.svc.cluster.local/hostname"),
        ];
        urls.extend(pods.iter().map(|(ip, _)| format!("http://{ip}:8080/hostname")));
        for url in urls {
            eventually(&format!("{node} reaches {url}"), || {
                contains(&fetch(kubectl, &shell, &url)?, "web-")
            })?;
        }
        let url = format!("http://{}:{port}/hostname", internal_ip(kubectl, node)?);
        eventually("the node port answers", || {
            contains(&fetch_outside(&url)?, "web-")
        })?;
    }
    kubectl.run(&["delete", "deployment", "web"])?;
    eventually("a service without endpoints refuses", || {
        match fetch(kubectl, "shell-node-1", "http://web/hostname") {
            Err(_) => Ok(()),
            Ok(answer) => Err(format!("{answer:?}")),
        }
    })
}

/// What cluster DNS says beyond a service's address.
pub fn named(scene: &Scene<'_>) -> Outcome {
    let (kubectl, namespace) = (&scene.kubectl, scene.namespace);
    let domain = format!("{namespace}.svc.cluster.local");
    kubectl.apply(&format!(
        r#"
apiVersion: v1
kind: Service
metadata: {{name: db}}
spec: {{clusterIP: None, selector: {{app: db}}, ports: [{{name: http, port: 8080}}]}}
---
apiVersion: v1
kind: Service
metadata: {{name: alias}}
spec: {{type: ExternalName, externalName: db.{domain}}}
---
apiVersion: v1
kind: Pod
metadata: {{name: first, labels: {{app: db}}}}
spec:
  hostname: first
  subdomain: db
  containers: [{{name: web, image: "oxikube.io/echo:v1"}}]
"#
    ))?;
    kubectl.ready("first")?;
    shell_on(kubectl, "node-1")?;
    let ip = kubectl.run(&["get", "pod", "first", "-o", "jsonpath={.status.podIP}"])?;
    let reversed = ip.split('.').rev().collect::<Vec<_>>().join(".");
    let dashed = ip.replace('.', "-");
    for (question, expected) in [
        (format!("db.{domain}"), ip.clone()),
        (format!("first.db.{domain}"), ip.clone()),
        (format!("alias.{domain}"), format!("canonical name = db.{domain}")),
        (format!("alias.{domain}"), ip.clone()),
        (format!("{dashed}.{namespace}.pod.cluster.local"), ip.clone()),
        (
            format!("-type=srv _http._tcp.db.{domain}"),
            format!("8080 first.db.{domain}"),
        ),
        (
            format!("-type=ptr {reversed}.in-addr.arpa"),
            format!("first.db.{domain}"),
        ),
        (
            "kubernetes.default.svc.cluster.local".to_owned(),
            "Address".to_owned(),
        ),
        (
            "-type=txt dns-version.cluster.local".to_owned(),
            "1.1.0".to_owned(),
        ),
    ] {
        eventually(&format!("nslookup {question}"), || {
            contains(
                &kubectl.exec("shell-node-1", &format!("nslookup {question}"))?,
                &expected,
            )
        })?;
    }
    let absent = kubectl.exec("shell-node-1", &format!("nslookup absent.{domain} 2>&1; true"))?;
    contains(&absent, "NXDOMAIN")?;
    contains(
        &fetch(kubectl, "shell-node-1", "http://alias:8080/hostname")?,
        "first",
    )
}

/// Which endpoint gets a connection, and whose address it sees.
pub fn governed(scene: &Scene<'_>) -> Outcome {
    let kubectl = &scene.kubectl;
    kubectl.apply(
        r#"
apiVersion: v1
kind: Service
metadata: {name: sticky}
spec: {sessionAffinity: ClientIP, selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: local}
spec: {type: NodePort, externalTrafficPolicy: Local, selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Pod
metadata: {name: only, labels: {app: web}}
spec:
  nodeName: node-2
  containers: [{name: web, image: "oxikube.io/echo:v1"}]
"#,
    )?;
    kubectl.ready("only")?;
    shell_on(kubectl, "node-1")?;
    local_traffic(kubectl)?;
    itself(kubectl)?;
    sticks(kubectl)
}

/// From outside, a node without an endpoint drops, and one with an endpoint shows it the client's own address. Pods
/// reach it everywhere.
fn local_traffic(kubectl: &Kubectl) -> Outcome {
    let port = node_port(kubectl, "local")?;
    let (with, without) = (internal_ip(kubectl, "node-2")?, internal_ip(kubectl, "node-1")?);
    eventually("the node with the endpoint answers", || {
        contains(
            &fetch_outside(&format!("http://{with}:{port}/"))?,
            "hostname: only",
        )
    })?;
    let seen = fetch_outside(&format!("http://{with}:{port}/"))?;
    let client = seen
        .lines()
        .find(|line| line.starts_with("client: "))
        .unwrap_or_default();
    if client.contains(&with) || client.contains(&without) {
        return Err(format!("the source was changed: {client}"));
    }
    if let Ok(answer) = fetch_outside(&format!("http://{without}:{port}/")) {
        return Err(format!("the node without an endpoint answered: {answer}"));
    }
    let url = format!("http://{without}:{port}/hostname");
    contains(&fetch(kubectl, "shell-node-1", &url)?, "only")
}

/// An endpoint reaches itself through its service. The image has no shell: the shell joins the service instead.
fn itself(kubectl: &Kubectl) -> Outcome {
    let endpoints = |count: usize| {
        let slices = kubectl.json(&["get", "endpointslices", "-l", "kubernetes.io/service-name=own"])?;
        let ready = slices["items"][0]["endpoints"].as_array().map_or(0, Vec::len);
        same("endpoints", ready, count)
    };
    kubectl.run(&["label", "pod", "shell-node-1", "app=own"])?;
    kubectl.apply(
        "apiVersion: v1\nkind: Service\nmetadata: {name: own}\nspec: {selector: {app: own}, ports: [{port: 80, targetPort: 8081}]}\n",
    )?;
    eventually("the shell is an endpoint", || endpoints(1))?;
    let script = "mkdir -p /tmp/www; echo myself > /tmp/www/index.html; httpd -p 8081 -h /tmp/www 2>/dev/null; \
                  timeout 5 wget -qO- http://own/";
    eventually("an endpoint reaches itself", || {
        contains(&kubectl.exec("shell-node-1", script)?, "myself")
    })
}

/// With session affinity a client stays with its endpoint.
fn sticks(kubectl: &Kubectl) -> Outcome {
    deploy_web(kubectl, "3")?;
    let script =
        "for i in 1 2 3 4 5 6 7 8; do timeout 5 wget -qO- http://sticky/hostname; done | sort -u | wc -l";
    eventually("a client sticks", || {
        let different = kubectl.exec("shell-node-1", script)?;
        same(
            "endpoints that answered",
            different.trim().to_owned(),
            "1".to_owned(),
        )
    })
}
