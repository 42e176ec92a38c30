//! The host name and the hosts file of a pod. Pure; upstream: `kubelet_pods.go`.

use api::core::v1::{HostAlias, Pod};

const MAX_HOSTNAME: usize = 63;
const MAX_FQDN: usize = 64;

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    #[error("Pod Hostname {0:?} is not a valid DNS label: {1}")]
    Hostname(String, String),
    #[error("Pod Subdomain {0:?} is not a valid DNS label: {1}")]
    Subdomain(String, String),
    #[error("failed to construct FQDN from pod hostname and cluster domain, FQDN {0} is too long ({MAX_FQDN} characters is the max, {len} characters requested)", len = .0.len())]
    FqdnTooLong(String),
}

/// The pod's host name, and the domain that it lives in if it has a subdomain.
pub fn names(pod: &Pod, cluster_domain: &str) -> Result<(String, String), Error> {
    let spec = &pod.spec;
    if let Some(name) = spec.hostname_override.as_deref().filter(|_| !spec.host_network) {
        return Ok((name.to_owned(), String::new()));
    }
    let host = if spec.hostname.is_empty() {
        truncated(&pod.metadata.name)
    } else {
        check_label(&spec.hostname, Error::Hostname)?;
        spec.hostname.clone()
    };
    let domain = if spec.subdomain.is_empty() {
        String::new()
    } else {
        check_label(&spec.subdomain, Error::Subdomain)?;
        format!(
            "{}.{}.svc.{cluster_domain}",
            spec.subdomain, pod.metadata.namespace
        )
    };
    Ok((host, domain))
}

fn check_label(label: &str, error: fn(String, String) -> Error) -> Result<(), Error> {
    let problems = apimachinery::validation::is_dns1123_label(label);
    if problems.is_empty() {
        Ok(())
    } else {
        Err(error(label.to_owned(), problems.join(";")))
    }
}

/// A pod's name may be longer than a host's.
fn truncated(name: &str) -> String {
    let cut: String = name.chars().take(MAX_HOSTNAME).collect();
    cut.trim_end_matches(['-', '.']).to_owned()
}

/// What the kernel of the pod is told: the short name, or the full one when the pod asks for it.
pub fn kernel_name(pod: &Pod, host: &str, domain: &str) -> Result<String, Error> {
    if pod.spec.set_hostname_as_fqdn != Some(true) || domain.is_empty() {
        return Ok(host.to_owned());
    }
    let full = format!("{host}.{domain}");
    if full.len() > MAX_FQDN {
        Err(Error::FqdnTooLong(full))
    } else {
        Ok(full)
    }
}

/// The hosts file of a pod with a network of its own.
pub fn managed_file(ips: &[String], host: &str, domain: &str, aliases: &[HostAlias]) -> String {
    let mut text = String::from("# Kubernetes-managed hosts file.\n");
    for line in [
        "127.0.0.1\tlocalhost",
        "::1\tlocalhost ip6-localhost ip6-loopback",
        "fe00::0\tip6-localnet",
        "fe00::0\tip6-mcastprefix",
        "fe00::1\tip6-allnodes",
        "fe00::2\tip6-allrouters",
    ] {
        text.push_str(line);
        text.push('\n');
    }
    for ip in ips {
        if domain.is_empty() {
            text.push_str(&format!("{ip}\t{host}\n"));
        } else {
            text.push_str(&format!("{ip}\t{host}.{domain}\t{host}\n"));
        }
    }
    push_aliases(&mut text, aliases);
    text
}

/// The hosts file of a pod on the node's network: the node's own, with the pod's aliases.
pub fn node_file(node_hosts: &str, aliases: &[HostAlias]) -> String {
    let mut text = format!("# Kubernetes-managed hosts file (host network).\n{node_hosts}");
    push_aliases(&mut text, aliases);
    text
}

fn push_aliases(text: &mut String, aliases: &[HostAlias]) {
    if aliases.is_empty() {
        return;
    }
    text.push_str("\n# Entries added by HostAliases.\n");
    for alias in aliases {
        text.push_str(&format!("{}\t{}\n", alias.ip, alias.hostnames.join("\t")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, hostname: &str, subdomain: &str) -> Pod {
        let mut pod = Pod::default();
        pod.metadata.name = name.into();
        pod.metadata.namespace = "shop".into();
        pod.spec.hostname = hostname.into();
        pod.spec.subdomain = subdomain.into();
        pod
    }

    #[test]
    fn host_names() {
        let of = |pod: &Pod| names(pod, "cluster.local").map(|(host, domain)| format!("{host} {domain}"));
        assert_eq!(of(&pod("web-0", "", "")), Ok("web-0 ".into()));
        assert_eq!(
            of(&pod("web-0", "h", "sub")),
            Ok("h sub.shop.svc.cluster.local".into())
        );
        let long = format!("{}-.tail", "a".repeat(62));
        assert_eq!(of(&pod(&long, "", "")), Ok(format!("{} ", "a".repeat(62))));
        assert!(matches!(of(&pod("x", "Bad_Name", "")), Err(Error::Hostname(..))));
    }

    #[test]
    fn full_names_are_limited() {
        let mut pod = pod("web", "", "sub");
        assert_eq!(kernel_name(&pod, "web", "sub.x").as_deref(), Ok("web"));
        pod.spec.set_hostname_as_fqdn = Some(true);
        assert_eq!(kernel_name(&pod, "web", "sub.x").as_deref(), Ok("web.sub.x"));
        assert!(kernel_name(&pod, "web", &"x".repeat(61)).is_err());
    }

    #[test]
    fn hosts_file() {
        let alias = HostAlias {
            ip: "1.2.3.4".into(),
            hostnames: vec!["a".into(), "b".into()],
        };
        let text = managed_file(&["10.0.0.2".into()], "web", "sub.shop.svc", &[alias]);
        assert!(text.starts_with("# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n"));
        assert!(text.ends_with(
            "10.0.0.2\tweb.sub.shop.svc\tweb\n\n# Entries added by HostAliases.\n1.2.3.4\ta\tb\n"
        ));
    }
}
