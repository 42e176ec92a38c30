//! The flags of kube-apiserver, under upstream's names.

mod declare;
mod known;
pub mod store;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use apiserver::stack::Refusal;
use auth::configuration::{AnonymousAccess, Configuration};
use component_base::features::FeatureGates;
use component_base::options::Values;
use component_base::tls::CertificateFiles;
use component_base::upstream::GATES;

use crate::Error;

/// The limit that clients assume before they are told one; what is beyond makes attacks cheaper.
const DEFAULT_MAX_STREAMS: u32 = 100;
/// A client in fifty requests: beyond that, new connections cost more than balance gains.
const MAX_GOAWAY_CHANCE: f64 = 0.02;

pub use declare::flags;
use store::StoreOptions;

/// Client certificates, tokens, front proxies.
#[derive(Clone, Debug, Default)]
pub struct AuthenticationOptions {
    pub client_ca_file: Option<PathBuf>,
    pub token_file: Option<PathBuf>,
    pub bootstrap_tokens: bool,
    pub anonymous: AnonymousAccess,
    pub front_proxy_ca_file: Option<PathBuf>,
    pub front_proxy_names: Vec<String>,
    pub username_headers: Vec<String>,
    pub uid_headers: Vec<String>,
    pub group_headers: Vec<String>,
    pub extra_prefixes: Vec<String>,
}

/// Service-account tokens.
#[derive(Clone, Debug, Default)]
pub struct ServiceAccountOptions {
    pub issuers: Vec<String>,
    pub key_files: Vec<PathBuf>,
    pub signing_key_file: Option<PathBuf>,
    pub audiences: Vec<String>,
    pub jwks_uri: String,
    pub max_expiration: Duration,
    pub extend_expiration: bool,
}

/// How kubelets are reached.
#[derive(Clone, Debug, Default)]
pub struct KubeletOptions {
    pub client: Option<CertificateFiles>,
    pub certificate_authority: Option<PathBuf>,
    pub address_types: Vec<String>,
    pub timeout: Duration,
}

/// Who keeps the endpoints of the Service `kubernetes`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EndpointReconcilerType {
    /// Every server that holds a lease.
    #[default]
    Lease,
    /// As many servers as there are: this one.
    MasterCount,
    /// Somebody else.
    None,
}

/// How the server ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EndingOptions {
    pub delay: Duration,
    pub refusal: Refusal,
    pub watch_grace: Duration,
}

/// Everything that the flags say.
#[derive(Clone, Debug)]
pub struct Options {
    pub bind_address: SocketAddr,
    pub advertise_address: Option<IpAddr>,
    pub serving: Option<CertificateFiles>,
    pub cert_dir: PathBuf,
    pub tls_min_version: String,
    pub store: StoreOptions,
    pub authentication: AuthenticationOptions,
    pub service_accounts: ServiceAccountOptions,
    pub features: FeatureGates,
    pub authorization_modes: Vec<String>,
    pub enable_admission: Vec<String>,
    pub disable_admission: Vec<String>,
    pub not_ready_toleration: Duration,
    pub unreachable_toleration: Duration,
    pub allow_privileged: bool,
    pub kubelet: KubeletOptions,
    pub proxy_client: Option<CertificateFiles>,
    /// Webhooks and extension servers are reached at their endpoints instead of their service's address.
    pub aggregator_routing: bool,
    pub service_cluster_ip_ranges: Vec<String>,
    pub service_node_ports: (u16, u16),
    pub event_ttl: Duration,
    pub request_timeout: Duration,
    pub min_request_timeout: Duration,
    pub livez_grace: Duration,
    pub ending: EndingOptions,
    pub goaway_chance: f64,
    pub max_streams_per_connection: u32,
    pub endpoint_reconciler: EndpointReconcilerType,
    pub kubernetes_service_node_port: u16,
    pub max_requests_in_flight: usize,
    pub max_mutating_requests_in_flight: usize,
    pub priority_and_fairness: bool,
    pub profiling: bool,
}

impl Options {
    /// Reads parsed flags.
    pub fn from_values(values: &Values) -> Result<Options, Error> {
        let serving = pair(values, "tls-cert-file", "tls-private-key-file")?;
        Ok(Options {
            bind_address: SocketAddr::new(
                parse(values, "bind-address", values.string("bind-address"))?,
                port(values, "secure-port")?,
            ),
            advertise_address: values
                .non_empty("advertise-address")
                .map(|text| parse(values, "advertise-address", text))
                .transpose()?,
            serving,
            cert_dir: PathBuf::from(values.string("cert-dir")),
            tls_min_version: values.string("tls-min-version").to_owned(),
            store: StoreOptions::from_values(values)?,
            authentication: authentication(values)?,
            service_accounts: service_accounts(values)?,
            features: features(values)?,
            authorization_modes: values.strings("authorization-mode").to_vec(),
            enable_admission: values.strings("enable-admission-plugins").to_vec(),
            disable_admission: values.strings("disable-admission-plugins").to_vec(),
            not_ready_toleration: seconds(values, "default-not-ready-toleration-seconds"),
            unreachable_toleration: seconds(values, "default-unreachable-toleration-seconds"),
            allow_privileged: values.bool("allow-privileged"),
            kubelet: KubeletOptions {
                client: pair(values, "kubelet-client-certificate", "kubelet-client-key")?,
                certificate_authority: path(values, "kubelet-certificate-authority"),
                address_types: values.strings("kubelet-preferred-address-types").to_vec(),
                timeout: values.duration("kubelet-timeout"),
            },
            proxy_client: pair(values, "proxy-client-cert-file", "proxy-client-key-file")?,
            aggregator_routing: values.bool("enable-aggregator-routing"),
            service_cluster_ip_ranges: list(values.string("service-cluster-ip-range")),
            service_node_ports: node_ports(values.string("service-node-port-range"))?,
            event_ttl: values.duration("event-ttl"),
            request_timeout: values.duration("request-timeout"),
            min_request_timeout: seconds(values, "min-request-timeout"),
            livez_grace: values.duration("livez-grace-period"),
            ending: EndingOptions {
                delay: values.duration("shutdown-delay-duration"),
                refusal: match values.bool("shutdown-send-retry-after") {
                    true => Refusal::RetryAfter,
                    false => Refusal::Unavailable,
                },
                watch_grace: values.duration("shutdown-watch-termination-grace-period"),
            },
            goaway_chance: goaway_chance(values)?,
            max_streams_per_connection: max_streams(values)?,
            endpoint_reconciler: endpoint_reconciler(values.string("endpoint-reconciler-type"))?,
            kubernetes_service_node_port: port(values, "kubernetes-service-node-port")?,
            max_requests_in_flight: count(values, "max-requests-inflight"),
            max_mutating_requests_in_flight: count(values, "max-mutating-requests-inflight"),
            priority_and_fairness: priority_and_fairness(values)?,
            profiling: values.bool("profiling"),
        })
    }

    /// A server for tests: memory, port 0 on loopback, security as kubeadm sets it up.
    pub fn for_test() -> Options {
        Options {
            bind_address: SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0),
            advertise_address: None,
            serving: None,
            cert_dir: PathBuf::new(),
            tls_min_version: String::new(),
            store: StoreOptions::memory(),
            authentication: AuthenticationOptions {
                anonymous: AnonymousAccess::Everywhere,
                ..AuthenticationOptions::default()
            },
            service_accounts: ServiceAccountOptions::default(),
            features: FeatureGates::new(GATES),
            authorization_modes: vec!["Node".to_owned(), "RBAC".to_owned()],
            enable_admission: vec!["NodeRestriction".to_owned()],
            disable_admission: Vec::new(),
            not_ready_toleration: Duration::from_secs(300),
            unreachable_toleration: Duration::from_secs(300),
            allow_privileged: true,
            kubelet: KubeletOptions {
                timeout: Duration::from_secs(5),
                ..KubeletOptions::default()
            },
            proxy_client: None,
            aggregator_routing: false,
            service_cluster_ip_ranges: vec!["10.96.0.0/12".to_owned()],
            service_node_ports: (30000, 32767),
            event_ttl: Duration::from_secs(3600),
            request_timeout: Duration::from_secs(60),
            min_request_timeout: Duration::from_secs(1800),
            livez_grace: Duration::ZERO,
            ending: EndingOptions::default(),
            goaway_chance: 0.0,
            max_streams_per_connection: DEFAULT_MAX_STREAMS,
            endpoint_reconciler: EndpointReconcilerType::Lease,
            kubernetes_service_node_port: 0,
            max_requests_in_flight: 400,
            max_mutating_requests_in_flight: 200,
            priority_and_fairness: true,
            profiling: false,
        }
    }
}

/// Needs seats to divide.
fn priority_and_fairness(values: &Values) -> Result<bool, Error> {
    let is_wanted = values.bool("enable-priority-and-fairness");
    let seats = count(values, "max-requests-inflight") + count(values, "max-mutating-requests-inflight");
    if is_wanted && seats == 0 {
        return Err(flag(
            "max-requests-inflight",
            "must, with --max-mutating-requests-inflight, add up to something positive for --enable-priority-and-fairness",
        ));
    }
    Ok(is_wanted)
}

fn goaway_chance(values: &Values) -> Result<f64, Error> {
    let chance = values.float("goaway-chance");
    if (0.0..=MAX_GOAWAY_CHANCE).contains(&chance) {
        Ok(chance)
    } else {
        Err(flag(
            "goaway-chance",
            "can not be less than 0 or greater than 0.02",
        ))
    }
}

/// Zero: what clients take for granted.
fn max_streams(values: &Values) -> Result<u32, Error> {
    let name = "http2-max-streams-per-connection";
    match u32::try_from(values.int(name)) {
        Ok(0) => Ok(DEFAULT_MAX_STREAMS),
        Ok(count) => Ok(count),
        Err(_) => Err(flag(name, "must be a positive number")),
    }
}

fn endpoint_reconciler(text: &str) -> Result<EndpointReconcilerType, Error> {
    match text {
        "lease" => Ok(EndpointReconcilerType::Lease),
        "master-count" => Ok(EndpointReconcilerType::MasterCount),
        "none" => Ok(EndpointReconcilerType::None),
        _ => Err(flag(
            "endpoint-reconciler-type",
            "must be master-count, lease or none",
        )),
    }
}

/// Upstream's gates: those that nothing here asks for are accepted all the same.
fn features(values: &Values) -> Result<FeatureGates, Error> {
    let mut gates = FeatureGates::new(GATES);
    gates
        .set_from(values)
        .map_err(|error| flag("feature-gates", &error.to_string()))?;
    Ok(gates)
}

fn authentication(values: &Values) -> Result<AuthenticationOptions, Error> {
    Ok(AuthenticationOptions {
        client_ca_file: path(values, "client-ca-file"),
        token_file: path(values, "token-auth-file"),
        bootstrap_tokens: values.bool("enable-bootstrap-token-auth"),
        anonymous: anonymous(values)?,
        front_proxy_ca_file: path(values, "requestheader-client-ca-file"),
        front_proxy_names: values.strings("requestheader-allowed-names").to_vec(),
        username_headers: values.strings("requestheader-username-headers").to_vec(),
        uid_headers: values.strings("requestheader-uid-headers").to_vec(),
        group_headers: values.strings("requestheader-group-headers").to_vec(),
        extra_prefixes: values.strings("requestheader-extra-headers-prefix").to_vec(),
    })
}

/// The configuration file, if it says something about it, takes the flag's place.
fn anonymous(values: &Values) -> Result<AnonymousAccess, Error> {
    let configuration = match path(values, "authentication-config") {
        Some(file) => Configuration::load(&file)?,
        None => Configuration::default(),
    };
    match configuration.anonymous {
        Some(_) if values.changed("anonymous-auth") => Err(flag(
            "anonymous-auth",
            "cannot be set when anonymous field is configured in authentication configuration file",
        )),
        Some(access) => Ok(access),
        None if values.bool("anonymous-auth") => Ok(AnonymousAccess::Everywhere),
        None => Ok(AnonymousAccess::Nowhere),
    }
}

fn service_accounts(values: &Values) -> Result<ServiceAccountOptions, Error> {
    let issuers = values.strings("service-account-issuer").to_vec();
    if issuers.is_empty() {
        return Err(flag("service-account-issuer", "is a required flag"));
    }
    let audiences = values.strings("api-audiences").to_vec();
    Ok(ServiceAccountOptions {
        audiences: if audiences.is_empty() {
            issuers.clone()
        } else {
            audiences
        },
        issuers,
        key_files: values
            .strings("service-account-key-file")
            .iter()
            .map(PathBuf::from)
            .collect(),
        signing_key_file: path(values, "service-account-signing-key-file"),
        jwks_uri: values.string("service-account-jwks-uri").to_owned(),
        max_expiration: values.duration("service-account-max-token-expiration"),
        extend_expiration: values.bool("service-account-extend-token-expiration"),
    })
}

fn flag(flag: &'static str, why: &str) -> Error {
    Error::Flag {
        flag,
        why: why.to_owned(),
    }
}

fn path(values: &Values, name: &str) -> Option<PathBuf> {
    values.non_empty(name).map(PathBuf::from)
}

/// Two files that only make sense together.
fn pair(
    values: &Values,
    certificate: &'static str,
    key: &'static str,
) -> Result<Option<CertificateFiles>, Error> {
    match (path(values, certificate), path(values, key)) {
        (Some(certificate), Some(key)) => Ok(Some(CertificateFiles { certificate, key })),
        (None, None) => Ok(None),
        (Some(_), None) => Err(flag(key, "must be given with the certificate")),
        (None, Some(_)) => Err(flag(certificate, "must be given with the key")),
    }
}

fn parse<T: std::str::FromStr>(_values: &Values, name: &'static str, text: &str) -> Result<T, Error>
where
    T::Err: std::fmt::Display,
{
    text.parse()
        .map_err(|error: T::Err| flag(name, &format!("{text:?}: {error}")))
}

fn port(values: &Values, name: &'static str) -> Result<u16, Error> {
    u16::try_from(values.int(name)).map_err(|_| flag(name, "must be a port"))
}

fn seconds(values: &Values, name: &str) -> Duration {
    Duration::from_secs(u64::try_from(values.int(name)).unwrap_or(0))
}

fn count(values: &Values, name: &str) -> usize {
    usize::try_from(values.int(name)).unwrap_or(0)
}

fn list(text: &str) -> Vec<String> {
    text.split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
        .map(str::to_owned)
        .collect()
}

/// `30000-32767` or `30000+2767`.
fn node_ports(text: &str) -> Result<(u16, u16), Error> {
    let wrong = || flag("service-node-port-range", "must be FIRST-LAST or FIRST+COUNT");
    let number = |text: &str| text.trim().parse::<u16>().map_err(|_| wrong());
    match (text.split_once('-'), text.split_once('+')) {
        (Some((first, last)), _) => Ok((number(first)?, number(last)?)),
        (None, Some((first, more))) => {
            let first = number(first)?;
            Ok((first, first.checked_add(number(more)?).ok_or_else(wrong)?))
        }
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use component_base::options::Invocation;

    use super::*;

    fn options(arguments: &[&str]) -> Result<Options, String> {
        match flags().parse(arguments.iter().copied()) {
            Ok(Invocation::Run(values)) => Options::from_values(&values).map_err(|error| error.to_string()),
            Ok(Invocation::Print(text)) => Err(text),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn a_command_line_becomes_options() {
        let options = options(&[
            "--storage-backend=embedded",
            "--embedded-data-dir=/tmp/x",
            "--secure-port=7443",
            "--service-account-issuer=https://issuer",
            "--service-node-port-range=30000+100",
            "--authorization-mode=Node,RBAC",
            "--etcd-prefix=/registry",
        ])
        .expect("valid");
        assert_eq!(options.bind_address.port(), 7443);
        assert_eq!(options.service_node_ports, (30000, 30100));
        assert_eq!(options.authorization_modes, ["Node", "RBAC"]);
        assert_eq!(options.service_accounts.audiences, ["https://issuer"]);
    }

    #[test]
    fn anonymous_access_is_the_flags_or_the_files() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("authentication.yaml");
        let text = "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\n\
                    anonymous: {enabled: true, conditions: [{path: /livez}]}\n";
        std::fs::write(&file, text).expect("written");
        let file = format!("--authentication-config={}", file.display());
        let anonymous = |arguments: &[&str]| {
            let common = ["--storage-backend=memory", "--service-account-issuer=x"];
            options(&[&common, arguments].concat()).map(|options| options.authentication.anonymous)
        };
        assert_eq!(anonymous(&[]), Ok(AnonymousAccess::Everywhere));
        assert_eq!(
            anonymous(&["--anonymous-auth=false"]),
            Ok(AnonymousAccess::Nowhere)
        );
        assert_eq!(
            anonymous(&[&file]),
            Ok(AnonymousAccess::Paths(vec!["/livez".to_owned()]))
        );
        let both = anonymous(&[&file, "--anonymous-auth=true"]).expect_err("a contradiction");
        assert!(
            both.starts_with("invalid --anonymous-auth: cannot be set"),
            "{both}"
        );
    }

    #[test]
    fn mistakes_are_told() {
        let issuer = "--service-account-issuer=x";
        assert_eq!(
            options(&["--storage-backend=memory"]).expect_err("incomplete"),
            "invalid --service-account-issuer: is a required flag"
        );
        let half =
            options(&[issuer, "--storage-backend=memory", "--tls-cert-file=a"]).expect_err("half a pair");
        assert_eq!(
            half,
            "invalid --tls-private-key-file: must be given with the certificate"
        );
    }
}
