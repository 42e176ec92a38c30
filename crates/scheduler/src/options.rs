//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use component_base::options::{FlagSet, Values};
use component_base::upstream;
use controller_runtime::leader_election;
use delegated_auth::secure_serving;

use crate::config::{self, SchedulerConfig};

/// Port of the secure server.
pub const PORT: u16 = 10259;

#[derive(Clone, Debug)]
pub struct Options {
    pub kubeconfig: Option<PathBuf>,
    pub master: Option<String>,
    pub serving: Option<secure_serving::Settings>,
    pub config: SchedulerConfig,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Serving(#[from] secure_serving::Error),
    #[error(transparent)]
    Config(#[from] config::Error),
}

pub fn flags() -> FlagSet {
    let mut set = FlagSet::new("kube-scheduler", "Chooses a node for each pod that has none.");
    set.string(
        "config",
        "",
        "Path to a KubeSchedulerConfiguration; its values win over the flags below.",
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
        0.0,
        "Requests a second to the API server; 0: as many as it accepts.",
    );
    set.int(
        "kube-api-burst",
        100,
        "Requests above the rate that may go at once.",
    );
    set.switch("leader-elect", true, "Act only while holding the lease.");
    set.duration(
        "leader-elect-lease-duration",
        "15s",
        "How long others wait after the last renewal.",
    );
    set.duration(
        "leader-elect-renew-deadline",
        "10s",
        "How long the holder tries to renew before it gives up.",
    );
    set.duration("leader-elect-retry-period", "2s", "Pause between attempts.");
    set.string(
        "leader-elect-resource-lock",
        "leases",
        "Kind of the lock: leases.",
    );
    set.string(
        "leader-elect-resource-name",
        "kube-scheduler",
        "Name of the lease.",
    );
    set.string(
        "leader-elect-resource-namespace",
        "kube-system",
        "Namespace of the lease.",
    );
    set.duration(
        "pod-max-in-unschedulable-pods-duration",
        "5m",
        "After this long an unschedulable pod is tried again whatever happened.",
    );
    secure_serving::flags(&mut set, PORT);
    set.known(upstream::flags::KUBE_SCHEDULER);
    set
}

impl Options {
    pub fn new(values: &Values) -> Result<Self, Error> {
        let mut config = match values.non_empty("config") {
            Some(path) => SchedulerConfig::load(path.as_ref())?,
            None => SchedulerConfig::default(),
        };
        let path = |name: &str| values.non_empty(name).map(PathBuf::from);
        if values.non_empty("config").is_none() {
            config.qps = values.float("kube-api-qps") as f32;
            config.burst = u32::try_from(values.int("kube-api-burst")).unwrap_or(100);
            config.leader_election = values.bool("leader-elect").then(|| leader_election(values));
        }
        config.timing.max_unschedulable = values.duration("pod-max-in-unschedulable-pods-duration");
        Ok(Self {
            kubeconfig: path("kubeconfig").or_else(|| config.kubeconfig.clone()),
            master: values.non_empty("master").map(str::to_owned),
            serving: secure_serving::Settings::new(values, "kube-scheduler")?,
            config,
        })
    }
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
