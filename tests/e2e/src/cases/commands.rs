//! kubectl's commands on objects without containers.

use crate::Outcome;
use crate::cases::Scene;
use crate::kubectl::{contains, eventually, same};

pub const MAP: &str =
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings, labels: {a: b}}\ndata: {color: blue}\n";

/// apply, diff, patch, label, annotate, replace, delete.
pub fn changed(scene: &Scene<'_>) -> Outcome {
    let kubectl = &scene.kubectl;
    let color = || kubectl.run(&["get", "configmap", "settings", "-o", "jsonpath={.data.color}"]);
    kubectl.apply(MAP)?;
    same("color", color()?.as_str(), "blue")?;
    let changed = MAP.replace("blue", "green");
    let diff = kubectl.run_with(&["diff", "-f", "-"], &changed);
    contains(&diff.err().unwrap_or_default(), "+  color: green")?;
    same(
        "no difference",
        kubectl.run_with(&["diff", "-f", "-"], MAP)?.as_str(),
        "",
    )?;
    kubectl.apply(&changed)?;
    same("color", color()?.as_str(), "green")?;
    kubectl.run(&[
        "patch",
        "configmap",
        "settings",
        "-p",
        r#"{"data":{"color":"red"}}"#,
    ])?;
    kubectl.run(&[
        "patch",
        "configmap",
        "settings",
        "--type=json",
        "-p",
        r#"[{"op":"add","path":"/data/size","value":"1"}]"#,
    ])?;
    kubectl.run(&["label", "configmap", "settings", "a-", "c=d"])?;
    kubectl.run(&["annotate", "configmap", "settings", "note=kept"])?;
    let map = kubectl.json(&["get", "configmap", "settings"])?;
    same(
        "data",
        map["data"].to_string().as_str(),
        r#"{"color":"red","size":"1"}"#,
    )?;
    same(
        "labels",
        map["metadata"]["labels"].to_string().as_str(),
        r#"{"c":"d"}"#,
    )?;
    contains(&kubectl.run(&["get", "configmaps", "-l", "c=d"])?, "settings")?;
    kubectl.run(&["delete", "configmap", "settings"])?;
    contains(
        &kubectl.refused(&["get", "configmap", "settings"])?,
        r#"Error from server (NotFound): configmaps "settings" not found"#,
    )
}

/// get, describe, explain, api-resources, api-versions, auth can-i, wait.
pub fn shown(scene: &Scene<'_>) -> Outcome {
    let kubectl = &scene.kubectl;
    contains(
        &kubectl.run(&["explain", "pod.spec.containers"])?,
        "imagePullPolicy",
    )?;
    contains(
        &kubectl.run(&["explain", "deployment", "--recursive"])?,
        "progressDeadlineSeconds",
    )?;
    let resources = kubectl.run(&["api-resources"])?;
    for row in ["deployments", "deploy", "apps/v1", "Deployment"] {
        contains(&resources, row)?;
    }
    contains(&kubectl.run(&["api-versions"])?, "apps/v1")?;
    contains(&kubectl.run(&["auth", "can-i", "list", "pods"])?, "yes")?;
    let other = ["auth", "can-i", "list", "secrets", "--as", "someone"];
    contains(&kubectl.refused(&other)?, "no")?;
    let node = kubectl.run(&["describe", "node", "node-1"])?;
    for part in [
        "kubernetes.io/hostname=node-1",
        "kubelet is posting ready status",
        "Allocated resources:",
        "PodCIDR:",
    ] {
        contains(&node, part)?;
    }
    let wide = kubectl.run(&["get", "nodes", "-o", "wide"])?;
    contains(&wide, "INTERNAL-IP")?;
    contains(&wide, "containerd://")?;
    let table = kubectl.run(&["get", "services", "-n", "default"])?;
    for part in ["CLUSTER-IP", "kubernetes", "443/TCP"] {
        contains(&table, part)?;
    }
    waited_for(scene)
}

/// wait succeeds where the condition holds, and says so where it doesn't come.
fn waited_for(scene: &Scene<'_>) -> Outcome {
    let kubectl = &scene.kubectl;
    let met = kubectl.run(&["wait", "--for=condition=Ready", "node", "--all", "--timeout=60s"])?;
    contains(&met, "node/node-2 condition met")?;
    let vain = kubectl.refused(&["wait", "--for=delete", "node/node-1", "--timeout=1s"])?;
    contains(&vain, "timed out waiting for the condition on nodes/node-1")
}

/// edit with an editor that is a script.
pub fn edited(scene: &Scene<'_>) -> Outcome {
    let kubectl = &scene.kubectl;
    kubectl.apply(MAP)?;
    let edit = |script: &str| kubectl.edit("configmap/settings", script);
    contains(&edit("s/color: blue/color: green/")?, "configmap/settings edited")?;
    eventually("the edit is there", || {
        let path = "jsonpath={.data.color} {.metadata.labels.a}";
        same(
            "data and label",
            kubectl
                .run(&["get", "configmap", "settings", "-o", path])?
                .as_str(),
            "green b",
        )
    })?;
    contains(&edit("s/absent/changed/")?, "Edit cancelled, no changes made.")?;
    // kubectl opens the editor again with what was wrong, and gives up when nothing changes.
    let renamed = edit("s/^  name: settings/  name: other/")
        .err()
        .unwrap_or_default();
    contains(&renamed, "apiVersion, kind and name")?;
    let invalid = edit("s/^  color: green/  no spaces: green/")
        .err()
        .unwrap_or_default();
    contains(&invalid, r#"configmaps "settings" is invalid"#)?;
    let names = kubectl.run(&["get", "configmaps", "-o", "name"])?;
    same(
        "what is stored",
        names.trim(),
        "configmap/kube-root-ca.crt\nconfigmap/settings",
    )
}
