//! Services: by name, by address, from pods and from outside.

use crate::Outcome;
use crate::cluster::Cluster;
use crate::kubectl::{Kubectl, contains, eventually, run};

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

pub fn reached(cluster: &Cluster, namespace: &str) -> Outcome {
    let kubectl = cluster.kubectl(namespace);
    kubectl.run(&[
        "create",
        "deployment",
        "web",
        "--image=oxikube.io/echo:v1",
        "--replicas=2",
    ])?;
    kubectl.run(&["rollout", "status", "deployment/web", "--timeout=120s"])?;
    kubectl.run(&[
        "expose",
        "deployment",
        "web",
        "--port=80",
        "--target-port=8080",
        "--type=NodePort",
    ])?;
    kubectl.apply(
        "apiVersion: v1\nkind: Service\nmetadata: {name: headless}\nspec: {clusterIP: None, selector: {app: web}, ports: [{port: 8080}]}\n",
    )?;
    let service = kubectl.json(&["get", "service", "web"])?;
    let port = service["spec"]["ports"][0]["nodePort"]
        .as_i64()
        .unwrap_or_default();
    let pods = kubectl.json(&["get", "pods", "-l", "app=web"])?;
    let ips: Vec<_> = pods["items"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|pod| pod["status"]["podIP"].as_str().unwrap_or_default().to_owned())
        .collect();
    for node in ["node-1", "node-2"] {
        shell_on(&kubectl, node)?;
        let shell = format!("shell-{node}");
        let fetch = |url: &str| kubectl.exec(&shell, &format!("wget -T 5 -qO- {url}/hostname"));
        for name in [
            "http://web".to_owned(),
            format!("http://web.{namespace}.svc.cluster.local"),
        ] {
            eventually(&format!("{node} reaches {name}"), || {
                contains(&fetch(&name)?, "web-")
            })?;
        }
        for ip in &ips {
            eventually(&format!("{node} reaches {ip}"), || {
                contains(&fetch(&format!("http://{ip}:8080"))?, "web-")
            })?;
        }
        let records = format!("nslookup headless.{namespace}.svc.cluster.local");
        for ip in &ips {
            eventually("headless records", || {
                contains(&kubectl.exec(&shell, &records)?, ip)
            })?;
        }
        let address = kubectl.run(&[
            "get",
            "node",
            node,
            "-o",
            "jsonpath={.status.addresses[?(@.type=='InternalIP')].address}",
        ])?;
        let url = format!("http://{address}:{port}/hostname");
        eventually("the node port answers", || {
            contains(
                &run(std::process::Command::new("curl").args(["-sS", "-m", "5", &url]))?,
                "web-",
            )
        })?;
    }
    kubectl.run(&["delete", "deployment", "web"])?;
    eventually("a service without endpoints refuses", || {
        let answer = kubectl.exec("shell-node-1", "wget -T 3 -qO- http://web/hostname");
        if answer.is_err() {
            Ok(())
        } else {
            Err(format!("{answer:?}"))
        }
    })
}
