//! What the cluster's signers accept. Pure.
//!
//! Upstream: pkg/apis/certificates/helpers.go

use std::collections::BTreeSet;
use std::time::Duration;

use pki::request::Request;

pub const KUBELET_SERVING: &str = "kubernetes.io/kubelet-serving";
pub const KUBELET_CLIENT: &str = "kubernetes.io/kube-apiserver-client-kubelet";
pub const API_CLIENT: &str = "kubernetes.io/kube-apiserver-client";
pub const LEGACY_UNKNOWN: &str = "kubernetes.io/legacy-unknown";

/// Requested lifetimes below this are raised to it.
const SHORTEST: Duration = Duration::from_secs(600);

/// The signers that this cluster runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Signer {
    KubeletServing,
    KubeletClient,
    ApiClient,
    LegacyUnknown,
}

impl Signer {
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            KUBELET_SERVING => Signer::KubeletServing,
            KUBELET_CLIENT => Signer::KubeletClient,
            API_CLIENT => Signer::ApiClient,
            LEGACY_UNKNOWN => Signer::LegacyUnknown,
            _ => return None,
        })
    }

    /// Why this signer refuses a request.
    pub fn check(self, request: &Request, usages: &[String]) -> Result<(), String> {
        match self {
            Signer::KubeletServing => kubelet_serving(request, usages),
            Signer::KubeletClient => kubelet_client(request, usages),
            Signer::ApiClient => api_client(usages),
            Signer::LegacyUnknown => Ok(()),
        }
    }
}

fn of_a_node(request: &Request) -> Result<(), String> {
    if request.subject.organizations != ["system:nodes"] {
        return Err("subject organization is not system:nodes".into());
    }
    if !request.subject.common_name.starts_with("system:node:") {
        return Err("subject common name does not begin with system:node:".into());
    }
    Ok(())
}

fn kubelet_serving(request: &Request, usages: &[String]) -> Result<(), String> {
    of_a_node(request)?;
    let names = &request.alt_names;
    if names.dns.is_empty() && names.ips.is_empty() {
        return Err("DNS or IP subjectAltName is required".into());
    }
    no_email_or_uri(request)?;
    check_usages(usages, &["digital signature", "key encipherment", "server auth"])
}

fn kubelet_client(request: &Request, usages: &[String]) -> Result<(), String> {
    of_a_node(request)?;
    if !request.alt_names.dns.is_empty() {
        return Err("DNS subjectAltNames are not allowed".into());
    }
    if !request.alt_names.ips.is_empty() {
        return Err("IP subjectAltNames are not allowed".into());
    }
    no_email_or_uri(request)?;
    check_usages(usages, &["digital signature", "key encipherment", "client auth"])
}

fn no_email_or_uri(request: &Request) -> Result<(), String> {
    if !request.alt_names.emails.is_empty() {
        return Err("Email subjectAltNames are not allowed".into());
    }
    if !request.alt_names.uris.is_empty() {
        return Err("URI subjectAltNames are not allowed".into());
    }
    Ok(())
}

/// All of `required`; key encipherment, which only RSA keys have a use for, may be missing.
fn check_usages(usages: &[String], required: &[&str]) -> Result<(), String> {
    let usages: BTreeSet<&str> = usages.iter().map(String::as_str).collect();
    let all: BTreeSet<&str> = required.iter().copied().collect();
    let without: BTreeSet<&str> = all
        .iter()
        .copied()
        .filter(|usage| *usage != "key encipherment")
        .collect();
    if usages == all || usages == without {
        return Ok(());
    }
    let all: Vec<&str> = all.into_iter().collect();
    Err(format!("usages did not match [{}]", all.join(" ")))
}

fn api_client(usages: &[String]) -> Result<(), String> {
    const OPTIONAL: [&str; 2] = ["digital signature", "key encipherment"];
    let other = usages
        .iter()
        .find(|usage| *usage != "client auth" && !OPTIONAL.contains(&usage.as_str()));
    if let Some(other) = other {
        return Err(format!("invalid usage for client certificate: {other}"));
    }
    if usages.iter().any(|usage| usage == "client auth") {
        Ok(())
    } else {
        Err("missing required usage for client certificate: client auth".into())
    }
}

/// How long a certificate is good: as asked, within bounds.
pub fn lifetime(requested_seconds: Option<i32>, longest: Duration) -> Duration {
    let Some(seconds) = requested_seconds else {
        return longest;
    };
    let requested = Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
    requested.max(SHORTEST).min(longest)
}

#[cfg(test)]
mod tests {
    use pki::PrivateKey;
    use pki::certificate::{AltNames, Subject};

    use super::*;

    fn check(
        signer: &str,
        name: &str,
        organization: &str,
        alt: &[&str],
        usages: &[&str],
        expected: Result<(), &str>,
    ) {
        let mut alt_names = AltNames::default();
        alt.iter().for_each(|name| alt_names.push(name));
        let request = Request {
            subject: Subject::new(name, &[organization]),
            alt_names,
            public_key: PrivateKey::generate().expect("key").public().clone(),
        };
        let usages: Vec<String> = usages.iter().map(|&usage| usage.into()).collect();
        let outcome = Signer::parse(signer).expect("known").check(&request, &usages);
        assert_eq!(outcome, expected.map_err(str::to_owned));
    }

    #[test]
    fn signers_accept_what_they_are_for() {
        let client = ["digital signature", "client auth"];
        let serving = ["digital signature", "key encipherment", "server auth"];
        check(
            KUBELET_CLIENT,
            "system:node:a",
            "system:nodes",
            &[],
            &client,
            Ok(()),
        );
        let organization = Err("subject organization is not system:nodes");
        check(
            KUBELET_CLIENT,
            "system:node:a",
            "system:masters",
            &[],
            &client,
            organization,
        );
        let name = Err("subject common name does not begin with system:node:");
        check(KUBELET_CLIENT, "a", "system:nodes", &[], &client, name);
        let names = Err("DNS subjectAltNames are not allowed");
        check(
            KUBELET_CLIENT,
            "system:node:a",
            "system:nodes",
            &["a"],
            &client,
            names,
        );
        let usages = Err("usages did not match [client auth digital signature key encipherment]");
        check(
            KUBELET_CLIENT,
            "system:node:a",
            "system:nodes",
            &[],
            &serving,
            usages,
        );
        check(
            KUBELET_SERVING,
            "system:node:a",
            "system:nodes",
            &["10.0.0.1"],
            &serving,
            Ok(()),
        );
        let missing = Err("DNS or IP subjectAltName is required");
        check(
            KUBELET_SERVING,
            "system:node:a",
            "system:nodes",
            &[],
            &serving,
            missing,
        );
        check(API_CLIENT, "jane", "devs", &[], &client, Ok(()));
        let server = Err("invalid usage for client certificate: server auth");
        check(API_CLIENT, "jane", "devs", &[], &serving, server);
    }

    #[test]
    fn lifetimes_are_bounded() {
        let year = Duration::from_secs(31_536_000);
        assert_eq!(lifetime(None, year), year);
        assert_eq!(lifetime(Some(5), year), SHORTEST);
        assert_eq!(lifetime(Some(3600), year), Duration::from_secs(3600));
        assert_eq!(lifetime(Some(i32::MAX), year), year);
    }
}
