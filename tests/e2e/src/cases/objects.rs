//! Objects without containers: editing, refusing, owning.

use crate::Outcome;
use crate::cluster::Cluster;
use crate::kubectl::{contains, eventually, same};

const MAP: &str =
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings, labels: {a: b}}\ndata: {color: blue}\n";

pub fn edited(cluster: &Cluster, namespace: &str) -> Outcome {
    let kubectl = cluster.kubectl(namespace);
    let color = || kubectl.run(&["get", "configmap", "settings", "-o", "jsonpath={.data.color}"]);
    kubectl.apply(MAP)?;
    same("color", color()?.as_str(), "blue")?;
    let changed = MAP.replace("blue", "green");
    let diff = kubectl.run_with(&["diff", "-f", "-"], &changed);
    contains(&diff.err().unwrap_or_default(), "+  color: green")?;
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
    contains(&kubectl.run(&["explain", "pod.spec.containers"])?, "image")?;
    contains(&kubectl.run(&["api-resources"])?, "deployments")?;
    contains(&kubectl.run(&["api-versions"])?, "apps/v1")?;
    contains(&kubectl.run(&["auth", "can-i", "list", "pods"])?, "yes")?;
    let other = ["auth", "can-i", "list", "secrets", "--as", "someone"];
    contains(&kubectl.refused(&other)?, "no")
}

pub fn refused(cluster: &Cluster, namespace: &str) -> Outcome {
    let kubectl = cluster.kubectl(namespace);
    let refuse = |manifest: &str, words: &str| {
        let answer = kubectl.run_with(&["create", "--validate=false", "-f", "-"], manifest);
        contains(&answer.err().unwrap_or_default(), words)
    };
    refuse(
        &MAP.replace("settings", "Not_A_Name"),
        "a lowercase RFC 1123 subdomain must consist of",
    )?;
    refuse(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: empty}\nspec: {}\n",
        "spec.containers: Required value",
    )?;
    refuse(&MAP.replace("{color: blue}", "[]"), "cannot unmarshal")?;
    refuse(
        "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {ports: [{port: 0}]}\n",
        "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
    )?;
    let unknown = MAP.replace("data:", "dataa:");
    let strict = kubectl.run_with(&["create", "--validate=true", "-f", "-"], &unknown);
    contains(&strict.err().unwrap_or_default(), "dataa")?;
    kubectl.apply(MAP)?;
    contains(
        &kubectl
            .run_with(&["create", "-f", "-"], MAP)
            .err()
            .unwrap_or_default(),
        "already exists",
    )?;
    let stale = MAP.replace("labels:", "resourceVersion: '1', labels:");
    let conflict = kubectl.run_with(&["replace", "-f", "-"], &stale);
    contains(
        &conflict.err().unwrap_or_default(),
        "the object has been modified",
    )?;
    let forbidden = kubectl.refused(&["get", "secrets", "--as", "someone"])?;
    contains(
        &forbidden,
        r#"User "someone" cannot list resource "secrets" in API group "" in the namespace"#,
    )?;
    let names = kubectl.run(&["get", "configmaps,pods,services", "-o", "name"])?;
    same(
        "what was stored",
        names.trim(),
        "configmap/kube-root-ca.crt\nconfigmap/settings",
    )
}

pub fn garbage(cluster: &Cluster, namespace: &str) -> Outcome {
    let kubectl = cluster.kubectl(namespace);
    kubectl.apply(MAP)?;
    let uid = kubectl.run(&["get", "configmap", "settings", "-o", "jsonpath={.metadata.uid}"])?;
    let owner = format!("ownerReferences: [{{apiVersion: v1, kind: ConfigMap, name: settings, uid: {uid}}}]");
    kubectl.apply(&MAP.replace("name: settings", &format!("name: dependent, {owner}")))?;
    kubectl.run(&["delete", "configmap", "settings"])?;
    eventually("the dependent goes", || {
        let left = kubectl.run(&[
            "get",
            "configmap",
            "dependent",
            "--ignore-not-found",
            "-o",
            "name",
        ])?;
        same("left", left.trim(), "")
    })
}
