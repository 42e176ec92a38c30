//! The command line.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use component_base::options::{FlagSet, Values};
use component_base::upstream;
use controller_runtime::leader_election;
use controllers_cluster::certificates::rules::Signer;
use controllers_cluster::certificates::signing;
use controllers_cluster::{node_lifecycle, resource_quota};
use controllers_network::endpoint_slice_mirroring;
use controllers_network::node_ipam::{self, cidr};
use controllers_workloads::pod_autoscaler;
use controllers_workloads::pod_autoscaler::replicas::Startup;
use delegated_auth::secure_serving;

use crate::selection::Selection;

/// Port of the secure server.
pub const PORT: u16 = 10257;

/// Prefix lengths of a node's range unless told otherwise.
const MASK_IPV4: u8 = 24;
const MASK_IPV6: u8 = 64;

/// Signers and the names that their flags bear.
const SIGNERS: [(Signer, &str); 4] = [
    (Signer::KubeletServing, "kubelet-serving"),
    (Signer::KubeletClient, "kubelet-client"),
    (Signer::ApiClient, "kube-apiserver-client"),
    (Signer::LegacyUnknown, "legacy-unknown"),
];

#[derive(Clone, Debug)]
pub struct Options {
    pub kubeconfig: Option<PathBuf>,
    pub master: Option<String>,
    pub qps: f32,
    pub burst: u32,
    pub serving: Option<secure_serving::Settings>,
    pub leader_election: Option<leader_election::Config>,
    pub controllers: Selection,
    /// Each controller acts as its own service account, instead of all as this process's user.
    pub use_service_account_credentials: bool,
    pub root_ca_file: Option<PathBuf>,
    pub service_account_private_key_file: Option<PathBuf>,
    pub node_ipam: Option<node_ipam::Options>,
    pub max_endpoints_per_slice: usize,
    pub mirroring: endpoint_slice_mirroring::Options,
    pub garbage_collection: bool,
    /// None when no signer has an authority.
    pub signing: Option<signing::Options>,
    pub node_lifecycle: node_lifecycle::Options,
    /// Ended pods that are kept.
    pub terminated_pods: usize,
    pub resource_quota: resource_quota::Options,
    pub pod_autoscaler: pod_autoscaler::Options,
    pub workers: Workers,
}

/// How many keys each controller works on at a time.
#[derive(Clone, Debug)]
pub struct Workers {
    pub daemon_set: usize,
    pub deployment: usize,
    pub endpoint: usize,
    pub namespace: usize,
    pub replica_set: usize,
    pub replication_controller: usize,
    pub service_endpoint: usize,
    pub garbage_collector: usize,
    pub stateful_set: usize,
    pub job: usize,
    pub finished_job: usize,
    pub cron_job: usize,
    pub ephemeral_volume: usize,
    pub service_account_token: usize,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Serving(#[from] secure_serving::Error),
    #[error("--{flag}: {source}")]
    Cidr {
        flag: &'static str,
        #[source]
        source: cidr::ParseError,
    },
    #[error("--{0} must not be negative or too large")]
    Number(&'static str),
    #[error("--cluster-cidr is required when --allocate-node-cidrs is set")]
    NoClusterCidr,
    #[error("{0:?} is not in the list of known controllers")]
    UnknownController(String),
}

pub fn flags() -> FlagSet {
    let mut set = FlagSet::new(
        "kube-controller-manager",
        "Brings the cluster's state towards the desired one.",
    );
    set.string(
        "kubeconfig",
        "",
        "Path to a kubeconfig file; without it the pod's service account is used.",
    );
    set.string(
        "master",
        "",
        "Address of the API server, in place of the kubeconfig's.",
    );
    set.float(
        "kube-api-qps",
        20.0,
        "Requests a second of each controller to the API server.",
    );
    set.int(
        "kube-api-burst",
        30,
        "Requests above the rate that may go at once.",
    );
    set.strings(
        "controllers",
        "*",
        "Controllers to run: '*', 'name' to add one, '-name' to leave one out.",
    );
    set.switch(
        "use-service-account-credentials",
        false,
        "Run each controller as a service account of its own.",
    );
    set.string(
        "root-ca-file",
        "",
        "Authorities published to every namespace, in PEM.",
    );
    set.string(
        "service-account-private-key-file",
        "",
        "Key that signs tokens kept in secrets, in PEM.",
    );
    set.switch(
        "enable-garbage-collector",
        true,
        "Delete objects whose owners are gone.",
    );
    network_flags(&mut set);
    node_flags(&mut set);
    signing_flags(&mut set);
    autoscaler_flags(&mut set);
    leader_flags(&mut set);
    worker_flags(&mut set);
    secure_serving::flags(&mut set, PORT);
    set.duration(
        "resource-quota-sync-period",
        "5m",
        "How often what quotas count is counted anew; 0 for never.",
    );
    set.known(upstream::flags::KUBE_CONTROLLER_MANAGER);
    set
}

fn network_flags(set: &mut FlagSet) {
    set.switch(
        "allocate-node-cidrs",
        false,
        "Give each node a range of pod addresses.",
    );
    set.string(
        "cluster-cidr",
        "",
        "Range of all pod addresses, or one of each family.",
    );
    set.string(
        "service-cluster-ip-range",
        "",
        "Range of service addresses, which no node gets.",
    );
    set.int(
        "node-cidr-mask-size",
        0,
        "Prefix length of a node's range in a cluster of one family.",
    );
    set.int(
        "node-cidr-mask-size-ipv4",
        0,
        "Prefix length of a node's IPv4 range.",
    );
    set.int(
        "node-cidr-mask-size-ipv6",
        0,
        "Prefix length of a node's IPv6 range.",
    );
    set.int(
        "max-endpoints-per-slice",
        100,
        "Most endpoints of an EndpointSlice.",
    );
    set.int(
        "mirroring-concurrent-service-endpoint-syncs",
        5,
        "Endpoints mirrored at a time.",
    );
    set.int(
        "mirroring-max-endpoints-per-subset",
        1000,
        "Most endpoints of a subset that are mirrored.",
    );
    set.duration(
        "mirroring-endpointslice-updates-batch-period",
        "0s",
        "How long changes of mirrored slices are gathered before they are looked at.",
    );
}

fn node_flags(set: &mut FlagSet) {
    set.duration("node-monitor-period", "5s", "How often nodes are looked at.");
    set.duration(
        "node-monitor-grace-period",
        "50s",
        "How long a node may be silent before it is unhealthy.",
    );
    set.duration(
        "node-startup-grace-period",
        "1m",
        "The same for a node that never spoke.",
    );
    set.float(
        "node-eviction-rate",
        0.1,
        "Nodes a second whose pods are evicted, in a healthy zone.",
    );
    set.float(
        "secondary-node-eviction-rate",
        0.01,
        "The same in a large zone that partly fails.",
    );
    set.int(
        "large-cluster-size-threshold",
        50,
        "Nodes above which a zone is large.",
    );
    set.float(
        "unhealthy-zone-threshold",
        0.55,
        "Share of unready nodes at which a zone fails.",
    );
    set.int(
        "terminated-pod-gc-threshold",
        12500,
        "Ended pods that are kept; 0 keeps all.",
    );
}

fn signing_flags(set: &mut FlagSet) {
    set.string(
        "cluster-signing-cert-file",
        "",
        "Authority that signs certificate requests, in PEM.",
    );
    set.string("cluster-signing-key-file", "", "Key of that authority.");
    for (_, name) in SIGNERS {
        set.string(
            &format!("cluster-signing-{name}-cert-file"),
            "",
            "Authority of this signer alone.",
        );
        set.string(
            &format!("cluster-signing-{name}-key-file"),
            "",
            "Key of this signer's authority.",
        );
    }
    set.duration(
        "cluster-signing-duration",
        "8760h",
        "How long signed certificates are good at most.",
    );
}

fn autoscaler_flags(set: &mut FlagSet) {
    set.int(
        "concurrent-horizontal-pod-autoscaler-syncs",
        5,
        "Pod autoscalers worked on at a time.",
    );
    set.duration(
        "horizontal-pod-autoscaler-sync-period",
        "15s",
        "How often each pod autoscaler is looked at.",
    );
    set.duration(
        "horizontal-pod-autoscaler-downscale-stabilization",
        "5m",
        "How long the highest recommendation holds before a target shrinks.",
    );
    set.float(
        "horizontal-pod-autoscaler-tolerance",
        0.1,
        "How far usage may be from its target before anything is done, as a share of it.",
    );
    set.duration(
        "horizontal-pod-autoscaler-cpu-initialization-period",
        "5m",
        "How long after a pod's start its processor usage may be that of the start.",
    );
    set.duration(
        "horizontal-pod-autoscaler-initial-readiness-delay",
        "30s",
        "How long after a pod's start a change of readiness is its first.",
    );
}

fn leader_flags(set: &mut FlagSet) {
    set.switch("leader-elect", true, "Act only while holding the lease.");
    set.duration(
        "leader-elect-lease-duration",
        "15s",
        "How long others wait after the last renewal.",
    );
    set.duration(
        "leader-elect-renew-deadline",
        "10s",
        "How long the holder tries to renew.",
    );
    set.duration("leader-elect-retry-period", "2s", "Pause between attempts.");
    set.string(
        "leader-elect-resource-lock",
        "leases",
        "Kind of the lock: leases.",
    );
    set.string(
        "leader-elect-resource-name",
        "kube-controller-manager",
        "Name of the lease.",
    );
    set.string(
        "leader-elect-resource-namespace",
        "kube-system",
        "Namespace of the lease.",
    );
}

fn worker_flags(set: &mut FlagSet) {
    set.int(
        "concurrent-daemonset-syncs",
        2,
        "Daemon sets worked on at a time.",
    );
    set.int(
        "concurrent-deployment-syncs",
        5,
        "Deployments worked on at a time.",
    );
    set.int(
        "concurrent-endpoint-syncs",
        5,
        "Services whose Endpoints are worked on at a time.",
    );
    set.int(
        "concurrent-gc-syncs",
        20,
        "Objects that the garbage collector works on at a time.",
    );
    set.int("concurrent-namespace-syncs", 10, "Namespaces emptied at a time.");
    set.int(
        "concurrent-rc-syncs",
        5,
        "Replication controllers worked on at a time.",
    );
    set.int(
        "concurrent-replicaset-syncs",
        5,
        "Replica sets worked on at a time.",
    );
    set.int(
        "concurrent-service-endpoint-syncs",
        5,
        "Services whose slices are worked on at a time.",
    );
    set.int(
        "concurrent-statefulset-syncs",
        5,
        "Stateful sets worked on at a time.",
    );
    set.int(
        "concurrent-resource-quota-syncs",
        5,
        "Resource quotas worked on at a time.",
    );
    set.int(
        "concurrent-ephemeralvolume-syncs",
        5,
        "Pods whose ephemeral volumes are worked on at a time.",
    );
    set.int(
        "concurrent-serviceaccount-token-syncs",
        5,
        "Secrets for tokens worked on at a time.",
    );
    set.int("concurrent-cron-job-syncs", 5, "Cron jobs worked on at a time.");
    set.int("concurrent-job-syncs", 5, "Jobs worked on at a time.");
    set.int(
        "concurrent-ttl-after-finished-syncs",
        5,
        "Finished jobs deleted at a time.",
    );
}

impl Options {
    pub fn new(values: &Values) -> Result<Self, Error> {
        let path = |name: &str| values.non_empty(name).map(PathBuf::from);
        Ok(Options {
            kubeconfig: path("kubeconfig"),
            master: values.non_empty("master").map(str::to_owned),
            qps: values.float("kube-api-qps") as f32,
            burst: u32::try_from(values.int("kube-api-burst"))
                .map_err(|_| Error::Number("kube-api-burst"))?,
            serving: secure_serving::Settings::new(values, "kube-controller-manager")?,
            leader_election: values.bool("leader-elect").then(|| leader_election(values)),
            controllers: Selection::new(values.strings("controllers")),
            use_service_account_credentials: values.bool("use-service-account-credentials"),
            root_ca_file: path("root-ca-file"),
            service_account_private_key_file: path("service-account-private-key-file"),
            node_ipam: node_ipam(values)?,
            max_endpoints_per_slice: count(values, "max-endpoints-per-slice")?,
            mirroring: endpoint_slice_mirroring::Options {
                workers: count(values, "mirroring-concurrent-service-endpoint-syncs")?,
                max_endpoints: count(values, "mirroring-max-endpoints-per-subset")?,
                batch_period: values.duration("mirroring-endpointslice-updates-batch-period"),
            },
            node_lifecycle: node_lifecycle(values)?,
            terminated_pods: count(values, "terminated-pod-gc-threshold")?,
            signing: signing(values),
            pod_autoscaler: pod_autoscaler(values)?,
            resource_quota: resource_quota::Options {
                workers: count(values, "concurrent-resource-quota-syncs")?,
                sync_period: values.duration("resource-quota-sync-period"),
            },
            garbage_collection: values.bool("enable-garbage-collector"),
            workers: Workers::new(values)?,
        })
    }
}

impl Workers {
    fn new(values: &Values) -> Result<Self, Error> {
        Ok(Workers {
            daemon_set: count(values, "concurrent-daemonset-syncs")?,
            deployment: count(values, "concurrent-deployment-syncs")?,
            endpoint: count(values, "concurrent-endpoint-syncs")?,
            namespace: count(values, "concurrent-namespace-syncs")?,
            replica_set: count(values, "concurrent-replicaset-syncs")?,
            replication_controller: count(values, "concurrent-rc-syncs")?,
            service_endpoint: count(values, "concurrent-service-endpoint-syncs")?,
            garbage_collector: count(values, "concurrent-gc-syncs")?,
            stateful_set: count(values, "concurrent-statefulset-syncs")?,
            job: count(values, "concurrent-job-syncs")?,
            cron_job: count(values, "concurrent-cron-job-syncs")?,
            service_account_token: count(values, "concurrent-serviceaccount-token-syncs")?,
            ephemeral_volume: count(values, "concurrent-ephemeralvolume-syncs")?,
            finished_job: count(values, "concurrent-ttl-after-finished-syncs")?,
        })
    }
}

/// The authorities of signers: each signer's own, or one for all.
fn signing(values: &Values) -> Option<signing::Options> {
    let files = |certificate: &str, key: &str| {
        let certificate = PathBuf::from(values.non_empty(certificate)?);
        Some(signing::Files {
            certificate,
            key: PathBuf::from(values.non_empty(key)?),
        })
    };
    let common = files("cluster-signing-cert-file", "cluster-signing-key-file");
    let mut authorities = BTreeMap::new();
    for (signer, name) in SIGNERS {
        let certificate = format!("cluster-signing-{name}-cert-file");
        let key = format!("cluster-signing-{name}-key-file");
        if let Some(files) = files(&certificate, &key).or_else(|| common.clone()) {
            authorities.insert(signer, files);
        }
    }
    let longest = values.duration("cluster-signing-duration");
    (!authorities.is_empty()).then_some(signing::Options { authorities, longest })
}

fn pod_autoscaler(values: &Values) -> Result<pod_autoscaler::Options, Error> {
    let span = |name: &str| values.duration(&format!("horizontal-pod-autoscaler-{name}"));
    Ok(pod_autoscaler::Options {
        workers: count(values, "concurrent-horizontal-pod-autoscaler-syncs")?,
        sync_period: span("sync-period"),
        downscale_stabilization: span("downscale-stabilization"),
        tolerance: values.float("horizontal-pod-autoscaler-tolerance"),
        startup: Startup {
            cpu_initialization: span("cpu-initialization-period"),
            readiness_delay: span("initial-readiness-delay"),
        },
    })
}

fn node_lifecycle(values: &Values) -> Result<node_lifecycle::Options, Error> {
    Ok(node_lifecycle::Options {
        period: values.duration("node-monitor-period"),
        timing: node_lifecycle::health::Timing {
            grace_period: values.duration("node-monitor-grace-period"),
            startup_grace_period: values.duration("node-startup-grace-period"),
        },
        rates: node_lifecycle::zones::Rates {
            normal: values.float("node-eviction-rate") as f32,
            secondary: values.float("secondary-node-eviction-rate") as f32,
            large_cluster: count(values, "large-cluster-size-threshold")?,
            unhealthy_share: values.float("unhealthy-zone-threshold") as f32,
        },
    })
}

fn count(values: &Values, flag: &'static str) -> Result<usize, Error> {
    usize::try_from(values.int(flag)).map_err(|_| Error::Number(flag))
}

/// The lease, but for the identity, which each process makes up.
fn leader_election(values: &Values) -> leader_election::Config {
    let (namespace, name) = (
        values.string("leader-elect-resource-namespace"),
        values.string("leader-elect-resource-name"),
    );
    let span = |name: &str| -> Duration { values.duration(name) };
    leader_election::Config {
        lease_duration: span("leader-elect-lease-duration"),
        renew_deadline: span("leader-elect-renew-deadline"),
        retry_period: span("leader-elect-retry-period"),
        ..leader_election::Config::new(namespace, name, "")
    }
}

fn node_ipam(values: &Values) -> Result<Option<node_ipam::Options>, Error> {
    if !values.bool("allocate-node-cidrs") {
        return Ok(None);
    }
    let cluster_cidrs = ranges(values, "cluster-cidr")?;
    if cluster_cidrs.is_empty() {
        return Err(Error::NoClusterCidr);
    }
    Ok(Some(node_ipam::Options {
        cluster_cidrs,
        service_cidrs: ranges(values, "service-cluster-ip-range")?,
        mask_size_ipv4: mask(values, "node-cidr-mask-size-ipv4", MASK_IPV4)?,
        mask_size_ipv6: mask(values, "node-cidr-mask-size-ipv6", MASK_IPV6)?,
    }))
}

fn ranges(values: &Values, flag: &'static str) -> Result<Vec<cidr::Cidr>, Error> {
    let texts = values
        .string(flag)
        .split(',')
        .map(str::trim)
        .filter(|text| !text.is_empty());
    texts
        .map(|text| text.parse().map_err(|source| Error::Cidr { flag, source }))
        .collect()
}

/// The flag of the family, the flag for one family alone, or the default.
fn mask(values: &Values, flag: &'static str, default: u8) -> Result<u8, Error> {
    let size = [values.int(flag), values.int("node-cidr-mask-size")]
        .into_iter()
        .find(|size| *size != 0);
    size.map_or(Ok(default), |size| {
        u8::try_from(size).map_err(|_| Error::Number(flag))
    })
}

#[cfg(test)]
mod tests {
    use component_base::options::Invocation;

    use super::*;

    fn parse(arguments: &[&str]) -> Result<Options, Error> {
        match flags().parse(arguments.iter().copied()).expect("parses") {
            Invocation::Run(values) => Options::new(&values),
            Invocation::Print(text) => panic!("prints {text}"),
        }
    }

    #[test]
    fn defaults_are_upstreams() {
        let options = parse(&[]).expect("valid");
        assert_eq!(options.workers.garbage_collector, 20);
        assert_eq!(
            options.node_lifecycle.timing.grace_period,
            Duration::from_secs(50)
        );
        assert_eq!(options.node_ipam, None);
        assert_eq!(options.signing, None);
        let lease = options.leader_election.expect("on");
        assert_eq!(
            (lease.namespace.as_str(), lease.name.as_str()),
            ("kube-system", "kube-controller-manager")
        );
        assert_eq!(options.serving.expect("on").address.port(), PORT);
    }

    #[test]
    fn ranges_and_authorities_are_understood() {
        let options = parse(&[
            "--allocate-node-cidrs",
            "--cluster-cidr=10.244.0.0/16,fd00:10::/48",
            "--node-cidr-mask-size-ipv4=25",
            "--cluster-signing-cert-file=/ca.crt",
            "--cluster-signing-key-file=/ca.key",
            "--cluster-signing-kubelet-serving-cert-file=/own.crt",
            "--cluster-signing-kubelet-serving-key-file=/own.key",
        ])
        .expect("valid");
        let ipam = options.node_ipam.expect("on");
        assert_eq!(
            (ipam.cluster_cidrs.len(), ipam.mask_size_ipv4, ipam.mask_size_ipv6),
            (2, 25, 64)
        );
        let authorities = options.signing.expect("on").authorities;
        assert_eq!(
            authorities[&Signer::KubeletServing].key,
            PathBuf::from("/own.key")
        );
        assert_eq!(authorities[&Signer::ApiClient].key, PathBuf::from("/ca.key"));
    }

    #[test]
    fn mistakes_are_named() {
        let message = |arguments: &[&str]| parse(arguments).map(drop).expect_err("refused").to_string();
        let missing = "--cluster-cidr is required when --allocate-node-cidrs is set";
        assert_eq!(message(&["--allocate-node-cidrs"]), missing);
        let number = "--concurrent-gc-syncs must not be negative or too large";
        assert_eq!(message(&["--concurrent-gc-syncs=-1"]), number);
        assert!(
            message(&["--allocate-node-cidrs", "--cluster-cidr=nonsense"]).starts_with("--cluster-cidr: ")
        );
    }
}
