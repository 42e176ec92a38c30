//! Deployments, as their users see them.

use crate::Outcome;
use crate::cases::Scene;
use crate::kubectl::{Kubectl, contains, eventually, same};

fn images(kubectl: &Kubectl) -> Result<Vec<String>, String> {
    let pods = kubectl.json(&[
        "get",
        "pods",
        "-l",
        "app=web",
        "--field-selector=status.phase=Running",
    ])?;
    let living = pods["items"].as_array().into_iter().flatten();
    let living = living.filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
    Ok(living
        .map(|pod| {
            pod["spec"]["containers"][0]["image"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        })
        .collect())
}

pub fn roll(scene: &Scene<'_>) -> Outcome {
    let kubectl = &scene.kubectl;
    let rolled_out = || {
        kubectl
            .run(&["rollout", "status", "deployment/web", "--timeout=120s"])
            .map(drop)
    };
    let all_are = |image: &str, count: usize| {
        eventually("images", || {
            same("images", images(kubectl)?, vec![image.to_owned(); count])
        })
    };
    kubectl.run(&[
        "create",
        "deployment",
        "web",
        "--image=oxikube.io/echo:v1",
        "--replicas=3",
    ])?;
    rolled_out()?;
    all_are("oxikube.io/echo:v1", 3)?;
    kubectl.run(&["scale", "deployment/web", "--replicas=5"])?;
    rolled_out()?;
    all_are("oxikube.io/echo:v1", 5)?;
    kubectl.run(&["set", "image", "deployment/web", "echo=oxikube.io/echo:v2"])?;
    rolled_out()?;
    all_are("oxikube.io/echo:v2", 5)?;
    contains(&kubectl.run(&["rollout", "history", "deployment/web"])?, "2 ")?;
    kubectl.run(&["rollout", "undo", "deployment/web"])?;
    rolled_out()?;
    all_are("oxikube.io/echo:v1", 5)?;
    let described = kubectl.run(&["describe", "deployment", "web"])?;
    contains(
        &described,
        "5 desired | 5 updated | 5 total | 5 available | 0 unavailable",
    )?;
    contains(&described, "ScalingReplicaSet")?;
    contains(&kubectl.run(&["get", "deployment", "web"])?, "5/5")?;
    kubectl.run(&["delete", "deployment", "web"])?;
    eventually("pods are gone", || same("pods", images(kubectl)?, Vec::new()))
}

pub fn drain(scene: &Scene<'_>) -> Outcome {
    let kubectl = &scene.kubectl;
    kubectl.run(&[
        "create",
        "deployment",
        "web",
        "--image=oxikube.io/echo:v1",
        "--replicas=4",
    ])?;
    kubectl.run(&["rollout", "status", "deployment/web", "--timeout=120s"])?;
    let nodes = || -> Result<Vec<String>, String> {
        let pods = kubectl.json(&["get", "pods", "-l", "app=web"])?;
        let living = pods["items"].as_array().into_iter().flatten();
        let living = living.filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
        let mut nodes: Vec<_> = living
            .map(|pod| pod["spec"]["nodeName"].as_str().unwrap_or("-").to_owned())
            .collect();
        nodes.sort();
        nodes.dedup();
        Ok(nodes)
    };
    same("nodes", nodes()?, vec!["node-1".to_owned(), "node-2".to_owned()])?;
    let drained = kubectl.run(&[
        "drain",
        "node-2",
        "--ignore-daemonsets",
        "--force",
        "--timeout=90s",
    ]);
    let moved =
        drained.and_then(|_| eventually("pods move", || same("nodes", nodes()?, vec!["node-1".to_owned()])));
    let shown = kubectl.run(&["get", "node", "node-2"]);
    // Later cases need the node, whatever became of this one.
    kubectl.run(&["uncordon", "node-2"])?;
    moved?;
    contains(&shown?, "SchedulingDisabled")
}
