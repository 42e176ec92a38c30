//! Fields of services that are deprecated, or ignored beside others.

use api::core::v1::Service;
use apimachinery::field::Path;

use crate::warnings::{address, cidr};

const HINTS: &str = "service.kubernetes.io/topology-aware-hints";

pub(super) fn warnings(service: &Service) -> Vec<String> {
    let (spec, path) = (&service.spec, Path::new("spec"));
    let mut all = Vec::new();
    let mut warn = |wrong: bool, text: &str| {
        if wrong {
            all.push(text.to_owned());
        }
    };
    warn(
        service.metadata.annotations.contains_key(HINTS),
        "annotation service.kubernetes.io/topology-aware-hints is deprecated, please use service.kubernetes.io/topology-mode instead",
    );
    let headless = spec.type_ == "ClusterIP" && spec.cluster_ip == "None";
    let external = spec.type_ == "ExternalName";
    let has_addresses = !spec.cluster_ip.is_empty() && spec.cluster_ip != "None" && !external;
    if headless {
        warn(
            !spec.load_balancer_ip.is_empty(),
            "spec.loadBalancerIP is ignored for headless services",
        );
        warn(
            !spec.external_ips.is_empty(),
            "spec.externalIPs is ignored for headless services",
        );
        warn(
            spec.session_affinity != "None",
            "spec.SessionAffinity is ignored for headless services",
        );
    }
    if has_addresses {
        all.extend(addresses(&spec.cluster_ips, &path.child("clusterIPs")));
    }
    all.extend(addresses(&spec.external_ips, &path.child("externalIPs")));
    if !spec.external_ips.is_empty() && !headless && !external {
        all.push(
            "spec.externalIPs is deprecated and may no longer be implemented in some clusters".to_owned(),
        );
    }
    all.extend(address(&spec.load_balancer_ip, &path.child("loadBalancerIP")));
    for (index, range) in spec.load_balancer_source_ranges.iter().enumerate() {
        all.extend(cidr(range, &path.child("loadBalancerSourceRanges").index(index)));
    }
    if external && !spec.external_ips.is_empty() {
        all.push("spec.externalIPs is ignored when spec.type is \"ExternalName\"".to_owned());
    }
    if !external && !spec.external_name.is_empty() {
        all.push("spec.externalName is ignored when spec.type is not \"ExternalName\"".to_owned());
    }
    if spec.traffic_distribution.as_deref() == Some("PreferClose") {
        let text = r#"spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone""#;
        all.push(text.to_owned());
    }
    all
}

pub(super) fn status_warnings(service: &Service) -> Vec<String> {
    let path = Path::new("status").child("loadBalancer").child("ingress");
    let entries = service.status.load_balancer.ingress.iter().enumerate();
    entries
        .filter_map(|(index, entry)| address(&entry.ip, &path.index(index)))
        .collect()
}

fn addresses(list: &[String], path: &Path) -> Vec<String> {
    let list = list.iter().enumerate();
    list.filter_map(|(index, own)| address(own, &path.index(index)))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::rules::tests::parse;

    #[track_caller]
    fn check(spec: Value, expected: &[&str]) {
        assert_eq!(warnings(&parse(&json!({ "spec": spec }))), expected);
    }

    #[test]
    fn says_what_is_ignored_or_deprecated() {
        check(
            json!({"type": "ClusterIP", "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "sessionAffinity": "None"}),
            &[],
        );
        check(
            json!({"type": "ClusterIP", "clusterIP": "None", "clusterIPs": ["None"], "sessionAffinity": "ClientIP"}),
            &["spec.SessionAffinity is ignored for headless services"],
        );
        check(
            json!({"type": "NodePort", "externalIPs": ["1.1.1.1"], "externalName": "x", "trafficDistribution": "PreferClose"}),
            &[
                "spec.externalIPs is deprecated and may no longer be implemented in some clusters",
                r#"spec.externalName is ignored when spec.type is not "ExternalName""#,
                r#"spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone""#,
            ],
        );
    }
}
