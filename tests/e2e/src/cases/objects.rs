//! Objects without containers: refusing bad ones, owning.

use crate::Outcome;
use crate::cases::Scene;
use crate::cases::commands::MAP;
use crate::kubectl::{contains, eventually, same};

pub fn refused(scene: &Scene<'_>) -> Outcome {
    let kubectl = &scene.kubectl;
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

pub fn garbage(scene: &Scene<'_>) -> Outcome {
    let kubectl = &scene.kubectl;
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
