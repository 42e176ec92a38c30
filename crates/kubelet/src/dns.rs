//! The resolver configuration of a pod. Pure; upstream: `kubelet/network/dns`.

use api::core::v1::{Pod, PodDNSConfig};
use cri_api::v1::DnsConfig;

const MAX_NAMESERVERS: usize = 3;
const MAX_SEARCH_PATHS: usize = 32;
const MAX_SEARCH_CHARS: usize = 2048;
const MAX_SEARCH_PATH_CHARS: usize = 253;

/// What the node offers.
#[derive(Debug, Clone, Default)]
pub struct Cluster {
    pub servers: Vec<String>,
    pub domain: String,
}

/// A configuration, and what the user should be told about it: event reason and message.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    pub config: DnsConfig,
    pub warnings: Vec<(&'static str, String)>,
}

/// Reads a `resolv.conf`; what it doesn't know it leaves out.
pub fn parse_resolv_conf(text: &str) -> DnsConfig {
    let mut config = DnsConfig::default();
    for line in text
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with(['#', ';']))
    {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("nameserver") => config.servers.extend(words.next().map(str::to_owned)),
            // The last search line wins, as it does for the resolver itself.
            Some("search") => {
                config.searches = words
                    .filter(|word| *word != ".")
                    .map(|word| word.trim_end_matches('.').to_owned())
                    .collect();
            }
            Some("options") => config.options.extend(words.map(str::to_owned)),
            _ => {}
        }
    }
    config
}

/// The pod's configuration, by its policy, given the node's own.
pub fn resolve(pod: &Pod, host: &DnsConfig, cluster: &Cluster) -> Resolved {
    let mut warnings = Vec::new();
    let cluster_first = match pod.spec.dns_policy.as_str() {
        "None" | "Default" => false,
        "ClusterFirstWithHostNet" => true,
        _ => !pod.spec.host_network,
    };
    let mut config = if pod.spec.dns_policy == "None" {
        DnsConfig::default()
    } else if cluster_first && !cluster.servers.is_empty() {
        of_cluster(pod, host, cluster)
    } else {
        if cluster_first {
            warnings.push((
                "MissingClusterDNS",
                format!(
                    "pod: {:?}. kubelet does not have ClusterDNS IP configured and cannot create Pod using \
                     {:?} policy. Falling back to {:?} policy.",
                    crate::pod::description(pod),
                    "ClusterFirst",
                    "Default"
                ),
            ));
        }
        host.clone()
    };
    if let Some(own) = &pod.spec.dns_config {
        append(&mut config, own);
    }
    limit(&mut config, &mut warnings);
    Resolved { config, warnings }
}

fn of_cluster(pod: &Pod, host: &DnsConfig, cluster: &Cluster) -> DnsConfig {
    let domain = &cluster.domain;
    let mut searches = Vec::new();
    if !domain.is_empty() {
        searches.push(format!("{}.svc.{domain}", pod.metadata.namespace));
        searches.push(format!("svc.{domain}"));
        searches.push(domain.clone());
    }
    searches.extend(host.searches.iter().cloned());
    DnsConfig {
        servers: cluster.servers.clone(),
        searches: unique(searches),
        options: vec!["ndots:5".into()],
    }
}

fn unique(mut words: Vec<String>) -> Vec<String> {
    let mut seen = std::collections::HashSet::new();
    words.retain(|word| seen.insert(word.clone()));
    words
}

fn append(config: &mut DnsConfig, own: &PodDNSConfig) {
    config.servers.extend(own.nameservers.iter().cloned());
    config.servers = unique(std::mem::take(&mut config.servers));
    config.searches.extend(own.searches.iter().cloned());
    config.searches = unique(std::mem::take(&mut config.searches));
    for option in &own.options {
        let text = match option.value.as_deref() {
            Some(value) if !value.is_empty() => format!("{}:{value}", option.name),
            _ => option.name.clone(),
        };
        config
            .options
            .retain(|other| other.split(':').next() != Some(option.name.as_str()));
        config.options.push(text);
    }
}

/// Cuts what the C library would ignore anyway, and says so.
fn limit(config: &mut DnsConfig, warnings: &mut Vec<(&'static str, String)>) {
    if config.servers.len() > MAX_NAMESERVERS {
        config.servers.truncate(MAX_NAMESERVERS);
        warnings.push((
            "DNSConfigForming",
            format!(
                "Nameserver limits were exceeded, some nameservers have been omitted, the applied nameserver line is: {}",
                config.servers.join(" ")
            ),
        ));
    }
    let before = config.searches.len();
    config.searches.truncate(MAX_SEARCH_PATHS);
    config.searches.retain(|path| path.len() <= MAX_SEARCH_PATH_CHARS);
    while config.searches.join(" ").len() > MAX_SEARCH_CHARS {
        config.searches.pop();
    }
    if config.searches.len() < before {
        warnings.push((
            "DNSConfigForming",
            format!(
                "Search Line limits were exceeded, some search paths have been omitted, the applied search line is: {}",
                config.searches.join(" ")
            ),
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::Message;
    use expect_test::{Expect, expect};

    fn check(spec: &str, servers: &[&str], expected: Expect) {
        let json = format!(r#"{{"metadata":{{"name":"p","namespace":"shop","uid":"u"}},"spec":{spec}}}"#);
        let pod = Pod::from_json(json.as_bytes()).unwrap();
        let host =
            parse_resolv_conf("# x\nnameserver 1.1.1.1\nsearch old\nsearch corp. .\noptions edns0 ndots:2\n");
        let cluster = Cluster {
            servers: servers.iter().map(ToString::to_string).collect(),
            domain: "cluster.local".into(),
        };
        let resolved = resolve(&pod, &host, &cluster);
        let warned: Vec<&str> = resolved.warnings.iter().map(|(reason, _)| *reason).collect();
        let config = resolved.config;
        expected.assert_eq(&format!(
            "{} | {} | {} | {}",
            config.servers.join(" "),
            config.searches.join(" "),
            config.options.join(" "),
            warned.join(" ")
        ));
    }

    #[test]
    fn policies() {
        let cluster: &[&str] = &["10.96.0.10"];
        check(
            r#"{"dnsPolicy":"ClusterFirst"}"#,
            cluster,
            expect!["10.96.0.10 | shop.svc.cluster.local svc.cluster.local cluster.local corp | ndots:5 | "],
        );
        check(
            r#"{"dnsPolicy":"ClusterFirst","hostNetwork":true}"#,
            cluster,
            expect!["1.1.1.1 | corp | edns0 ndots:2 | "],
        );
        check(
            r#"{"dnsPolicy":"ClusterFirstWithHostNet","hostNetwork":true}"#,
            cluster,
            expect!["10.96.0.10 | shop.svc.cluster.local svc.cluster.local cluster.local corp | ndots:5 | "],
        );
        check(
            r#"{"dnsPolicy":"Default"}"#,
            cluster,
            expect!["1.1.1.1 | corp | edns0 ndots:2 | "],
        );
        check(
            r#"{"dnsPolicy":"ClusterFirst"}"#,
            &[],
            expect!["1.1.1.1 | corp | edns0 ndots:2 | MissingClusterDNS"],
        );
    }

    #[test]
    fn own_configuration_is_merged_and_limited() {
        check(
            r#"{"dnsPolicy":"None","dnsConfig":{"nameservers":["9.9.9.9"],"searches":["a","a","b"],
                "options":[{"name":"ndots","value":"1"},{"name":"edns0"}]}}"#,
            &[],
            expect!["9.9.9.9 | a b | ndots:1 edns0 | "],
        );
        check(
            r#"{"dnsPolicy":"Default","dnsConfig":{"nameservers":["2.2.2.2","3.3.3.3","4.4.4.4"],
                "options":[{"name":"ndots","value":"1"}]}}"#,
            &[],
            expect!["1.1.1.1 2.2.2.2 3.3.3.3 | corp | edns0 ndots:1 | DNSConfigForming"],
        );
    }
}
