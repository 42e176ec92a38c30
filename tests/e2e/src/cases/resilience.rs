//! Daemons that are killed.

use crate::Outcome;
use crate::cluster::Cluster;
use crate::kubectl::{contains, eventually, same};

/// How often the API server is killed during writes.
const KILLS: usize = 5;
const WRITES_PER_ROUND: usize = 20;

pub fn daemons_resume(cluster: &Cluster, namespace: &str) -> Outcome {
    let kubectl = cluster.kubectl(namespace);
    kubectl.run(&[
        "create",
        "deployment",
        "web",
        "--image=oxikube.io/echo:v1",
        "--replicas=2",
    ])?;
    kubectl.run(&["rollout", "status", "deployment/web", "--timeout=120s"])?;
    let ids = || {
        let path = "jsonpath={range .items[*]}{.status.containerStatuses[0].containerID}{'\\n'}{end}";
        kubectl.run(&["get", "pods", "-l", "app=web", "-o", path])
    };
    let before = ids()?;
    let daemons = [
        "node-1-kubelet",
        "node-2-kube-proxy",
        "kube-scheduler",
        "kube-controller-manager",
    ];
    for daemon in daemons {
        cluster.kill(daemon)?;
    }
    cluster.restart_missing()?;
    kubectl.run(&["scale", "deployment/web", "--replicas=4"])?;
    kubectl.run(&["rollout", "status", "deployment/web", "--timeout=120s"])?;
    let after = ids()?;
    for id in before.lines() {
        contains(&after, id)?;
    }
    Ok(())
}

pub fn no_acknowledged_write_is_lost(cluster: &Cluster, namespace: &str) -> Outcome {
    let kubectl = cluster.kubectl(namespace);
    let mut acknowledged = Vec::new();
    for round in 0..KILLS {
        let writer = {
            let kubectl = kubectl.clone();
            std::thread::spawn(move || {
                let names = (0..WRITES_PER_ROUND).map(|i| format!("w-{round}-{i}"));
                let created = |name: &String| {
                    kubectl
                        .run(&["create", "configmap", name, "--from-literal=k=v"])
                        .is_ok()
                };
                names.filter(created).collect::<Vec<_>>()
            })
        };
        // Killed in the middle of the writes: once the first of the round is there.
        let first = format!("w-{round}-0");
        eventually("writes began", || {
            kubectl.run(&["get", "configmap", &first]).map(drop)
        })?;
        cluster.kill("kube-apiserver")?;
        acknowledged.extend(writer.join().map_err(|_| "the writer panicked")?);
        cluster.restart_missing()?;
    }
    let stored = kubectl.run(&["get", "configmaps", "-o", "name"])?;
    let lost: Vec<_> = acknowledged
        .iter()
        .filter(|name| !stored.lines().any(|line| line == format!("configmap/{name}")))
        .collect();
    same("lost writes", lost, Vec::new())?;
    if acknowledged.len() < KILLS {
        Err(format!("only {} writes were acknowledged", acknowledged.len()))
    } else {
        Ok(())
    }
}
